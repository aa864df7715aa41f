//! The session cookie, which remembers that a visitor has been let in (docs/protocol/queue-it.md#session-cookie).

use std::fmt::Write;

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};

use super::cookies;
use super::encoding::{MalformedEscape, instant, is_graphic, lower_case, push_uri_component};
use super::{Mac, Secret, Secrets};

/// What the names of session cookies begin with; the waiting room's id follows.
pub const NAME_PREFIX: &str = "QueueITAccepted-SDFrts345E-V3_";

/// What a session usually needs, in bytes; a longer one grows.
const USUAL_LENGTH: usize = 448;

/// Longer cookies no browser keeps (RFC 6265, section 6.1), and no session is read from.
const MAX_LENGTH: usize = 4096;

/// How long a browser keeps a session cookie, in seconds, whatever its validity.
pub const KEPT_FOR: i64 = 86_400;

/// The longest validity that a session can have of its own, in minutes: a year.
pub const MAX_FIXED_VALIDITY: u32 = 525_600;

/// How far, in seconds, a session may have been issued in the future: the clocks of the machines that serve a site are
/// never quite the same, and nobody can change a time that is signed.
pub const CLOCK_SKEW: i64 = 30;

/// How many cookies of one name are looked at. Browsers have one for the host, and perhaps one for each domain above it.
const MOST_TWINS: usize = 16;

/// Why a room lets visitors in, as far as that is known. None of these may end in another one of them: see
/// [`Session::is_unambiguous`].
const REDIRECT_TYPES: [&str; 8] =
    ["queue", "safetynet", "afterevent", "disabled", "directlink", "idle", "timeout", "debug"];

/// What a session cookie says; "" where it says nothing. Nothing of it is true before [`Session::validate`] has said
/// so.
///
/// The protocol's hash is over the fields' texts without anything between them, so that it holds for every other way to
/// cut the same text into fields. What is accepted is therefore read in one way only: in the form in which connectors
/// write it, and with a seal, which this connector adds in a field that others ignore. A session without a seal counts
/// only where `shared_sessions` says so, and only in a form in which no other can be cut from the same text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session<'c> {
    /// The waiting room that let the visitor in.
    pub event_id: &'c str,
    /// The visitor's id in the queue.
    pub queue_id: &'c str,
    /// Validity in minutes where it is fixed.
    pub fixed_validity: &'c str,
    /// Why the room let the visitor in.
    pub redirect_type: &'c str,
    /// Unix second of issue.
    pub issue_time: &'c str,
    /// HMAC of the address the session is bound to.
    pub hashed_ip: &'c str,
    /// HMAC of everything before it.
    pub hash: &'c str,
    /// MAC of everything before it and of where each field ends; "" in a session that another connector has written.
    pub seal: &'c str,
}

/// Why a session is not valid, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No connector writes such a cookie.
    #[error("it is not in the form in which a connector writes it")]
    Form,
    /// Another connector, or none, has written it.
    #[error("it has no seal of this connector (`shared_sessions = true` accepts those of others)")]
    Unsealed,
    /// Forged, broken, or signed with another secret.
    #[error("its hash does not fit")]
    HashMismatch,
    /// For another room.
    #[error("it is for another waiting room")]
    WaitingRoomMismatch,
    /// Issued later than now, by more than clocks differ.
    #[error("it was issued in the future")]
    FromFuture,
    /// Issued too long ago.
    #[error("it has expired")]
    Expired,
    /// Bound to another address.
    #[error("it is bound to another address")]
    IpBindingMismatch,
}

/// What a session is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Validation<'v> {
    /// Secrets of the site.
    pub secrets: &'v Secrets,
    /// Whether sessions without a seal count, which other connectors have written.
    pub shared: bool,
    /// The room the visitor wants into.
    pub room: &'v str,
    /// Validity in minutes where the session has none of its own (NaN: for ever); `None` to leave time out of it.
    pub validity_minutes: Option<f64>,
    /// The visitor's address, "" if unknown.
    pub client_ip: &'v str,
    /// Unix second.
    pub now: i64,
}

impl<'c> Session<'c> {
    /// Reads a cookie's value, decoded: each field once, in the order in which connectors write them, and nothing else.
    /// `None` for any other text.
    pub fn parse(value: &'c str) -> Option<Session<'c>> {
        if value.len() > MAX_LENGTH {
            return None;
        }
        let mut fields = Fields { rest: value, count: 0 };
        let event_id = fields.next("EventId=")?;
        // Version 3 of the official engine writes an empty one, the others leave it out.
        let queue_id = fields.next("&QueueId=");
        let fixed_validity = fields.next("&FixedValidityMins=");
        let redirect_type = fields.next("&RedirectType=")?;
        let issue_time = fields.next("&IssueTime=")?;
        let hashed_ip = fields.next("&Hip=");
        let hash = fields.next("&Hash=")?;
        let seal = fields.next("&Seal=");
        let is_good = fields.rest.is_empty()
            && memchr::memchr_iter(b'=', value.as_bytes()).count() == fields.count
            && !(queue_id == Some("") && seal.is_some())
            && fixed_validity.is_none_or(is_fixed_validity)
            && is_issue_time(issue_time)
            && hashed_ip.is_none_or(|hash| Mac::bytes_of(hash).is_some())
            && seal != Some("");
        is_good.then_some(Session {
            event_id,
            queue_id: queue_id.unwrap_or_default(),
            fixed_validity: fixed_validity.unwrap_or_default(),
            redirect_type,
            issue_time,
            hashed_ip: hashed_ip.unwrap_or_default(),
            hash,
            seal: seal.unwrap_or_default(),
        })
    }

    /// Whether the session is valid.
    pub fn validate(&self, against: &Validation<'_>) -> Result<(), SessionError> {
        self.check_signature(against)?;
        if self.event_id != against.room {
            return Err(SessionError::WaitingRoomMismatch);
        }
        let issued = number(self.issue_time);
        if issued > against.now.saturating_add(CLOCK_SKEW) {
            return Err(SessionError::FromFuture);
        }
        if against.validity_minutes.is_some_and(|minutes| self.is_expired(issued, minutes, against.now)) {
            return Err(SessionError::Expired);
        }
        let is_bound = !self.hashed_ip.is_empty() && !against.client_ip.is_empty();
        if is_bound && !against.secrets.verify(&[against.client_ip], self.hashed_ip) {
            return Err(SessionError::IpBindingMismatch);
        }
        Ok(())
    }

    /// A seal vouches for every field, the hash included, which need not be checked again then.
    fn check_signature(&self, against: &Validation<'_>) -> Result<(), SessionError> {
        let (is_signed, secrets) = (!self.seal.is_empty(), against.secrets);
        if !is_signed && !against.shared {
            return Err(SessionError::Unsealed);
        }
        if !is_signed && !self.is_unambiguous() {
            return Err(SessionError::Form);
        }
        let fits = match is_signed {
            true => {
                Mac::bytes_of(self.hash).is_some_and(|hash| secrets.verify_seal(&hash, &self.signed_parts(), self.seal))
            }
            false => self.is_signed_by(secrets),
        };
        if fits { Ok(()) } else { Err(SessionError::HashMismatch) }
    }

    /// Whether its text cannot be cut from that of another session. Issue times have ten digits and hashed addresses 64,
    /// so that the end is clear; a redirect type is letters between digits; and a queue id is a UUID, whose hyphens
    /// cannot stand anywhere else. Without a queue id, only a redirect type that is known, with no number before it,
    /// tells where the room's id ends: it must have no hyphen and no digit at its end, which could be another session's
    /// queue id and validity.
    ///
    /// What nothing tells apart: ids of rooms that differ in case only; and a session without a queue id, of a room
    /// whose id is that of another one followed by a UUID, from a session of that other one.
    fn is_unambiguous(&self) -> bool {
        match self.queue_id {
            "" => {
                let is_clear = !self.event_id.contains('-') && !self.event_id.ends_with(|end: char| end.is_numeric());
                is_clear && self.fixed_validity.is_empty() && REDIRECT_TYPES.contains(&self.redirect_type)
            }
            id => is_uuid(id) && is_redirect_type(self.redirect_type),
        }
    }

    /// Whether the hash is that of the rest, as it is read or as it was when it was written. The official engine
    /// writes the hash of lower-case text and checks that of the text as it is, so that it never recognises its own
    /// sessions of a room whose id has upper-case letters; here they are recognised.
    fn is_signed_by(&self, secrets: &Secrets) -> bool {
        secrets.verify(&self.signed_parts(), self.hash) || {
            let event_id = lower_case(self.event_id);
            let written = Session { event_id: &event_id, ..*self };
            written.event_id != self.event_id && secrets.verify(&written.signed_parts(), self.hash)
        }
    }

    fn signed_parts(&self) -> [&'c str; 6] {
        let Session { event_id, queue_id, fixed_validity, redirect_type, issue_time, hashed_ip, .. } = *self;
        [event_id, queue_id, fixed_validity, redirect_type, issue_time, hashed_ip]
    }

    fn is_expired(&self, issued: i64, validity_minutes: f64, now: i64) -> bool {
        let minutes = match self.fixed_validity {
            "" => validity_minutes,
            fixed => number(fixed) as f64,
        };
        issued as f64 + minutes * 60.0 < now as f64
    }

    /// Whether it has no validity of its own, so that it may be extended.
    pub fn is_extendable(&self) -> bool {
        self.fixed_validity.is_empty()
    }
}

/// The fields of a session, one after the other.
struct Fields<'c> {
    rest: &'c str,
    count: usize,
}

impl<'c> Fields<'c> {
    /// The value of the next field, if it is this one.
    fn next(&mut self, name: &str) -> Option<&'c str> {
        let value = self.rest.strip_prefix(name)?;
        let end = memchr::memchr(b'&', value.as_bytes()).unwrap_or(value.len());
        self.count += 1;
        self.rest = &value[end..];
        Some(&value[..end])
    }
}

/// A number that was found to be one.
fn number(digits: &str) -> i64 {
    digits.parse().unwrap_or(i64::MAX)
}

/// Minutes as connectors write them: decimal, above 0, and no more than there can be.
fn is_fixed_validity(text: &str) -> bool {
    is_decimal(text) && text.len() <= 6 && (1..=i64::from(MAX_FIXED_VALIDITY)).contains(&number(text))
}

/// A Unix second of ten digits: from the year 2001 to 2286.
fn is_issue_time(text: &str) -> bool {
    text.len() == 10 && is_decimal(text)
}

fn is_decimal(text: &str) -> bool {
    !text.starts_with('0') && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A queue id as rooms give it: a UUID in lower case.
fn is_uuid(text: &str) -> bool {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match HYPHENS.contains(&at) {
            true => byte == b'-',
            false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn is_redirect_type(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// What a new session cookie shall say; "" leaves out what may be left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewSession<'c> {
    /// The waiting room.
    pub event_id: &'c str,
    /// The visitor's id in the queue, may be "".
    pub queue_id: &'c str,
    /// Validity in minutes where it is fixed, else "".
    pub fixed_validity: &'c str,
    /// Why the room lets the visitor in.
    pub redirect_type: &'c str,
    /// HMAC of the address to bind the session to, may be "".
    pub hashed_ip: &'c str,
}

impl NewSession<'_> {
    /// The cookie's value, before it is encoded.
    pub fn sign<'a>(&self, secret: &Secret, now: i64, arena: &'a Bump) -> &'a str {
        let NewSession { event_id, queue_id, fixed_validity, redirect_type, hashed_ip } = *self;
        let redirect_type = lower_case(redirect_type);
        let issue_time = bumpalo::format!(in arena, "{}", now);
        let hash =
            secret.digest(&[&lower_case(event_id), queue_id, fixed_validity, &redirect_type, &issue_time, hashed_ip]);
        let mut value = ArenaString::with_capacity_in(USUAL_LENGTH, arena);
        value.push_str("EventId=");
        value.push_str(event_id);
        let mut add = |name: &str, part: &str| {
            value.push_str(name);
            value.push_str(part);
        };
        if !queue_id.is_empty() {
            add("&QueueId=", queue_id);
        }
        if !fixed_validity.is_empty() {
            add("&FixedValidityMins=", fixed_validity);
        }
        add("&RedirectType=", &redirect_type);
        add("&IssueTime=", &issue_time);
        if !hashed_ip.is_empty() {
            add("&Hip=", hashed_ip);
        }
        add("&Hash=", Mac::of(&hash).as_str());
        let parts = [event_id, queue_id, fixed_validity, &redirect_type, &issue_time, hashed_ip];
        add("&Seal=", secret.seal(&hash, &parts).as_str());
        value.into_bump_str()
    }
}

/// All cookies of a name among the Cookie headers of a request, decoded, the last one first. A browser may have several,
/// such as one for the host and one for its domain. One with more than the protocol reads is not decoded, and so no
/// session, whatever else it says.
pub fn all_of<'h>(
    headers: &[(&str, &'h [u8])],
    name: &str,
    arena: &'h Bump,
) -> impl Iterator<Item = Result<&'h str, MalformedEscape>> {
    let cookie_headers = headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case("cookie"));
    let found = cookie_headers.flat_map(|(_, header)| cookies::raw_cookies(header, name.as_bytes()));
    let found = ArenaVec::from_iter_in(found, arena);
    found.into_iter().rev().take(MOST_TWINS).map(|cookie| match cookie.is_whole {
        true => cookies::decoded(cookie.value, arena),
        false => Ok(&*arena.alloc_str(&String::from_utf8_lossy(cookie.value))),
    })
}

/// The name of the session cookie of a waiting room.
pub fn name_of<'a>(room: &str, arena: &'a Bump) -> &'a str {
    let mut name = ArenaString::with_capacity_in(NAME_PREFIX.len() + room.len(), arena);
    name.push_str(NAME_PREFIX);
    name.push_str(room);
    name.into_bump_str()
}

/// A cookie to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetCookie<'c> {
    /// Its name.
    pub name: &'c str,
    /// Its value, before it is encoded.
    pub value: &'c str,
    /// Its domain, passed through from the configuration.
    pub domain: Option<&'c str>,
    /// Unix second; 0 for a deletion.
    pub expires: i64,
    /// Whether scripts must not see it.
    pub http_only: bool,
    /// Whether it travels on encrypted connections only.
    pub secure: bool,
}

impl SetCookie<'_> {
    /// The value of a Set-Cookie header. What could end the cookie early or begin another header is left out of the
    /// parts that are not encoded.
    pub fn header<'a>(&self, arena: &'a Bump) -> &'a str {
        let mut header = ArenaString::with_capacity_in(2 * self.value.len() + 256, arena);
        self.write_to(&mut header);
        header.into_bump_str()
    }

    fn write_to(&self, out: &mut ArenaString<'_>) {
        push_harmless(out, self.name);
        out.push('=');
        push_uri_component(self.value, out);
        out.push_str("; expires=");
        push_http_date(out, self.expires);
        out.push(';');
        if let Some(domain) = self.domain.filter(|domain| !domain.is_empty()) {
            out.push_str(" domain=");
            push_harmless(out, domain);
            out.push(';');
        }
        if self.http_only {
            out.push_str(" HttpOnly;");
        }
        if self.secure {
            out.push_str(" Secure;");
        }
        out.push_str(" path=/");
    }
}

fn push_harmless(out: &mut ArenaString<'_>, text: &str) {
    if is_graphic(text) && memchr::memchr(b';', text.as_bytes()).is_none() {
        return out.push_str(text);
    }
    text.split(|c: char| c == ';' || c.is_control()).for_each(|piece| out.push_str(piece));
}

/// A Unix second as HTTP writes it (RFC 9110, section 5.6.7): `Thu, 01 Jan 1970 00:00:00 GMT`.
fn push_http_date(out: &mut ArenaString<'_>, second: i64) {
    // Writing into an arena cannot fail.
    let _ = write!(out, "{}", httpdate::HttpDate::from(instant(second)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;
    const QUEUE_ID: &str = "3cdf8eee-0458-4c35-afd6-7c2d12098a49";
    const NEW: NewSession<'_> =
        NewSession { event_id: "Shop", queue_id: QUEUE_ID, fixed_validity: "", redirect_type: "Queue", hashed_ip: "" };

    fn validation(secrets: &Secrets, now: i64) -> Validation<'_> {
        let (shared, room, validity_minutes, client_ip) = (false, "Shop", Some(1.0), "192.0.2.1");
        Validation { secrets, shared, room, validity_minutes, client_ip, now }
    }

    fn parsed(value: &str) -> Session<'_> {
        Session::parse(value).unwrap_or_else(|| panic!("not a session: {value}"))
    }

    #[test]
    fn our_own_sessions_are_recognised() {
        let secrets = Secrets::new("k", None);
        let arena = Bump::new();
        let value = NEW.sign(secrets.current(), NOW, &arena);
        let session = parsed(value);
        assert_eq!((session.event_id, session.redirect_type), ("Shop", "queue"));
        assert_eq!(session.validate(&validation(&secrets, NOW + 60)), Ok(()));
        assert_eq!(session.validate(&validation(&secrets, NOW + 61)), Err(SessionError::Expired));
        assert_eq!(session.validate(&validation(&secrets, NOW - CLOCK_SKEW)), Ok(()));
        assert_eq!(session.validate(&validation(&secrets, NOW - CLOCK_SKEW - 1)), Err(SessionError::FromFuture));
        let lasting = Validation { validity_minutes: None, ..validation(&secrets, NOW + 61) };
        assert_eq!(session.validate(&lasting), Ok(()));
        for room in ["Shop2", "shop"] {
            assert_eq!(
                session.validate(&Validation { room, ..lasting }),
                Err(SessionError::WaitingRoomMismatch),
                "{room}"
            );
        }
        let forged = value.replace("3cdf", "3cde");
        assert_eq!(parsed(&forged).validate(&lasting), Err(SessionError::HashMismatch));
    }

    #[test]
    fn a_session_without_a_seal_counts_only_where_they_are_shared() {
        let secrets = Secrets::new("new", Some("old".into()));
        let arena = Bump::new();
        let sealed = NEW.sign(&Secret::new("old"), NOW, &arena);
        let (without, seal) = sealed.split_once("&Seal=").expect("a seal");
        let alone = validation(&secrets, NOW);
        let shared = Validation { shared: true, ..alone };
        assert_eq!(parsed(sealed).validate(&alone), Ok(()));
        assert_eq!(parsed(without).validate(&alone), Err(SessionError::Unsealed));
        assert_eq!(parsed(without).validate(&shared), Ok(()));
        let broken = format!("{without}&Seal={}", seal.replace(['0', '1', '2'], "3"));
        for against in [&alone, &shared] {
            assert_eq!(parsed(&broken).validate(against), Err(SessionError::HashMismatch), "a seal must fit");
        }
    }

    #[test]
    fn nothing_but_the_form_of_connectors_is_a_session() {
        let arena = Bump::new();
        let hip = Secret::new("k").sign(&["192.0.2.1"]);
        let whole = NewSession { fixed_validity: "20", hashed_ip: hip.as_str(), ..NEW };
        let value = whole.sign(&Secret::new("k"), NOW, &arena);
        assert!(Session::parse(value).is_some());
        for (field, others) in [
            (
                "FixedValidityMins=20",
                &["", "0", "+5", "05", "5.0", "NaN", " 5", "5 ", "1e3", "-5", "0x5", "525601", "٥"][..],
            ),
            ("IssueTime=1790000000", &["", "0", "1", "0790000000", "+790000000", "17900000000", "NaN", "179000000 "]),
            ("Hip=", &["0", "A"]),
            ("QueueId=3", &["=", "a=b"]),
        ] {
            let name = &field[..=field.find('=').expect("a name")];
            for other in others {
                let changed = value.replacen(field, &format!("{name}{other}"), 1);
                assert_eq!(Session::parse(&changed), None, "{changed}");
            }
        }
        for text in ["", "&&==&", "EventId", "EventId=", "EventId=a=b&Hash=c", &value[1..], &value.to_lowercase()] {
            assert_eq!(Session::parse(text), None, "{text}");
        }
        for changed in [format!("{value}&"), format!("{value}&Foo=bar"), format!("&{value}"), format!(" {value}")] {
            assert_eq!(Session::parse(&changed), None, "{changed}");
        }
        assert_eq!(Session::parse(&value.replace(QUEUE_ID, &"x".repeat(MAX_LENGTH))), None);
    }

    #[test]
    fn known_redirect_types_end_where_they_begin() {
        for one in REDIRECT_TYPES {
            let others = REDIRECT_TYPES.iter().filter(|other| **other != one);
            assert!(others.clone().all(|other| !one.ends_with(other)), "{one}");
            assert!(one.bytes().any(|byte| !byte.is_ascii_hexdigit()), "{one} could end a hashed address");
        }
    }

    #[test]
    fn a_bound_session_is_for_one_address() {
        let secrets = Secrets::new("k", None);
        let hashed_ip = secrets.current().sign(&["192.0.2.1"]);
        let value = NewSession { hashed_ip: hashed_ip.as_str(), ..NEW };
        let arena = Bump::new();
        let session = parsed(value.sign(secrets.current(), NOW, &arena));
        assert_eq!(session.validate(&validation(&secrets, NOW)), Ok(()));
        let elsewhere = Validation { client_ip: "192.0.2.2", ..validation(&secrets, NOW) };
        assert_eq!(session.validate(&elsewhere), Err(SessionError::IpBindingMismatch));
        let unknown = Validation { client_ip: "", ..elsewhere };
        assert_eq!(session.validate(&unknown), Ok(()));
    }

    #[test]
    fn cookies_are_found() {
        let headers: &[(&str, &[u8])] = &[
            ("Cookie", b"a=1; b = 2 ; c; a=%20x=y; w=%20x"),
            ("X", b"a=9"),
            ("cookie", b"d=\xff;=e;;b=3; n%61me=1; m=%E0%A4%A"),
        ];
        let arena = Bump::new();
        let found = |name| all_of(headers, name, &arena).collect::<Vec<_>>();
        assert_eq!(found("a"), [Ok("%20x"), Ok("1")], "not decoded, for the protocol reads but a part of it");
        assert_eq!(found("b"), [Ok("3"), Ok("2")]);
        assert_eq!(found("w"), [Ok(" x")]);
        assert_eq!(found("d"), [Ok("\u{fffd}")]);
        assert_eq!(found(""), [Ok("e")]);
        assert!(found("c").is_empty() && found("name").is_empty());
        assert_eq!(found("m"), [Err(MalformedEscape)]);
        let many = "a=1;".repeat(1000);
        assert_eq!(all_of(&[("cookie", many.as_bytes())], "a", &arena).count(), MOST_TWINS);
    }

    #[test]
    fn set_cookie_text() {
        let arena = Bump::new();
        let cookie = SetCookie {
            name: "n",
            value: "EventId=a&b",
            domain: Some(".x.example"),
            expires: 1792398836,
            http_only: true,
            secure: true,
        };
        assert_eq!(
            cookie.header(&arena),
            "n=EventId%3Da%26b; expires=Mon, 19 Oct 2026 08:33:56 GMT; domain=.x.example; HttpOnly; Secure; path=/"
        );
        let cookie = SetCookie { domain: Some(""), expires: 0, http_only: false, secure: false, ..cookie };
        assert_eq!(cookie.header(&arena), "n=EventId%3Da%26b; expires=Thu, 01 Jan 1970 00:00:00 GMT; path=/");
        let cookie = SetCookie { domain: Some("a;\r\nSet-Cookie: x=y"), value: "\r\n;", ..cookie };
        assert!(!cookie.header(&arena).contains(['\r', '\n']));
        assert!(cookie.header(&arena).contains(" domain=aSet-Cookie: x=y;"));
    }
}
