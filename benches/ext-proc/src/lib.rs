//! What client and server have in common.

use velvetrope_serve::ext_proc::proto::envoy::config::core::v3::{HeaderMap, HeaderValue};
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::HttpHeaders;

/// What the policy of this bench signs with.
pub const SECRET: &str = "not-a-real-secret";

/// Headers as Envoy sends them.
pub fn headers(pairs: &[(&str, &str)]) -> HttpHeaders {
    let header = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    HttpHeaders { headers: Some(HeaderMap { headers: pairs.iter().map(header).collect() }), ..HttpHeaders::default() }
}
