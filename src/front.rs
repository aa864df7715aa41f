//! The library in ten lines: rules from text to a verdict, policies from text to a decision.
//!
//! What is here owns what it is made of, and allocates for each request. It is a few lines around the modules that
//! hosts are built on, where a request borrows everything and a warm evaluation leaves the heap alone.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bumpalo::Bump;

use crate::edge::{self, Described, FailureClass, Header, Identity, Incoming, Outcome, Reply, Site, WayBack};
use crate::language::{self, Diagnostic, Expression, Scheme};
use crate::policy::check::unfit_lists;
use crate::policy::{Policy, Sources, list_of};
use crate::program::{self, Entry, Lists, Program, Scratch, Verdict};
use crate::queueit::Secrets;
use crate::request::{Malformed, OwnedRequest as Request};

/// Expressions of the rules language, compiled into one program. Immutable, and shareable between threads.
///
/// ```
/// use velvetrope::{Request, Rules};
///
/// let rules = Rules::builder()
///     .list("admins", ["192.0.2.0/24", "2001:db8::/32"])
///     .rule("assets", r#"starts_with(http.request.uri.path, "/assets/")"#)
///     .rule("admins", "ip.src in $admins")
///     .compile()?;
/// let request = Request::get("https://tickets.example/shop").client_ip("192.0.2.7".parse()?);
/// assert_eq!(rules.first_match(&request)?, Some("admins"));
/// assert!(!rules.matches(&Request::get("https://tickets.example/shop"))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// One expression is a rule by itself:
///
/// ```
/// use velvetrope::{Request, Rules};
///
/// let bots: Rules = r#"http.user_agent contains "bot""#.parse()?;
/// assert!(bots.matches(&Request::get("https://tickets.example/").header("User-Agent", "a bot"))?);
///
/// let mistakes = "http.user_agnt contains 1".parse::<Rules>().expect_err("there is no such field");
/// assert!(mistakes.to_string().contains("did you mean `http.user_agent`?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A rule sees the URL as browsers write it, not in every way in which an origin might read it. [`Policy::decide`] looks
/// at all of them; go by that where a rule guards something.
#[derive(Debug)]
pub struct Rules {
    program: Program,
    /// By entry of the program.
    ids: Vec<String>,
}

/// What [`Rules`] are compiled from: see [`Rules::builder`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RulesBuilder {
    rules: Vec<(String, String)>,
    lists: Lists,
    mistakes: Vec<String>,
}

impl Rules {
    /// No rules and no lists to begin with.
    pub fn builder() -> RulesBuilder {
        RulesBuilder::default()
    }

    /// Whether any of the rules is true for a request. Like hosts, it refuses requests that ask for nothing which can be
    /// served.
    pub fn matches(&self, request: &Request) -> Result<bool, Malformed> {
        Ok(self.first_match(request)?.is_some())
    }

    /// The id of the first rule, in the order in which they were given, that is true for a request.
    pub fn first_match(&self, request: &Request) -> Result<Option<&str>, Malformed> {
        request.canonical_url()?;
        match request.with_view(|view| self.program.evaluate(view, &Bump::new())) {
            Verdict::Nothing => Ok(None),
            Verdict::Matched { entry } | Verdict::Bypassed { entry, .. } => Ok(Some(&self.ids[entry])),
        }
    }
}

/// One expression without lists, whose id is `rule`.
impl FromStr for Rules {
    type Err = Mistakes;

    fn from_str(text: &str) -> Result<Rules, Mistakes> {
        Rules::builder().rule("rule", text).compile()
    }
}

impl RulesBuilder {
    /// With one more rule: an expression, and the id that [`Rules::first_match`] calls it by.
    pub fn rule(mut self, id: impl Into<String>, text: impl Into<String>) -> RulesBuilder {
        self.rules.push((id.into(), text.into()));
        self
    }

    /// With the list that expressions call `$name`: addresses and networks, host names or AS numbers.
    pub fn list<'m>(mut self, name: &str, members: impl IntoIterator<Item = &'m str>) -> RulesBuilder {
        match list_of(members) {
            Ok(list) => drop(self.lists.insert(name.to_owned(), list)),
            Err(error) => self.mistakes.push(format!("error: the list ${name} cannot be used: {error}")),
        }
        self
    }

    /// Parses, checks and compiles all rules, or says everything that is wrong with them.
    pub fn compile(mut self) -> Result<Rules, Mistakes> {
        let mut ids = BTreeSet::new();
        let twice = self.rules.iter().filter(|(id, _)| !ids.insert(id));
        self.mistakes.extend(twice.map(|(id, _)| format!("error: there are two rules called {id:?}")));
        let mut entries = Vec::with_capacity(self.rules.len());
        for (id, text) in &self.rules {
            match checked(id, text, &self.lists) {
                Ok(when) => entries.push(Entry { when: Arc::new(when), bypass: Vec::new() }),
                Err(mistakes) => self.mistakes.extend(mistakes),
            }
        }
        if !self.mistakes.is_empty() {
            return Err(Mistakes(self.mistakes));
        }
        let program = Program::compile(&program::Site { entries, rules: Vec::new(), lists: self.lists });
        Ok(Rules { program, ids: self.rules.into_iter().map(|(id, _)| id).collect() })
    }
}

fn checked(id: &str, text: &str, lists: &Lists) -> Result<Expression, Vec<String>> {
    let expression = language::parse(text, Scheme::standard())
        .map_err(|mistakes| mistakes.iter().map(|mistake| mistake.render(text, id, 1)).collect::<Vec<_>>())?;
    let unfit = unfit_lists(&expression, lists);
    if unfit.is_empty() {
        return Ok(expression.with_canonical_addresses());
    }
    let told = |name: &str| match lists.contains_key(name) {
        true => format!("error: the rule {id:?} looks for other values in ${name} than there are in that list"),
        false => format!("error: the rule {id:?} names a list ${name}, and no such list was given"),
    };
    Err(unfit.into_iter().map(told).collect())
}

/// Why rules or a policy do not compile: everything that is wrong with them, each with its place, as text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    /// One after the other; each may have several lines.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n\n"))
    }
}

impl std::error::Error for Mistakes {}

/// What shall become of a request, in a form that borrows from nothing: see [`Policy::decide`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decided {
    /// What to do.
    pub next: Next,
    /// One word for logs and metrics: see [`Reply::label`].
    pub label: &'static str,
    /// The id of the bypass rule that lets the request pass, if one does.
    pub rule: Option<String>,
    /// The id of the waiting room that protects what is asked for, if one does.
    pub room: Option<String>,
}

/// Headers by name, in lower case and in order; a name may come several times (`set-cookie`).
pub type Headers = Vec<(&'static str, String)>;

/// What to do with a request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Next {
    /// Hand it to the site.
    #[non_exhaustive]
    Pass {
        /// To set on the request, in place of what the visitor sent under these names.
        request_headers: Headers,
        /// To add to the site's response, session cookies among them.
        response_headers: Headers,
        /// What else becomes of the site's response.
        way_back: WayBack,
    },
    /// Send the visitor elsewhere, most often to the waiting room.
    #[non_exhaustive]
    Redirect {
        /// The status, 302 or 303.
        status: u16,
        /// Where to.
        location: String,
        /// All headers of the response, `location` among them.
        headers: Headers,
    },
    /// Answer in place of the site.
    #[non_exhaustive]
    Answer {
        /// The status.
        status: u16,
        /// All headers of the response.
        headers: Headers,
        /// The body; often empty.
        body: String,
    },
}

impl Next {
    /// The values of the Set-Cookie headers that the visitor shall get.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        let (Next::Pass { response_headers: headers, .. }
        | Next::Redirect { headers, .. }
        | Next::Answer { headers, .. }) = self;
        headers.iter().filter(|(name, _)| *name == "set-cookie").map(|(_, value)| value.as_str())
    }

    fn of(outcome: Outcome<'_>) -> Next {
        match outcome {
            Outcome::Forward { request_headers, response_headers, way_back } => Next::Pass {
                request_headers: owned(request_headers),
                response_headers: owned(response_headers),
                way_back,
            },
            Outcome::Answer { status, headers, body } => match location(status, headers) {
                Some(location) => Next::Redirect { status, location: location.to_owned(), headers: owned(headers) },
                None => Next::Answer { status, headers: owned(headers), body: body.to_owned() },
            },
        }
    }
}

fn location<'r>(status: u16, headers: &[Header<'r>]) -> Option<&'r str> {
    let is_redirect = (300..400).contains(&status);
    headers.iter().find(|(name, _)| is_redirect && *name == "location").map(|(_, value)| *value)
}

fn owned(headers: &[Header<'_>]) -> Headers {
    headers.iter().map(|&(name, value)| (name, value.to_owned())).collect()
}

impl Policy {
    /// Compiles the texts of a policy, by path relative to its folder. What is doubtful about it and works all the same,
    /// [`Policy::compile`] tells, too.
    pub fn from_texts<P, T>(texts: impl IntoIterator<Item = (P, T)>) -> Result<Policy, Mistakes>
    where
        P: Into<String>,
        T: Into<Vec<u8>>,
    {
        let texts = texts.into_iter().map(|(path, text)| (path.into(), text.into()));
        Policy::try_from(&texts.collect::<Sources>())
    }

    /// Decides about one request, as the proxy would (with the direct connection, and without asking anybody): whether
    /// it passes, waits, or is answered. Without a secret, where the policy [needs one](Policy::needs_secret), nothing can
    /// be decided, and what `[failure] internal` says is done.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use velvetrope::{Next, Policy, Request, Secrets};
    ///
    /// let policy = Policy::from_texts([
    ///     ("velvetrope.toml", "customer_id = \"acme\"\nrooms = \"rooms.json\"\n[rules]\nshop = \"shop.json\""),
    ///     ("rooms.json", r#"[{"name": "shop", "host": "tickets.example", "path": "/shop"}]"#),
    ///     ("shop.json", r#"[{"id": "health", "action": "bypass_waiting_room", "enabled": true,
    ///         "expression": "http.request.uri.path eq \"/shop/health\""}]"#),
    /// ])?;
    /// let secrets = Secrets::new("0123456789abcdef0123456789abcdef", None);
    ///
    /// let waits = policy.decide(&Request::get("https://tickets.example/shop"), &secrets, SystemTime::now());
    /// assert!(matches!(waits.next, Next::Redirect { location, .. } if location.starts_with("https://acme.queue-it.net/")));
    ///
    /// let passes = policy.decide(&Request::get("https://tickets.example/shop/health"), &secrets, SystemTime::now());
    /// assert_eq!(passes.rule.as_deref(), Some("health"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decide(&self, request: &Request, secrets: &Secrets, now: SystemTime) -> Decided {
        static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::of_host("library"));
        let mut scratch = Scratch::default();
        if self.needs_secret() && secrets.current().is_empty() {
            let (class, why) = (FailureClass::Internal, "the policy needs a secret, and there is none");
            return self.decided(edge::handle_failure(class, &self.settings.failure, &IDENTITY, why, &mut scratch));
        }
        let url = match request.canonical_url() {
            Ok(url) => url,
            Err(malformed) => return self.decided(edge::refuse(malformed, &IDENTITY, &mut scratch)),
        };
        let headers = request.header_pairs_for(url.authority());
        let facts = Described::to(&self.settings, request);
        let incoming = Incoming { now_ms: milliseconds(now), ..Incoming::of(request, &url, &headers, &facts) };
        let site = Site { policy: self, secrets, identity: &IDENTITY };
        self.decided(edge::handle(site, &incoming, &mut scratch))
    }

    fn decided(&self, reply: Reply<'_>) -> Decided {
        let room = reply.verdict.and_then(|verdict| self.matched(verdict)?.event_id.clone());
        let rule = reply.verdict.and_then(|verdict| self.bypassed_by(verdict));
        Decided { next: Next::of(reply.outcome), label: reply.label, rule: rule.map(|rule| rule.id.clone()), room }
    }
}

impl TryFrom<&Sources> for Policy {
    type Error = Mistakes;

    fn try_from(sources: &Sources) -> Result<Policy, Mistakes> {
        let compiled = Policy::compile(sources, None);
        compiled.map(|compiled| compiled.policy).map_err(|findings| Mistakes(findings.all().iter().map(told).collect()))
    }
}

/// A finding as one text.
fn told(finding: &Diagnostic) -> String {
    let Diagnostic { code, message, place, .. } = finding;
    let (file, line) = (&place.file, place.line);
    let severity = finding.severity.as_str();
    let mut text = format!("{severity}[{code}]: {message}\n --> {file}:{line}");
    for more in [&place.snippet, &finding.help].into_iter().flatten() {
        text.push('\n');
        text.push_str(more);
    }
    text
}

/// Milliseconds since the Unix epoch.
fn milliseconds(time: SystemTime) -> i64 {
    let milliseconds = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()),
        Err(before) => i64::try_from(before.duration().as_millis()).map(|until| -until),
    };
    milliseconds.unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_counts() {
        let rules = Rules::builder().rule("a", r#"http.host eq "a""#).rule("b", "ssl").compile().expect("they compile");
        for (url, first) in [("https://a/", Some("a")), ("https://c/", Some("b")), ("http://c/", None)] {
            assert_eq!(rules.first_match(&Request::get(url)), Ok(first), "{url}");
        }
        assert_eq!(rules.matches(&Request::get("/")), Err(Malformed::NotAPath));
    }

    #[test]
    fn every_mistake_is_told() {
        let rules = Rules::builder()
            .list("mixed", ["192.0.2.1", "example.org"])
            .list("hosts", ["example.org"])
            .rule("a", "ip.src in $unknown")
            .rule("a", "ip.src in $hosts")
            .rule("b", "nothing eq 1");
        let mistakes = rules.compile().expect_err("they are wrong").to_string();
        for part in ["list $mixed", "called \"a\"", "$unknown, and no such", "other values in $hosts", "E0201"] {
            assert!(mistakes.contains(part), "{part}: {mistakes}");
        }
        let mistakes = Policy::from_texts([("velvetrope.toml", "customer = 1")]).expect_err("it is wrong").to_string();
        assert!(mistakes.contains("velvetrope.toml:1"), "{mistakes}");
    }

    #[test]
    fn who_asks_for_nothing_that_can_be_served_is_refused() {
        let policy = Policy::from_texts([
            ("velvetrope.toml", "customer_id = \"acme\"\nrooms = \"rooms.json\""),
            ("rooms.json", r#"[{"name": "shop", "host": "a", "path": "/"}]"#),
        ]);
        let policy = policy.expect("it compiles");
        let secrets = Secrets::new("0123456789abcdef0123456789abcdef", None);
        let decide = |request: &Request| policy.decide(request, &secrets, UNIX_EPOCH);
        assert!(matches!(decide(&Request::get("https://a/%")).next, Next::Answer { status: 400, .. }));
        let waits = decide(&Request::get("https://a/"));
        assert_eq!(waits.room.as_deref(), Some("shop"));
        assert!(matches!(waits.next, Next::Redirect { status: 302, .. }));
        let undecided = policy.decide(&Request::get("https://a/"), &Secrets::new("", None), UNIX_EPOCH);
        assert_eq!(undecided.label, "failed-open");
    }
}
