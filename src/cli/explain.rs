//! `explain`: what would happen to a request, and why.

use std::fmt::{self, Display};
use std::path::PathBuf;

use bumpalo::Bump;
use serde::Serialize;

use super::output::{Answer, DOUBTFUL, Exit, Failure, Format, GOOD, STRONG, printable, styled};
use super::plan::PlanReport;
use super::request::{RequestOptions, RequestReport, with_incoming};
use super::trace::TraceReport;
use super::{policy, show};
use crate::connector::NoOutside;
use crate::connector::edge::{self, Examined, Header, Identity, Incoming, Outcome, Reply, Site};
use crate::host::geo::{GeoDatabases, GeoFacts};
use crate::policy::Policy;
use crate::program::{Explanation, Scratch, Trace, Verdict};
use crate::request::{Facts, Field, OwnedRequest, Value, without_secrets};
use crate::session::Secrets;

/// Say what would happen to a request, and why
///
/// Shows each integration that is tried with its triggers as an expression and what each of their parts saw, the bypass
/// rules of the room, the verdict, the decision, and what the visitor gets. Tokens in the URL and cookies are judged as
/// the connector does it, with the secret from the environment variable that the policy names. Ends with 0 whatever
/// happens to the request.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope explain policy/ https://tickets.example/shop
  velvetrope explain policy/ https://tickets.example/shop --ip 192.0.2.7 --country DE
  velvetrope explain policy/ https://tickets.example/shop -X POST -H 'user-agent: curl'
  velvetrope explain policy/ https://tickets.example/shop --at 2026-11-22T20:00:00Z
  velvetrope explain policy/ --plan

JSON: request, integrations and rules that were tried (each with its trace: text, result, saw, parts),
integrations_in_all, verdict (kind: nothing, matched or bypassed; integration, room, rule),
decision (label, reason, status, redirect, cookies, request_headers, response_headers), notes;
with --plan: integrations, bypasses (each with approach: in order or indexed; conditions: what, filed, under)")]
pub struct Explain {
    /// A folder with a velvetrope.toml, or that file
    policy: PathBuf,
    /// The absolute URL, as the visitor asks for it
    #[arg(required_unless_present = "plan")]
    url: Option<String>,
    /// Instead of a request, show how the program finds what applies: where each condition is filed, and which are
    /// always evaluated
    #[arg(long, conflicts_with = "url")]
    plan: bool,
    #[command(flatten)]
    request: RequestOptions,
}

impl Explain {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let policy = policy::load(&self.policy)?;
        let Some(url) = &self.url else { return Answer::of(&PlanReport::of(&policy)?, format, Exit::Fine) };
        let request = self.request.request(url)?;
        let secrets = policy::secrets(&policy)?;
        let mut notes = Vec::new();
        if secrets.is_none() && brings_proof(&request) {
            let name = &policy.settings.secrets.current;
            notes.push(format!("{name} is not set: tokens and sessions are judged by a throw-away secret"));
        }
        let geo = GeoDatabases::open(&policy.settings.geoip, policy::folder(&self.policy)).unwrap_or_else(|error| {
            notes.push(error.to_string());
            GeoDatabases::default()
        });
        let secrets = secrets.unwrap_or_else(throw_away);
        let facts = HostFacts { given: &request.facts, geo: geo.of(request.client_ip) };
        let mut report = ExplainReport::of(&policy, &secrets, &request, &facts)?;
        report.notes = notes;
        Answer::of(&report, format, Exit::Fine)
    }
}

/// Whether a request has something that only the right secret can judge.
fn brings_proof(request: &OwnedRequest) -> bool {
    let is_proof = |name: &str| ["cookie", "x-queueittoken"].iter().any(|known| name.eq_ignore_ascii_case(known));
    edge::without_token(&request.url, &Bump::new()) != request.url
        || request.headers.iter().any(|(name, _)| is_proof(name))
}

/// What the operator says, and what the policy's databases say of the visitor's address.
struct HostFacts<'a> {
    given: &'a dyn Facts,
    geo: GeoFacts<'a>,
}

impl Facts for HostFacts<'_> {
    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        self.given.fact(field, arena).or_else(|| self.geo.fact(field, arena))
    }
}

/// A secret that signs nothing which any connector accepts.
pub fn throw_away() -> Secrets {
    Secrets::new("a throw-away secret of the command line", None)
}

/// What would happen to a request, and why.
#[derive(Serialize)]
pub struct ExplainReport {
    pub request: RequestReport,
    /// Those that were tried, in order.
    pub integrations: Vec<TriedIntegration>,
    /// How many there are.
    pub integrations_in_all: usize,
    /// Bypass rules that were tried, in order.
    pub rules: Vec<TriedRule>,
    pub verdict: VerdictReport,
    pub decision: DecisionReport,
    /// What one should know of this explanation.
    pub notes: Vec<String>,
}

/// An integration that was tried.
#[derive(Serialize)]
pub struct TriedIntegration {
    /// From 0, as in the policy.
    pub index: usize,
    pub name: String,
    pub action: &'static str,
    pub room: Option<String>,
    pub matched: bool,
    pub trace: TraceReport,
}

/// A bypass rule that was tried.
#[derive(Serialize)]
pub struct TriedRule {
    /// From 0, as in the policy.
    pub index: usize,
    pub id: String,
    pub room: String,
    pub description: String,
    pub matched: bool,
    pub trace: TraceReport,
}

/// What the program said.
#[derive(Serialize)]
pub struct VerdictReport {
    /// `nothing`, `matched` or `bypassed`.
    pub kind: &'static str,
    pub integration: Option<String>,
    pub room: Option<String>,
    /// The id of the bypass rule.
    pub rule: Option<String>,
}

/// What the host would do.
#[derive(Serialize)]
pub struct DecisionReport {
    /// The word for it in logs and metrics.
    pub label: &'static str,
    pub reason: String,
    /// The HTTP status of the connector's answer; `null` where the origin answers.
    pub status: Option<u16>,
    /// Where the visitor is sent.
    pub redirect: Option<String>,
    /// Set-Cookie headers; the hashes of sessions are shortened.
    pub cookies: Vec<String>,
    /// What the origin is told.
    pub request_headers: Vec<(String, String)>,
    /// What else the visitor gets.
    pub response_headers: Vec<(String, String)>,
}

impl ExplainReport {
    /// Explains one request. `secrets` judge its token and its session, `facts` are what the host knows.
    pub fn of(
        policy: &Policy,
        secrets: &Secrets,
        request: &OwnedRequest,
        facts: &dyn Facts,
    ) -> Result<ExplainReport, Failure> {
        let identity = Identity::of_host(&policy.settings.target.to_string());
        let site = Site { policy, secrets, identity: &identity };
        with_incoming(request, facts, |incoming| {
            let arena = Bump::new();
            let view = incoming.view(edge::without_token(incoming.url, &arena), &arena);
            let Explanation { verdict, entries, rules } = policy.program.explain(&view).ok_or_else(policy::no_texts)?;
            Ok(ExplainReport {
                request: RequestReport::from(request),
                integrations: entries.into_iter().filter_map(|(index, trace)| tried(policy, index, trace)).collect(),
                integrations_in_all: policy.integrations.all.len(),
                rules: rules.into_iter().filter_map(|(index, trace)| tried_rule(policy, index, trace)).collect(),
                verdict: VerdictReport::of(policy, verdict),
                decision: DecisionReport::of(site, incoming),
                notes: Vec::new(),
            })
        })
    }

    /// The index of the integration that matched.
    pub fn matched_integration(&self) -> Option<usize> {
        self.integrations.iter().find(|tried| tried.matched).map(|tried| tried.index)
    }

    /// The index of the bypass rule that matched.
    pub fn matched_rule(&self) -> Option<usize> {
        self.rules.iter().find(|tried| tried.matched).map(|tried| tried.index)
    }
}

fn tried(policy: &Policy, index: usize, trace: Trace) -> Option<TriedIntegration> {
    let integration = policy.integrations.all.get(index)?;
    Some(TriedIntegration {
        index,
        name: integration.title().to_owned(),
        action: show::action(integration.action),
        room: integration.event_id.clone(),
        matched: trace.result == Some(true),
        trace: TraceReport::from(trace),
    })
}

fn tried_rule(policy: &Policy, index: usize, trace: Trace) -> Option<TriedRule> {
    let rule = policy.rules.get(index)?;
    Some(TriedRule {
        index,
        id: rule.id.clone(),
        room: rule.room.to_string(),
        description: rule.description.clone(),
        matched: trace.result == Some(true),
        trace: TraceReport::from(trace),
    })
}

impl VerdictReport {
    fn of(policy: &Policy, verdict: Verdict) -> VerdictReport {
        let integration = policy.matched(verdict);
        let rule = match verdict {
            Verdict::Bypassed { rule, .. } => policy.rules.get(rule),
            _ => None,
        };
        VerdictReport {
            kind: match verdict {
                Verdict::Nothing => "nothing",
                Verdict::Matched { .. } => "matched",
                Verdict::Bypassed { .. } => "bypassed",
            },
            integration: integration.map(|integration| integration.title().to_owned()),
            room: integration.and_then(|integration| integration.event_id.clone()),
            rule: rule.map(|rule| rule.id.clone()),
        }
    }
}

impl DecisionReport {
    fn of(site: Site<'_>, incoming: &Incoming<'_>) -> DecisionReport {
        let mut scratch = Scratch::default();
        let reason = match edge::examine(site, incoming, &NoOutside, scratch.start()).outcome {
            Examined::Bypassed => "a bypass rule of the waiting room is true".to_owned(),
            Examined::Decided(decision) => decision.reason.to_string(),
            Examined::Failed(failure) => failure.exception.to_string(),
        };
        DecisionReport::new(edge::handle(site, incoming, &mut scratch), reason)
    }

    fn new(reply: Reply<'_>, reason: String) -> DecisionReport {
        let (status, request_headers, headers) = match reply.outcome {
            Outcome::Forward { request_headers, response_headers } => (None, request_headers, response_headers),
            Outcome::Answer { status, headers, .. } => (Some(status), &[][..], headers),
        };
        let shown = |headers: &[Header<'_>]| -> Vec<(String, String)> {
            headers.iter().map(|(name, value)| ((*name).to_owned(), without_secrets(value))).collect()
        };
        let (cookies, headers): (Vec<_>, Vec<_>) = headers.iter().partition(|(name, _)| *name == "set-cookie");
        let redirect = headers.iter().find(|(name, _)| ["location", "x-queueit-redirect"].contains(name));
        DecisionReport {
            label: reply.label,
            reason,
            status,
            redirect: redirect.map(|(_, url)| without_secrets(url)),
            cookies: cookies.into_iter().map(|(_, cookie)| without_hash(cookie)).collect(),
            request_headers: shown(request_headers),
            response_headers: shown(&headers),
        }
    }
}

/// A session cookie that cannot be used: whoever has the whole of it may enter.
fn without_hash(cookie: &str) -> String {
    const SHOWN: usize = 8;
    let Some((before, hash)) = cookie.split_once("%26Hash%3D") else { return cookie.to_owned() };
    let digits = hash.bytes().take_while(u8::is_ascii_hexdigit).count();
    format!("{before}%26Hash%3D{}…{}", &hash[..digits.min(SHOWN)], &hash[digits..])
}

impl Display for ExplainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.request)?;
        writeln!(f, "\n{}", styled(STRONG, "Integrations, in the order in which they are tried"))?;
        self.integrations.iter().try_for_each(|tried| write!(f, "\n{tried}"))?;
        match self.integrations_in_all - self.integrations.len() {
            0 => {}
            left => writeln!(f, "\n       {left} more not tried: the first match decides")?,
        }
        if !self.rules.is_empty() {
            writeln!(f, "\n{}", styled(STRONG, "Bypass rules of the waiting room"))?;
            self.rules.iter().try_for_each(|tried| write!(f, "\n{tried}"))?;
        }
        writeln!(f, "\n{}    {}", styled(STRONG, "Verdict"), self.verdict)?;
        write!(f, "{}", self.decision)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{}       {note}", styled(DOUBTFUL, "Note")))
    }
}

impl Display for TriedIntegration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = self.room.as_ref().map(|room| format!(", room {}", printable(room))).unwrap_or_default();
        let name = styled(STRONG, printable(&self.name));
        writeln!(f, "{:>5}  {name}  {}{room}  {}", self.index + 1, self.action, outcome(self.matched))?;
        f.write_str(&self.trace.render(7))
    }
}

impl Display for TriedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.description.is_empty() { String::new() } else { printable(&self.description) + "  " };
        writeln!(f, "       {}  {about}{}", styled(STRONG, printable(&self.id)), outcome(self.matched))?;
        f.write_str(&self.trace.render(7))
    }
}

fn outcome(matched: bool) -> impl Display {
    if matched { styled(GOOD, "matches") } else { styled(anstyle::Style::new(), "does not match") }
}

impl Display for VerdictReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<String>| name.as_deref().map(printable).unwrap_or_default();
        match self.kind {
            "nothing" => f.write_str("no integration matched"),
            "matched" => write!(f, "integration {} matched", name(&self.integration)),
            _ => write!(f, "integration {} matched, bypassed by rule {}", name(&self.integration), name(&self.rule)),
        }
    }
}

impl Display for DecisionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}   {}: {}", styled(STRONG, "Decision"), self.label, printable(&self.reason))?;
        match (self.status, &self.redirect) {
            (None, _) => writeln!(f, "{}     passed on to the origin", styled(STRONG, "Answer"))?,
            (Some(status), None) => writeln!(f, "{}     status {status}", styled(STRONG, "Answer"))?,
            (Some(status), Some(url)) => {
                writeln!(f, "{}     status {status}, to\n           {url}", styled(STRONG, "Answer"))?;
            }
        }
        let headers = self.request_headers.iter();
        headers.clone().try_for_each(|(name, value)| writeln!(f, "           {name}: {value}"))?;
        self.cookies.iter().try_for_each(|cookie| writeln!(f, "{}     {cookie}", styled(STRONG, "Cookie")))
    }
}

#[cfg(test)]
mod tests {
    use super::without_hash;

    #[test]
    fn a_session_is_not_given_away() {
        let cookie = "name=EventId%3Dshop%26Hash%3D0123456789abcdef; path=/";
        assert_eq!(without_hash(cookie), "name=EventId%3Dshop%26Hash%3D01234567…; path=/");
        assert_eq!(without_hash("name=; path=/"), "name=; path=/");
    }
}
