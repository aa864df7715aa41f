//! Decisions without a published configuration: the caller says what applies
//! (docs/protocol/queue-it.md#decisions-without-configuration).

use super::cancel;
use super::config::{CancelConfig, QueueConfig};
use super::cookie::{NewSession, SetCookie};
use super::debug;
use super::decision::{Decision, Exception, Failure};
use super::outside::Outside;
use super::queue;
use super::resolve::until_decided;
use super::sessions::{self, CookieSettings, Found};
use super::visit::{ClientIp, Visit};

/// Decides about a visitor who needs a session. `target` is where the waiting room shall send them in the end, "" to
/// leave that to the room; for an ajax call it is where the script runs.
pub fn queue_local<'v>(
    visit: &Visit<'v>,
    config: Option<&QueueConfig<'v>>,
    target: &'v str,
    outside: &dyn Outside,
) -> Result<Decision<'v>, Failure<'v>> {
    let target = visit.target_of(target);
    until_decided(outside, |answers| {
        debug::run(visit, |debug| match config {
            Some(config) => queue::queue(visit, config, target, answers, debug),
            None => {
                debug.of_queue(visit, None, target);
                visit.check_credentials()?;
                Err(Exception::Null("queueConfig").into())
            }
        })
    })
}

/// Ends a visitor's sessions. `target` is as for [`queue_local`].
pub fn cancel_local<'v>(
    visit: &Visit<'v>,
    config: Option<&CancelConfig<'v>>,
    target: &'v str,
    outside: &dyn Outside,
) -> Result<Decision<'v>, Failure<'v>> {
    let target = visit.target_of(target);
    until_decided(outside, |_| {
        debug::run(visit, |debug| match config {
            Some(config) => Ok(cancel::cancel(visit, config, target, debug)?),
            None => {
                debug.of_cancel(visit, None, target);
                visit.check_credentials()?;
                Err(Exception::Null("cancelConfig").into())
            }
        })
    })
}

/// What [`extend`] shall do.
#[derive(Clone, Copy, Debug)]
pub struct Extension<'v> {
    /// The waiting room.
    pub event_id: &'v str,
    /// Validity of its sessions.
    pub cookie_validity_minute: f64,
    /// Domain of the session cookie.
    pub cookie_domain: Option<&'v str>,
    /// Whether scripts must not see the session cookie.
    pub cookie_http_only: bool,
    /// Whether the session cookie travels on encrypted connections only.
    pub cookie_secure: bool,
}

/// Prolongs a visitor's session: the cookie to set, if there is a valid session. The official engine signs forged and
/// expired sessions anew; this does not. A session that is bound to an address stays bound to it, so the address of
/// this visit does not matter.
pub fn extend<'v>(visit: &Visit<'v>, extension: &Extension<'v>) -> Result<Option<SetCookie<'v>>, Exception> {
    if extension.event_id.is_empty() {
        return Err(Exception::Missing("eventId"));
    }
    if extension.cookie_validity_minute <= 0.0 {
        return Err(Exception::NotPositive("cookieValidityMinute"));
    }
    if visit.secrets.current().is_empty() {
        return Err(Exception::Missing("secretKey"));
    }
    let anywhere = Visit { client_ip: ClientIp::Unknown, ..*visit };
    let found = sessions::look_up(&anywhere, extension.event_id, Some(extension.cookie_validity_minute));
    let Found::Valid { room, session } = found else { return Ok(None) };
    let prolonged = NewSession {
        event_id: room,
        queue_id: session.queue_id,
        fixed_validity: session.fixed_validity,
        redirect_type: session.redirect_type,
        hashed_ip: session.hashed_ip,
    };
    let settings = CookieSettings {
        domain: extension.cookie_domain,
        http_only: extension.cookie_http_only,
        secure: extension.cookie_secure,
    };
    let value = prolonged.sign(visit.secrets.current(), visit.now(), visit.arena);
    Ok(Some(settings.session(visit, room, value)))
}
