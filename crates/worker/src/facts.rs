//! Fields from `request.cf`, which is how the platform tells what it knows of a connection.
//!
//! A property that is not there leaves its field missing, unless Cloudflare documents a value for that ([`untold`]).

use bumpalo::Bump;

use velvetrope::internal::edge::Arrivals;
use velvetrope::internal::request::{Facts, Field, Value};
use velvetrope::internal::untold;

/// The name that `shim.js` gives to 16 random bytes in hexadecimal.
pub(super) const SEED: &str = "seed";

/// The properties of `request.cf` that a field is made of, as paths.
pub(super) fn properties(field: Field) -> &'static [&'static str] {
    use Field::*;
    match field {
        HttpRequestVersion | CfEdgeClientTcp => &["httpProtocol"],
        IpSrcCountry => &["country"],
        IpSrcContinent => &["continent"],
        IpSrcAsnum => &["asn"],
        IpSrcCity => &["city"],
        IpSrcRegion => &["region"],
        IpSrcRegionCode => &["regionCode"],
        IpSrcPostalCode => &["postalCode"],
        IpSrcMetroCode => &["metroCode"],
        IpSrcLat => &["latitude"],
        IpSrcLon => &["longitude"],
        IpSrcTimezoneName => &["timezone"],
        IpSrcSubdivision1 => &["country", "regionCode"],
        IpSrcIsInEuropeanUnion => &["country", "isEUCountry"],
        CfEdgeL4DeliveryRate => &["edgeL4.deliveryRate"],
        CfTimingsClientTcpRttMsec => &["clientTcpRtt", "httpProtocol"],
        CfTimingsClientQuicRttMsec => &["clientQuicRtt", "httpProtocol"],
        CfTlsVersion => &["tlsVersion"],
        CfTlsCipher => &["tlsCipher"],
        CfTlsClientExtensionsSha1 => &["tlsClientExtensionsSha1"],
        CfTlsClientExtensionsSha1Le => &["tlsClientExtensionsSha1Le"],
        CfTlsCiphersSha1 => &["tlsClientCiphersSha1"],
        CfTlsClientHelloLength => &["tlsClientHelloLength"],
        CfTlsClientRandom => &["tlsClientRandom"],
        CfTlsClientAuthCertPresented => &["tlsClientAuth.certPresented"],
        CfTlsClientAuthCertVerified => &["tlsClientAuth.certVerified"],
        CfTlsClientAuthCertRevoked => &["tlsClientAuth.certRevoked"],
        CfTlsClientAuthCertSubjectDn => &["tlsClientAuth.certSubjectDN"],
        CfTlsClientAuthCertIssuerDn => &["tlsClientAuth.certIssuerDN"],
        CfTlsClientAuthCertSerial => &["tlsClientAuth.certSerial"],
        CfTlsClientAuthCertFingerprintSha1 => &["tlsClientAuth.certFingerprintSHA1"],
        CfTlsClientAuthCertFingerprintSha256 => &["tlsClientAuth.certFingerprintSHA256"],
        CfTlsClientAuthCertNotBefore => &["tlsClientAuth.certNotBefore"],
        CfTlsClientAuthCertNotAfter => &["tlsClientAuth.certNotAfter"],
        CfTlsClientAuthCertSubjectDnRfc2253 => &["tlsClientAuth.certSubjectDNRFC2253"],
        CfTlsClientAuthCertSubjectDnLegacy => &["tlsClientAuth.certSubjectDNLegacy"],
        CfTlsClientAuthCertIssuerDnRfc2253 => &["tlsClientAuth.certIssuerDNRFC2253"],
        CfTlsClientAuthCertIssuerDnLegacy => &["tlsClientAuth.certIssuerDNLegacy"],
        CfTlsClientAuthCertIssuerSerial => &["tlsClientAuth.certIssuerSerial"],
        CfTlsClientAuthCertSki => &["tlsClientAuth.certSKI"],
        CfTlsClientAuthCertIssuerSki => &["tlsClientAuth.certIssuerSKI"],
        CfTlsClientAuthCertRfc9440 => &["tlsClientAuth.certRFC9440"],
        CfTlsClientAuthCertRfc9440TooLarge => &["tlsClientAuth.certRFC9440TooLarge"],
        CfTlsClientAuthCertChainRfc9440 => &["tlsClientAuth.certChainRFC9440"],
        CfTlsClientAuthCertChainRfc9440TooLarge => &["tlsClientAuth.certChainRFC9440TooLarge"],
        CfClientBot => &["botManagement.verifiedBot", "verifiedBotCategory"],
        CfVerifiedBotCategory => &["verifiedBotCategory"],
        CfBotManagementCorporateProxy => &["botManagement.corporateProxy"],
        CfBotManagementDetectionIds => &["botManagement.detectionIds"],
        CfBotManagementJa3Hash => &["botManagement.ja3Hash"],
        CfBotManagementJa4 => &["botManagement.ja4"],
        CfBotManagementJsDetectionPassed => &["botManagement.jsDetection.passed"],
        CfBotManagementScore => &["botManagement.score"],
        CfBotManagementStaticResource => &["botManagement.staticResource"],
        CfBotManagementVerifiedBot => &["botManagement.verifiedBot"],
        CfHostnameMetadata => &["hostMetadata"],
        CfRandomSeed => &[SEED],
        _ => &[],
    }
}

/// What the platform tells of one request. Nothing is read before a field asks.
pub(super) struct CfFacts<'r> {
    /// Lines of `@property:JSON`.
    pub properties: &'r str,
    /// The ones that [`header_behind`] names, among others.
    pub headers: &'r [(&'r str, &'r [u8])],
    /// Who came back lately.
    pub arrivals: Option<&'r Arrivals>,
}

impl<'r> CfFacts<'r> {
    /// `HTTP/2`, … ; "" where it is not known.
    pub fn version(&self) -> &'r str {
        self.json("httpProtocol").map_or("", |json| json.trim_matches('"'))
    }

    fn json(&self, property: &str) -> Option<&'r str> {
        let lines = self.properties.lines();
        lines.filter_map(|line| line.strip_prefix('@')?.strip_prefix(property)?.strip_prefix(':')).next()
    }

    fn text<'a>(&'a self, property: &str, arena: &'a Bump) -> Option<&'a str> {
        let json = self.json(property)?;
        let quoted = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match quoted {
            Some(plain) if !plain.contains(['\\', '"']) => Some(plain),
            _ => serde_json::from_str::<String>(json).ok().map(|text| &*arena.alloc_str(&text)),
        }
    }

    /// A number, or a text that is one.
    fn int(&self, property: &str) -> Option<i64> {
        self.json(property)?.trim_matches('"').parse().ok()
    }

    /// True may also be `"1"`, and for certificates `"SUCCESS"`.
    fn flag(&self, property: &str) -> Option<bool> {
        Some(matches!(self.json(property)?, "true" | "1" | "\"1\"" | "\"SUCCESS\""))
    }

    fn country_code<'a>(&'a self, arena: &'a Bump) -> Option<&'a str> {
        self.text("country", arena).filter(|country| !country.is_empty())
    }

    fn subdivision<'a>(&'a self, arena: &'a Bump) -> Option<&'a str> {
        let country = self.country_code(arena)?;
        let region = self.text("regionCode", arena).filter(|region| !region.is_empty())?;
        Some(bumpalo::format!(in arena, "{}-{}", country, region).into_bump_str())
    }

    fn is_bot(&self, arena: &Bump) -> Option<bool> {
        let category = self.text("verifiedBotCategory", arena).map(|category| !category.is_empty());
        match (self.flag("botManagement.verifiedBot"), category) {
            (None, None) => None,
            (flag, category) => Some(flag == Some(true) || category == Some(true)),
        }
    }

    fn ints<'a>(&self, property: &str, arena: &'a Bump) -> Option<&'a [Value<'a>]> {
        let ints: Vec<i64> = serde_json::from_str(self.json(property)?).ok()?;
        Some(arena.alloc_slice_fill_iter(ints.into_iter().map(Value::Int)))
    }

    fn seed<'a>(&self, arena: &'a Bump) -> Option<&'a [u8]> {
        let digits = self.json(SEED)?.trim_matches('"').as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = digits.chunks_exact(2).map(byte).collect::<Option<_>>()?;
        Some(arena.alloc_slice_copy(&bytes))
    }

    fn header(&self, name: &str) -> Option<&'r [u8]> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// What the properties say.
    fn told<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        use Field::*;
        let property = properties(field).first().copied();
        Some(match field {
            IpSrcIsInEuropeanUnion => {
                self.country_code(arena)?;
                Value::Bool(self.flag("isEUCountry").unwrap_or(false))
            }
            IpSrcSubdivision1 => Value::Bytes(self.subdivision(arena)?.as_bytes()),
            CfClientBot => Value::Bool(self.is_bot(arena)?),
            CfHostnameMetadata => Value::Bytes(self.json(property?)?.as_bytes()),
            CfRandomSeed => Value::Bytes(self.seed(arena)?),
            CfBotManagementDetectionIds => Value::Array(self.ints(property?, arena)?),
            IpSrcAsnum
            | CfEdgeL4DeliveryRate
            | CfTimingsClientTcpRttMsec
            | CfTimingsClientQuicRttMsec
            | CfTlsClientHelloLength
            | CfBotManagementScore => Value::Int(self.int(property?)?),
            CfBotManagementCorporateProxy
            | CfBotManagementJsDetectionPassed
            | CfBotManagementStaticResource
            | CfBotManagementVerifiedBot
            | CfTlsClientAuthCertPresented
            | CfTlsClientAuthCertVerified
            | CfTlsClientAuthCertRevoked
            | CfTlsClientAuthCertRfc9440TooLarge
            | CfTlsClientAuthCertChainRfc9440TooLarge => Value::Bool(self.flag(property?)?),
            // The version tells it.
            CfEdgeClientTcp => return None,
            _ => Value::Bytes(self.text(property?, arena)?.as_bytes()),
        })
    }
}

impl Facts for CfFacts<'_> {
    fn note_arrival(&self, arrival: &str, now: i64) -> bool {
        self.arrivals.is_some_and(|arrivals| arrivals.note(arrival, now))
    }

    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        self.told(field, arena).or_else(|| untold(field, self.version(), |name| self.header(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use velvetrope::internal::header_behind;
    use velvetrope::internal::request::{Supply, Target, Type};

    const ALL: &str = "@httpProtocol:\"HTTP/2\"\n@country:\"CH\"\n@regionCode:\"ZH\"\n@city:\"Z\\u00fcrich \\\"City\\\"\"\n\
        @asn:3303\n@isEUCountry:false\n@tlsClientHelloLength:\"386\"\n@tlsClientAuth.certVerified:\"SUCCESS\"\n\
        @tlsClientAuth.certPresented:\"0\"\n@botManagement.verifiedBot:false\n@verifiedBotCategory:\"\"\n\
        @botManagement.detectionIds:[1,2]\n@seed:\"00ff10\"\n@hostMetadata:{\"a\":1}\n";

    fn fact(properties: &str, field: Field) -> String {
        let facts = CfFacts { properties, headers: &[("cf-ray", b"8f0-ZRH")], arrivals: None };
        match facts.fact(field, &Bump::new()) {
            Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            value => format!("{value:?}"),
        }
    }

    #[test]
    fn fields_are_made_of_properties() {
        for (field, expected) in [
            (Field::IpSrcCountry, "CH"),
            (Field::IpSrcCity, "Zürich \"City\""),
            (Field::IpSrcAsnum, "Some(Int(3303))"),
            (Field::IpSrcSubdivision1, "CH-ZH"),
            (Field::IpSrcIsInEuropeanUnion, "Some(Bool(false))"),
            (Field::CfEdgeClientTcp, "Some(Bool(true))"),
            (Field::CfTlsClientHelloLength, "Some(Int(386))"),
            (Field::CfTlsClientAuthCertVerified, "Some(Bool(true))"),
            (Field::CfTlsClientAuthCertPresented, "Some(Bool(false))"),
            (Field::CfTlsClientAuthCertSerial, ""),
            (Field::CfClientBot, "Some(Bool(false))"),
            (Field::CfBotManagementDetectionIds, "Some(Array([Int(1), Int(2)]))"),
            (Field::CfHostnameMetadata, "{\"a\":1}"),
            (Field::CfRandomSeed, "\0\u{fffd}\u{10}"),
            (Field::CfRayId, "8f0"),
            (Field::CfWorkerUpstreamZone, ""),
            (Field::IpSrcRegion, "None"),
        ] {
            assert_eq!(fact(ALL, field), expected, "{field:?}");
        }
        assert_eq!(fact("@country:\"FR\"\n@isEUCountry:\"1\"\n", Field::IpSrcIsInEuropeanUnion), "Some(Bool(true))");
        assert_eq!(fact("@verifiedBotCategory:\"Webhooks\"\n", Field::CfClientBot), "Some(Bool(true))");
        assert_eq!(fact("@httpProtocol:\"HTTP/3\"\n", Field::CfEdgeClientTcp), "Some(Bool(false))");
    }

    #[test]
    fn what_cloudflare_documents_of_absent_facts_holds() {
        let quic = "@httpProtocol:\"HTTP/3\"\n";
        for (properties, field, expected) in [
            ("", Field::CfTlsClientAuthCertSerial, ""),
            ("", Field::CfTlsClientAuthCertVerified, "Some(Bool(false))"),
            ("", Field::IpSrcSubdivision1, ""),
            ("@country:\"CH\"\n@regionCode:\"\"\n", Field::IpSrcSubdivision1, ""),
            ("", Field::CfEdgeL4DeliveryRate, "Some(Int(0))"),
            ("@edgeL4.deliveryRate:12345\n", Field::CfEdgeL4DeliveryRate, "Some(Int(12345))"),
            (quic, Field::CfTimingsClientTcpRttMsec, "Some(Int(0))"),
            (quic, Field::CfTimingsClientQuicRttMsec, "None"),
            (ALL, Field::CfTimingsClientQuicRttMsec, "Some(Int(0))"),
            (ALL, Field::CfTimingsClientTcpRttMsec, "None"),
            ("", Field::CfTimingsClientTcpRttMsec, "None"),
            ("", Field::CfHostnameMetadata, "None"),
        ] {
            assert_eq!(fact(properties, field), expected, "{field:?} from {properties:?}");
        }
    }

    #[test]
    fn odd_properties_leave_fields_missing() {
        for (properties, field) in [
            ("@country:7\n", Field::IpSrcCountry),
            ("@country:\"\n", Field::IpSrcCountry),
            ("@countryside:\"CH\"\n", Field::IpSrcCountry),
            ("@asn:{}\n", Field::IpSrcAsnum),
            ("@asn:1e99\n", Field::IpSrcAsnum),
            ("@seed:\"0g\"\n", Field::CfRandomSeed),
            ("@botManagement.detectionIds:{}\n", Field::CfBotManagementDetectionIds),
            ("", Field::IpSrcIsInEuropeanUnion),
            ("", Field::CfClientBot),
        ] {
            assert_eq!(fact(properties, field), "None", "{properties:?}");
        }
    }

    /// What the table of fields promises for a Worker comes from somewhere, in the promised type.
    #[test]
    fn what_is_promised_is_supplied() {
        let ours = |field: &&Field| matches!(field.info().name.split('.').next(), Some("cf" | "ip"));
        let of_the_request = [Field::IpSrc, Field::CfEdgeServerPort];
        for &field in Field::ALL.iter().filter(ours).filter(|field| !of_the_request.contains(field)) {
            let is_supplied = !properties(field).is_empty() || header_behind(field).is_some();
            let promised = field.info().supply(Target::Worker);
            assert_eq!(promised, if is_supplied { Supply::Always } else { Supply::Never }, "{field:?}");
            let json = match field.info().value_type() {
                Type::Bytes => "\"00\"",
                Type::Int => "1",
                Type::Bool => "true",
                _ => "[1]",
            };
            let told: String = properties(field).iter().map(|property| format!("@{property}:{json}\n")).collect();
            let told = told
                .replace("@country:true", "@country:\"CH\"")
                .replace("httpProtocol:true", "httpProtocol:\"HTTP/2\"");
            let told = told.replace("verifiedBotCategory:true", "verifiedBotCategory:\"\"");
            let (arena, facts) =
                (Bump::new(), CfFacts { properties: &told, headers: &[("cf-ray", b"1")], arrivals: None });
            let value = facts.fact(field, &arena).filter(|_| is_supplied);
            let is_typed = match (value, field.info().value_type()) {
                (None, _) => !is_supplied,
                (Some(Value::Bytes(_)), of) => of == Type::Bytes,
                (Some(Value::Int(_)), of) => of == Type::Int,
                (Some(Value::Bool(_)), of) => of == Type::Bool,
                (Some(Value::Array(_)), of) => of == Type::Int.array(),
                _ => false,
            };
            assert!(is_typed, "{field:?}: {value:?} from {told:?}");
        }
    }
}
