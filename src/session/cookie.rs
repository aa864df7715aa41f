//! The session cookie, which remembers that a visitor has been let in (protocol, section 3).

use std::fmt::{self, Write};

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;

use super::encoding::{concat, encode_uri_component, instant, is_graphic, lenient_integer, lower_case};
use super::{Secret, Secrets};
use crate::request::cookies::{self, MalformedEscape};

/// What the names of session cookies begin with; the waiting room's id follows.
pub const NAME_PREFIX: &str = "QueueITAccepted-SDFrts345E-V3_";

/// What a session usually needs, in bytes; a longer one grows.
const USUAL_LENGTH: usize = 384;

/// How long a browser keeps a session cookie, in seconds, whatever its validity.
pub const KEPT_FOR: i64 = 86_400;

/// What a session cookie says; "" where it says nothing. Nothing of it is true before [`Session::validate`] has said
/// so.
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
    /// HMAC of everything else.
    pub hash: &'c str,
}

/// Why a session is not valid, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Forged, broken, or signed with another secret.
    #[error("its hash does not fit")]
    HashMismatch,
    /// For another room.
    #[error("it is for another waiting room")]
    WaitingRoomMismatch,
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
    /// Reads a cookie's value, decoded. Any text is one; the last of several keys wins.
    pub fn parse(value: &'c str) -> Session<'c> {
        let mut session = Session::default();
        let (mut key, mut read, mut start) = (None, None, 0);
        // In one pass: a search for each of the short pieces would take longer than reading them.
        for end in memchr::memchr2_iter(b'&', b'=', value.as_bytes()).chain([value.len()]) {
            let piece = &value[start..end];
            start = end + 1;
            match key {
                None => key = Some(piece),
                Some(_) => read = read.or(Some(piece)),
            }
            if value.as_bytes().get(end) != Some(&b'=')
                && let (Some(key), Some(value)) = (key.take(), read.take())
            {
                session.set(key, value);
            }
        }
        session
    }

    fn set(&mut self, key: &str, value: &'c str) {
        match key {
            "EventId" => self.event_id = value,
            "QueueId" => self.queue_id = value,
            "FixedValidityMins" => self.fixed_validity = value,
            "RedirectType" => self.redirect_type = value,
            "IssueTime" => self.issue_time = value,
            "Hip" => self.hashed_ip = value,
            "Hash" => self.hash = value,
            _ => {}
        }
    }

    /// Whether the session is valid.
    pub fn validate(&self, against: &Validation<'_>) -> Result<(), SessionError> {
        if !self.is_signed_by(against.secrets) {
            return Err(SessionError::HashMismatch);
        }
        if !is_same_in_lower_case(self.event_id, against.room) {
            return Err(SessionError::WaitingRoomMismatch);
        }
        if against.validity_minutes.is_some_and(|minutes| self.is_expired(minutes, against.now)) {
            return Err(SessionError::Expired);
        }
        let is_bound = !self.hashed_ip.is_empty() && !against.client_ip.is_empty();
        if is_bound && !against.secrets.verify(&[against.client_ip], self.hashed_ip) {
            return Err(SessionError::IpBindingMismatch);
        }
        Ok(())
    }

    /// Whether the hash is that of the rest, as it is read or as it was when it was written. The official engine
    /// writes the hash of lower-case text and checks that of the text as it is, so that it never recognises its own
    /// sessions of a room whose id has upper-case letters; here they are recognised.
    fn is_signed_by(&self, secrets: &Secrets) -> bool {
        secrets.verify(&self.signed_parts(), self.hash) || {
            let (event_id, redirect_type) = (lower_case(self.event_id), lower_case(self.redirect_type));
            let written = Session { event_id: &event_id, redirect_type: &redirect_type, ..*self };
            written.signed_parts() != self.signed_parts() && secrets.verify(&written.signed_parts(), self.hash)
        }
    }

    fn signed_parts(&self) -> [&'c str; 6] {
        let Session { event_id, queue_id, fixed_validity, redirect_type, issue_time, hashed_ip, hash: _ } = *self;
        [event_id, queue_id, fixed_validity, redirect_type, issue_time, hashed_ip]
    }

    fn is_expired(&self, validity_minutes: f64, now: i64) -> bool {
        let minutes = match self.fixed_validity {
            "" => validity_minutes,
            fixed => lenient_integer(fixed),
        };
        lenient_integer(self.issue_time) + minutes * 60.0 < now as f64
    }

    /// Whether it has no validity of its own, so that it may be extended.
    pub fn is_extendable(&self) -> bool {
        let fixed = lenient_integer(self.fixed_validity);
        fixed.is_nan() || fixed == 0.0
    }
}

fn is_same_in_lower_case(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || (!(one.is_ascii() && other.is_ascii()) && lower_case(one) == lower_case(other))
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
            secret.sign(&[&lower_case(event_id), queue_id, fixed_validity, &redirect_type, &issue_time, hashed_ip]);
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
        add("&Hash=", hash.as_str());
        value.into_bump_str()
    }
}

/// Finds a cookie among the Cookie headers of a request and decodes its value. The last one of the name wins.
pub fn find<'h>(headers: &[(&str, &'h [u8])], name: &str, arena: &'h Bump) -> Result<Option<&'h str>, MalformedEscape> {
    let cookie_headers = headers.iter().rev().filter(|(header, _)| header.eq_ignore_ascii_case("cookie"));
    let mut found = cookie_headers.map(|(_, header)| cookies::cookie(header, name, arena));
    found.find(|value| !matches!(value, Ok(None))).unwrap_or(Ok(None))
}

/// The name of the session cookie of a waiting room.
pub fn name_of<'a>(room: &str, arena: &'a Bump) -> &'a str {
    concat(&[NAME_PREFIX, room], arena)
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
        // Writing into an arena cannot fail.
        let _ = self.write_to(&mut header);
        header.into_bump_str()
    }

    fn write_to(&self, out: &mut impl Write) -> fmt::Result {
        write_harmless(out, self.name)?;
        out.write_char('=')?;
        encode_uri_component(self.value).try_for_each(|piece| out.write_str(piece))?;
        out.write_str("; expires=")?;
        write_http_date(out, self.expires)?;
        out.write_char(';')?;
        if let Some(domain) = self.domain.filter(|domain| !domain.is_empty()) {
            out.write_str(" domain=")?;
            write_harmless(out, domain)?;
            out.write_char(';')?;
        }
        if self.http_only {
            out.write_str(" HttpOnly;")?;
        }
        if self.secure {
            out.write_str(" Secure;")?;
        }
        out.write_str(" path=/")
    }
}

fn write_harmless(out: &mut impl Write, text: &str) -> fmt::Result {
    if is_graphic(text) && memchr::memchr(b';', text.as_bytes()).is_none() {
        return out.write_str(text);
    }
    text.split(|c: char| c == ';' || c.is_control()).try_for_each(|piece| out.write_str(piece))
}

/// A Unix second as HTTP writes it (RFC 9110, section 5.6.7): `Thu, 01 Jan 1970 00:00:00 GMT`.
fn write_http_date(out: &mut impl Write, second: i64) -> fmt::Result {
    write!(out, "{}", httpdate::HttpDate::from(instant(second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: NewSession<'_> =
        NewSession { event_id: "Shop", queue_id: "q1", fixed_validity: "", redirect_type: "Queue", hashed_ip: "" };

    fn validation(secrets: &Secrets, now: i64) -> Validation<'_> {
        Validation { secrets, room: "shop", validity_minutes: Some(1.0), client_ip: "192.0.2.1", now }
    }

    #[test]
    fn our_own_sessions_are_recognised_in_any_case() {
        let secrets = Secrets::new("k", None);
        let arena = Bump::new();
        let value = NEW.sign(secrets.current(), 1000, &arena);
        let session = Session::parse(value);
        assert_eq!((session.event_id, session.redirect_type), ("Shop", "queue"));
        assert_eq!(session.validate(&validation(&secrets, 1060)), Ok(()));
        assert_eq!(session.validate(&validation(&secrets, 1061)), Err(SessionError::Expired));
        let lasting = Validation { validity_minutes: None, ..validation(&secrets, 1061) };
        assert_eq!(session.validate(&lasting), Ok(()));
        let other = Validation { room: "shop2", ..lasting };
        assert_eq!(session.validate(&other), Err(SessionError::WaitingRoomMismatch));
        let forged = value.replace("q1", "q2");
        assert_eq!(Session::parse(&forged).validate(&lasting), Err(SessionError::HashMismatch));
    }

    #[test]
    fn any_text_is_read_as_a_session() {
        for (text, event_id, hash) in [
            ("", "", ""),
            ("&&==&", "", ""),
            ("EventId", "", ""),
            ("EventId=", "", ""),
            ("EventId=a=b&Hash=c", "a", "c"),
            ("=EventId=a&Hash", "", ""),
            ("x=EventId=a&EventId=b&EventId=c", "c", ""),
            ("eventid=a&Hash=é&", "", "é"),
            ("&Hash==x&EventId=a", "a", ""),
        ] {
            let session = Session::parse(text);
            assert_eq!((session.event_id, session.hash), (event_id, hash), "{text}");
        }
    }

    #[test]
    fn a_bound_session_is_for_one_address() {
        let secrets = Secrets::new("k", None);
        let hashed_ip = secrets.current().sign(&["192.0.2.1"]);
        let value = NewSession { hashed_ip: hashed_ip.as_str(), ..NEW };
        let arena = Bump::new();
        let session = Session::parse(value.sign(secrets.current(), 1000, &arena));
        assert_eq!(session.validate(&validation(&secrets, 1000)), Ok(()));
        let elsewhere = Validation { client_ip: "192.0.2.2", ..validation(&secrets, 1000) };
        assert_eq!(session.validate(&elsewhere), Err(SessionError::IpBindingMismatch));
        let unknown = Validation { client_ip: "", ..elsewhere };
        assert_eq!(session.validate(&unknown), Ok(()));
    }

    #[test]
    fn cookies_are_found() {
        let headers: &[(&str, &[u8])] = &[
            ("Cookie", b"a=1; b = 2 ; c; a=%20x=y"),
            ("X", b"a=9"),
            ("cookie", b"d=\xff;=e;;b=3; n%61me=1; m=%E0%A4%A"),
        ];
        let arena = Bump::new();
        let found = |name| find(headers, name, &arena);
        assert_eq!(found("a"), Ok(Some(" x")));
        assert_eq!(found("b"), Ok(Some("3")));
        assert_eq!(found("c"), Ok(None));
        assert_eq!(found("d"), Ok(Some("\u{fffd}")));
        assert_eq!(found(""), Ok(Some("e")));
        assert_eq!(found("name"), Ok(None));
        assert_eq!(found("m"), Err(MalformedEscape));
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
