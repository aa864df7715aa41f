//! The request that a command asks about, as it is put together from options.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::IpAddr;

use serde::Serialize;

use super::output::{FAINT, Failure, STRONG, styled};
use super::time;
use velvetrope::internal::language::Scheme;
use velvetrope::internal::request::{Field, FieldInfo, OwnedRequest, OwnedValue, Type};
use velvetrope::internal::{self, without_secrets};

/// The request, and what its host would know of it.
#[derive(clap::Args)]
pub struct RequestOptions {
    /// The method
    #[arg(short = 'X', long, default_value = "GET")]
    method: String,
    /// A header, `name: value`; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The version of HTTP: 1.0, 1.1, 2 or 3
    #[arg(long, value_name = "VERSION", default_value = "1.1", value_parser = version)]
    http_version: String,
    /// The visitor's address
    #[arg(long, value_parser = address)]
    ip: Option<IpAddr>,
    /// The visitor's country, two letters; the continent and whether it is in the European Union follow from it, unless
    /// --field says otherwise
    #[arg(long, value_name = "CC", value_parser = country)]
    country: Option<String>,
    /// The number of the visitor's autonomous system
    #[arg(long, value_name = "N")]
    asn: Option<u32>,
    /// Anything else that a host knows of a connection, such as `cf.client.bot=true`; may be given several times
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = assignment)]
    fields: Vec<(String, String)>,
    /// When: RFC 3339, or Unix seconds [default: now]
    #[arg(long, value_name = "TIME", value_parser = time::instant)]
    at: Option<i64>,
    /// The start of the body
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    body: String,
}

impl RequestOptions {
    /// The request for `url` that was described.
    pub fn request(self, url: &str) -> Result<OwnedRequest, Failure> {
        let mut request = request(&self.method, url, &self.headers)?;
        request.version = self.http_version;
        request.client_ip = self.ip;
        request.received_ms = self.at.unwrap_or_else(time::now);
        request.body = self.body;
        let country = self.country.map(|country| (Field::IpSrcCountry, country));
        let asn = self.asn.map(|asn| (Field::IpSrcAsnum, asn.to_string()));
        for (field, value) in [country, asn].into_iter().flatten() {
            request.facts.insert(field, value_of(field, &value)?);
        }
        for (name, value) in &self.fields {
            set(&mut request, name, value)?;
        }
        Ok(request)
    }
}

/// A request to an absolute URL, with the Host header that every client sends.
pub fn request(method: &str, url: &str, headers: &[(String, String)]) -> Result<OwnedRequest, Failure> {
    let mut request = OwnedRequest::new(url).method(method);
    let host = host_of(url)?;
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("Host", host);
    }
    Ok(headers.iter().fold(request, |request, (name, value)| request.header(name, value.as_str())))
}

/// Why an option is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A header without a colon.
    #[error("write a header as `name: value`")]
    NotAHeader,
    /// What stands before the colon is no token (RFC 9110, section 5.6.2).
    #[error("`{0}` is no name of a header")]
    HeaderName(String),
    /// It is no address.
    #[error("`{0}` is not an address")]
    Address(String),
    /// It is no code of two letters.
    #[error("`{0}` is not a country code; write two letters, such as DE")]
    Country(String),
    /// No such version of HTTP is known.
    #[error("`{0}` is not a version of HTTP; write 1.0, 1.1, 2 or 3")]
    Version(String),
    /// It has no `=`.
    #[error("write it as `name=value`")]
    NotAnAssignment,
}

/// A header, given as `name: value`.
pub fn header(text: &str) -> Result<(String, String), OptionError> {
    let (name, value) = text.split_once(':').ok_or(OptionError::NotAHeader)?;
    let name = name.trim();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(OptionError::HeaderName(name.to_owned()));
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// An address, in the form in which hosts tell it.
pub fn address(text: &str) -> Result<IpAddr, OptionError> {
    internal::address(text).ok_or_else(|| OptionError::Address(text.to_owned()))
}

/// A country, in upper case as hosts tell it.
pub fn country(text: &str) -> Result<String, OptionError> {
    let code = text.to_ascii_uppercase();
    match code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(code),
        false => Err(OptionError::Country(text.to_owned())),
    }
}

/// A version of HTTP, as hosts tell it.
pub fn version(text: &str) -> Result<String, OptionError> {
    let number = text.strip_prefix("HTTP/").unwrap_or(text);
    match number {
        "1.0" | "1.1" | "2" | "3" => Ok(format!("HTTP/{number}")),
        "2.0" | "3.0" => Ok(format!("HTTP/{}", &number[..1])),
        _ => Err(OptionError::Version(text.to_owned())),
    }
}

/// `name=value`.
pub fn assignment(text: &str) -> Result<(String, String), OptionError> {
    let (name, value) = text.split_once('=').ok_or(OptionError::NotAnAssignment)?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

fn host_of(url: &str) -> Result<&str, Failure> {
    let refused = |what: &str| {
        Failure::new(format!("the URL `{url}` {what}")).help("write it in full, such as https://tickets.example/shop")
    };
    let rest = ["https://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.ok_or_else(|| refused("does not begin with https:// or http://"))?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() {
        return Err(refused("names no host"));
    }
    if url.contains(|c: char| c.is_control() || c == ' ') {
        return Err(refused("contains a space or a control character"));
    }
    Ok(host)
}

/// Sets a field that a host adds to the request, or the version of HTTP.
pub fn set(request: &mut OwnedRequest, name: &str, value: &str) -> Result<(), Failure> {
    if name == Field::HttpRequestVersion.info().name {
        request.version = version(value)?;
        return Ok(());
    }
    let field = fact(name)?;
    request.facts.insert(field, value_of(field, value)?);
    Ok(())
}

/// The field of this name, if it is one of those that a host adds to the request.
fn fact(name: &str) -> Result<Field, Failure> {
    let field = Scheme::standard().field(name).and_then(|(field, _)| field.standard());
    let field = field.ok_or_else(|| Failure::new(format!("there is no field `{name}`")))?;
    let of_request = name.starts_with("http.")
        || name.starts_with("raw.")
        || matches!(field, Field::IpSrc | Field::Ssl | Field::CfEdgeServerPort | Field::TcpDstport);
    if of_request {
        return Err(Failure::new(format!("`{name}` follows from the request"))
            .help("change the URL, the method, the headers, the version, the address or the time"));
    }
    Ok(field)
}

/// A value of a field, read from text; several numbers are separated by commas.
pub fn value_of(field: Field, text: &str) -> Result<OwnedValue, Failure> {
    let FieldInfo { name, .. } = field.info();
    let value_type = field.info().value_type();
    parsed(&value_type, text)
        .ok_or_else(|| Failure::new(format!("`{text}` is no value of `{name}`, which is of type {value_type}")))
}

fn parsed(value_type: &Type, text: &str) -> Option<OwnedValue> {
    Some(match value_type {
        Type::Bool => OwnedValue::Bool(text.parse().ok()?),
        Type::Int => OwnedValue::Int(text.parse().ok()?),
        Type::Ip => OwnedValue::Ip(internal::address(text)?),
        Type::Bytes => OwnedValue::from(text),
        Type::Array(of) => {
            let values: Option<Vec<_>> = text.split(',').map(|part| parsed(of, part.trim())).collect();
            OwnedValue::Array(values?)
        }
        Type::Map(_) => return None,
    })
}

/// The request as a report shows it.
#[derive(Serialize)]
pub struct RequestReport {
    /// As given.
    pub method: String,
    /// As given; tokens are left out.
    pub url: String,
    /// `HTTP/1.1`, `HTTP/2`, …
    pub version: String,
    /// The visitor's address.
    pub ip: Option<IpAddr>,
    /// Other fields that were given, by name.
    pub fields: BTreeMap<&'static str, String>,
    /// RFC 3339.
    pub at: String,
}

impl From<&OwnedRequest> for RequestReport {
    fn from(request: &OwnedRequest) -> RequestReport {
        let fields = request.facts.iter().map(|(field, value)| (field.info().name, shown(value))).collect();
        RequestReport {
            method: request.method.clone(),
            url: without_secrets(&request.url),
            version: request.version.clone(),
            ip: request.client_ip,
            fields,
            at: time::shown(request.received_ms),
        }
    }
}

fn shown(value: &OwnedValue) -> String {
    match value {
        OwnedValue::Bool(value) => value.to_string(),
        OwnedValue::Int(value) => value.to_string(),
        OwnedValue::Ip(value) => value.to_string(),
        OwnedValue::Bytes(value) => String::from_utf8_lossy(value).into_owned(),
        OwnedValue::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        OwnedValue::Map(entries) => format!("{} entries", entries.len()),
    }
}

impl Display for RequestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", styled(STRONG, &self.method), styled(STRONG, &self.url))?;
        let ip = self.ip.map_or("an unknown address".to_owned(), |ip| ip.to_string());
        let fields: String = self.fields.iter().map(|(name, value)| format!(", {name} {value}")).collect();
        // What curl speaks by itself goes without saying.
        let by = if self.version == "HTTP/1.1" { String::new() } else { format!("by {} ", self.version) };
        writeln!(f, "{}", styled(FAINT, format_args!("{by}from {ip}{fields}, at {}", self.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_must_be_whole() {
        assert_eq!(host_of("https://a.example:8443/x?y#z").ok(), Some("a.example:8443"));
        assert_eq!(host_of("http://u:p@a.example").ok(), Some("a.example"));
        for broken in ["/shop", "a.example/x", "ftp://a.example/", "https://", "https:///x", "https://a.example/a b"] {
            assert!(host_of(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn headers_are_names_and_values() {
        assert_eq!(header("Accept:  a/b "), Ok(("Accept".to_owned(), "a/b".to_owned())));
        assert_eq!(header("X:"), Ok(("X".to_owned(), String::new())));
        assert!(header("no colon").is_err());
        assert!(header("a b: c").is_err());
        assert!(header(": c").is_err());
    }

    #[test]
    fn what_a_visitor_is_known_by_is_as_hosts_tell_it() {
        assert_eq!(address("::ffff:192.0.2.7"), Ok(IpAddr::from([192, 0, 2, 7])));
        assert!(address("192.0.2.0/24").is_err());
        assert_eq!(country("de"), Ok("DE".to_owned()));
        assert!(country("germany").is_err() && country("").is_err() && country("ß").is_err());
        for text in ["3", "HTTP/3", "3.0"] {
            assert_eq!(version(text), Ok("HTTP/3".to_owned()));
        }
        assert!(version("4").is_err() && version("http/2").is_err() && version("").is_err());
    }

    #[test]
    fn values_have_the_type_of_their_field() {
        assert_eq!(value_of(Field::CfClientBot, "true").ok(), Some(OwnedValue::Bool(true)));
        assert!(value_of(Field::CfClientBot, "yes").is_err());
        let ids = OwnedValue::Array(vec![OwnedValue::Int(1), OwnedValue::Int(2)]);
        assert_eq!(value_of(Field::CfBotManagementDetectionIds, "1, 2").ok(), Some(ids));
    }

    #[test]
    fn only_what_a_host_adds_can_be_set() {
        let mut request = OwnedRequest::new("https://a.example/");
        set(&mut request, "http.request.version", "HTTP/3").expect("it can be set");
        set(&mut request, "cf.edge.server_ip", "::ffff:192.0.2.7").expect("it can be set");
        assert_eq!(request.version, "HTTP/3");
        assert_eq!(request.facts[&Field::CfEdgeServerIp], OwnedValue::Ip(IpAddr::from([192, 0, 2, 7])));
        assert!(fact("cf.edge.server_port").is_err());
        assert_eq!(fact("cf.client.bot").ok(), Some(Field::CfClientBot));
        assert!(fact("http.host").is_err());
        assert!(fact("ip.src").is_err());
        assert!(fact("no.such.field").is_err());
    }
}
