//! From an examination to a response (protocol, section 4 "Response").

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Examination, Examined, FailureClass, Header, Identity, Incoming, Outcome, Reply, Site};
use crate::connector::{Decision, Kind};
use crate::policy::{FailurePolicy, OnFailure};
use crate::program::Verdict;
use crate::session::cookie::SetCookie;
use crate::session::encoding::{Enc, concat, is_graphic};

type Headers<'r> = ArenaVec<'r, Header<'r>>;

/// Tells the origin what was decided: `pass`, `bypass;rule=ID`, `session;room=ID`, `token;room=ID`,
/// `direct-pass;room=ID`, `cancel`, `ignore` or `failed-open`. The client's own header of this name is removed.
pub const VERDICT_HEADER: &str = "x-velvetrope-verdict";

const NO_CACHE: [(&str, &str); 3] = [
    ("cache-control", "no-cache, no-store, must-revalidate, max-age=0"),
    ("pragma", "no-cache"),
    ("expires", "Fri, 01 Jan 1990 00:00:00 GMT"),
];

/// Names the host at the end of a redirect.
const KUPVER: &str = "&kupver=";

pub(super) fn reply<'r>(
    site: Site<'r>,
    incoming: &Incoming<'r>,
    examination: &Examination<'r>,
    arena: &'r Bump,
) -> Reply<'r> {
    let (identity, verdict) = (site.identity, examination.verdict);
    let decision = match &examination.outcome {
        Examined::Bypassed => return bypassed(site, verdict, arena),
        Examined::Misdirected => {
            return refused(421, "the request is for a host that is not this site's", identity, arena);
        }
        Examined::Refused(malformed) => {
            return refused(400, bumpalo::format!(in arena, "{}", malformed).into_bump_str(), identity, arena);
        }
        Examined::Failed(failure) => {
            let why = bumpalo::format!(in arena, "{}", failure.exception).into_bump_str();
            let policy = &site.policy.settings.failure;
            return Reply { verdict, ..failed(FailureClass::Internal, policy, identity, why, failure.cookies, arena) };
        }
        Examined::Decided(decision) => decision,
    };
    let outcome = match decision.redirect {
        Some(url) if decision.ajax == Some(true) => answer_ajax(url, identity, decision.cookies, arena),
        Some(url) => {
            let location = concat(&[in_header(url, arena), KUPVER, &identity.platform], arena);
            redirect(location, identity, decision.cookies, arena)
        }
        None if decision.passes_with_session() && examination.pure_url != incoming.url.as_str() => {
            redirect(in_header(examination.pure_url, arena), identity, decision.cookies, arena)
        }
        None => forward(verdict_text(decision, arena), common(identity, decision.cookies, arena), arena),
    };
    Reply { outcome, verdict, failed: None, label: decision.reason.label() }
}

fn bypassed<'r>(site: Site<'r>, verdict: Option<Verdict>, arena: &'r Bump) -> Reply<'r> {
    let rule = verdict.and_then(|verdict| site.policy.bypassed_by(verdict)).map_or("", |rule| &rule.id);
    let verdict_text = labelled("bypass;rule=", rule, arena);
    let outcome = forward(verdict_text, common(site.identity, &[], arena), arena);
    Reply { outcome, verdict, failed: None, label: "bypass" }
}

/// Answers what the visitor got wrong, and says what it is.
pub(super) fn refused<'r>(status: u16, why: &'r str, identity: &'r Identity, arena: &'r Bump) -> Reply<'r> {
    let mut headers = common(identity, &[], arena);
    headers.push(("content-type", "text/plain; charset=utf-8"));
    headers.push(("cache-control", "no-store"));
    let body = concat(&[why, "\n"], arena);
    let outcome = Outcome::Answer { status, headers: headers.into_bump_slice(), body };
    Reply { outcome, verdict: None, failed: None, label: "refused" }
}

/// Applies the failure policy.
pub(super) fn failed<'r>(
    class: FailureClass,
    policy: &FailurePolicy,
    identity: &'r Identity,
    why: &'r str,
    cookies: &[SetCookie<'_>],
    arena: &'r Bump,
) -> Reply<'r> {
    let mut headers = common(identity, cookies, arena);
    headers.push(("x-queueit-failed", "true"));
    let (outcome, label) = match class.on_failure(policy) {
        OnFailure::Open => (forward("failed-open", headers, arena), "failed-open"),
        OnFailure::Closed => {
            headers.push(("retry-after", bumpalo::format!(in arena, "{}", policy.retry_after).into_bump_str()));
            headers.push(("content-type", "text/plain; charset=utf-8"));
            headers.extend_from_slice_copy(&NO_CACHE);
            let body = "The site is busy. Please try again in a moment.\n";
            (Outcome::Answer { status: 503, headers: headers.into_bump_slice(), body }, "failed-closed")
        }
    };
    Reply { outcome, verdict: None, failed: Some(why), label }
}

fn forward<'r>(verdict: &'r str, response_headers: Headers<'r>, arena: &'r Bump) -> Outcome<'r> {
    Outcome::Forward {
        request_headers: std::slice::from_ref(arena.alloc((VERDICT_HEADER, verdict))),
        response_headers: response_headers.into_bump_slice(),
    }
}

fn redirect<'r>(location: &'r str, identity: &'r Identity, cookies: &[SetCookie<'_>], arena: &'r Bump) -> Outcome<'r> {
    answer(302, &[("location", location)], identity, cookies, arena)
}

/// A script cannot follow a redirect to another site; it is told where to go. The suffix is not encoded, as in the
/// official wrappers.
fn answer_ajax<'r>(url: &str, identity: &'r Identity, cookies: &[SetCookie<'_>], arena: &'r Bump) -> Outcome<'r> {
    let location = concat(&[labelled("", url, arena), KUPVER, &identity.platform], arena);
    let told = [("x-queueit-redirect", location), ("access-control-expose-headers", "x-queueit-redirect")];
    answer(200, &told, identity, cookies, arena)
}

fn answer<'r>(
    status: u16,
    first: &[Header<'r>],
    identity: &'r Identity,
    cookies: &[SetCookie<'_>],
    arena: &'r Bump,
) -> Outcome<'r> {
    let common = common(identity, cookies, arena);
    let mut headers = ArenaVec::with_capacity_in(first.len() + NO_CACHE.len() + common.len(), arena);
    for part in [first, &NO_CACHE, &common] {
        headers.extend_from_slice_copy(part);
    }
    Outcome::Answer { status, headers: headers.into_bump_slice(), body: "" }
}

fn verdict_text<'r>(decision: &Decision<'_>, arena: &'r Bump) -> &'r str {
    let label = decision.reason.label();
    match decision.event_id.filter(|_| decision.kind == Some(Kind::Queue)) {
        Some(room) => labelled(concat(&[label, ";room="], arena), room, arena),
        None => label,
    }
}

/// The label, and the encoded value.
fn labelled<'r>(label: &str, value: &str, arena: &'r Bump) -> &'r str {
    let mut text = ArenaString::with_capacity_in(label.len() + value.len(), arena);
    text.push_str(label);
    // Writing into an arena cannot fail.
    let _ = Enc(value).write_to(&mut text);
    text.into_bump_str()
}

/// The headers of every response.
fn common<'r>(identity: &'r Identity, cookies: &[SetCookie<'_>], arena: &'r Bump) -> Headers<'r> {
    let mut headers = ArenaVec::with_capacity_in(2 + cookies.len(), arena);
    headers.push(("x-queueit-connector", identity.connector.as_str()));
    headers.extend(cookies.iter().map(|cookie| ("set-cookie", cookie.header(arena))));
    headers
}

/// The URL with everything encoded that cannot stand in a header; a visitor's token may hold line ends.
fn in_header<'r>(url: &'r str, arena: &'r Bump) -> &'r str {
    const UNFIT: &AsciiSet = &CONTROLS.add(b' ');
    if is_graphic(url) {
        return url;
    }
    let mut text = ArenaString::with_capacity_in(2 * url.len(), arena);
    text.extend(utf8_percent_encode(url, UNFIT));
    text.into_bump_str()
}
