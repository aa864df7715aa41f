//! The fields a request has: names, types, and which host can supply them (docs/protocol/rules-language.md#fields).

use serde::{Deserialize, Serialize};

use super::Type;

/// Where a connector runs, as far as the supply of fields is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A Cloudflare Worker.
    Worker,
    /// A Google Cloud Service Extensions callout.
    GoogleCloud,
    /// The reverse proxy of this package.
    Proxy,
}

impl std::fmt::Display for Target {
    /// As it is written in a policy.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Target::Worker => "worker",
            Target::GoogleCloud => "google-cloud",
            Target::Proxy => "proxy",
        })
    }
}

/// Whether a host supplies a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// For every request.
    Always,
    /// Only where the operator set something up; the text says what.
    Configured(&'static str),
    /// Not at all.
    Never,
}

/// Identifies a field of a scheme. Standard fields come first, in the order of [`Field::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FieldId(pub u16);

impl FieldId {
    /// The standard field with this id; `None` for a field that was registered in addition.
    pub fn standard(self) -> Option<Field> {
        Field::ALL.get(usize::from(self.0)).copied()
    }
}

impl From<Field> for FieldId {
    fn from(field: Field) -> Self {
        FieldId(field as u16)
    }
}

/// What is known of a standard field.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    /// As written in an expression.
    pub name: &'static str,
    /// Compact spelling of the type, see [`FieldInfo::value_type`].
    kind: Kind,
    worker: Supply,
    google: Supply,
    proxy: Supply,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Bool,
    Int,
    Ip,
    Bytes,
    ArrayInt,
    ArrayBytes,
    MapBytes,
    MapArrayBytes,
}

impl FieldInfo {
    /// The type of the field's value.
    pub fn value_type(&self) -> Type {
        match self.kind {
            Kind::Bool => Type::Bool,
            Kind::Int => Type::Int,
            Kind::Ip => Type::Ip,
            Kind::Bytes => Type::Bytes,
            Kind::ArrayInt => Type::Int.array(),
            Kind::ArrayBytes => Type::Bytes.array(),
            Kind::MapBytes => Type::Bytes.map(),
            Kind::MapArrayBytes => Type::Bytes.array().map(),
        }
    }

    /// Whether `target` can supply the field.
    pub fn supply(&self, target: Target) -> Supply {
        match target {
            Target::Worker => self.worker,
            Target::GoogleCloud => self.google,
            Target::Proxy => self.proxy,
        }
    }
}

macro_rules! fields {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal: $kind:ident, $worker:expr, $google:expr, $proxy:expr; )*) => {
        /// A standard field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Field { $( $(#[$doc])* $variant, )* }

        impl Field {
            /// Every standard field, in the order of the ids.
            pub const ALL: &'static [Field] = &[ $( Field::$variant, )* ];

            /// Name, type and supply.
            pub const fn info(self) -> FieldInfo {
                match self { $( Field::$variant => FieldInfo {
                    name: $name, kind: Kind::$kind, worker: $worker, google: $google, proxy: $proxy,
                }, )* }
            }
        }
    };
}

const A: Supply = Supply::Always;
const N: Supply = Supply::Never;
const fn c(what: &'static str) -> Supply {
    Supply::Configured(what)
}
const MMDB_CITY: Supply = c("a city database (`geoip.city`)");
const MMDB_COUNTRY: Supply = c("a country or city database (`geoip.country` or `geoip.city`)");
const MMDB_ASN: Supply = c("an AS-number database (`geoip.asn`)");

// Columns: name, type, Worker, Google Cloud, proxy.
fields! {
    /// The Host header as received.
    HttpHost = "http.host": Bytes, A, A, A;
    /// The method in upper case.
    HttpRequestMethod = "http.request.method": Bytes, A, A, A;
    /// Normalised path, `?`, query.
    HttpRequestUri = "http.request.uri": Bytes, A, A, A;
    /// Normalised path.
    HttpRequestUriPath = "http.request.uri.path": Bytes, A, A, A;
    /// Lower-cased text after the last dot of the last segment.
    HttpRequestUriPathExtension = "http.request.uri.path.extension": Bytes, A, A, A;
    /// Query without `?`.
    HttpRequestUriQuery = "http.request.uri.query": Bytes, A, A, A;
    /// Undecoded arguments by name.
    HttpRequestUriArgs = "http.request.uri.args": MapArrayBytes, A, A, A;
    /// Argument names in request order.
    HttpRequestUriArgsNames = "http.request.uri.args.names": ArrayBytes, A, A, A;
    /// Argument values in request order.
    HttpRequestUriArgsValues = "http.request.uri.args.values": ArrayBytes, A, A, A;
    /// Scheme, host, normalised path and query; no fragment.
    HttpRequestFullUri = "http.request.full_uri": Bytes, A, A, A;
    /// Path and query as received.
    RawHttpRequestUri = "raw.http.request.uri": Bytes, A, A, A;
    /// Path as received.
    RawHttpRequestUriPath = "raw.http.request.uri.path": Bytes, A, A, A;
    /// Extension of the path as received.
    RawHttpRequestUriPathExtension = "raw.http.request.uri.path.extension": Bytes, A, A, A;
    /// Query as received.
    RawHttpRequestUriQuery = "raw.http.request.uri.query": Bytes, A, A, A;
    /// Arguments of the query as received.
    RawHttpRequestUriArgs = "raw.http.request.uri.args": MapArrayBytes, A, A, A;
    /// Argument names of the query as received.
    RawHttpRequestUriArgsNames = "raw.http.request.uri.args.names": ArrayBytes, A, A, A;
    /// Argument values of the query as received.
    RawHttpRequestUriArgsValues = "raw.http.request.uri.args.values": ArrayBytes, A, A, A;
    /// The whole URL as received; no fragment.
    RawHttpRequestFullUri = "raw.http.request.full_uri": Bytes, A, A, A;
    /// The whole Cookie header.
    HttpCookie = "http.cookie": Bytes, A, A, A;
    /// Cookies by (URL-decoded) name; values untouched.
    HttpRequestCookies = "http.request.cookies": MapArrayBytes, A, A, A;
    /// The User-Agent header.
    HttpUserAgent = "http.user_agent": Bytes, A, A, A;
    /// The Referer header.
    HttpReferer = "http.referer": Bytes, A, A, A;
    /// The X-Forwarded-For header.
    HttpXForwardedFor = "http.x_forwarded_for": Bytes, A, A, A;
    /// Headers by lower-case name.
    HttpRequestHeaders = "http.request.headers": MapArrayBytes, A, A, A;
    /// Header names in lower case and in order, as often as they were sent.
    HttpRequestHeadersNames = "http.request.headers.names": ArrayBytes, A, A, A;
    /// Header values, aligned with the names; those of one name in the order they were sent.
    HttpRequestHeadersValues = "http.request.headers.values": ArrayBytes, A, A, A;
    /// Whether headers were left out; always false here.
    HttpRequestHeadersTruncated = "http.request.headers.truncated": Bool, A, A, A;
    /// Languages of Accept-Language by weight.
    HttpRequestAcceptedLanguages = "http.request.accepted_languages": ArrayBytes, A, A, A;
    /// `HTTP/1.1`, `HTTP/2`, …
    HttpRequestVersion = "http.request.version": Bytes, A, A, A;
    /// Time of receipt, Unix seconds.
    HttpRequestTimestampSec = "http.request.timestamp.sec": Int, A, A, A;
    /// Milliseconds within the second of receipt, 0 to 999.
    HttpRequestTimestampMsec = "http.request.timestamp.msec": Int, A, A, A;
    /// The client's address.
    IpSrc = "ip.src": Ip, A, A, A;
    /// ISO 3166 alpha-2 country.
    IpSrcCountry = "ip.src.country": Bytes, A, c("a custom request header with `{client_region}`"), MMDB_COUNTRY;
    /// Continent, two letters.
    IpSrcContinent = "ip.src.continent": Bytes, A, MMDB_COUNTRY, MMDB_COUNTRY;
    /// Autonomous system number.
    IpSrcAsnum = "ip.src.asnum": Int, A, c("an AS-number database"), MMDB_ASN;
    /// City.
    IpSrcCity = "ip.src.city": Bytes, A, c("a custom request header with `{client_city}`"), MMDB_CITY;
    /// Region name.
    IpSrcRegion = "ip.src.region": Bytes, A, c("a city database"), MMDB_CITY;
    /// Region code.
    IpSrcRegionCode = "ip.src.region_code": Bytes, A, c("a city database"), MMDB_CITY;
    /// Postal code.
    IpSrcPostalCode = "ip.src.postal_code": Bytes, A, c("a city database"), MMDB_CITY;
    /// Metro code.
    IpSrcMetroCode = "ip.src.metro_code": Bytes, A, c("a city database"), MMDB_CITY;
    /// Latitude, as text.
    IpSrcLat = "ip.src.lat": Bytes, A, c("a city database"), MMDB_CITY;
    /// Longitude, as text.
    IpSrcLon = "ip.src.lon": Bytes, A, c("a city database"), MMDB_CITY;
    /// IANA time zone.
    IpSrcTimezoneName = "ip.src.timezone.name": Bytes, A, c("a city database"), MMDB_CITY;
    /// ISO 3166-2 code, first level.
    IpSrcSubdivision1 = "ip.src.subdivision_1_iso_code": Bytes, A, c("a city database"), MMDB_CITY;
    /// ISO 3166-2 code, second level.
    IpSrcSubdivision2 = "ip.src.subdivision_2_iso_code": Bytes, N, c("a city database"), MMDB_CITY;
    /// Whether the country is a member of the European Union.
    IpSrcIsInEuropeanUnion = "ip.src.is_in_european_union": Bool, A, MMDB_COUNTRY, MMDB_COUNTRY;
    /// Whether the client used TLS.
    Ssl = "ssl": Bool, A, A, A;
    /// Port at the edge.
    CfEdgeServerPort = "cf.edge.server_port": Int, A, A, A;
    /// Address at the edge.
    CfEdgeServerIp = "cf.edge.server_ip": Ip, N, N, A;
    /// Whether the client came over TCP (and not QUIC).
    CfEdgeClientTcp = "cf.edge.client_tcp": Bool, A, N, N;
    /// Delivery rate of the connection, bytes a second.
    CfEdgeL4DeliveryRate = "cf.edge.l4.delivery_rate": Int, A, N, N;
    /// Round-trip time of a TCP client, milliseconds.
    CfTimingsClientTcpRttMsec = "cf.timings.client_tcp_rtt_msec": Int, A, c("a custom request header with `{client_rtt_msec}`"), N;
    /// Round-trip time of a QUIC client, milliseconds.
    CfTimingsClientQuicRttMsec = "cf.timings.client_quic_rtt_msec": Int, A, N, N;
    /// TLS version.
    CfTlsVersion = "cf.tls_version": Bytes, A, c("a custom request header with `{tls_version}`"), N;
    /// TLS cipher.
    CfTlsCipher = "cf.tls_cipher": Bytes, A, c("a custom request header with `{tls_cipher_suite}`"), N;
    /// SHA-1 of the TLS client extensions.
    CfTlsClientExtensionsSha1 = "cf.tls_client_extensions_sha1": Bytes, A, N, N;
    /// The same, in wire byte order.
    CfTlsClientExtensionsSha1Le = "cf.tls_client_extensions_sha1_le": Bytes, A, N, N;
    /// SHA-1 of the TLS client ciphers.
    CfTlsCiphersSha1 = "cf.tls_ciphers_sha1": Bytes, A, N, N;
    /// Length of the TLS client hello.
    CfTlsClientHelloLength = "cf.tls_client_hello_length": Int, A, N, N;
    /// The TLS client random.
    CfTlsClientRandom = "cf.tls_client_random": Bytes, A, N, N;
    /// Whether a client certificate was presented.
    CfTlsClientAuthCertPresented = "cf.tls_client_auth.cert_presented": Bool, A, c("a custom request header with `{client_cert_present}`"), N;
    /// Whether it was verified.
    CfTlsClientAuthCertVerified = "cf.tls_client_auth.cert_verified": Bool, A, c("a custom request header with `{client_cert_chain_verified}`"), N;
    /// Whether it was revoked.
    CfTlsClientAuthCertRevoked = "cf.tls_client_auth.cert_revoked": Bool, A, N, N;
    /// Subject of the client certificate.
    CfTlsClientAuthCertSubjectDn = "cf.tls_client_auth.cert_subject_dn": Bytes, A, N, N;
    /// Issuer of the client certificate.
    CfTlsClientAuthCertIssuerDn = "cf.tls_client_auth.cert_issuer_dn": Bytes, A, N, N;
    /// Serial number of the client certificate.
    CfTlsClientAuthCertSerial = "cf.tls_client_auth.cert_serial": Bytes, A, N, N;
    /// SHA-1 fingerprint of the client certificate.
    CfTlsClientAuthCertFingerprintSha1 = "cf.tls_client_auth.cert_fingerprint_sha1": Bytes, A, N, N;
    /// SHA-256 fingerprint of the client certificate.
    CfTlsClientAuthCertFingerprintSha256 = "cf.tls_client_auth.cert_fingerprint_sha256": Bytes, A, c("a custom request header with `{client_cert_sha256_fingerprint}`"), N;
    /// Start of the client certificate's validity.
    CfTlsClientAuthCertNotBefore = "cf.tls_client_auth.cert_not_before": Bytes, A, N, N;
    /// End of the client certificate's validity.
    CfTlsClientAuthCertNotAfter = "cf.tls_client_auth.cert_not_after": Bytes, A, N, N;
    /// Subject of the client certificate, RFC 2253.
    CfTlsClientAuthCertSubjectDnRfc2253 = "cf.tls_client_auth.cert_subject_dn_rfc2253": Bytes, A, N, N;
    /// Subject of the client certificate, older form.
    CfTlsClientAuthCertSubjectDnLegacy = "cf.tls_client_auth.cert_subject_dn_legacy": Bytes, A, N, N;
    /// Issuer of the client certificate, RFC 2253.
    CfTlsClientAuthCertIssuerDnRfc2253 = "cf.tls_client_auth.cert_issuer_dn_rfc2253": Bytes, A, N, N;
    /// Issuer of the client certificate, older form.
    CfTlsClientAuthCertIssuerDnLegacy = "cf.tls_client_auth.cert_issuer_dn_legacy": Bytes, A, N, N;
    /// Serial number of the issuer's certificate.
    CfTlsClientAuthCertIssuerSerial = "cf.tls_client_auth.cert_issuer_serial": Bytes, A, N, N;
    /// Subject key identifier.
    CfTlsClientAuthCertSki = "cf.tls_client_auth.cert_ski": Bytes, A, N, N;
    /// Subject key identifier of the issuer.
    CfTlsClientAuthCertIssuerSki = "cf.tls_client_auth.cert_issuer_ski": Bytes, A, N, N;
    /// The client certificate, RFC 9440.
    CfTlsClientAuthCertRfc9440 = "cf.tls_client_auth.cert_rfc9440": Bytes, A, N, N;
    /// Whether it was too large to be passed on.
    CfTlsClientAuthCertRfc9440TooLarge = "cf.tls_client_auth.cert_rfc9440_too_large": Bool, A, N, N;
    /// The chain of the client certificate, RFC 9440.
    CfTlsClientAuthCertChainRfc9440 = "cf.tls_client_auth.cert_chain_rfc9440": Bytes, A, N, N;
    /// Whether it was too large to be passed on.
    CfTlsClientAuthCertChainRfc9440TooLarge = "cf.tls_client_auth.cert_chain_rfc9440_too_large": Bool, A, N, N;
    /// Whether this is a verified bot.
    CfClientBot = "cf.client.bot": Bool, A, N, N;
    /// Class of a verified bot.
    CfVerifiedBotCategory = "cf.verified_bot_category": Bytes, A, N, N;
    /// Barred from bypass rules.
    CfBotManagementCorporateProxy = "cf.bot_management.corporate_proxy": Bool, A, N, N;
    /// Barred from bypass rules.
    CfBotManagementDetectionIds = "cf.bot_management.detection_ids": ArrayInt, A, N, N;
    /// Barred from bypass rules.
    CfBotManagementJa3Hash = "cf.bot_management.ja3_hash": Bytes, A, N, N;
    /// Barred from bypass rules.
    CfBotManagementJa4 = "cf.bot_management.ja4": Bytes, A, N, N;
    /// Barred from bypass rules.
    CfBotManagementJsDetectionPassed = "cf.bot_management.js_detection.passed": Bool, A, N, N;
    /// Barred from bypass rules.
    CfBotManagementScore = "cf.bot_management.score": Int, A, N, N;
    /// Barred from bypass rules.
    CfBotManagementStaticResource = "cf.bot_management.static_resource": Bool, A, N, N;
    /// Barred from bypass rules.
    CfBotManagementVerifiedBot = "cf.bot_management.verified_bot": Bool, A, N, N;
    /// Barred from bypass rules; always 0 by now.
    CfThreatScore = "cf.threat_score": Int, N, N, N;
    /// Request id.
    CfRayId = "cf.ray_id": Bytes, A, N, N;
    /// Per-request randomness.
    CfRandomSeed = "cf.random_seed": Bytes, A, A, A;
    /// Metadata of a SaaS host name, JSON.
    CfHostnameMetadata = "cf.hostname.metadata": Bytes, A, N, N;
    /// Zone of a calling Worker.
    CfWorkerUpstreamZone = "cf.worker.upstream_zone": Bytes, A, N, N;
    /// WAF attack score.
    CfWafScore = "cf.waf.score": Int, N, N, N;
    /// Name of the zone.
    CfZoneName = "cf.zone.name": Bytes, N, N, N;
    /// Plan of the zone.
    CfZonePlan = "cf.zone.plan": Bytes, N, N, N;
    /// Destination port of the connection.
    TcpDstport = "tcp.dstport": Int, A, A, A;

    // What Queue-it's triggers look at (docs/protocol/queue-it.md#what-each-validator-looks-at). These are in the
    // scheme of triggers only.
    /// The URL without the token, as given, with query and fragment.
    TriggerPageUrl = "trigger.page_url": Bytes, A, A, A;
    /// Its whole authority, user info and port included.
    TriggerHostName = "trigger.host_name": Bytes, A, A, A;
    /// Its path, undecoded.
    TriggerPagePath = "trigger.page_path": Bytes, A, A, A;
    /// The same three after Queue-it's URL normalisation (docs/protocol/queue-it.md#url-normalisation).
    TriggerNormalizedPageUrl = "trigger.normalized.page_url": Bytes, A, A, A;
    /// Authority of the normalised URL.
    TriggerNormalizedHostName = "trigger.normalized.host_name": Bytes, A, A, A;
    /// Path of the normalised URL.
    TriggerNormalizedPagePath = "trigger.normalized.page_path": Bytes, A, A, A;
    /// Decoded cookies by name; an absent cookie is the empty text, the last of several wins. A cookie whose escapes
    /// are broken is compared as it is: the official adapter throws, and its wrapper then lets the visitor pass.
    TriggerCookies = "trigger.cookies": MapBytes, A, A, A;
    /// Headers by lower-case name; an absent header is the empty text, repeats are joined with `, `.
    TriggerHeaders = "trigger.headers": MapBytes, A, A, A;
    /// The User-Agent header, empty where absent.
    TriggerUserAgent = "trigger.user_agent": Bytes, A, A, A;
    /// The start of the request body, empty where it was not read.
    TriggerBody = "trigger.body": Bytes, A, A, A;
}

impl Field {
    /// The field of this name.
    pub fn by_name(name: &str) -> Option<Field> {
        Field::ALL.iter().copied().find(|field| field.info().name == name)
    }

    /// Whether only Queue-it's triggers may ask for it.
    pub fn is_of_triggers(self) -> bool {
        self >= Field::TriggerPageUrl
    }

    /// Whether bypass rules must not use it (Cloudflare's documentation of bypass rules).
    pub fn is_barred_from_bypass_rules(self) -> bool {
        (Field::CfBotManagementCorporateProxy..=Field::CfThreatScore).contains(&self)
    }
}
