//! What hosts are asked about: rules and requests, of which every one meets every other.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use velvetrope::internal::policy::{GeoIp, Sources};
use velvetrope::internal::request::{Facts, Field, OwnedRequest, Target, Value};
use velvetrope_serve::geo::GeoDatabases;

pub const HOST: &str = "tickets.example";
/// The header that says which room, and so which rule, a request is about.
pub const ROOM: &str = "x-room";
/// Beside the package, so that a policy in memory finds them from any folder.
const DATABASES: &str = concat!(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."), "/tests/data/mmdb");

/// A rule, and where it cannot be asked.
pub struct Rule {
    pub expression: String,
    /// Hosts that supply what it looks at.
    pub targets: &'static [Target],
}

const EVERYWHERE: &[Target] = &[Target::Worker, Target::GoogleCloud, Target::Proxy];
const AT_GOOGLE: &[Target] = &[Target::GoogleCloud];
const AT_CLOUDFLARE: &[Target] = &[Target::Worker];
/// The runtime of a Worker joins the lines of a header, and nobody can take them apart again.
const NOT_JOINED: &[Target] = &[Target::GoogleCloud, Target::Proxy];

/// Texts that a request has, each compared in every way with what some requests have there.
const TEXTS: [(&str, [&str; 3]); 17] = [
    ("http.host", ["tickets.example", "Tickets.Example", "shop.example"]),
    ("http.request.method", ["GET", "POST", "get"]),
    ("http.request.uri", ["/shop/a?b=c", "/shop/a", "/a%20b?x=%41&x=2&y"]),
    ("http.request.uri.path", ["/shop/a", "/SHOP/a", "/a%20b"]),
    ("http.request.uri.path.extension", ["js", "JS", ""]),
    ("http.request.uri.query", ["b=c", "x=%41&x=2&y", ""]),
    ("http.request.uri.args[\"x\"][0]", ["%41", "A", ""]),
    ("http.request.uri.args.names[1]", ["x", "y", ""]),
    ("raw.http.request.uri.path", ["/shop/a", "/app.JS", "/"]),
    (
        "http.request.full_uri",
        ["https://tickets.example/", "https://tickets.example/shop/a?b=c", "http://tickets.example/"],
    ),
    ("http.user_agent", ["curl/8.1", "CURL/8.1", ""]),
    ("http.referer", ["https://a.example/", "a", ""]),
    ("http.cookie", ["a=1; b%20c=2; a=3", "a=1", ""]),
    ("http.request.cookies[\"b c\"][0]", ["2", "3", ""]),
    ("http.request.headers[\"x-staff-key\"][0]", ["s3cret", "S3cret", ""]),
    ("http.request.headers[\"host\"][0]", ["tickets.example", "x", ""]),
    ("http.request.version", ["HTTP/1.1", "HTTP/2", "HTTP/3"]),
];

/// `%` is the value.
const WAYS: [&str; 6] =
    ["# eq %", "# ne %", "not # eq %", "lower(#) contains %", "len(#) gt 2 and # wildcard %", "# in {% \"else\"}"];

const OTHERS: [&str; 32] = [
    "any(http.request.headers.names[*] == \"x-staff-key\")",
    "any(http.request.headers.names[*] == \"X-Staff-Key\")",
    "any(lower(http.request.headers.names[*])[*] == \"x-staff-key\")",
    "all(http.request.headers.names[*] ne \"X-STAFF-KEY\")",
    "any(starts_with(http.request.headers.names[*], \"x-st\"))",
    "any(http.request.headers.names[*] == \"host\")",
    "any(http.request.headers.values[*] == \"s3cret\")",
    "any((http.request.headers.names[*] == \"x-staff-key\" and http.request.headers.values[*] == \"s3cret\"))",
    "has_key(http.request.headers, \"x-staff-key\")",
    "has_key(http.request.headers, \"X-Staff-Key\")",
    "not has_key(http.request.headers, \"x-none\")",
    "any(http.request.headers[\"X-Staff-Key\"][*] == \"s3cret\")",
    "not any(http.request.headers[\"x-none\"][*] == \"a\")",
    "all(http.request.headers[\"x-none\"][*] == \"a\")",
    "any(http.request.accepted_languages[*] == \"de\")",
    "any(http.request.cookies[\"a\"][*] == \"3\")",
    "has_key(http.request.cookies, \"A\")",
    "ip.src eq 192.0.2.7",
    "ip.src ne 192.0.2.7",
    "ip.src eq ::ffff:192.0.2.7",
    "ip.src in {::ffff:192.0.2.0/120}",
    "ip.src in {192.0.2.0/24 2001:db8::/32}",
    "ip.src in $office",
    "not ip.src in $office",
    "cidr(ip.src, 24, 48) eq 192.0.2.0",
    "ssl",
    "cf.edge.server_port eq 443",
    "http.request.timestamp.sec gt 1700000000",
    "http.request.headers.truncated",
    "http.host in $sites",
    "url_decode(http.request.uri.path) eq \"/a b\"",
    "http.request.uri.path matches \"^/sh[o]p\"",
];

/// The client that asks the Worker sends no empty header, either.
const LINES: [&str; 3] = [
    "len(http.request.headers[\"x-twice\"]) eq 2",
    "http.request.headers[\"x-twice\"][1] eq \"two\"",
    "len(http.request.headers[\"x-empty\"]) > 0",
];

const PLACES: [&str; 12] = [
    "ip.src.country eq \"GB\"",
    "ip.src.country ne \"GB\"",
    "not ip.src.country in {\"GB\" \"US\"}",
    "ip.src.continent eq \"EU\"",
    "not ip.src.continent eq \"EU\"",
    "ip.src.is_in_european_union",
    "not ip.src.is_in_european_union",
    "ip.geoip.country eq \"US\"",
    "ip.src.asnum eq 1221",
    "ip.src.asnum ne 1221",
    "not ip.src.asnum in {1221}",
    "ip.src.asnum in $networks",
];

const CLOUDFLARE: [&str; 18] = [
    "cf.tls_client_auth.cert_serial ne \"0A1B2C\"",
    "cf.tls_client_auth.cert_issuer_dn eq \"\"",
    "cf.tls_client_auth.cert_verified",
    "not cf.tls_client_auth.cert_presented",
    "cf.tls_client_auth.cert_chain_rfc9440_too_large",
    "cf.worker.upstream_zone eq \"\"",
    "not cf.worker.upstream_zone in {\"\" \"shop.example\"}",
    "cf.ray_id eq \"8f0a\"",
    "cf.ray_id ne \"8f0a\"",
    "cf.edge.client_tcp",
    "cf.edge.l4.delivery_rate eq 0",
    "cf.timings.client_quic_rtt_msec eq 0",
    "cf.timings.client_tcp_rtt_msec eq 0",
    "ip.src.subdivision_1_iso_code eq \"\"",
    "ip.src.city ne \"Bern\"",
    "cf.client.bot",
    "not cf.client.bot",
    "cf.verified_bot_category eq \"\"",
];

/// What the load balancer says in headers.
const LOAD_BALANCER: [&str; 4] = [
    "ip.src.city eq \"Bern\"",
    "not ip.src.city eq \"Bern\"",
    "cf.tls_client_auth.cert_verified",
    "cf.timings.client_tcp_rtt_msec gt 20",
];

/// Which rules are true of every request, wherever they can be asked, and can be seen to be. These alone are acknowledged:
/// whatever else `check` says of a rule is an error of its own.
pub const OPEN: [&str; 2] = [
    // Methods are told in upper case, extensions in lower case.
    "not http.request.method eq \"get\"",
    "http.request.uri.path.extension ne \"JS\"",
];

/// Every rule, in an order that stays.
pub fn rules() -> Vec<Rule> {
    let of_texts = TEXTS.iter().flat_map(|(field, values)| {
        let ways = WAYS.iter().enumerate();
        ways.map(move |(at, way)| {
            let value = format!("\"{}\"", values[at % values.len()]);
            let quoted = if at == 3 { value.to_lowercase() } else { value };
            (way.replace('#', field).replace('%', "\u{0}").replace('\u{0}', &quoted), EVERYWHERE)
        })
    });
    let fixed = [
        (&OTHERS[..], EVERYWHERE),
        (&PLACES, EVERYWHERE),
        (&LINES, NOT_JOINED),
        (&CLOUDFLARE, AT_CLOUDFLARE),
        (&LOAD_BALANCER, AT_GOOGLE),
    ];
    let fixed =
        fixed.into_iter().flat_map(|(texts, targets)| texts.iter().map(move |text| ((*text).to_owned(), targets)));
    of_texts.chain(fixed).map(|(expression, targets)| Rule { expression, targets }).collect()
}

/// The name of the room that a rule is of.
pub fn room(rule: usize) -> String {
    format!("r{rule}")
}

/// A request as a visitor makes it.
#[derive(Clone, Copy)]
pub struct Visit {
    pub method: &'static str,
    pub path: &'static str,
    pub version: &'static str,
    pub ip: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
}

pub const VISITS: [Visit; 9] = [
    Visit { method: "GET", path: "/", version: "HTTP/1.1", ip: "192.0.2.7", headers: &[] },
    Visit {
        method: "GET",
        path: "/shop/a?b=c",
        version: "HTTP/1.1",
        ip: "::ffff:192.0.2.7",
        headers: &[("X-Staff-Key", "s3cret"), ("User-Agent", "curl/8.1"), ("Accept-Language", "fr;q=0.5, de")],
    },
    Visit {
        method: "POST",
        path: "/a%20b?x=%41&x=2&y",
        version: "HTTP/1.1",
        ip: "198.51.100.9",
        headers: &[("x-sTAFF-kEY", "s3cret"), ("Cookie", "a=1; b%20c=2; a=3"), ("REFERER", "https://a.example/")],
    },
    Visit {
        method: "HEAD",
        path: "/app.JS",
        version: "HTTP/1.1",
        ip: "2001:db8::7",
        headers: &[("X-STAFF-KEY", "S3cret"), ("x-empty", ""), ("accept-language", "de;q=0")],
    },
    Visit { method: "GET", path: "/SHOP/a", version: "HTTP/2", ip: "81.2.69.142", headers: &[("x-staff-key", "no")] },
    Visit {
        method: "DELETE",
        path: "/shop/a?x=1&x=2",
        version: "HTTP/2",
        ip: "216.160.83.56",
        headers: &[("cookie", "A=1"), ("user-agent", ""), ("x-twice", "one"), ("x-twice", "two")],
    },
    Visit { method: "GET", path: "/shop/", version: "HTTP/2", ip: "89.160.20.112", headers: &[("x-none", "a")] },
    Visit { method: "PUT", path: "/x?", version: "HTTP/1.1", ip: "1.128.0.0", headers: &[("user-agent", "CURL/8.1")] },
    Visit { method: "OPTIONS", path: "/.js", version: "HTTP/1.1", ip: "::1", headers: &[("x-a", "de"), ("x-b", "x")] },
];

/// What the databases know of an address, which at Cloudflare is what the platform knows.
pub struct Place {
    pub country: Option<String>,
    pub continent: Option<String>,
    pub is_in_union: Option<bool>,
    pub asn: Option<i64>,
}

pub fn place(ip: &str) -> Place {
    let named = |name: &str| Some(format!("{DATABASES}/{name}"));
    let settings =
        GeoIp { country: named("GeoIP2-Country-Test.mmdb"), city: None, asn: named("GeoLite2-ASN-Test.mmdb") };
    let databases = GeoDatabases::open(&settings, Path::new("")).expect("databases");
    let address: IpAddr = ip.parse().expect("an address");
    let (arena, facts) = (bumpalo::Bump::new(), databases.of(Some(address.to_canonical())));
    let text = |field| match facts.fact(field, &arena) {
        Some(Value::Bytes(text)) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    };
    Place {
        country: text(Field::IpSrcCountry),
        continent: text(Field::IpSrcContinent),
        is_in_union: match facts.fact(Field::IpSrcIsInEuropeanUnion, &arena) {
            Some(Value::Bool(is)) => Some(is),
            _ => None,
        },
        asn: match facts.fact(Field::IpSrcAsnum, &arena) {
            Some(Value::Int(number)) => Some(number),
            _ => None,
        },
    }
}

impl Visit {
    /// The headers that such a host gets, with those of the proxy in front that says who the visitor is.
    pub fn headers(&self, target: Target, rule: usize) -> Vec<(String, String)> {
        let address: IpAddr = self.ip.parse().expect("an address");
        let front = match target {
            Target::Worker => vec![("cf-connecting-ip", self.ip.to_owned()), ("CF-Ray", "8f0a-ZRH".to_owned())],
            _ => vec![("X-Forwarded-For", address.to_string()), ("X-Forwarded-Proto", "https".to_owned())],
        };
        let said: &[(&str, &str)] = match (target, self.version) {
            (Target::GoogleCloud, "HTTP/1.1") => {
                &[("x-client-city", "Bern"), ("X-Client-RTT", "40"), ("x-client-cert-chain-verified", "true")]
            }
            (Target::GoogleCloud, _) => &[("x-client-city", ""), ("x-client-rtt", "a"), ("x-client-rtt", "7")],
            _ => &[],
        };
        let own = self.headers.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let said = said.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let all = own.chain(front).chain(said).chain([(ROOM, room(rule))]);
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The request as one describes it at the desk.
    pub fn described(&self, target: Target, rule: usize) -> OwnedRequest {
        let address: IpAddr = self.ip.parse().expect("an address");
        let request =
            OwnedRequest::new(format!("https://{HOST}{}", self.path)).method(self.method).header("Host", HOST);
        let headers = self.headers(target, rule);
        let mut request = headers.iter().fold(request, |request, (name, value)| request.header(name, value.as_str()));
        request.version = self.version.to_owned();
        request.received_ms = 1_800_000_000_000;
        let Place { country, asn, .. } = place(self.ip);
        if let Some(country) = country {
            request = request.fact(Field::IpSrcCountry, country.as_str());
        }
        if let Some(asn) = asn {
            request = request.fact(Field::IpSrcAsnum, asn);
        }
        request.client_ip(address.to_canonical())
    }
}

/// The policy: a room for every rule that such a host can keep, which a header leads to.
pub fn policy(target: Target) -> Sources {
    policy_with(target, &OPEN)
}

/// The policy, of whose rules these alone are acknowledged.
pub fn policy_with(target: Target, acknowledged: &[&str]) -> Sources {
    let rules = rules();
    let kept = || rules.iter().enumerate().filter(|(_, rule)| rule.targets.contains(&target));
    let files: BTreeMap<String, String> = kept().map(|(at, _)| (room(at), format!("{}.json", room(at)))).collect();
    let named: Vec<String> = files.iter().map(|(room, file)| format!("{room} = '{file}'")).collect();
    let more = match target {
        Target::Worker => String::new(),
        _ => format!(
            "[proxy]\ntrusted_hops = 1\n[geoip]\ncountry = '{DATABASES}/GeoIP2-Country-Test.mmdb'\nasn = '{DATABASES}/GeoLite2-ASN-Test.mmdb'\n"
        ),
    };
    let said = match target {
        Target::GoogleCloud => {
            "[google_cloud]\nvariables = ['client_city', 'client_cert_chain_verified']\n\
             headers = { 'cf.timings.client_tcp_rtt_msec' = 'X-Client-RTT' }\n"
        }
        _ => "",
    };
    let settings = format!(
        "customer_id = 'acme'\ntarget = '{target}'\nintegration = 'integration.json'\n\
         rules = {{ {} }}\nlists = {{ office = 'office.txt', sites = {{ file = 'sites.txt', kind = 'hostname' }}, \
         networks = {{ file = 'networks.txt', kind = 'asn' }} }}\n{more}{said}",
        named.join(", "),
    );
    let one = |at: usize| {
        serde_json::json!({
            "Name": room(at), "ActionType": "Queue", "EventId": room(at), "QueueDomain": "acme.queue-it.net",
            "CookieValidityMinute": 20, "ExtendCookieValidity": true, "RedirectLogic": "AllowTParameter",
            "Triggers": [{ "LogicalOperator": "And", "TriggerParts": [{
                "ValidatorType": "HttpHeaderValidator", "HttpHeaderName": ROOM, "Operator": "Equals",
                "ValueToCompare": room(at),
            }] }],
        })
    };
    let integrations: Vec<_> = kept().map(|(at, _)| one(at)).collect();
    let mut sources = BTreeMap::from([
        ("velvetrope.toml".to_owned(), settings),
        ("integration.json".to_owned(), serde_json::json!({ "Version": 1, "Integrations": integrations }).to_string()),
        ("office.txt".to_owned(), "::ffff:198.51.100.0/120\n::1\n".to_owned()),
        ("sites.txt".to_owned(), "tickets.example\n".to_owned()),
        ("networks.txt".to_owned(), "AS1221\n".to_owned()),
    ]);
    for (at, rule) in kept() {
        let mut written = serde_json::json!({
            "id": room(at), "action": "bypass_waiting_room", "expression": rule.expression, "description": "",
        });
        if acknowledged.contains(&&*rule.expression) {
            written["velvetrope"] = serde_json::json!({"opens_for_everybody": true});
        }
        sources.insert(format!("{}.json", room(at)), serde_json::json!([written]).to_string());
    }
    sources.into_iter().map(|(file, text)| (file, text.into_bytes())).collect()
}
