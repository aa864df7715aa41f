//! What a host knows of a request that somebody describes, on the command line or in the dashboard.

use bumpalo::Bump;

use crate::policy::{GoogleCloud, Settings};
use crate::request::{Facts, Field, OwnedRequest, OwnedValue, Target, Value, country, worker};

/// What is said of a request, and what a host of some kind makes of that: whoever says the country has said the
/// continent, too, unless they say otherwise.
pub struct Described<'r> {
    target: Target,
    load_balancer: Option<&'r GoogleCloud>,
    request: &'r OwnedRequest,
    headers: Vec<(&'r str, &'r [u8])>,
}

impl<'r> Described<'r> {
    /// A request, whose facts are what was said, to a host with these settings.
    pub fn to(settings: &'r Settings, request: &'r OwnedRequest) -> Described<'r> {
        Described { load_balancer: Some(&settings.google_cloud), ..Described::to_any(settings.target, request) }
    }

    /// The same, to a host of which nothing is known but where it runs.
    pub fn to_any(target: Target, request: &'r OwnedRequest) -> Described<'r> {
        Described { target, load_balancer: None, request, headers: request.header_pairs() }
    }

    fn said(&self, field: Field) -> Option<&[u8]> {
        match self.request.facts.get(&field) {
            Some(OwnedValue::Bytes(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// What follows from what was said, wherever it comes from.
    fn implied<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        let country = self.said(Field::IpSrcCountry)?;
        match field {
            Field::IpSrcContinent => country::continent(country).map(|code| Value::Bytes(code.as_bytes())),
            Field::IpSrcIsInEuropeanUnion => Some(Value::Bool(country::is_in_european_union(country))),
            Field::IpSrcSubdivision1 => {
                let subdivision = [country, b"-", self.said(Field::IpSrcRegionCode)?].concat();
                Some(Value::Bytes(arena.alloc_slice_copy(&subdivision)))
            }
            _ => None,
        }
    }

    /// What the host would say where nobody said anything.
    fn known<'a>(&'a self, field: Field) -> Option<Value<'a>> {
        match self.target {
            Target::Worker => worker::untold(field, &self.request.version, |name| self.header(name)),
            Target::GoogleCloud => self.load_balancer?.said(field, &self.headers)?,
            Target::Proxy => None,
        }
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

impl Facts for Described<'_> {
    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        let said = self.request.facts.fact(field, arena).or_else(|| self.implied(field, arena));
        said.or_else(|| self.known(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(target: Target, request: &OwnedRequest, field: Field) -> String {
        match Described::to_any(target, request).fact(field, &Bump::new()) {
            Some(Value::Bytes(text)) => format!("{:?}", String::from_utf8_lossy(text)),
            value => format!("{value:?}"),
        }
    }

    #[test]
    fn a_country_is_on_a_continent() {
        let from = |code: &str| OwnedRequest::new("https://h/").fact(Field::IpSrcCountry, code);
        for (request, continent, is_in_union) in [
            (from("DE"), "\"EU\"", "Some(Bool(true))"),
            (from("US"), "\"NA\"", "Some(Bool(false))"),
            (from("XX"), "None", "Some(Bool(false))"),
            (from(""), "None", "None"),
            (OwnedRequest::new("https://h/"), "None", "None"),
            (from("DE").fact(Field::IpSrcContinent, "AS"), "\"AS\"", "Some(Bool(true))"),
            (from("DE").fact(Field::IpSrcIsInEuropeanUnion, false), "\"EU\"", "Some(Bool(false))"),
        ] {
            for target in [Target::Worker, Target::GoogleCloud, Target::Proxy] {
                assert_eq!(fact(target, &request, Field::IpSrcContinent), continent, "{:?}", request.facts);
                assert_eq!(fact(target, &request, Field::IpSrcIsInEuropeanUnion), is_in_union, "{:?}", request.facts);
            }
        }
        let zurich = from("CH").fact(Field::IpSrcRegionCode, "ZH");
        assert_eq!(fact(Target::Proxy, &zurich, Field::IpSrcSubdivision1), "\"CH-ZH\"");
    }

    #[test]
    fn a_worker_has_something_to_say_of_what_it_is_not_told() {
        let request = OwnedRequest::new("https://h/").header("CF-Ray", "8f0-ZRH");
        let quic = OwnedRequest { version: "HTTP/3".to_owned(), ..request.clone() };
        for (field, by_tcp, by_quic) in [
            (Field::CfTlsClientAuthCertSerial, "\"\"", "\"\""),
            (Field::CfTlsClientAuthCertVerified, "Some(Bool(false))", "Some(Bool(false))"),
            (Field::CfTlsClientAuthCertChainRfc9440TooLarge, "Some(Bool(false))", "Some(Bool(false))"),
            (Field::CfWorkerUpstreamZone, "\"\"", "\"\""),
            (Field::CfRayId, "\"8f0\"", "\"8f0\""),
            (Field::CfEdgeClientTcp, "Some(Bool(true))", "Some(Bool(false))"),
            (Field::CfEdgeL4DeliveryRate, "Some(Int(0))", "Some(Int(0))"),
            (Field::CfTimingsClientTcpRttMsec, "None", "Some(Int(0))"),
            (Field::CfTimingsClientQuicRttMsec, "Some(Int(0))", "None"),
            (Field::IpSrcSubdivision1, "\"\"", "\"\""),
            (Field::IpSrcCity, "None", "None"),
            (Field::CfClientBot, "None", "None"),
        ] {
            assert_eq!(fact(Target::Worker, &request, field), by_tcp, "{field:?}");
            assert_eq!(fact(Target::Worker, &quic, field), by_quic, "{field:?}");
            assert_eq!(fact(Target::Proxy, &request, field), "None", "{field:?}");
        }
    }
}
