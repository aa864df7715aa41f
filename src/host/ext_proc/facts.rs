//! What the callout knows of a request besides the request.

use bumpalo::Bump;

use crate::host::geo::GeoFacts;
use crate::request::{Facts, Field, Value};

/// Variables of the load balancer come first, databases second.
pub(super) struct CalloutFacts<'c> {
    pub geo: GeoFacts<'c>,
    /// `google_cloud.variables`.
    pub variables: &'c [String],
    pub headers: &'c [(&'c str, &'c [u8])],
    /// See [`super::exchange::Context`].
    pub random: fn(&mut [u8]) -> bool,
}

impl CalloutFacts<'_> {
    /// What the load balancer says of a variable, if the policy expects that. A custom request header that is named
    /// after it carries it: `{client_region}` comes in `x-client-region`.
    fn variable(&self, field: Field) -> Option<&[u8]> {
        let (variable, header) = match field {
            Field::IpSrcCountry => ("client_region", "x-client-region"),
            Field::IpSrcCity => ("client_city", "x-client-city"),
            Field::CfTimingsClientTcpRttMsec => ("client_rtt_msec", "x-client-rtt-msec"),
            Field::CfTlsVersion => ("tls_version", "x-tls-version"),
            Field::CfTlsCipher => ("tls_cipher_suite", "x-tls-cipher-suite"),
            Field::CfTlsClientAuthCertPresented => ("client_cert_present", "x-client-cert-present"),
            Field::CfTlsClientAuthCertVerified => ("client_cert_chain_verified", "x-client-cert-chain-verified"),
            Field::CfTlsClientAuthCertFingerprintSha256 => {
                ("client_cert_sha256_fingerprint", "x-client-cert-sha256-fingerprint")
            }
            _ => return None,
        };
        if !self.variables.iter().any(|known| known == variable) {
            return None;
        }
        // The load balancer's line is the last one; whatever stands before it came with the request.
        self.headers
            .iter()
            .rfind(|(name, _)| *name == header)
            .map(|(_, value)| *value)
            .filter(|value| !value.is_empty())
    }
}

impl Facts for CalloutFacts<'_> {
    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        if field == Field::CfRandomSeed {
            let seed = arena.alloc([0; 16]);
            return (self.random)(seed).then_some(Value::Bytes(seed));
        }
        let Some(variable) = self.variable(field) else { return self.geo.fact(field, arena) };
        match field {
            Field::CfTimingsClientTcpRttMsec => std::str::from_utf8(variable).ok()?.parse().ok().map(Value::Int),
            Field::CfTlsClientAuthCertPresented | Field::CfTlsClientAuthCertVerified => {
                Some(Value::Bool(variable.eq_ignore_ascii_case(b"true")))
            }
            _ => Some(Value::Bytes(variable)),
        }
    }
}
