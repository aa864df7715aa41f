//! `velvetrope.toml`: every key, its meaning and its default. The JSON Schema is made from these types.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::program::ListKind;
use crate::request::{CanonicalUrl, Target};

mod network;
mod read;

pub use network::Network;
pub(crate) use read::is_list_name;
pub(super) use read::{is_host, read};

/// What an operator writes into `velvetrope.toml`. Only `customer_id` is required; file names are relative to the
/// folder of `velvetrope.toml` and stay below it.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "velvetrope.toml", deny_unknown_fields)]
pub struct Settings {
    /// Queue-it's customer id.
    pub customer_id: String,
    /// Where the policy is meant to run; decides which fields a rule may use. Default `proxy`.
    #[schemars(default = "Settings::target", with = "TargetName")]
    pub target: Target,
    /// Hosts that belong to the site, each with its port unless that is the scheme's own. The embedded waiting room
    /// sends visitors nowhere else, and a callout for several sites knows by them whose a request is.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// What becomes of requests for other hosts, where there are `hosts`. Default `refuse`.
    #[serde(default)]
    pub unknown_hosts: UnknownHosts,
    /// Scheme and authority of redirects to the waiting room instead of `https://QueueDomain`; for the embedded room
    /// and for tests.
    pub waiting_room_origin: Option<String>,
    /// Whether sessions count that another connector has written, or an earlier version of this one: for sites that
    /// run both, and for a change from one to the other. Default false: a session must have the seal that this connector
    /// adds, which tells its fields apart.
    #[serde(default)]
    pub shared_sessions: bool,
    /// Whether triggers see the URL normalised where their integration asks for it (`IsNormalizationEnabled`).
    /// Default true. Rules always see the normalised path, and the original as `raw.*`.
    #[schemars(default = "yes")]
    pub normalize_urls: bool,
    /// What becomes of a CORS preflight (OPTIONS with Origin and Access-Control-Request-Method) of a place where visitors
    /// queue. Default `pass`.
    #[serde(default)]
    pub preflight: Preflight,
    /// What a request that must queue gets when its browser says that it is no navigation (`Sec-Fetch-Mode`). Default
    /// `answer`.
    #[serde(default)]
    pub script_requests: ScriptRequests,
    /// The integration JSON exactly as Queue-it publishes it.
    pub integration: Option<String>,
    /// Rooms in the shape of the waiting-room API, placed by host and path or by an expression.
    pub rooms: Option<String>,
    /// Files of bypass rules for each room, in the shape of the waiting-room API; `"*"` is for every room.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, OneOrMany>")]
    pub rules: BTreeMap<String, Vec<String>>,
    /// Lists by the name that follows `$` in expressions.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ListEntry>")]
    pub lists: BTreeMap<String, ListFile>,
    /// Where rooms, rules and lists are managed once there is a store (`--store`). Default `store`.
    #[serde(default)]
    pub managed: Managed,
    /// Where the secrets are.
    #[serde(default)]
    pub secrets: SecretNames,
    /// What becomes of a request when something fails.
    #[serde(default)]
    pub failure: FailurePolicy,
    /// Tokens that visitors bring from the waiting room.
    #[serde(default)]
    pub token: TokenSettings,
    /// How a newer integration JSON arrives.
    #[serde(default)]
    pub delivery: Delivery,
    /// The reverse proxy.
    #[serde(default)]
    pub proxy: ProxySettings,
    /// MMDB files for country, city and AS number, where the host itself does not know them.
    #[serde(default)]
    pub geoip: GeoIp,
    /// The Google Cloud callout.
    #[serde(default)]
    pub google_cloud: GoogleCloud,
}

/// What becomes of requests for hosts that are not among [`Settings::hosts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownHosts {
    /// 421 (RFC 9110, section 15.5.20): the origin may serve a protected page by a name that no trigger knows.
    #[default]
    Refuse,
    /// They are decided about like all others.
    Pass,
}

/// A file of list members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListFile {
    /// Text with one `value # comment` a line, or the API's JSON items (`*.json`).
    pub file: String,
    /// What it holds.
    pub kind: ListKind,
}

/// Where rooms, rules and lists are managed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Managed {
    /// In the store, where there is one: it takes them from the files once, and owns them from then on.
    #[default]
    Store,
    /// In the files alone: the store follows them, and refuses changes.
    Files,
}

/// What becomes of a CORS preflight of a place where visitors queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preflight {
    /// The origin is asked, and the browser gets the status and the headers of its answer.
    #[default]
    Pass,
    /// As any other request. Browsers then make no request from another origin for which they ask first.
    Queue,
}

/// What scripts get that must queue and do not ask by Queue-it's protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScriptRequests {
    /// 429 and JSON that tells where the queue is.
    #[default]
    Answer,
    /// The redirect that pages get; browsers hide it from scripts.
    Redirect,
}

/// Names of the environment variables (or of the platform's secrets) that hold the secrets; never the secrets.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
#[serde(default)]
pub struct SecretNames {
    /// The secret key that tokens and sessions are signed with. Default `VELVETROPE_SECRET`.
    pub current: String,
    /// The key before it, still accepted during a rotation. Default `VELVETROPE_SECRET_PREVIOUS`; may be unset.
    pub previous: String,
    /// The API key for fetching the integration JSON. Default `VELVETROPE_API_KEY`; may be unset.
    pub api_key: String,
}

/// What becomes of a request when something fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The request passes, as Queue-it does it.
    #[default]
    Open,
    /// 503 with Retry-After.
    Closed,
}

/// What becomes of a request when there is too much to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOverload {
    /// It is decided about as ever, so that whoever has no session goes to the room, not past it. Where not even that can
    /// be done it gets 503.
    #[default]
    Queue,
    /// The request passes.
    Open,
    /// 503 with Retry-After.
    Closed,
}

/// What becomes of a request, by the class of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
#[serde(default)]
pub struct FailurePolicy {
    /// There is no configuration. Default `open`.
    pub no_configuration: OnFailure,
    /// There is one, and it does not compile. Default `open`.
    pub invalid_configuration: OnFailure,
    /// The store that holds it cannot be reached. Default `open`.
    pub store_unreachable: OnFailure,
    /// Anything else, such as an exception of the decision itself. Default `open`.
    pub internal: OnFailure,
    /// There is more to do at once than the host is set up for. Default `queue`.
    pub overload: OnOverload,
    /// Seconds in `Retry-After`. Default 30.
    #[schemars(range(min = 1, max = 86_400))]
    pub retry_after: u32,
}

/// Tokens that visitors bring from the waiting room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
#[serde(default)]
pub struct TokenSettings {
    /// Seconds by which a token may be late. Default 0. For visitors whose browsers take long to come back, and where
    /// this machine's clock is ahead of the waiting room's.
    #[schemars(range(max = 300))]
    pub leeway: u32,
}

/// How a newer integration JSON arrives while the connector runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
#[serde(default)]
pub struct Delivery {
    /// Whether signed configurations are accepted at `/?__push_queueit_config`. Default true on a Worker, which is how
    /// Queue-it publishes there, and false elsewhere: the protocol knows no protection against an old one being sent
    /// again.
    pub push: bool,
    /// Whether the configuration is fetched from Queue-it with the API key. Default false.
    pub pull: bool,
    /// Whether a configuration may be delivered whose `Version` is lower than that of the one in force, such as an old
    /// one that somebody sends again. Default false; true to roll back.
    pub allow_older: bool,
    /// Seconds between fetches. Default 300.
    #[schemars(range(min = 10, max = 86_400))]
    pub interval: u32,
}

/// The reverse proxy.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
#[serde(default)]
pub struct ProxySettings {
    /// Address and port it serves visitors on. Default `127.0.0.1:8080`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Address and port of `/livez`, `/readyz` and `/metrics`. Default `127.0.0.1:9080`.
    #[schemars(with = "String")]
    pub admin: SocketAddr,
    /// Names by which that address may be asked, beside IP addresses and `localhost`; with a port, by that port alone. By
    /// any other name it answers 421, except at `/livez` and `/readyz`.
    pub admin_hosts: Vec<String>,
    /// Scheme and authority of the site behind it, such as `http://127.0.0.1:3000`. `serve` needs it. The certificate of
    /// one with `https://` is verified, for the host named here.
    pub origin: Option<String>,
    /// A file with the certificates, PEM, of those who may vouch for an origin with `https://`. Default: whom the system
    /// trusts. The name may be absolute.
    pub origin_ca: Option<String>,
    /// How many proxies of your own stand in front, whatever their addresses. 0, the default: none. 1: the visitor is
    /// the last entry of X-Forwarded-For; 2: the last but one; and so on, counted from the right. Entries before that are
    /// anybody's invention and never believed; where there are fewer, the address is unknown. Not beside
    /// `trusted_proxies`.
    #[schemars(range(max = 16))]
    pub trusted_hops: u32,
    /// Addresses and networks of the proxies of your own that stand in front. What a request says of its visitor is
    /// believed only if it comes from one of them; the visitor is the last entry that is none of them.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<Network>,
    /// The header in which they name the visitor: `x-forwarded-for`, the default, `forwarded` (RFC 7239), or one that
    /// holds a single address, such as `x-real-ip` or `cf-connecting-ip`. They must set it, or anybody can.
    pub client_ip_header: Option<String>,
    /// Whether every connection of visitors begins with a header of the PROXY protocol, version 1 or 2; those that do not
    /// are refused, as are those that come from elsewhere than `trusted_proxies`, if these are set. Default false.
    pub proxy_protocol: bool,
    /// The scheme that visitors use, whoever says otherwise: `https` behind what speaks TLS with them and does not say
    /// so. Default: what a trusted proxy says in X-Forwarded-Proto or Forwarded, else what the connection is.
    pub public_scheme: Option<Scheme>,
    /// The host, and perhaps port, that visitors use, where what stands in front asks for another. Default: the host that
    /// is asked for.
    pub public_host: Option<String>,
    /// Whether the host that visitors use is the one that a trusted proxy names in X-Forwarded-Host or Forwarded. It must
    /// set it: many pass on what a visitor has sent. Default false.
    pub forwarded_host: bool,
    /// A path at which load balancers are told, on the visitors' port and without a decision, whether there is a policy in
    /// force: 200, or 503. GET and HEAD only, whatever the host. It never reaches the site. Default: none.
    pub health_path: Option<String>,
    /// Speaks TLS with visitors. Default: plain HTTP.
    pub tls: Option<VisitorTls>,
    /// Seconds until a connection to the origin must stand. Default 5.
    #[schemars(range(min = 1, max = 3_600))]
    pub connect_timeout: u32,
    /// Seconds until the origin must have begun to answer. Default 60.
    #[schemars(range(min = 1, max = 3_600))]
    pub response_timeout: u32,
    /// Seconds a visitor may take to send the head of a request, or not read what it is sent, and a connection may idle.
    /// Default 30.
    #[schemars(range(min = 1, max = 3_600))]
    pub idle_timeout: u32,
    /// Seconds a tunnel (a WebSocket) may be open without a byte in either direction. Default 600.
    #[schemars(range(min = 1, max = 86_400))]
    pub tunnel_timeout: u32,
    /// Seconds that requests under way may still take after SIGTERM. Default 30.
    #[schemars(range(min = 0, max = 3_600))]
    pub drain_timeout: u32,
}

/// A scheme of URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With it.
    Https,
}

impl Scheme {
    /// As in URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// How TLS is spoken with visitors. Names may be absolute; both files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
pub struct VisitorTls {
    /// A file with the certificate and those that it depends on, PEM.
    pub certificate: String,
    /// A file with its private key, PEM.
    pub key: String,
}

/// MMDB files, such as GeoLite2's or DB-IP's. Names may be absolute: these files are no part of the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
#[serde(default)]
pub struct GeoIp {
    /// For `ip.src.country`, `ip.src.continent` and `ip.src.is_in_european_union`.
    pub country: Option<String>,
    /// For everything that `country` gives, and for cities, regions, postal codes, coordinates and time zones.
    pub city: Option<String>,
    /// For `ip.src.asnum`.
    pub asn: Option<String>,
}

/// The Google Cloud callout.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
#[serde(default)]
pub struct GoogleCloud {
    /// Variables that the load balancer passes on in custom request headers, such as `client_region`,
    /// each in a header that is named after it: `x-client-region`.
    pub variables: Vec<String>,
    /// Custom request headers by the field whose value they carry: `"ip.src.country" = "x-geo-country"`. The load
    /// balancer must set them, or anybody can.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl Settings {
    /// The defaults for a customer.
    pub fn new(customer_id: impl Into<String>) -> Settings {
        Settings {
            customer_id: customer_id.into(),
            target: Settings::target(),
            hosts: Vec::new(),
            unknown_hosts: UnknownHosts::default(),
            waiting_room_origin: None,
            shared_sessions: false,
            normalize_urls: yes(),
            preflight: Preflight::default(),
            script_requests: ScriptRequests::default(),
            integration: None,
            rooms: None,
            rules: BTreeMap::new(),
            lists: BTreeMap::new(),
            managed: Managed::default(),
            secrets: SecretNames::default(),
            failure: FailurePolicy::default(),
            token: TokenSettings::default(),
            delivery: Delivery::default(),
            proxy: ProxySettings::default(),
            geoip: GeoIp::default(),
            google_cloud: GoogleCloud::default(),
        }
    }

    /// Whether requests for a URL are for this site. A host without a port stands for all its ports.
    pub fn is_served(&self, url: &CanonicalUrl<'_>) -> bool {
        let (host, with_port) = (url.host(), url.has_port().then(|| url.authority()));
        let is_ours = |ours: &String| ours == host || with_port.is_some_and(|authority| ours == authority);
        self.hosts.is_empty() || self.unknown_hosts == UnknownHosts::Pass || self.hosts.iter().any(is_ours)
    }

    const fn target() -> Target {
        Target::Proxy
    }
}

impl Default for SecretNames {
    fn default() -> Self {
        SecretNames {
            current: "VELVETROPE_SECRET".to_owned(),
            previous: "VELVETROPE_SECRET_PREVIOUS".to_owned(),
            api_key: "VELVETROPE_API_KEY".to_owned(),
        }
    }
}

impl Default for FailurePolicy {
    fn default() -> Self {
        FailurePolicy {
            no_configuration: OnFailure::Open,
            invalid_configuration: OnFailure::Open,
            store_unreachable: OnFailure::Open,
            internal: OnFailure::Open,
            overload: OnOverload::Queue,
            retry_after: 30,
        }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Delivery { push: false, pull: false, allow_older: false, interval: 300 }
    }
}

impl Default for ProxySettings {
    fn default() -> Self {
        ProxySettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9080)),
            admin_hosts: Vec::new(),
            origin: None,
            origin_ca: None,
            trusted_hops: 0,
            trusted_proxies: Vec::new(),
            client_ip_header: None,
            proxy_protocol: false,
            public_scheme: None,
            public_host: None,
            forwarded_host: false,
            health_path: None,
            tls: None,
            connect_timeout: 5,
            response_timeout: 60,
            idle_timeout: 30,
            tunnel_timeout: 600,
            drain_timeout: 30,
        }
    }
}

const fn yes() -> bool {
    true
}

/// The schema of [`Target`].
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[allow(dead_code, reason = "read by the schema only")]
enum TargetName {
    /// A Cloudflare Worker.
    Worker,
    /// A Google Cloud Service Extensions callout.
    GoogleCloud,
    /// The reverse proxy of this package.
    Proxy,
}

/// The schema of an entry of `rules`.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code, reason = "read by the schema only")]
enum OneOrMany {
    /// One file.
    One(String),
    /// Several files, in order.
    Many(Vec<String>),
}

/// The schema of an entry of `lists`.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code, reason = "read by the schema only")]
enum ListEntry {
    /// A file of addresses and networks.
    File(String),
    /// A file and the kind of its members.
    Full(FullListEntry),
}

/// A list that says what it holds.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "read by the schema only")]
struct FullListEntry {
    /// Text with one `value # comment` a line, or the API's JSON items (`*.json`).
    file: String,
    /// What it holds. Default `ip`.
    #[serde(default)]
    kind: Option<KindName>,
}

/// The schema of [`ListKind`].
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "read by the schema only")]
enum KindName {
    /// Addresses and networks.
    Ip,
    /// Host names.
    Hostname,
    /// AS numbers.
    Asn,
}
