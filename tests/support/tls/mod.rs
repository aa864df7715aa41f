//! Certificates, and clients that look at them.

#![allow(dead_code, reason = "each user needs a part of it")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::wire::in_time;

/// Writes `certificate.pem` for a host, signed by itself, and its `key.pem`; the certificate.
pub fn certify(folder: &Path, host: &str) -> CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new([host.to_owned()]).expect("parameters");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    std::fs::write(folder.join("certificate.pem"), certificate.pem()).expect("a file");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("a file");
    certificate.der().clone()
}

/// Shakes hands. The certificate must be one of `known`, and for `host`; `protocol` must be agreed on.
pub async fn shake_hands(
    stream: TcpStream,
    host: &str,
    known: &[&CertificateDer<'static>],
    protocol: &str,
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    known.iter().for_each(|certificate| roots.add((*certificate).clone()).expect("a certificate"));
    let config =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    let host = host.to_owned().try_into().expect("a name");
    let stream = in_time("TLS", TlsConnector::from(Arc::new(config)).connect(host, stream)).await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    stream
}

/// The certificate that a new connection meets. It must be one of `known`.
pub async fn certificate(
    address: SocketAddr,
    host: &str,
    known: &[&CertificateDer<'static>],
) -> CertificateDer<'static> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let stream = shake_hands(stream, host, known, "h2").await;
    stream.get_ref().1.peer_certificates().expect("certificates")[0].clone()
}
