//! What the load balancer in front of the callout says of a visitor, in custom request headers.

use super::settings::GoogleCloud;
use crate::request::{Field, Type, Value, address};

impl GoogleCloud {
    /// What the load balancer says of a field in one of these headers, if the policy expects that: `None` where it says
    /// nothing, and something else is to be asked; `Some(None)` where what it says is no value of the field.
    pub fn said<'h>(&self, field: Field, headers: &[(&str, &'h [u8])]) -> Option<Option<Value<'h>>> {
        let header = self.header(field)?;
        // The load balancer's line is the last one; whatever stands before it came with the request.
        let said = headers.iter().rfind(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, value)| *value);
        let said = said.filter(|value| !value.is_empty())?;
        let text = || std::str::from_utf8(said).ok();
        Some(match field.info().value_type() {
            Type::Int => text().and_then(|text| text.parse().ok()).map(Value::Int),
            Type::Ip => text().and_then(address).map(Value::Ip),
            Type::Bool => Some(Value::Bool(said.eq_ignore_ascii_case(b"true"))),
            _ => Some(Value::Bytes(said)),
        })
    }

    /// The custom request header that carries a field: the one that the policy names, or the one that is named after a
    /// variable, as `{client_region}` comes in `x-client-region`.
    fn header(&self, field: Field) -> Option<&str> {
        if let Some(header) = self.headers.get(field.info().name) {
            return Some(header);
        }
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
        self.variables.iter().any(|known| known == variable).then_some(header)
    }
}
