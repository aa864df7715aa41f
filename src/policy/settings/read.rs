//! Reads `velvetrope.toml`.

use std::collections::BTreeMap;

use super::{
    Delivery, FailurePolicy, GeoIp, GoogleCloud, ListFile, Managed, Network, OnFailure, OnOverload, Preflight,
    ProxySettings, Scheme, ScriptRequests, SecretNames, Settings, TokenSettings, UnknownHosts, VisitorTls,
};
use crate::language::{Code, Diagnostic};
use crate::policy::document::{Node, Value, parse_toml};
use crate::policy::fields::Fields;
use crate::policy::finding::File;
use crate::policy::hosts::{is_among, is_loopback};
use crate::program::ListKind;
use crate::request::{Authority, Field, Supply, Target, Type};

const ON_FAILURE: &[(&str, OnFailure)] = &[("open", OnFailure::Open), ("closed", OnFailure::Closed)];
const PREFLIGHT: &[(&str, Preflight)] = &[("pass", Preflight::Pass), ("queue", Preflight::Queue)];
const SCRIPT_REQUESTS: &[(&str, ScriptRequests)] =
    &[("answer", ScriptRequests::Answer), ("redirect", ScriptRequests::Redirect)];
const ON_OVERLOAD: &[(&str, OnOverload)] =
    &[("queue", OnOverload::Queue), ("open", OnOverload::Open), ("closed", OnOverload::Closed)];
const SCHEMES: &[(&str, Scheme)] = &[("http", Scheme::Http), ("https", Scheme::Https)];
const MANAGED: &[(&str, Managed)] = &[("store", Managed::Store), ("files", Managed::Files)];
const UNKNOWN_HOSTS: &[(&str, UnknownHosts)] = &[("refuse", UnknownHosts::Refuse), ("pass", UnknownHosts::Pass)];
const TARGETS: &[(&str, Target)] =
    &[("worker", Target::Worker), ("google-cloud", Target::GoogleCloud), ("proxy", Target::Proxy)];

/// As much of the settings as can be read; the rest is reported and keeps its default. A `target` that is given counts
/// instead of the one that is written.
pub(in crate::policy) fn read(file: File, target: Option<Target>) -> Settings {
    let (root, errors) = parse_toml(file.text);
    for error in errors {
        file.add(error.at..error.at, Diagnostic::error(Code::FileSyntax, error.message));
    }
    let mut settings = Settings::new("");
    if let Some(fields) = Fields::new(file, &root, "") {
        read_root(&fields, target, &mut settings);
        fields.finish();
    }
    settings
}

fn read_root(fields: &Fields, target: Option<Target>, settings: &mut Settings) {
    fields.required("customer_id", "write Queue-it's id of your account: `customer_id = \"example\"`");
    settings.customer_id =
        checked(fields, "customer_id", is_identifier, "letters, digits, `-` and `_`").unwrap_or_default();
    set(&mut settings.target, fields.choice("target", TARGETS));
    set(&mut settings.target, target);
    settings.delivery.push = settings.target == Target::Worker;
    settings.hosts = hosts(fields, "hosts");
    set(&mut settings.unknown_hosts, fields.choice("unknown_hosts", UNKNOWN_HOSTS));
    settings.waiting_room_origin = checked(fields, "waiting_room_origin", is_origin, ORIGIN);
    review_room_origin(fields, settings.waiting_room_origin.as_deref());
    set(&mut settings.shared_sessions, fields.flag("shared_sessions"));
    set(&mut settings.normalize_urls, fields.flag("normalize_urls"));
    set(&mut settings.preflight, fields.choice("preflight", PREFLIGHT));
    set(&mut settings.script_requests, fields.choice("script_requests", SCRIPT_REQUESTS));
    settings.integration = file_name(fields, fields.get("integration"));
    settings.rooms = file_name(fields, fields.get("rooms"));
    settings.rules = fields.table("rules").map(|rules| read_rules(&rules)).unwrap_or_default();
    settings.lists = fields.table("lists").map(|lists| read_lists(&lists)).unwrap_or_default();
    set(&mut settings.managed, fields.choice("managed", MANAGED));
    section(fields, "secrets", &mut settings.secrets, read_secrets);
    section(fields, "failure", &mut settings.failure, read_failure);
    section(fields, "token", &mut settings.token, read_token);
    section(fields, "delivery", &mut settings.delivery, read_delivery);
    section(fields, "proxy", &mut settings.proxy, read_proxy);
    review_public_address(fields, settings);
    section(fields, "geoip", &mut settings.geoip, read_geoip);
    section(fields, "google_cloud", &mut settings.google_cloud, read_google_cloud);
}

fn section<T>(fields: &Fields, key: &'static str, value: &mut T, read: fn(&Fields, &mut T)) {
    if let Some(mut fields) = fields.table(key) {
        fields.subject = format!("[{key}]");
        read(&fields, value);
        fields.finish();
    }
}

fn read_rules(rules: &Fields) -> BTreeMap<String, Vec<String>> {
    let members = rules.node.members().iter().map(|member| {
        let files = match &member.value.value {
            Value::Array(files) => files.as_slice(),
            _ => std::slice::from_ref(&member.value),
        };
        (member.key.to_string(), files.iter().filter_map(|name| file_name(rules, Some(name))).collect())
    });
    members.collect()
}

fn read_lists(lists: &Fields) -> BTreeMap<String, ListFile> {
    let mut all = BTreeMap::new();
    for member in lists.node.members() {
        if !is_list_name(&member.key) {
            let problem = Diagnostic::error(Code::BadValue, format!("`{}` cannot name a list", member.key))
                .help("use up to 50 of `a`-`z`, `0`-`9` and `_`");
            lists.file.add(member.span.clone(), problem);
        }
        all.extend(read_list(lists, &member.value).map(|list| (member.key.to_string(), list)));
    }
    all
}

fn read_list(lists: &Fields, node: &Node) -> Option<ListFile> {
    if !matches!(node.value, Value::Object(_)) {
        return Some(ListFile { file: file_name(lists, Some(node))?, kind: ListKind::Ip });
    }
    let fields = Fields::new(lists.file, node, "")?;
    let file = file_name(&fields, fields.required("file", "name the file of its members"));
    let kind = fields.choice("kind", ListKind::NAMED).unwrap_or(ListKind::Ip);
    fields.finish();
    Some(ListFile { file: file?, kind })
}

fn read_secrets(fields: &Fields, secrets: &mut SecretNames) {
    set(&mut secrets.current, variable(fields, "current"));
    set(&mut secrets.previous, variable(fields, "previous"));
    set(&mut secrets.api_key, variable(fields, "api_key"));
}

/// The name of an environment variable. What is none may be a secret, and is not shown.
fn variable(fields: &Fields, key: &'static str) -> Option<String> {
    let name = fields.text(key)?;
    if is_variable(&name) {
        return Some(name);
    }
    let problem = Diagnostic::error(Code::BadValue, format!("`{key}` must name an environment variable"))
        .help("put the secret itself into the environment, and its variable's name here: letters, digits and `_`");
    fields.file.add_unseen(fields.get(key)?.at, problem.about(&fields.subject));
    None
}

fn read_failure(fields: &Fields, failure: &mut FailurePolicy) {
    set(&mut failure.no_configuration, fields.choice("no_configuration", ON_FAILURE));
    set(&mut failure.invalid_configuration, fields.choice("invalid_configuration", ON_FAILURE));
    set(&mut failure.store_unreachable, fields.choice("store_unreachable", ON_FAILURE));
    set(&mut failure.internal, fields.choice("internal", ON_FAILURE));
    set(&mut failure.overload, fields.choice("overload", ON_OVERLOAD));
    set(&mut failure.retry_after, fields.number("retry_after", 1..=86_400));
}

fn read_token(fields: &Fields, token: &mut TokenSettings) {
    set(&mut token.leeway, fields.number("leeway", 0..=300));
}

fn read_delivery(fields: &Fields, delivery: &mut Delivery) {
    set(&mut delivery.push, fields.flag("push"));
    set(&mut delivery.pull, fields.flag("pull"));
    set(&mut delivery.allow_older, fields.flag("allow_older"));
    set(&mut delivery.interval, fields.number("interval", 10..=86_400));
}

fn read_proxy(fields: &Fields, proxy: &mut ProxySettings) {
    const ADDRESS: &str = "an address and a port, such as `127.0.0.1:8080` or `[::]:8080`";
    set(&mut proxy.listen, fields.parsed("listen", ADDRESS));
    set(&mut proxy.admin, fields.parsed("admin", ADDRESS));
    proxy.admin_hosts = hosts(fields, "admin_hosts");
    proxy.origin = checked(fields, "origin", is_origin, ORIGIN);
    proxy.origin_ca = fields.text("origin_ca");
    if let (Some(node), Some(_)) = (fields.get("origin_ca"), proxy.origin.as_ref().filter(|origin| is_plain(origin))) {
        fields.bad_value(node, "nobody vouches for an origin with `http://`", "write `origin` with `https://`");
    }
    read_fronts(fields, proxy);
    proxy.health_path =
        checked(fields, "health_path", is_health_path, "a path such as `/healthz`, in ASCII and without a query");
    proxy.tls = fields.table("tls").and_then(read_tls);
    set(&mut proxy.connect_timeout, fields.number("connect_timeout", 1..=3_600));
    set(&mut proxy.response_timeout, fields.number("response_timeout", 1..=3_600));
    set(&mut proxy.idle_timeout, fields.number("idle_timeout", 1..=3_600));
    set(&mut proxy.tunnel_timeout, fields.number("tunnel_timeout", 1..=86_400));
    set(&mut proxy.drain_timeout, fields.number("drain_timeout", 0..=3_600));
}

/// Who stands in front, and what is believed of what they say.
fn read_fronts(fields: &Fields, proxy: &mut ProxySettings) {
    set(&mut proxy.trusted_hops, fields.number("trusted_hops", 0..=16));
    proxy.trusted_proxies = networks(fields, "trusted_proxies");
    let (has_hops, has_proxies) = (proxy.trusted_hops > 0, fields.get("trusted_proxies").is_some());
    if let (Some(node), true, true) = (fields.get("trusted_hops"), has_hops, has_proxies) {
        let help =
            "name your proxies in `trusted_proxies`, or count them in `trusted_hops` if they have no fixed addresses";
        fields.bad_value(node, "proxies are counted and named at once", help);
    }
    let is_header = |text: &str| is_identifier(text);
    proxy.client_ip_header = checked(fields, "client_ip_header", is_header, "a header, such as `x-real-ip`")
        .map(|name| name.to_ascii_lowercase());
    set(&mut proxy.proxy_protocol, fields.flag("proxy_protocol"));
    proxy.public_scheme = fields.choice("public_scheme", SCHEMES);
    proxy.public_host =
        checked(fields, "public_host", is_authority, "a host and perhaps a port, without scheme and path")
            .map(|host| host.to_ascii_lowercase());
    set(&mut proxy.forwarded_host, fields.flag("forwarded_host"));
    let told = [("client_ip_header", proxy.client_ip_header.is_some()), ("forwarded_host", proxy.forwarded_host)];
    for (key, _) in told.into_iter().filter(|(_, is_set)| *is_set && !has_hops && !has_proxies) {
        if let Some(node) = fields.get(key) {
            let help = "name the proxies that may say so in `trusted_proxies`, or count them in `trusted_hops`";
            fields.bad_value(node, format!("`{key}` is believed of nobody"), help);
        }
    }
}

fn networks(fields: &Fields, key: &'static str) -> Vec<Network> {
    let mut networks = Vec::new();
    for (text, node) in fields.texts(key) {
        match text.parse::<Network>() {
            Ok(network) => networks.push(network),
            Err(error) => {
                fields.bad_value(node, error.to_string(), "write addresses and networks, such as `10.0.0.0/8` or `::1`")
            }
        }
    }
    networks
}

fn read_tls(mut fields: Fields) -> Option<VisitorTls> {
    fields.subject = "[proxy.tls]".to_owned();
    fields.required("certificate", "name the file of the certificate and those that it depends on, PEM");
    fields.required("key", "name the file of its private key, PEM");
    let (certificate, key) = (fields.text("certificate"), fields.text("key"));
    fields.finish();
    Some(VisitorTls { certificate: certificate?, key: key? })
}

/// Warns where visitors would be sent to the waiting room in the clear.
fn review_room_origin(fields: &Fields, origin: Option<&str>) {
    let is_exposed = |host: &&str| !is_loopback(host);
    if let Some(host) = origin.and_then(|origin| origin.strip_prefix("http://")).filter(is_exposed)
        && let Some(node) = fields.get("waiting_room_origin")
    {
        let message =
            format!("visitors are sent to {host} by `http://`, where anybody on the way can read where they wait");
        let problem = Diagnostic::warning(Code::PublicAddress, message);
        fields.file.add(node.at..node.end, problem.help("write `https://`"));
    }
}

/// Warns where visitors would be sent back to where they did not come from.
fn review_public_address(fields: &Fields, settings: &Settings) {
    let proxy = &settings.proxy;
    let Some(node) = fields.node.get("proxy").filter(|node| matches!(node.value, Value::Object(_))) else { return };
    let warn = |key, message: String, help: &str| {
        let problem = Diagnostic::warning(Code::PublicAddress, message).help(help).about("[proxy]");
        let node = node.get(key).unwrap_or(node);
        fields.file.add(node.at..node.end, problem);
    };
    let knows_scheme = proxy.tls.is_some() || proxy.public_scheme.is_some();
    let trusts = proxy.trusted_hops > 0 || !proxy.trusted_proxies.is_empty();
    if settings.target == Target::Proxy && !proxy.listen.ip().is_loopback() && !knows_scheme && !trusts {
        let message = "visitors come back from the waiting room to `http://`, and everybody's address is the peer's";
        let help = "behind something that speaks TLS name it in `trusted_proxies`, or write `public_scheme`; else speak \
                    TLS by [proxy.tls]; if `http://` is meant, write `public_scheme = \"http\"`";
        warn("listen", message.to_owned(), help);
    }
    if let Some(host) = proxy.public_host.as_ref().filter(|host| !is_among(&settings.hosts, host))
        && !settings.hosts.is_empty()
    {
        let message = format!("visitors come back from the waiting room to `{host}`, which is not among `hosts`");
        warn("public_host", message, "add it to `hosts`");
    }
}

fn read_geoip(fields: &Fields, geoip: &mut GeoIp) {
    geoip.country = fields.text("country");
    geoip.city = fields.text("city");
    geoip.asn = fields.text("asn");
}

fn read_google_cloud(fields: &Fields, google_cloud: &mut GoogleCloud) {
    google_cloud.variables = fields.texts("variables").into_iter().map(|(name, _)| name).collect();
    google_cloud.headers = fields.table("headers").map(|headers| read_headers(&headers)).unwrap_or_default();
}

/// Headers by field, of those that the load balancer may know and nobody else does.
fn read_headers(headers: &Fields) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for member in headers.node.members() {
        let field =
            Field::by_name(&member.key).filter(|field| field.info().supply(Target::GoogleCloud) != Supply::Always);
        if !field
            .is_some_and(|field| matches!(field.info().value_type(), Type::Bool | Type::Int | Type::Ip | Type::Bytes))
        {
            let problem = Diagnostic::error(Code::BadValue, format!("`{}` cannot come in a header", member.key))
                .help("name a field that needs to be set up, such as `ip.src.country`");
            headers.file.add(member.span.clone(), problem);
        }
        let Some(name) = headers.text_of(&member.value) else { continue };
        if !is_identifier(&name) {
            headers.bad_value(&member.value, format!("{name:?} is no header"), "use letters, digits, `-` and `_`");
        }
        all.insert(member.key.to_string(), name.to_ascii_lowercase());
    }
    all
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn checked(fields: &Fields, key: &'static str, is_good: fn(&str) -> bool, form: &str) -> Option<String> {
    let text = fields.text(key)?;
    if is_good(&text) {
        return Some(text);
    }
    fields.bad_value(fields.get(key)?, format!("`{key}` cannot be {text:?}"), &format!("write {form}"));
    None
}

fn hosts(fields: &Fields, key: &'static str) -> Vec<String> {
    let mut hosts = Vec::new();
    for (host, node) in fields.texts(key) {
        // The schemes' own ports are not written, as in requests.
        let without_port = Authority::of(Authority::of(&host).without("80"));
        match without_port.canonical(true).ok().filter(|_| is_authority(&host)) {
            Some(canonical) => hosts.push(canonical.into_owned()),
            None => fields.bad_value(node, format!("{host:?} is no host"), "write it without scheme and path"),
        }
    }
    hosts
}

/// The name of a file of the policy: relative, and below its folder.
fn file_name(fields: &Fields, node: Option<&Node>) -> Option<String> {
    let node = node?;
    let name = fields.text_of(node)?;
    let stays = !name.contains(['\\', '\0', ':']) && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !stays {
        let message = format!("{name:?} does not name a file below the folder of velvetrope.toml");
        fields.bad_value(node, message, "write a path such as `rules/shop.json`, without `..` and with `/` only");
    }
    stays.then_some(name)
}

const ORIGIN: &str = "scheme, host and perhaps a port, such as `https://tickets.example`, and no path";

/// Scheme and authority.
fn is_origin(text: &str) -> bool {
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    authority.is_some_and(is_authority)
}

fn is_plain(origin: &str) -> bool {
    origin.starts_with("http://")
}

/// A path that a request line can have, and that is not the front page's.
fn is_health_path(text: &str) -> bool {
    let is_path = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    text.len() > 1 && text.starts_with('/') && text.bytes().all(is_path)
}

/// Host and perhaps a port.
fn is_authority(text: &str) -> bool {
    let authority = Authority::of(text);
    is_host_or_literal(authority) && authority.port().is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_host_or_literal(authority: Authority) -> bool {
    authority.address().is_some() || is_host(authority.host())
}

/// A host name or IPv4 address.
pub(in crate::policy) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_variable(text: &str) -> bool {
    is_identifier(text) && !text.contains('-') && !text.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether expressions can use the name behind `$`.
pub fn is_list_name(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    text.len() <= 50 && text.split('.').all(is_part)
}
