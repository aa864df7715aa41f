//! The sessions a visitor brings for the rooms of one action.

use bumpalo::collections::Vec as ArenaVec;

use super::cookie::{self, Session, SessionError, SetCookie, Validation};
use super::decision::SessionFault;
use super::encoding::MalformedEscape;
use super::visit::Visit;

/// How the cookies of one action are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct CookieSettings<'v> {
    /// `CookieDomain`.
    pub domain: Option<&'v str>,
    /// `IsCookieHttpOnly`.
    pub http_only: bool,
    /// `IsCookieSecure`.
    pub secure: bool,
}

impl<'v> CookieSettings<'v> {
    /// A session cookie for `room`.
    pub fn session(&self, visit: &Visit<'v>, room: &str, value: &'v str) -> SetCookie<'v> {
        self.cookie(visit, room, value, visit.now() + cookie::KEPT_FOR)
    }

    fn deletion(&self, visit: &Visit<'v>, room: &str) -> SetCookie<'v> {
        self.cookie(visit, room, "", 0)
    }

    fn cookie(&self, visit: &Visit<'v>, room: &str, value: &'v str, expires: i64) -> SetCookie<'v> {
        SetCookie {
            name: cookie::name_of(room, visit.arena),
            value,
            domain: self.domain,
            expires,
            http_only: self.http_only,
            secure: self.secure,
        }
    }

    /// Deletes the cookies that are there, room by room: of the domain that is set, and of the host alone, which may
    /// have one of its own from before. One that cannot be read stays.
    pub fn delete_present(&self, visit: &Visit<'v>, rooms: &[&str]) -> &'v [SetCookie<'v>] {
        let has_domain = self.domain.is_some_and(|domain| !domain.is_empty());
        let of_host = has_domain.then_some(CookieSettings { domain: None, ..*self });
        let mut deletions = ArenaVec::new_in(visit.arena);
        for room in rooms.iter().filter(|room| twins(visit, room).any(|twin| twin.is_ok())) {
            deletions.push(self.deletion(visit, room));
            deletions.extend(of_host.map(|settings| settings.deletion(visit, room)));
        }
        deletions.into_bump_slice()
    }
}

/// Some cookies, and then some more.
pub fn with_cookies<'v>(visit: &Visit<'v>, some: &[SetCookie<'v>], more: &[SetCookie<'v>]) -> &'v [SetCookie<'v>] {
    ArenaVec::from_iter_in(some.iter().chain(more).copied(), visit.arena).into_bump_slice()
}

/// What became of the search for a valid session.
#[derive(Clone, Copy, Debug)]
pub enum Found<'v> {
    /// No cookie at all.
    Nothing,
    /// A valid session for this room.
    Valid { room: &'v str, session: Session<'v> },
    /// No valid one; the last one that was found, and what is wrong with it.
    Invalid { session: Session<'v>, fault: SessionFault },
}

/// The first valid session for one of the rooms. A cookie that cannot be read ends the search, as in the official
/// engine.
pub fn first_valid<'v>(visit: &Visit<'v>, rooms: &[&'v str], validity_minutes: f64) -> Found<'v> {
    let mut found = Found::Nothing;
    for room in rooms {
        match look_up(visit, room, Some(validity_minutes)) {
            Found::Nothing => {}
            end @ (Found::Valid { .. } | Found::Invalid { fault: SessionFault::Unreadable, .. }) => return end,
            invalid => found = invalid,
        }
    }
    found
}

/// Every room's session whose hash, room and address are right, whatever its age; `None` for the other rooms, and for
/// all of them where one's cookie cannot be read.
pub fn whatever_age<'v>(visit: &Visit<'v>, rooms: &[&'v str]) -> ArenaVec<'v, (&'v str, Option<Session<'v>>)> {
    let mut sessions = ArenaVec::with_capacity_in(rooms.len(), visit.arena);
    let mut readable = true;
    for room in rooms {
        let found = look_up(visit, room, None);
        readable &= found.fault() != Some(SessionFault::Unreadable);
        sessions.push(match found {
            Found::Valid { room, session } => (room, Some(session)),
            _ => (*room, None),
        });
    }
    if !readable {
        sessions.iter_mut().for_each(|(_, session)| *session = None);
    }
    sessions
}

/// The session for one room; `validity_minutes` is `None` to leave time out of it. Of several cookies a valid one
/// counts, and the last one where none is.
pub fn look_up<'v>(visit: &Visit<'v>, room: &'v str, validity_minutes: Option<f64>) -> Found<'v> {
    let mut found = Found::Nothing;
    for twin in twins(visit, room) {
        match (judge(visit, room, twin, validity_minutes), &found) {
            (valid @ Found::Valid { .. }, _) => return valid,
            (invalid, Found::Nothing) => found = invalid,
            _ => {}
        }
    }
    found
}

fn judge<'v>(visit: &Visit<'v>, room: &'v str, twin: Twin<'v>, validity_minutes: Option<f64>) -> Found<'v> {
    let invalid = |fault| Found::Invalid { session: Session::default(), fault };
    let Ok(value) = twin else { return invalid(SessionFault::Unreadable) };
    let Some(session) = Session::parse(value) else { return invalid(SessionFault::Invalid(SessionError::Form)) };
    let client_ip = visit.client_ip_for(session.hashed_ip);
    let (secrets, shared, now) = (visit.secrets, visit.shared_sessions, visit.now());
    match session.validate(&Validation { secrets, shared, room, validity_minutes, client_ip, now }) {
        Ok(()) => Found::Valid { room, session },
        Err(error) => Found::Invalid { session, fault: SessionFault::Invalid(error) },
    }
}

impl Found<'_> {
    /// What is wrong with the visitor's session, if there is one.
    pub fn fault(&self) -> Option<SessionFault> {
        match self {
            Found::Invalid { fault, .. } => Some(*fault),
            _ => None,
        }
    }

    /// Whether all that is wrong with it is that it is bound to another address.
    pub fn is_of_other_ip(&self) -> bool {
        self.fault() == Some(SessionFault::Invalid(SessionError::IpBindingMismatch))
    }
}

/// One of perhaps several cookies for a room, decoded if it can be.
type Twin<'v> = Result<&'v str, MalformedEscape>;

/// The cookies for a room, the last one first. Empty ones are none.
fn twins<'v>(visit: &Visit<'v>, room: &str) -> impl Iterator<Item = Twin<'v>> {
    let name = cookie::name_of(room, visit.arena);
    cookie::all_of(visit.headers, name, visit.arena).filter(|twin| *twin != Ok(""))
}
