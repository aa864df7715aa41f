//! From an examination to a response (protocol, section 4 "Response").

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Examination, Examined, FailureClass, Identity, Incoming, Outcome, Reply, Site};
use crate::connector::{Decision, Kind};
use crate::policy::{FailurePolicy, OnFailure, Policy};
use crate::program::Verdict;
use crate::session::cookie::SetCookie;
use crate::session::encoding::Enc;

type Headers = Vec<(&'static str, String)>;

/// Tells the origin what was decided: `pass`, `bypass;rule=ID`, `session;room=ID`, `token;room=ID`,
/// `direct-pass;room=ID`, `cancel`, `ignore` or `failed-open`. The client's own header of this name is removed.
pub const VERDICT_HEADER: &str = "x-velvetrope-verdict";

const NO_CACHE: [(&str, &str); 3] = [
    ("cache-control", "no-cache, no-store, must-revalidate, max-age=0"),
    ("pragma", "no-cache"),
    ("expires", "Fri, 01 Jan 1990 00:00:00 GMT"),
];

pub(super) fn reply(site: Site<'_>, incoming: &Incoming<'_>, examination: &Examination<'_>) -> Reply {
    let decision = match &examination.outcome {
        Examined::Bypassed => return bypassed(site, examination.verdict),
        Examined::Failed(failure) => {
            let why = failure.exception.to_string();
            let failed =
                failed(FailureClass::Internal, &site.policy.settings.failure, site.identity, why, &failure.cookies);
            return Reply { verdict: Some(examination.verdict), ..failed };
        }
        Examined::Decided(decision) => decision,
    };
    let outcome = match decision.redirect {
        Some(url) if decision.ajax == Some(true) => answer_ajax(url, site.identity, &decision.cookies),
        Some(url) => {
            let location = format!("{}&kupver={}", in_header(url), site.identity.platform);
            redirect(location, site.identity, &decision.cookies)
        }
        None if decision.passes_with_session() && examination.pure_url != incoming.url => {
            redirect(in_header(examination.pure_url), site.identity, &decision.cookies)
        }
        None => Outcome::Forward {
            request_headers: vec![(VERDICT_HEADER, verdict_text(decision))],
            response_headers: common(site.identity, &decision.cookies),
        },
    };
    Reply { outcome, verdict: Some(examination.verdict), failed: None, label: decision.reason.label() }
}

fn bypassed(site: Site<'_>, verdict: Verdict) -> Reply {
    let outcome = Outcome::Forward {
        request_headers: vec![(VERDICT_HEADER, format!("bypass;rule={}", Enc(rule_id(site.policy, verdict))))],
        response_headers: common(site.identity, &[]),
    };
    Reply { outcome, verdict: Some(verdict), failed: None, label: "bypass" }
}

fn rule_id(policy: &Policy, verdict: Verdict) -> &str {
    match verdict {
        Verdict::Bypassed { rule, .. } => policy.rules.get(rule).map_or("", |rule| &rule.id),
        _ => "",
    }
}

/// Applies the failure policy.
pub(super) fn failed(
    class: FailureClass,
    policy: &FailurePolicy,
    identity: &Identity,
    why: String,
    cookies: &[SetCookie<'_>],
) -> Reply {
    let mut headers = common(identity, cookies);
    headers.push(("x-queueit-failed", "true".into()));
    let (outcome, label) = match class.on_failure(policy) {
        OnFailure::Open => {
            let request_headers = vec![(VERDICT_HEADER, "failed-open".to_owned())];
            (Outcome::Forward { request_headers, response_headers: headers }, "failed-open")
        }
        OnFailure::Closed => {
            headers.push(("retry-after", policy.retry_after.to_string()));
            headers.push(("content-type", "text/plain; charset=utf-8".into()));
            headers.extend(no_cache());
            let body = "The site is busy. Please try again in a moment.\n".to_owned();
            (Outcome::Answer { status: 503, headers, body }, "failed-closed")
        }
    };
    Reply { outcome, verdict: None, failed: Some(why), label }
}

fn redirect(location: String, identity: &Identity, cookies: &[SetCookie<'_>]) -> Outcome {
    let mut headers = vec![("location", location)];
    headers.extend(no_cache());
    headers.extend(common(identity, cookies));
    Outcome::Answer { status: 302, headers, body: String::new() }
}

/// A script cannot follow a redirect to another site; it is told where to go. The suffix is not encoded, as in the
/// official wrappers.
fn answer_ajax(url: &str, identity: &Identity, cookies: &[SetCookie<'_>]) -> Outcome {
    let mut headers = vec![
        ("x-queueit-redirect", format!("{}&kupver={}", Enc(url), identity.platform)),
        ("access-control-expose-headers", "x-queueit-redirect".to_owned()),
    ];
    headers.extend(no_cache());
    headers.extend(common(identity, cookies));
    Outcome::Answer { status: 200, headers, body: String::new() }
}

fn verdict_text(decision: &Decision<'_>) -> String {
    let label = decision.reason.label();
    match decision.event_id.filter(|_| decision.kind == Some(Kind::Queue)) {
        Some(room) => format!("{label};room={}", Enc(room)),
        None => label.to_owned(),
    }
}

fn common(identity: &Identity, cookies: &[SetCookie<'_>]) -> Headers {
    let connector = ("x-queueit-connector", identity.connector.clone());
    std::iter::once(connector).chain(cookies.iter().map(|cookie| ("set-cookie", cookie.to_string()))).collect()
}

fn no_cache() -> impl Iterator<Item = (&'static str, String)> {
    NO_CACHE.into_iter().map(|(name, value)| (name, value.to_owned()))
}

/// The URL with everything encoded that cannot stand in a header; a visitor's token may hold line ends.
fn in_header(url: &str) -> String {
    const UNFIT: &AsciiSet = &CONTROLS.add(b' ');
    utf8_percent_encode(url, UNFIT).to_string()
}
