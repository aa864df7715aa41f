//! Requests and replies, each as one text, because every crossing of the border to JavaScript costs more than reading a
//! few lines does.
//!
//! A request is lines, each with a line end: time, method, URL, client address; then `@property:JSON` for properties of
//! `request.cf` (and `@body:true` for an OPTIONS request that has one); then `name:value` for headers; then an empty line and the start of the body. A reply is lines, too:
//! status (0, 1 or 2: to the origin, whose response comes back untouched, private or without its body), label, what is to be
//! logged (failures, and what an operator should mend),
//! the bypass rule that let it pass, the URL for the origin where it is not the one that was asked for, how many headers
//! are for the origin; then a name and a value for each header; then, for an answer, an empty line and the body.
//!
//! Nothing is escaped: methods, URLs and headers cannot hold line ends, JSON (as which a rule is named, too) escapes
//! them, and a body comes last.

use std::fmt::Write;
use std::net::IpAddr;

use super::facts::CfFacts;
use super::hits;
use velvetrope::internal::edge::{self, Header, Incoming, Outcome, Reply, WayBack};
use velvetrope::internal::policy::BypassRule;
use velvetrope::internal::request::{CanonicalUrl, Malformed};

/// Where the whole of a request counts, what tells that it has a body.
const HAS_BODY: &str = "@body:true";

/// A request as it comes from `shim.js`. The runtime gives header values as UTF-8, so these are the visitor's bytes but
/// for those that were none.
#[derive(Debug, PartialEq)]
pub(super) struct Packed<'r> {
    now_ms: i64,
    method: &'r str,
    url: &'r str,
    client_ip: Option<IpAddr>,
    /// Lines of `@property:JSON`.
    properties: &'r str,
    headers: Vec<(&'r str, &'r [u8])>,
    body: &'r str,
}

impl<'r> Packed<'r> {
    /// `None` if that is no request.
    pub fn read(text: &'r str) -> Option<Packed<'r>> {
        let mut rest = text;
        let now_ms = line(&mut rest)?.parse().ok()?;
        let [method, url] = [line(&mut rest)?, line(&mut rest)?];
        let client_ip = line(&mut rest)?.parse().ok().map(|address: IpAddr| address.to_canonical());
        let properties = properties(&mut rest)?;
        let mut headers = Vec::with_capacity(16);
        loop {
            match line(&mut rest)? {
                "" => return Some(Packed { now_ms, method, url, client_ip, properties, headers, body: rest }),
                // The platform has made the URL of it.
                header if header.starts_with("host:") => {}
                header => headers.push(header.split_once(':').map(|(name, value)| (name, value.as_bytes()))?),
            }
        }
    }

    /// What the platform tells of it.
    pub fn facts(&self) -> CfFacts<'_> {
        CfFacts { properties: self.properties, headers: &self.headers, arrivals: None }
    }

    /// What is asked for.
    pub fn url(&self) -> Result<CanonicalUrl<'r>, Malformed> {
        CanonicalUrl::of(self.url)
    }

    /// The URL as it was told.
    pub fn asked(&self) -> &'r str {
        self.url
    }

    /// The request as the connector takes it.
    pub fn incoming(&'r self, url: &'r CanonicalUrl<'r>, facts: &'r CfFacts<'r>) -> Incoming<'r> {
        Incoming {
            method: self.method,
            url,
            version: facts.version(),
            headers: &self.headers,
            client_ip: self.client_ip,
            body: self.body,
            has_body: !self.body.is_empty() || self.properties.lines().any(|line| line == HAS_BODY),
            now_ms: self.now_ms,
            facts,
        }
    }
}

/// The next line, without its end.
fn line<'r>(rest: &mut &'r str) -> Option<&'r str> {
    let (line, behind) = rest.split_once('\n')?;
    *rest = behind;
    Some(line)
}

/// The lines that begin with `@`.
fn properties<'r>(rest: &mut &'r str) -> Option<&'r str> {
    let all = *rest;
    while rest.starts_with('@') {
        line(rest)?;
    }
    all.get(..all.len() - rest.len())
}

/// A reply for `shim.js`, the bypass rule behind it, and the URL for the origin where it is not the one that was asked for.
/// Headers that HTTP cannot carry are left out.
pub(super) fn write(reply: &Reply<'_>, rule: Option<&BypassRule>, url: Option<&str>) -> String {
    let (status, for_origin, headers, body) = match reply.outcome {
        Outcome::Forward { request_headers, response_headers, way_back } => {
            let status = match way_back {
                WayBack::Untouched => 0,
                WayBack::Private => 1,
                WayBack::WithoutBody => 2,
            };
            (status, request_headers, response_headers, None)
        }
        Outcome::Answer { status, headers, body } => (status, &[][..], headers, Some(body)),
    };
    let is_fit = |(_, value): &&Header<'_>| !value.contains(['\n', '\r', '\0']);
    let mut text = String::with_capacity(512);
    let failed = reply.failed.unwrap_or_default().replace(['\n', '\r'], " ");
    let rule = rule.map_or_else(String::new, |rule| hits::name(&rule.room, &rule.id));
    let count = for_origin.iter().filter(is_fit).count();
    // Writing to a String does not fail.
    let _ = write!(text, "{status}\n{}\n{failed}\n{rule}\n{}\n{count}", reply.label, url.unwrap_or_default());
    for (name, value) in for_origin.iter().chain(headers).filter(is_fit) {
        for part in ["\n", name, "\n", value] {
            text.push_str(part);
        }
    }
    if let Some(body) = body {
        text.push_str("\n\n");
        text.push_str(body);
    }
    text
}

/// What `shim.js` shall do to a response whose headers are these lines of `name:value`, names in lower case, to make it
/// private: a line with the new Cache-Control, and the name of each header to remove in a line of its own.
pub(super) fn private(headers: &str) -> String {
    let lines = headers.lines().filter_map(|line| line.split_once(':'));
    let edge::Private { cache_control, unfit } = edge::private(lines.map(|(name, value)| (name, value.as_bytes())));
    std::iter::once(&*cache_control).chain(unfit).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "1700000000000\nGET\nhttps://h/é?a=1\n192.0.2.7\n@httpProtocol:\"HTTP/2\"\n@country:\"CH\"\n@asn:3303\n\
        host:elsewhere\ncookie:a=b; c=é\nx-empty:\n\nthe body\n\nas it is";

    #[test]
    fn a_request_is_read() {
        let packed = Packed::read(REQUEST).expect("a request");
        let (url, facts) = (packed.url().expect("a URL"), packed.facts());
        assert_eq!(facts.properties, "@httpProtocol:\"HTTP/2\"\n@country:\"CH\"\n@asn:3303\n");
        let incoming = packed.incoming(&url, &facts);
        assert_eq!((incoming.now_ms, incoming.method, url.as_str()), (1_700_000_000_000, "GET", "https://h/é?a=1"));
        assert_eq!(incoming.client_ip, Some(IpAddr::from([192, 0, 2, 7])));
        assert_eq!(incoming.headers, [("cookie", "a=b; c=é".as_bytes()), ("x-empty", b"")]);
        assert_eq!((incoming.version, incoming.body), ("HTTP/2", "the body\n\nas it is"));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let packed = Packed::read("0\nGET\nhttps://h/\n\n\n").expect("a request");
        assert_eq!((packed.client_ip, packed.facts().version(), packed.body), (None, "", ""));
        assert!(packed.headers.is_empty());
        let mapped = Packed::read("0\nGET\nhttps://h/\n::ffff:192.0.2.7\n\n").expect("a request");
        assert_eq!(mapped.client_ip, Some(IpAddr::from([192, 0, 2, 7])));
    }

    #[test]
    fn broken_packing_is_no_request() {
        let end = REQUEST.find("\n\n").expect("an empty line") + 2;
        for cut in (0..end).filter(|&cut| REQUEST.is_char_boundary(cut)) {
            assert_eq!(Packed::read(&REQUEST[..cut]), None, "{cut}");
        }
        for text in ["now\nGET\nhttps://h/\n\n\n", "0\nGET\nhttps://h/\n\nno header\n\n", "\n\n\n\n\n\n"] {
            assert_eq!(Packed::read(text), None, "{text:?}");
        }
    }

    fn reply<'r>(outcome: Outcome<'r>, failed: Option<&'r str>) -> Reply<'r> {
        Reply { outcome, verdict: None, failed, label: "label" }
    }

    #[test]
    fn replies_are_written() {
        let response_headers = [("a", "1"), ("set-cookie", "x\ny"), ("b", "2")];
        let forward = |way_back| {
            let request_headers = &[("v", "pass")];
            Outcome::Forward { request_headers, response_headers: &response_headers, way_back }
        };
        for (way_back, status) in [(WayBack::Untouched, 0), (WayBack::Private, 1), (WayBack::WithoutBody, 2)] {
            let reply_text = write(&reply(forward(way_back), Some("two\nlines")), None, Some("https://h/"));
            assert_eq!(reply_text, format!("{status}\nlabel\ntwo lines\n\nhttps://h/\n1\nv\npass\na\n1\nb\n2"));
        }
        let answer = Outcome::Answer { status: 503, headers: &[("a", "")], body: "busy\n" };
        assert_eq!(write(&reply(answer, None), None, None), "503\nlabel\n\n\n\n0\na\n\n\nbusy\n");
    }

    #[test]
    fn what_makes_a_response_private_is_lines() {
        let headers = "date:now\ncache-control:public, max-age=60\ncdn-cache-control:max-age=9\nx-accel-expires:9\n";
        assert_eq!(private(headers), "private, max-age=60\ncdn-cache-control\nx-accel-expires");
        assert_eq!(private(""), "private, no-cache");
    }

    #[test]
    fn a_rule_is_one_line_whatever_it_is_called() {
        let rule = |room: &str, id: &str| BypassRule {
            id: id.to_owned(),
            room: room.into(),
            description: String::new(),
            enabled: true,
            file: "rules.json".into(),
            line: 1,
        };
        let way_back = WayBack::Untouched;
        let forward = Outcome::Forward { request_headers: &[("v", "bypass")], response_headers: &[], way_back };
        for (room, id, line) in [
            ("shop", "early", r#"["shop","early"]"#),
            ("SHOP", "Early", r#"["shop","Early"]"#),
            ("*", "", r#"["*",""]"#),
            ("shop", "a\nb\r\n\"c\",é\\", r#"["shop","a\nb\r\n\"c\",é\\"]"#),
        ] {
            let text = write(&reply(forward, None), Some(&rule(room, id)), None);
            assert_eq!(text, format!("0\nlabel\n\n{line}\n\n1\nv\nbypass"));
        }
    }
}
