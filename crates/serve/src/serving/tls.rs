//! TLS, with a certificate that can be replaced while connections are open.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::Starting;

/// How HTTP/2 is called in the handshake.
const H2: &[u8] = b"h2";

/// Where the certificate is. Both are read again when they change; what does not fit together never replaces what does.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and those that it depends on, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Answers handshakes.
pub(crate) struct Tls {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    certificate: Arc<InUse>,
    acceptor: TlsAcceptor,
    /// SHA-256 of the files as they were read last, good or not.
    read: Mutex<[u8; 32]>,
}

#[derive(Debug)]
struct InUse(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for InUse {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{}: {error}", file.display())]
    Unreadable {
        file: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{}: {error}", file.display())]
    Pem {
        file: PathBuf,
        #[source]
        error: pem::Error,
    },
    #[error("{}: there is no certificate in it", .0.display())]
    NoCertificate(PathBuf),
    #[error("{}: not the key of {}: {error}", key.display(), certificate.display())]
    OtherKey {
        key: PathBuf,
        certificate: PathBuf,
        #[source]
        error: rustls::Error,
    },
    #[error(transparent)]
    Protocol(#[from] rustls::Error),
}

impl Tls {
    /// Reads the certificate. Blocks.
    pub(crate) fn new(files: TlsFiles) -> Result<Tls, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let (certificate, read) = read(&files, &provider)?;
        let certificate = Arc::new(InUse(ArcSwap::from_pointee(certificate)));
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let mut config =
            config?.with_no_client_auth().with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Tls { files, provider, certificate, acceptor, read: Mutex::new(read) })
    }

    /// Takes new certificates into use as their files change.
    pub(crate) fn watch(self: &Arc<Self>, starting: &Starting) {
        let (watched, loading) = (Arc::clone(self), Arc::clone(self));
        starting.watch(move || watched.watched_folders(), move || loading.load_if_changed());
    }

    /// Takes a new certificate into use, if there is one that is good. Blocks.
    fn load_if_changed(&self) {
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = match texts(&self.files) {
            Ok(texts) if digest(&texts) == *last => return,
            Ok(texts) => texts,
            Err(why) => return tracing::error!("the certificate in use stays: {why}"),
        };
        *last = digest(&texts);
        match certified(&self.files, &texts, &self.provider) {
            Ok(certificate) => {
                self.certificate.0.store(Arc::new(certificate));
                tracing::info!(certificate = %self.files.certificate.display(), "new certificate in use");
            }
            Err(why) => tracing::error!("the certificate in use stays: {why}"),
        }
    }

    /// Where something can happen that concerns the certificate.
    fn watched_folders(&self) -> BTreeSet<PathBuf> {
        let parents = [&self.files.certificate, &self.files.key].into_iter().filter_map(|file| file.parent());
        parents.map(|folder| if folder == Path::new("") { ".".into() } else { folder.to_owned() }).collect()
    }

    /// The handshake, and whether HTTP/2 was agreed on; `None` where it fails or takes too long.
    pub(crate) async fn accept(&self, stream: TcpStream, patience: Duration) -> Option<(TlsStream<TcpStream>, bool)> {
        let accepted = timeout(patience, self.acceptor.accept(stream)).await.ok()?;
        let stream = accepted.inspect_err(|error| tracing::debug!(%error, "no TLS")).ok()?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        Some((stream, is_h2))
    }
}

/// Certificate and key.
type Texts = [Vec<u8>; 2];

fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<(CertifiedKey, [u8; 32]), TlsError> {
    let texts = texts(files)?;
    Ok((certified(files, &texts, provider)?, digest(&texts)))
}

fn texts(files: &TlsFiles) -> Result<Texts, TlsError> {
    let read = |file: &Path| std::fs::read(file).map_err(|error| TlsError::Unreadable { file: file.to_owned(), error });
    Ok([read(&files.certificate)?, read(&files.key)?])
}

fn certified(
    files: &TlsFiles,
    [certificate, key]: &Texts,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let broken = |file: &Path| {
        let file = file.to_owned();
        |error| TlsError::Pem { file, error }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(broken(&files.certificate))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(files.certificate.clone()));
    }
    let private = PrivateKeyDer::from_pem_slice(key).map_err(broken(&files.key))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| {
        let TlsFiles { certificate, key } = files.clone();
        TlsError::OtherKey { key, certificate, error }
    })
}

fn digest(texts: &Texts) -> [u8; 32] {
    // With its length: a certificate's end is no key's start.
    let [certificate, key] = texts;
    let length = (certificate.len() as u64).to_le_bytes();
    Sha256::new().chain_update(length).chain_update(certificate).chain_update(key).finalize().into()
}
