//! From an examination to a response (docs/protocol/queue-it.md#response).

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use super::rounds::Arrival;
use super::{
    Examination, Examined, FailureClass, Header, Identity, Incoming, MISDIRECTED, Outcome, REFUSED, Reply, Site,
    VERDICT_HEADER, WayBack, is_taken_for,
};
use crate::policy::{Action, FailurePolicy, Integration, OnFailure, Preflight, ScriptRequests};
use crate::program::Verdict;
use crate::queueit::cookie::SetCookie;
use crate::queueit::encoding::{Enc, concat, is_graphic};
use crate::queueit::{Decision, Kind, Reason};
use crate::request::{header, is_no_navigation, split_path};

type Headers<'r> = ArenaVec<'r, Header<'r>>;

const NO_CACHE: [(&str, &str); 3] = [
    ("cache-control", "no-cache, no-store, must-revalidate, max-age=0"),
    ("pragma", "no-cache"),
    ("expires", "Fri, 01 Jan 1990 00:00:00 GMT"),
];

/// What stands before and after the address of the page that the visitor wants, for one whose browser keeps no cookies.
const NO_COOKIE: [&str; 2] = [
    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
    <title>Please allow cookies</title>\n<h1>Please allow cookies</h1>\n\
    <p>It was your turn, but your browser has not kept the cookie that says so. You would wait again and again.</p>\n\
    <p>Allow cookies for this site, and then <a href=\"",
    "\">try again</a>.</p>\n</html>\n",
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
            return refused(MISDIRECTED, "the request is for a host that is not this site's", identity, arena);
        }
        Examined::Refused(malformed) => {
            return refused(400, bumpalo::format!(in arena, "{}", malformed).into_bump_str(), identity, arena);
        }
        Examined::Failed(failure) => {
            let why = bumpalo::format!(in arena, "{}", failure.exception).into_bump_str();
            let policy = &site.policy.settings.failure;
            let is_queue = |integration: &Integration| integration.action == Action::Queue;
            let way_back = way_back(
                verdict.and_then(|verdict| site.policy.matched(verdict)).is_some_and(is_queue),
                failure.cookies,
            );
            let failed = failed(FailureClass::Internal, policy, site.identity, why, failure.cookies, arena);
            return Reply { verdict, ..failed.on_the(way_back) };
        }
        Examined::Decided(decision) => decision,
    };
    let responder = Responder { site, incoming, decision, arena };
    if responder.lets_preflight_pass() {
        return responder.preflight(verdict);
    }
    if responder.goes_in_circles(examination.pure_url) {
        return responder.tell_of_cookies(examination.pure_url, verdict);
    }
    let outcome = responder.outcome(examination.pure_url);
    Reply { outcome, verdict, failed: None, label: decision.reason.label() }
}

/// One decision on its way to becoming a response.
struct Responder<'a, 'r> {
    site: Site<'r>,
    incoming: &'a Incoming<'r>,
    decision: &'a Decision<'r>,
    arena: &'r Bump,
}

impl<'r> Responder<'_, 'r> {
    fn outcome(&self, pure_url: &'r str) -> Outcome<'r> {
        let decision = self.decision;
        match decision.redirect {
            Some(url) if decision.ajax == Some(true) => self.answer_ajax(url),
            Some(url) if self.is_queue() && self.is_answered_as_script() => self.answer_script(url),
            Some(url) => self.redirect(self.room(url)),
            // A redirect would lose the body of anything else.
            None if decision.passes_with_session() && pure_url != self.incoming.url.as_str() && self.is_read() => {
                self.redirect(self.onward(on_this_site(pure_url, self.arena)))
            }
            None => forward(verdict_text(decision, self.arena), self.common(), self.arena)
                .on_the(way_back(self.is_queue(), decision.cookies)),
        }
    }

    fn is_queue(&self) -> bool {
        self.decision.kind == Some(Kind::Queue)
    }

    /// Whether the method only reads, so that it survives a redirect.
    fn is_read(&self) -> bool {
        matches!(self.incoming.method, "GET" | "HEAD")
    }

    /// Whether a browser asks, before a script's request to another origin, if that one may be made (Fetch standard,
    /// "CORS-preflight fetch"). It brings no session, and whatever redirects it fails it, also for visitors who have one.
    fn lets_preflight_pass(&self) -> bool {
        self.incoming.method == "OPTIONS"
            && self.is_queue()
            && self.decision.redirect.is_some()
            && self.site.policy.settings.preflight == Preflight::Pass
            && ["origin", "access-control-request-method"].iter().all(|name| !self.header(name).is_empty())
            && self.is_mere_question()
    }

    /// Whether a request is nothing beyond its head: an origin could take one that has a body, or names another method, for
    /// more than a question; and what Connection names, it never sees.
    fn is_mere_question(&self) -> bool {
        const MORE: [&str; 5] =
            ["upgrade", "transfer-encoding", "x-http-method-override", "x-http-method", "x-method-override"];
        let hides_question = |options: &[u8]| {
            let names = |name: &[u8]| options.to_ascii_lowercase().windows(name.len()).any(|part| part == name);
            names(b"origin") || names(b"access-control-")
        };
        let is_more = |(name, value): &(&str, &[u8])| {
            MORE.iter().any(|more| is_taken_for(name, more))
                || name.eq_ignore_ascii_case("connection") && hides_question(value)
                || name.eq_ignore_ascii_case("content-length") && *value != b"0"
        };
        !self.incoming.has_body && !self.incoming.headers.iter().any(is_more)
    }

    fn preflight(&self, verdict: Option<Verdict>) -> Reply<'r> {
        const LABEL: &str = "preflight";
        let headers = common(self.site.identity, &[], self.arena);
        let outcome = forward(LABEL, headers, self.arena).on_the(WayBack::WithoutBody);
        Reply { outcome, verdict, failed: None, label: LABEL }
    }

    /// Whether the visitor has been let in before in this round, and has kept no cookie of it.
    fn goes_in_circles(&self, pure_url: &'r str) -> bool {
        // Nearly all URLs have no mark.
        pure_url.len() < self.incoming.url.as_str().len()
            && matches!(self.decision.reason, Reason::MustQueue(_))
            && self.is_read()
            && self.decision.ajax != Some(true)
            && self.arrival(on_this_site(pure_url, self.arena)).is_marked_in(
                self.incoming.url.as_str(),
                self.site.secrets,
                self.now(),
                self.arena,
            )
    }

    fn arrival(&self, page: &'r str) -> Arrival<'r> {
        Arrival { room: self.decision.event_id.unwrap_or_default(), address: self.incoming.client_ip, page }
    }

    fn tell_of_cookies(&self, pure_url: &'r str, verdict: Option<Verdict>) -> Reply<'r> {
        let page = in_html(on_this_site(pure_url, self.arena), self.arena);
        let body = bumpalo::format!(in self.arena, "{}{}{}", NO_COOKIE[0], page, NO_COOKIE[1]).into_bump_str();
        let outcome = self.answer(403, &[("content-type", "text/html; charset=utf-8")], body);
        Reply { outcome, verdict, failed: None, label: "no-cookie" }
    }

    /// Where a visitor goes on to who was let in; marked if that page is gone to again and again. The queue id is the visitor's
    /// own; where the room gives none, those of one address and program are taken for one.
    fn onward(&self, url: &'r str) -> &'r str {
        if self.decision.reason != Reason::TokenValid || is_no_navigation(self.incoming.headers) {
            return url;
        }
        let who = match (self.decision.queue_id.unwrap_or_default(), self.incoming.client_ip) {
            ("", Some(address)) => {
                bumpalo::format!(in self.arena, "{} {}", address, self.header("user-agent")).into_bump_str()
            }
            (id, _) => id,
        };
        let room = self.decision.event_id.unwrap_or_default();
        let arrival = concat(&[room, " ", who, " ", url], self.arena);
        match self.incoming.facts.note_arrival(arrival, self.now()) {
            true => self.arrival(url).marked(self.site.secrets, self.now(), self.arena).unwrap_or(url),
            false => url,
        }
    }

    fn now(&self) -> i64 {
        self.incoming.now_ms.div_euclid(1000)
    }

    fn is_answered_as_script(&self) -> bool {
        self.site.policy.settings.script_requests == ScriptRequests::Answer && is_no_navigation(self.incoming.headers)
    }

    /// A body that cannot be sent again must not be asked for: 303 makes a GET of every method but HEAD (RFC 9110,
    /// section 15.4.4), where 302 leaves that to the client.
    fn redirect(&self, location: &'r str) -> Outcome<'r> {
        self.answer(if self.is_read() { 302 } else { 303 }, &[("location", location)], "")
    }

    /// The URL of the waiting room, and who sends there.
    fn room(&self, url: &'r str) -> &'r str {
        concat(&[in_header(url, self.arena), KUPVER, &self.site.identity.platform], self.arena)
    }

    /// A script cannot follow a redirect to another site; it is told where to go.
    fn answer_ajax(&self, url: &str) -> Outcome<'r> {
        self.answer(200, &self.for_scripts(url), "")
    }

    /// As [`Responder::answer_ajax`], for a script that does not ask by Queue-it's protocol and takes 200 for success.
    /// 429: the request is good, and the visitor's turn has yet to come (RFC 6585, section 4).
    fn answer_script(&self, url: &'r str) -> Outcome<'r> {
        #[derive(Serialize)]
        struct Told<'t> {
            error: &'t str,
            message: &'t str,
            room: Option<&'t str>,
            queue_url: &'t str,
        }
        let (error, message) = match self.decision.reason {
            Reason::MustQueue(_) => ("must_queue", "Visitors wait for their turn: send this one to queue_url."),
            _ => ("refused", "What the visitor brought is not accepted: queue_url says why, and how to go on."),
        };
        let told = Told { error, message, room: self.decision.event_id, queue_url: self.room(url) };
        // Texts are JSON.
        let body = self.arena.alloc_str(&serde_json::to_string(&told).unwrap_or_default());
        let mut headers = self.for_scripts(url);
        headers.push(("content-type", "application/json"));
        self.answer(429, &headers, body)
    }

    /// Where to go, in a header that the script may read. The suffix is not encoded, as in the official wrappers.
    fn for_scripts(&self, url: &str) -> Headers<'r> {
        let location = concat(&[labelled("", url, self.arena), KUPVER, &self.site.identity.platform], self.arena);
        let mut headers = ArenaVec::with_capacity_in(6, self.arena);
        headers.push(("x-queueit-redirect", location));
        headers.push(("access-control-expose-headers", "x-queueit-redirect"));
        if let Some(origin) = self.origin_that_may_read() {
            headers.push(("access-control-allow-origin", origin));
            headers.push(("access-control-allow-credentials", "true"));
            headers.push(("vary", "Origin"));
        }
        headers
    }

    /// The origin of the script, if that may read the answer. Anybody may know where the queue is; where the visitor's id
    /// in it is told as well, only the site itself.
    fn origin_that_may_read(&self) -> Option<&'r str> {
        let origin = self.header("origin");
        let tells_id = matches!(self.decision.reason, Reason::SessionOfOtherIp | Reason::SessionCancelled);
        let may_read = is_graphic(origin) && !origin.is_empty() && (!tells_id || self.is_of_site(origin));
        may_read.then_some(origin)
    }

    fn is_of_site(&self, origin: &str) -> bool {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let known = self.site.policy.settings.hosts.iter().any(|known| host == Some(known));
        known || origin.eq_ignore_ascii_case(split_path(self.incoming.url.as_str()).0)
    }

    fn header(&self, name: &str) -> &'r str {
        header(self.incoming.headers, name, self.arena)
    }

    fn answer(&self, status: u16, first: &[Header<'r>], body: &'r str) -> Outcome<'r> {
        let common = self.common();
        let mut headers = ArenaVec::with_capacity_in(first.len() + NO_CACHE.len() + common.len(), self.arena);
        for part in [first, &NO_CACHE, &common] {
            headers.extend_from_slice_copy(part);
        }
        Outcome::Answer { status, headers: headers.into_bump_slice(), body }
    }

    fn common(&self) -> Headers<'r> {
        common(self.site.identity, self.decision.cookies, self.arena)
    }
}

/// What belongs to a visitor is private: what stands behind a rope, and whatever a cookie comes with.
fn way_back(is_queue: bool, cookies: &[SetCookie<'_>]) -> WayBack {
    if is_queue || !cookies.is_empty() { WayBack::Private } else { WayBack::Untouched }
}

impl<'r> Outcome<'r> {
    fn on_the(self, back: WayBack) -> Outcome<'r> {
        match self {
            Outcome::Forward { request_headers, response_headers, .. } => {
                Outcome::Forward { request_headers, response_headers, way_back: back }
            }
            answer => answer,
        }
    }
}

impl<'r> Reply<'r> {
    fn on_the(self, back: WayBack) -> Reply<'r> {
        Reply { outcome: self.outcome.on_the(back), ..self }
    }
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
    Reply { outcome, verdict: None, failed: None, label: REFUSED }
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
        way_back: WayBack::default(),
    }
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

/// Text that stands in HTML, between quotes too.
fn in_html<'r>(text: &str, arena: &'r Bump) -> &'r str {
    let mut escaped = ArenaString::with_capacity_in(text.len(), arena);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped.into_bump_str()
}

/// A URL without its scheme and authority, which a proxy in front may know by other names. What a browser would take for
/// another authority is no beginning of a path (RFC 3986, section 4.2; `\` is a slash to browsers): the dot keeps it one.
fn on_this_site<'r>(url: &'r str, arena: &'r Bump) -> &'r str {
    let path = split_path(in_header(url, arena)).1;
    match path.as_bytes() {
        [b'/', b'/' | b'\\', ..] | [b'\\', ..] => concat(&["/.", path], arena),
        [b'/', ..] => path,
        _ => concat(&["/", path], arena),
    }
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
