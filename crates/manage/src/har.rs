//! What a page asks for besides itself: a bypass rule that lets a page pass leaves its styles, scripts and images
//! queued, unless it lets them pass, too. Browsers record what a page asks for as HAR (HTTP Archive 1.2).

use serde::Deserialize;

use velvetrope::internal::check::fields_of;
use velvetrope::internal::edge::explain::Explained;
use velvetrope::internal::edge::{Described, Site};
use velvetrope::internal::language::{Scheme, parse};
use velvetrope::internal::request::OwnedRequest;

/// How many requests of a recording are looked at.
const MOST: usize = 2_000;

/// A request that was recorded. Of its headers and cookies nothing is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Such as `GET`.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// What browsers call its kind, such as `document` or `script`; empty where they do not say.
    pub kind: String,
}

/// What would become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The visitor would have to wait.
    Queued,
    /// A bypass rule lets it pass.
    Bypassed,
    /// Nobody waits there.
    Free,
    /// It goes to another site.
    Elsewhere,
}

/// A request and what would become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The request.
    pub request: Recorded,
    /// What would become of it, if the visitor has no session.
    pub fate: Fate,
    /// The id of the bypass rule that lets it pass.
    pub rule: Option<String>,
}

/// A text is no recording.
#[derive(Debug, thiserror::Error)]
#[error("this is no HAR recording: {0}")]
pub struct HarError(#[from] serde_json::Error);

/// The requests of a recording, in order.
pub fn recorded(text: &str) -> Result<Vec<Recorded>, HarError> {
    #[derive(Deserialize)]
    struct Har {
        log: Log,
    }
    #[derive(Deserialize)]
    struct Log {
        entries: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        request: Request,
        #[serde(rename = "_resourceType", default)]
        kind: String,
    }
    #[derive(Deserialize)]
    struct Request {
        method: String,
        url: String,
    }
    let har: Har = serde_json::from_str(text)?;
    let entries = har.log.entries.into_iter().take(MOST);
    let requests =
        entries.map(|entry| Recorded { method: entry.request.method, url: entry.request.url, kind: entry.kind });
    // Pages also load what never reaches a network: data:, blob:, extensions.
    Ok(requests.filter(|request| host(&request.url).is_some()).collect())
}

/// What would become of recorded requests if a visitor without a session made them. `visitor` is whose address, headers
/// and time they have; the first of them tells which host is the site, where the policy does not.
pub fn judge(site: Site<'_>, requests: Vec<Recorded>, visitor: &OwnedRequest) -> Vec<Judged> {
    let first = requests.first().and_then(|request| host(&request.url)).map(str::to_owned);
    let hosts = &site.policy.settings.hosts;
    let is_own = |url: &str| match (host(url), hosts.is_empty()) {
        (Some(host), true) => first.as_deref() == Some(host),
        (Some(host), false) => hosts.iter().any(|own| own.eq_ignore_ascii_case(host)),
        (None, _) => false,
    };
    let judge = |request: Recorded| match is_own(&request.url) {
        true => judged(site, request, visitor),
        false => Judged { request, fate: Fate::Elsewhere, rule: None },
    };
    requests.into_iter().map(judge).collect()
}

fn judged(site: Site<'_>, request: Recorded, visitor: &OwnedRequest) -> Judged {
    let asked = OwnedRequest { url: request.url.clone(), method: request.method.clone(), ..visitor.clone() };
    let host = host(&request.url).unwrap_or_default().to_owned();
    let asked = asked.header("host", host);
    let explained = Explained::of(site, &asked, &Described::to(&site.policy.settings, &asked));
    let (kind, decision, rule) = match &explained {
        Some(explained) => (explained.verdict.kind, explained.decision.label, explained.verdict.rule.clone()),
        None => ("nothing", "", None),
    };
    let fate = match (kind, decision) {
        ("bypassed", _) => Fate::Bypassed,
        ("matched", "queue") => Fate::Queued,
        _ => Fate::Free,
    };
    Judged { request, fate, rule }
}

/// The authority of an absolute URL of the web.
fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}

/// Whether a rule looks at where a request goes, so that what the page asks for besides itself is not meant.
pub fn is_about_place(expression: &str) -> bool {
    let Ok(expression) = parse(expression, Scheme::standard()) else { return false };
    fields_of(&expression).iter().any(|field| {
        let name = field.info().name;
        name.trim_start_matches("raw.").starts_with("http.request.uri") || name.ends_with("full_uri")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use velvetrope::internal::edge::Identity;
    use velvetrope::internal::policy::{Policy, Sources};
    use velvetrope::internal::queueit::Secrets;

    fn policy() -> Policy {
        let files = [
            ("velvetrope.toml", "customer_id = \"c\"\nrooms = \"rooms.json\"\nrules = { shop = \"rules.json\" }\n"),
            ("rooms.json", r#"[{"name": "shop", "host": "tickets.example", "path": "/shop"}]"#),
            (
                "rules.json",
                r#"[{"id": "links", "action": "bypass_waiting_room",
                    "expression": "ends_with(http.request.uri.path, \"/userverified\")"}]"#,
            ),
        ];
        let files: Sources = files.map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec())).into();
        Policy::compile(&files, None).expect("a policy").policy
    }

    #[test]
    fn what_a_page_asks_for_besides_itself_is_judged() {
        let har = r#"{"log": {"version": "1.2", "entries": [
            {"_resourceType": "document", "request": {"method": "GET", "url": "https://tickets.example/shop/7/userverified",
                "headers": [{"name": "cookie", "value": "secret"}]}},
            {"_resourceType": "stylesheet", "request": {"method": "GET", "url": "https://tickets.example/shop/site.css"}},
            {"_resourceType": "image", "request": {"method": "GET", "url": "https://tickets.example/logo.png?x"}},
            {"_resourceType": "script", "request": {"method": "GET", "url": "https://cdn.example/a.js"}},
            {"request": {"method": "GET", "url": "data:text/css,a"}}]}}"#;
        let policy = policy();
        let secrets = Secrets::new("secret", None);
        let identity = Identity::of_host("test");
        let site = Site { policy: &policy, secrets: &secrets, identity: &identity };
        let visitor = OwnedRequest::new("");
        let judged = judge(site, recorded(har).unwrap(), &visitor);
        let fates: Vec<_> = judged.iter().map(|judged| (judged.request.kind.as_str(), judged.fate)).collect();
        let expected = [
            ("document", Fate::Bypassed),
            ("stylesheet", Fate::Queued),
            ("image", Fate::Free),
            ("script", Fate::Elsewhere),
        ];
        assert_eq!(fates, expected);
        assert_eq!(judged[0].rule.as_deref(), Some("links"));
        assert!(!format!("{judged:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        for text in ["", "{}", "[]", "{\"log\": {\"entries\": [{}]}}"] {
            assert!(recorded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rules_about_places_are_told_from_others() {
        for (expression, expected) in [
            ("ends_with(http.request.uri.path, \"/userverified\")", true),
            ("any(http.request.uri.args[\"a\"][*] eq \"b\")", true),
            ("raw.http.request.full_uri contains \"x\"", true),
            ("ip.src in $admins", false),
            ("http.request.method eq \"GET\"", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_about_place(expression), expected, "{expression}");
        }
    }
}
