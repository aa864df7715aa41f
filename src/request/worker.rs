//! What a Cloudflare Worker makes of a request where `request.cf` says nothing of a field.
//!
//! Cloudflare documents a value for some fields that a request has not got (fields reference, 2026-10): the empty text
//! for client certificates and subdivisions, 0 for statistics of a connection. The others are missing then.

use super::{Field, Type, Value};

/// The version of HTTP that comes over QUIC; all others come over TCP.
const QUIC: &str = "HTTP/3";

/// The header that tells a field of the platform's.
pub fn header_behind(field: Field) -> Option<&'static str> {
    match field {
        Field::CfRayId => Some("cf-ray"),
        Field::CfWorkerUpstreamZone => Some("cf-worker"),
        _ => None,
    }
}

/// The value of a field of which `request.cf` says nothing, for a request by `version` ("" where that is not known)
/// with these headers.
pub fn untold<'a>(
    field: Field,
    version: &str,
    header: impl FnOnce(&'static str) -> Option<&'a [u8]>,
) -> Option<Value<'a>> {
    use Field::*;
    let sent = header_behind(field).and_then(header);
    Some(match field {
        CfEdgeClientTcp if !version.is_empty() => Value::Bool(version != QUIC),
        CfTimingsClientTcpRttMsec if version == QUIC => Value::Int(0),
        CfTimingsClientQuicRttMsec if !version.is_empty() && version != QUIC => Value::Int(0),
        CfEdgeL4DeliveryRate => Value::Int(0),
        IpSrcSubdivision1 => Value::Bytes(b""),
        // The ray without the place where it came in.
        CfRayId => Value::Bytes(sent?.split(|&byte| byte == b'-').next()?),
        CfWorkerUpstreamZone => Value::Bytes(sent.unwrap_or_default()),
        _ if is_of_certificate(field) && field.info().value_type() == Type::Bool => Value::Bool(false),
        _ if is_of_certificate(field) => Value::Bytes(b""),
        _ => return None,
    })
}

fn is_of_certificate(field: Field) -> bool {
    (Field::CfTlsClientAuthCertPresented..=Field::CfTlsClientAuthCertChainRfc9440TooLarge).contains(&field)
}
