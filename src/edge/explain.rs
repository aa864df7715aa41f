//! What would happen to a request, and why: for people, and far from any request that is waited for.

use bumpalo::Bump;
use serde::Serialize;

use super::readings::{Judged, Judgement, judge};
use super::{Examined, Header, Incoming, Outcome, Reply, Site};
use crate::policy::Policy;
use crate::program::{Explanation, Scratch, Trace, Verdict};
use crate::queueit::NoOutside;
use crate::request::{Facts, OwnedRequest, split_path, without_secrets};

/// What would happen to a request, and why.
#[derive(Serialize)]
pub struct Explained {
    /// In what ways origins may read the URL, what is said of each, and which one decided: the strictest. One for nearly
    /// every URL, none for a request that is refused.
    pub readings: Vec<ReadingReport>,
    /// Those that were tried, in order.
    pub integrations: Vec<TriedIntegration>,
    /// How many there are.
    pub integrations_in_all: usize,
    /// Bypass rules that were tried, in order.
    pub rules: Vec<TriedRule>,
    /// What the program said.
    pub verdict: VerdictReport,
    /// What the host would do.
    pub decision: DecisionReport,
}

/// One of the ways to read a URL.
#[derive(Serialize)]
pub struct ReadingReport {
    /// The URL in this reading, without tokens.
    pub url: String,
    /// What the program says of it.
    pub verdict: VerdictReport,
    /// Whether it is the one that decided.
    pub decided: bool,
}

/// An integration that was tried.
#[derive(Serialize)]
pub struct TriedIntegration {
    /// From 0, as in the policy.
    pub index: usize,
    /// What people call it.
    pub name: String,
    /// `Queue`, `Cancel` or `Ignore`.
    pub action: &'static str,
    /// Its room.
    pub room: Option<String>,
    /// Whether it is the one.
    pub matched: bool,
    /// How its condition came out.
    pub trace: Trace,
}

/// A bypass rule that was tried.
#[derive(Serialize)]
pub struct TriedRule {
    /// From 0, as in the policy.
    pub index: usize,
    /// Its id.
    pub id: String,
    /// Its room; `*` is every room.
    pub room: String,
    /// What the operator calls it.
    pub description: String,
    /// Whether it is the one.
    pub matched: bool,
    /// How its condition came out.
    pub trace: Trace,
}

/// What the program said.
#[derive(Serialize)]
pub struct VerdictReport {
    /// `nothing`, `matched` or `bypassed`.
    pub kind: &'static str,
    /// What the integration that matched is called.
    pub integration: Option<String>,
    /// Its room.
    pub room: Option<String>,
    /// The id of the bypass rule.
    pub rule: Option<String>,
}

/// What the host would do.
#[derive(Serialize)]
pub struct DecisionReport {
    /// The word for it in logs and metrics.
    pub label: &'static str,
    /// Why, in words.
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

impl Explained {
    /// Explains what would happen to a request at this site whose host knows these facts; `None` for a policy that was
    /// loaded: it no longer knows the texts it was compiled from.
    pub fn of(site: Site<'_>, request: &OwnedRequest, facts: &dyn Facts) -> Option<Explained> {
        let (arena, mut scratch) = (Bump::new(), Scratch::default());
        let url = match request.canonical_url() {
            Ok(url) => url,
            Err(malformed) => {
                let reply = super::refuse(malformed, site.identity, &mut scratch);
                return Some(Explained::refused(
                    site.policy,
                    DecisionReport::new(reply, malformed.to_string(), &request.url),
                ));
            }
        };
        let headers = request.header_pairs_for(url.authority());
        let incoming = Incoming::of(request, &url, &headers, facts);
        let decision = DecisionReport::of(site, &incoming);
        if decision.label == super::REFUSED {
            return Some(Explained::refused(site.policy, decision));
        }
        let judgement = judge(site.policy, &incoming, super::pure_url(&incoming, &arena), &arena).ok()?;
        Explained::judged(site, &incoming, &judgement, decision)
    }

    /// Explains the reading that decided.
    fn judged(
        site: Site<'_>,
        incoming: &Incoming<'_>,
        judgement: &Judgement<'_>,
        decision: DecisionReport,
    ) -> Option<Explained> {
        let policy = site.policy;
        let decided = super::examine(site, incoming, &NoOutside, Scratch::default().start()).reading;
        let mut told = Vec::new();
        let report = |(index, judged): (usize, &Judged<'_>)| {
            // What differs only in how triggers are told of it is the same to people.
            let reading = (without_secrets(judged.view.pure_url()), judged.verdict);
            let is_known = told.contains(&reading) && index != decided;
            let (url, verdict) = reading.clone();
            told.push(reading);
            let verdict = VerdictReport::of(policy, verdict);
            (!is_known).then_some(ReadingReport { url, verdict, decided: index == decided })
        };
        let Explanation { verdict, entries, rules } = policy.program.explain(&judgement.all().nth(decided)?.view)?;
        Some(Explained {
            readings: judgement.all().enumerate().filter_map(report).collect(),
            integrations: entries.into_iter().filter_map(|(index, trace)| tried(policy, index, trace)).collect(),
            integrations_in_all: policy.integrations.all.len(),
            rules: rules.into_iter().filter_map(|(index, trace)| tried_rule(policy, index, trace)).collect(),
            verdict: VerdictReport::of(policy, verdict),
            decision,
        })
    }

    /// Nothing was tried.
    fn refused(policy: &Policy, decision: DecisionReport) -> Explained {
        Explained {
            readings: Vec::new(),
            integrations: Vec::new(),
            integrations_in_all: policy.integrations.all.len(),
            rules: Vec::new(),
            verdict: VerdictReport::of(policy, Verdict::Nothing),
            decision,
        }
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
        action: integration.action.name(),
        room: integration.event_id.clone(),
        matched: trace.result == Some(true),
        trace,
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
        trace,
    })
}

impl VerdictReport {
    fn of(policy: &Policy, verdict: Verdict) -> VerdictReport {
        let integration = policy.matched(verdict);
        VerdictReport {
            kind: match verdict {
                Verdict::Nothing => "nothing",
                Verdict::Matched { .. } => "matched",
                Verdict::Bypassed { .. } => "bypassed",
            },
            integration: integration.map(|integration| integration.title().to_owned()),
            room: integration.and_then(|integration| integration.event_id.clone()),
            rule: policy.bypassed_by(verdict).map(|rule| rule.id.clone()),
        }
    }
}

impl DecisionReport {
    fn of(site: Site<'_>, incoming: &Incoming<'_>) -> DecisionReport {
        let mut scratch = Scratch::default();
        let reason = match super::examine(site, incoming, &NoOutside, scratch.start()).outcome {
            Examined::Bypassed => "a bypass rule of the waiting room is true".to_owned(),
            Examined::Decided(decision) => decision.reason.to_string(),
            Examined::Failed(failure) => failure.exception.to_string(),
            Examined::Misdirected => super::unknown_host(incoming.url.authority()),
            Examined::Refused(malformed) => malformed.to_string(),
        };
        DecisionReport::new(super::handle(site, incoming, &mut scratch), reason, incoming.url.as_str())
    }

    fn new(reply: Reply<'_>, reason: String, asked: &str) -> DecisionReport {
        let (status, request_headers, headers) = match reply.outcome {
            Outcome::Forward { request_headers, response_headers, .. } => (None, request_headers, response_headers),
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
            redirect: redirect.map(|(_, url)| without_secrets(&absolute(url, asked))),
            cookies: cookies.into_iter().map(|(_, cookie)| without_hash(cookie)).collect(),
            request_headers: shown(request_headers),
            response_headers: shown(&headers),
        }
    }
}

/// Where a redirect leads whoever asked for this URL.
fn absolute(redirect: &str, asked: &str) -> String {
    let origin = if redirect.starts_with('/') { split_path(asked).0 } else { "" };
    format!("{origin}{redirect}")
}

/// A session cookie that cannot be used: whoever has the whole of it may enter.
fn without_hash(cookie: &str) -> String {
    const SHOWN: usize = 8;
    let Some((before, hash)) = cookie.split_once("%26Hash%3D") else { return cookie.to_owned() };
    let digits = hash.bytes().take_while(u8::is_ascii_hexdigit).count();
    format!("{before}%26Hash%3D{}…{}", &hash[..digits.min(SHOWN)], &hash[digits..])
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
