//! `explain`: what would happen to a request, and why.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use bumpalo::Bump;
use serde::Serialize;

use super::output::{Answer, DOUBTFUL, Exit, FAINT, Failure, Format, GOOD, STRONG, printable, styled};
use super::plan::PlanReport;
use super::policy::TargetName;
use super::request::{RequestOptions, RequestReport};
use super::{policy, trace};
use velvetrope::internal::edge::explain::{
    DecisionReport, Explained, ReadingReport, TriedIntegration, TriedRule, VerdictReport,
};
use velvetrope::internal::edge::{Described, Identity, Site};
use velvetrope::internal::policy::Policy;
use velvetrope::internal::queueit::{Secrets, without_token};
use velvetrope::internal::request::{Facts, Field, OwnedRequest, Target, Value};
use velvetrope_serve::geo::{GeoDatabases, GeoError, GeoFacts};

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
  velvetrope explain policy/ https://tickets.example/shop --http-version 2 --target worker
  velvetrope explain policy/ https://tickets.example/shop --at 2026-11-22T20:00:00Z
  velvetrope explain policy/ --plan

JSON: request, readings (url, verdict, decided), integrations and rules that were tried (each with its trace: text, result, saw, parts),
integrations_in_all, verdict (kind: nothing, matched or bypassed; integration, room, rule),
decision (label, reason, status, redirect, cookies, request_headers, response_headers), notes;
with --plan: integrations, bypasses (each with approach: in order or indexed; conditions: what, filed, under)")]
pub struct Explain {
    /// A folder with a velvetrope.toml, or that file
    policy: PathBuf,
    /// The absolute URL, as the visitor asks for it
    #[arg(required_unless_present = "plan")]
    url: Option<String>,
    /// Where it is to run, instead of what it says itself: hosts differ in what they know
    #[arg(long, value_enum)]
    target: Option<TargetName>,
    /// Instead of a request, show how the program finds what applies: where each condition is filed, and which are
    /// always evaluated
    #[arg(long, conflicts_with = "url")]
    plan: bool,
    #[command(flatten)]
    request: RequestOptions,
}

impl Explain {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let policy = policy::load_for(&self.policy, self.target.map(Into::into))?;
        let Some(url) = &self.url else { return Answer::of(&PlanReport::of(&policy)?, format, Exit::Fine) };
        let request = self.request.request(url)?;
        let secrets = policy::secrets(&policy)?;
        let mut notes = Vec::new();
        if secrets.is_none() && brings_proof(&request) {
            let name = &policy.settings.secrets.current;
            notes.push(format!("{name} is not set: tokens and sessions are judged by a throw-away secret"));
        }
        let geo = geography(&policy, policy::folder(&self.policy)).unwrap_or_else(|error| {
            notes.push(error.to_string());
            GeoDatabases::default()
        });
        let secrets = secrets.unwrap_or_else(throw_away);
        let described = Described::to(&policy.settings, &request);
        let facts = HostFacts { described, geo: geo.of(request.client_ip) };
        let mut report = ExplainReport::of(&policy, &secrets, &request, &facts)?;
        report.notes = notes;
        Answer::of(&report, format, Exit::Fine)
    }
}

/// Whether a request has something that only the right secret can judge.
fn brings_proof(request: &OwnedRequest) -> bool {
    let is_proof = |name: &str| ["cookie", "x-queueittoken"].iter().any(|known| name.eq_ignore_ascii_case(known));
    without_token(&request.url, &Bump::new()) != request.url || request.headers.iter().any(|(name, _)| is_proof(name))
}

/// The databases that the host would ask; a Worker asks none.
fn geography(policy: &Policy, folder: &Path) -> Result<GeoDatabases, GeoError> {
    match policy.settings.target {
        Target::Worker => Ok(GeoDatabases::default()),
        Target::GoogleCloud | Target::Proxy => GeoDatabases::open(&policy.settings.geoip, folder),
    }
}

/// What the operator says, and what the policy's databases say of the visitor's address.
struct HostFacts<'a> {
    described: Described<'a>,
    geo: GeoFacts<'a>,
}

impl Facts for HostFacts<'_> {
    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        self.described.fact(field, arena).or_else(|| self.geo.fact(field, arena))
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
    #[serde(flatten)]
    pub explained: Explained,
    /// What one should know of this explanation.
    pub notes: Vec<String>,
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
        let explained = Explained::of(site, request, facts).ok_or_else(policy::no_texts)?;
        Ok(ExplainReport { request: RequestReport::from(request), explained, notes: Vec::new() })
    }
}

impl Display for ExplainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExplainReport { request, explained, notes } = self;
        write!(f, "{request}")?;
        if explained.readings.len() > 1 {
            writeln!(
                f,
                "\n{}",
                styled(STRONG, "Readings: origins may take the URL for any of these, and the strictest counts")
            )?;
            explained.readings.iter().try_for_each(|reading| write!(f, "{}", Shown(reading)))?;
        }
        if explained.readings.is_empty() {
            return write!(f, "\n{}", Shown(&explained.decision));
        }
        writeln!(f, "\n{}", styled(STRONG, "Integrations, in the order in which they are tried"))?;
        explained.integrations.iter().try_for_each(|tried| write!(f, "\n{}", Shown(tried)))?;
        match explained.integrations_in_all - explained.integrations.len() {
            0 => {}
            left => writeln!(f, "\n       {left} more not tried: the first match decides")?,
        }
        if !explained.rules.is_empty() {
            writeln!(f, "\n{}", styled(STRONG, "Bypass rules of the waiting room"))?;
            explained.rules.iter().try_for_each(|tried| write!(f, "\n{}", Shown(tried)))?;
        }
        writeln!(f, "\n{}    {}", styled(STRONG, "Verdict"), Shown(&explained.verdict))?;
        write!(f, "{}", Shown(&explained.decision))?;
        notes.iter().try_for_each(|note| writeln!(f, "{}       {note}", styled(DOUBTFUL, "Note")))
    }
}

/// A part of an explanation as the terminal shows it.
struct Shown<'a, T>(&'a T);

impl Display for Shown<'_, ReadingReport> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.0.decided { styled(GOOD, "decides") } else { styled(FAINT, "       ") };
        writeln!(f, "  {mark}  {}  {}", printable(&self.0.url), styled(FAINT, Shown(&self.0.verdict)))
    }
}

impl Display for Shown<'_, TriedIntegration> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = self.0.room.as_ref().map(|room| format!(", room {}", printable(room))).unwrap_or_default();
        let name = styled(STRONG, printable(&self.0.name));
        writeln!(f, "{:>5}  {name}  {}{room}  {}", self.0.index + 1, self.0.action, outcome(self.0.matched))?;
        f.write_str(&trace::render(&self.0.trace, 7))
    }
}

impl Display for Shown<'_, TriedRule> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.0.description.is_empty() { String::new() } else { printable(&self.0.description) + "  " };
        writeln!(f, "       {}  {about}{}", styled(STRONG, printable(&self.0.id)), outcome(self.0.matched))?;
        f.write_str(&trace::render(&self.0.trace, 7))
    }
}

fn outcome(matched: bool) -> impl Display {
    if matched { styled(GOOD, "matches") } else { styled(anstyle::Style::new(), "does not match") }
}

impl Display for Shown<'_, VerdictReport> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<String>| name.as_deref().map(printable).unwrap_or_default();
        match self.0.kind {
            "nothing" => f.write_str("no integration matched"),
            "matched" => write!(f, "integration {} matched", name(&self.0.integration)),
            _ => {
                write!(f, "integration {} matched, bypassed by rule {}", name(&self.0.integration), name(&self.0.rule))
            }
        }
    }
}

impl Display for Shown<'_, DecisionReport> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}   {}: {}", styled(STRONG, "Decision"), self.0.label, printable(&self.0.reason))?;
        match (self.0.status, &self.0.redirect) {
            (None, _) => writeln!(f, "{}     passed on to the origin", styled(STRONG, "Answer"))?,
            (Some(status), None) => writeln!(f, "{}     status {status}", styled(STRONG, "Answer"))?,
            (Some(status), Some(url)) => {
                writeln!(f, "{}     status {status}, to\n           {url}", styled(STRONG, "Answer"))?;
            }
        }
        let headers = self.0.request_headers.iter();
        headers.clone().try_for_each(|(name, value)| writeln!(f, "           {name}: {value}"))?;
        self.0.cookies.iter().try_for_each(|cookie| writeln!(f, "{}     {cookie}", styled(STRONG, "Cookie")))
    }
}
