//! Cases: how they are written, and whether what they expect came true.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bumpalo::Bump;
use serde::Deserialize;

use crate::output::Failure;
use crate::{input, policy, request, time};
use velvetrope::internal::edge::explain::Explained;
use velvetrope::internal::queueit::cookie::{NAME_PREFIX, NewSession};
use velvetrope::internal::queueit::encoding::{Enc, encode_uri_component};
use velvetrope::internal::queueit::token::{self, TokenFields};
use velvetrope::internal::queueit::{Secret, Secrets};
use velvetrope::internal::request::{Field, OwnedRequest};

/// When cases happen that do not say when: results must not depend on the day.
const DEFAULT_TIME: &str = "2026-01-01T12:00:00Z";

pub const HELP: &str = "\
Examples:
  velvetrope test policy/
  velvetrope test policy/ more-cases.jsonl --junit results.xml

A case in TOML; all but `url` may be left out. The same keys make an object on one line of a
.jsonl file.

  [[case]]
  name = \"a visitor with a token is let in\"
  url = \"https://tickets.example/shop\"
  method = \"POST\"
  headers = { User-Agent = \"curl\" }
  ip = \"192.0.2.7\"
  country = \"DE\"                      # the continent and the European Union follow
  asn = 64500
  http_version = \"2\"                  # 1.0, 1.1, 2 or 3
  fields = { \"cf.client.bot\" = true }   # what else a host knows
  at = \"2026-11-22T20:00:00Z\"           # or Unix seconds
  body = \"text\"
  token = { room = \"ticketshop\" }       # put into the URL; also queue_id, redirect_type,
                                        #   valid_for = \"5m\", ip, cookie_validity, forged
  session = { room = \"ticketshop\" }     # put into a cookie; also queue_id, redirect_type,
                                        #   age = \"10m\", cookie_validity, forged
  [case.expect]
  decision = \"token\"                    # pass bypass queue session token cancel ignore error
                                        #   debug direct-pass preflight no-cookie
                                        #   failed-open failed-closed
  integration = \"Shop\"                  # the one that matched; \"\" for none
  room = \"ticketshop\"                   # the one it is about; \"\" for none
  rule = \"admins\"                       # id or description of the bypass rule; \"\" for none
  status = 302                          # 0 where the origin answers
  redirect = \"/shop\"                    # a part of the URL; \"\" for none
  cookies = [\"QueueITAccepted\"]         # how those that are set begin, in order
  headers = { x-queueit-connector = \"proxy\" }          # parts of what the visitor gets
  request_headers = { x-velvetrope-verdict = \"token\" } # parts of what the origin gets

JSON: cases (each with file, line, name, passed, failures, and the explanation of those that failed),
passed, failed, unmatched (integrations, rules)";

/// A request, and what is expected to happen to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    #[serde(skip)]
    pub file: String,
    #[serde(skip)]
    pub line: usize,
    name: Option<String>,
    url: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    ip: Option<IpAddr>,
    country: Option<String>,
    asn: Option<u32>,
    http_version: Option<String>,
    #[serde(default)]
    fields: BTreeMap<String, Scalar>,
    at: Option<Scalar>,
    #[serde(default)]
    body: String,
    token: Option<NewToken>,
    session: Option<OldSession>,
    pub expect: Option<Expectation>,
}

fn get() -> String {
    "GET".to_owned()
}

/// A value as TOML and JSON write it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Int(i64),
    Text(String),
    Time(toml::value::Datetime),
}

impl Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(value) => value.fmt(f),
            Scalar::Int(value) => value.fmt(f),
            Scalar::Text(value) => value.fmt(f),
            Scalar::Time(value) => value.fmt(f),
        }
    }
}

/// A token that the visitor brings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    room: String,
    #[serde(default)]
    queue_id: String,
    #[serde(default = "queue")]
    redirect_type: String,
    /// How long it may still be handed in; negative: since when no longer.
    valid_for: Option<String>,
    ip: Option<IpAddr>,
    cookie_validity: Option<u32>,
    #[serde(default)]
    forged: bool,
}

/// A session that the visitor has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OldSession {
    room: String,
    #[serde(default)]
    queue_id: String,
    #[serde(default = "queue")]
    redirect_type: String,
    /// How long ago it was issued.
    age: Option<String>,
    cookie_validity: Option<u32>,
    #[serde(default)]
    forged: bool,
}

fn queue() -> String {
    "queue".to_owned()
}

/// What is expected. What is not named may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    decision: Option<String>,
    integration: Option<String>,
    room: Option<String>,
    rule: Option<String>,
    status: Option<u16>,
    redirect: Option<String>,
    cookies: Option<Vec<String>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    request_headers: BTreeMap<String, String>,
}

/// The files of cases beside a policy.
pub fn beside(policy: &Path) -> Vec<PathBuf> {
    let folder = policy::folder(policy);
    let known = ["cases.toml", "cases.jsonl"].iter().map(|name| folder.join(name));
    known.filter(|file| file.exists()).collect()
}

/// Reads a file of cases.
pub fn read(path: &Path) -> Result<Vec<Case>, Failure> {
    parse(&input::name(path), &input::text(path)?)
}

/// Reads cases from text: JSON Lines if it begins with `{`, else TOML.
pub fn parse(name: &str, text: &str) -> Result<Vec<Case>, Failure> {
    let cases = if text.trim_start().starts_with('{') { json_lines(name, text) } else { toml(name, text) };
    let cases = cases?;
    if cases.is_empty() {
        return Err(
            Failure::new(format!("{name} has no cases")).help("`velvetrope test --help` shows how to write one")
        );
    }
    Ok(cases)
}

fn toml(name: &str, text: &str) -> Result<Vec<Case>, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Cases {
        #[serde(default)]
        case: Vec<toml::Spanned<Case>>,
    }
    let cases: Cases = toml::from_str(text)
        .map_err(|error| Failure::new(format!("{name}: {error}")).help("`velvetrope test --help` shows every key"))?;
    let placed = |case: toml::Spanned<Case>| {
        let line = 1 + text.as_bytes().iter().take(case.span().start).filter(|byte| **byte == b'\n').count();
        Case { file: name.to_owned(), line, ..case.into_inner() }
    };
    Ok(cases.case.into_iter().map(placed).collect())
}

fn json_lines(name: &str, text: &str) -> Result<Vec<Case>, Failure> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let cases = lines.map(|(index, text)| {
        let line = index + 1;
        let case = serde_json::from_str(text).map_err(|error| {
            Failure::new(format!("{name}, line {line}: {error}")).help("`velvetrope test --help` shows every key")
        })?;
        Ok(Case { file: name.to_owned(), line, ..case })
    });
    cases.collect()
}

impl Case {
    /// What to call it.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("{} {}", self.method, self.url))
    }

    /// The request, with the token and the session signed by `secrets`.
    pub fn request(&self, secrets: &Secrets) -> Result<OwnedRequest, Failure> {
        self.made(secrets).map_err(|failure| failure.within(format!("{}, line {}", self.file, self.line)))
    }

    fn made(&self, secrets: &Secrets) -> Result<OwnedRequest, Failure> {
        let at = self.at.as_ref().map_or(DEFAULT_TIME.to_owned(), Scalar::to_string);
        let at = time::instant(&at)?;
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            headers.push(request::header(&format!("{name}: {value}"))?);
        }
        let mut url = self.url.clone();
        if let Some(token) = &self.token {
            url = with_token(&url, &token.signed(secrets, at.div_euclid(1000))?);
        }
        if let Some(session) = &self.session {
            add_cookie(&mut headers, &session.cookie(secrets, at.div_euclid(1000))?);
        }
        let mut request = request::request(&self.method, &url, &headers)?.received_ms(at).body(self.body.as_str());
        request.client_ip = self.ip.map(|ip| ip.to_canonical());
        if let Some(version) = &self.http_version {
            request.version = request::version(version)?;
        }
        if let Some(country) = &self.country {
            request = request.fact(Field::IpSrcCountry, request::country(country)?.as_str());
        }
        if let Some(asn) = self.asn {
            request = request.fact(Field::IpSrcAsnum, i64::from(asn));
        }
        for (name, value) in &self.fields {
            request::set(&mut request, name, &value.to_string())?;
        }
        Ok(request)
    }
}

/// The URL with a token as its last argument.
fn with_token(url: &str, token: &str) -> String {
    let (before, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let separator = if before.contains('?') { '&' } else { '?' };
    format!("{before}{separator}queueittoken={}{fragment}", Enc(token))
}

/// Adds a cookie to those that the case has already.
fn add_cookie(headers: &mut Vec<(String, String)>, cookie: &str) {
    match headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
        Some((_, cookies)) => *cookies = format!("{cookies}; {cookie}"),
        None => headers.push(("Cookie".to_owned(), cookie.to_owned())),
    }
}

fn span(text: Option<&String>, default: i64) -> Result<i64, Failure> {
    Ok(text.map_or(Ok(default), |text| time::span(text))?)
}

/// Whose signature nobody accepts.
fn forger() -> Secret {
    Secret::new("anybody's guess")
}

impl NewToken {
    fn signed(&self, secrets: &Secrets, now: i64) -> Result<String, Failure> {
        let fields = TokenFields {
            event_id: self.room.clone(),
            queue_id: self.queue_id.clone(),
            expires: now.saturating_add(span(self.valid_for.as_ref(), 300)?),
            extendable: self.cookie_validity.is_none(),
            validity_minutes: self.cookie_validity,
            redirect_type: self.redirect_type.clone(),
            client_ip: self.ip.map(|ip| ip.to_canonical().to_string()),
        };
        Ok(if self.forged { token::sign(&fields, &forger()) } else { token::sign(&fields, secrets.current()) })
    }
}

impl OldSession {
    fn cookie(&self, secrets: &Secrets, now: i64) -> Result<String, Failure> {
        let issued = now.saturating_sub(span(self.age.as_ref(), 0)?);
        let fixed_validity = self.cookie_validity.map(|minutes| minutes.to_string()).unwrap_or_default();
        let session = NewSession {
            event_id: &self.room,
            queue_id: &self.queue_id,
            fixed_validity: &fixed_validity,
            redirect_type: &self.redirect_type,
            hashed_ip: "",
        };
        let forger = forger();
        let secret = if self.forged { &forger } else { secrets.current() };
        let arena = Bump::new();
        let value = session.sign(secret, issued, &arena);
        Ok(format!("{NAME_PREFIX}{}={}", self.room, encode_uri_component(value)))
    }
}

impl Expectation {
    /// What did not come true; a sentence for each.
    pub fn failures(&self, found: &Explained) -> Vec<String> {
        let mut failures = Vec::new();
        let mut differs = |what: &str, expected: String, got: String| {
            failures.push(format!("{what}: expected {expected}, got {got}"));
        };
        let (verdict, decision) = (&found.verdict, &found.decision);
        let rule = found.rules.iter().find(|rule| rule.matched);
        let texts = [
            ("decision", &self.decision, vec![decision.label]),
            ("integration", &self.integration, vec![verdict.integration.as_deref().unwrap_or_default()]),
            ("room", &self.room, vec![verdict.room.as_deref().unwrap_or_default()]),
            ("rule", &self.rule, rule.map_or(vec![""], |rule| vec![rule.id.as_str(), rule.description.as_str()])),
        ];
        for (what, expected, got) in texts {
            if let Some(expected) = expected.as_deref().filter(|expected| !got.contains(expected)) {
                differs(what, quoted(expected), quoted(got[0]));
            }
        }
        let status = decision.status.unwrap_or(0);
        if let Some(expected) = self.status.filter(|expected| *expected != status) {
            differs("status", expected.to_string(), status.to_string());
        }
        let redirect = decision.redirect.as_deref().unwrap_or_default();
        if let Some(expected) = self.redirect.as_deref().filter(|expected| !holds(redirect, expected)) {
            differs("redirect", format!("{} in it", quoted(expected)), quoted(redirect));
        }
        if let Some(expected) = self.cookies.as_deref().filter(|expected| !begin_with(&decision.cookies, expected)) {
            differs("cookies", format!("{expected:?}"), format!("{:?}", names(&decision.cookies)));
        }
        let sides = [
            ("header", &self.headers, &decision.response_headers),
            ("request header", &self.request_headers, &decision.request_headers),
        ];
        for (side, expected, got) in sides {
            for (name, part) in expected {
                let value = value_in(got, name);
                if !holds(value, part) {
                    differs(&format!("{side} {name}"), format!("{} in it", quoted(part)), quoted(value));
                }
            }
        }
        failures
    }
}

/// Whether `part` is in `text`; an empty part wants an empty text.
fn holds(text: &str, part: &str) -> bool {
    if part.is_empty() { text.is_empty() } else { text.contains(part) }
}

fn begin_with(cookies: &[String], expected: &[String]) -> bool {
    cookies.len() == expected.len()
        && cookies.iter().zip(expected).all(|(cookie, name)| cookie.starts_with(name.as_str()))
}

fn names(cookies: &[String]) -> Vec<&str> {
    cookies.iter().filter_map(|cookie| cookie.split('=').next()).collect()
}

fn value_in<'h>(headers: &'h [(String, String)], name: &str) -> &'h str {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { format!("`{text}`") }
}
