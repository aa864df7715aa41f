//! What the callout knows of a request besides the request.

use bumpalo::Bump;

use crate::connector::edge::Arrivals;
use crate::host::geo::GeoFacts;
use crate::host::serving::address;
use crate::policy::GoogleCloud;
use crate::request::{Facts, Field, Type, Value};

/// What the load balancer says comes first, databases second.
pub(super) struct CalloutFacts<'c> {
    pub geo: GeoFacts<'c>,
    /// Which headers are the load balancer's.
    pub settings: &'c GoogleCloud,
    pub headers: &'c [(&'c str, &'c [u8])],
    /// See [`super::exchange::Context`].
    pub random: fn(&mut [u8]) -> bool,
    pub arrivals: &'c Arrivals,
}

impl CalloutFacts<'_> {
    /// What the load balancer says of a field, if the policy expects that.
    fn said(&self, field: Field) -> Option<&[u8]> {
        let header = self.header(field)?;
        // The load balancer's line is the last one; whatever stands before it came with the request.
        self.headers
            .iter()
            .rfind(|(name, _)| *name == header)
            .map(|(_, value)| *value)
            .filter(|value| !value.is_empty())
    }

    /// The custom request header that carries a field: the one that the policy names, or the one that is named after a
    /// variable, as `{client_region}` comes in `x-client-region`.
    fn header(&self, field: Field) -> Option<&str> {
        if let Some(header) = self.settings.headers.get(field.info().name) {
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
        self.settings.variables.iter().any(|known| known == variable).then_some(header)
    }
}

impl Facts for CalloutFacts<'_> {
    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        let Some(said) = self.said(field) else { return self.elsewhere(field, arena) };
        let text = || std::str::from_utf8(said).ok();
        match field.info().value_type() {
            Type::Int => text()?.parse().ok().map(Value::Int),
            Type::Ip => address::parse(text()?).map(Value::Ip),
            Type::Bool => Some(Value::Bool(said.eq_ignore_ascii_case(b"true"))),
            _ => Some(Value::Bytes(said)),
        }
    }

    fn note_arrival(&self, arrival: &str, now: i64) -> bool {
        self.arrivals.note(arrival, now)
    }
}

impl CalloutFacts<'_> {
    fn elsewhere<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        if field == Field::CfRandomSeed {
            let seed = arena.alloc([0; 16]);
            return (self.random)(seed).then_some(Value::Bytes(seed));
        }
        self.geo.fact(field, arena)
    }
}
