//! Cancel: a visitor's sessions end (docs/protocol/queue-it.md#cancel-and-ignore).

use bumpalo::Bump;

use super::debug::Debug;
use super::decision::{Decision, Exception, Kind, Reason};
use super::sessions::{self, CookieSettings};
use super::visit::Visit;
use super::{queue, redirect};
use crate::policy::Integration;

/// How a Cancel action is set up.
#[derive(Clone, Copy, Debug)]
pub struct CancelConfig<'v> {
    /// The waiting rooms whose sessions end.
    pub waiting_rooms: &'v [&'v str],
    /// Host of the waiting rooms.
    pub queue_domain: Option<&'v str>,
    /// First segments of the waiting room's paths.
    pub queue_path_prefix: Option<&'v str>,
    /// Domain of the session cookies.
    pub cookie_domain: Option<&'v str>,
    /// Whether scripts must not see the session cookies.
    pub cookie_http_only: bool,
    /// Whether the session cookies travel on encrypted connections only.
    pub cookie_secure: bool,
    /// Version of the configuration.
    pub version: &'v str,
    /// Name of the action.
    pub action_name: Option<&'v str>,
}

impl<'v> CancelConfig<'v> {
    /// What a published integration says.
    pub fn of(integration: &'v Integration, version: &'v str, arena: &'v Bump) -> CancelConfig<'v> {
        let event_id = integration.event_id.as_deref().unwrap_or_default();
        CancelConfig {
            waiting_rooms: queue::each_once(event_id, &integration.involved_rooms, arena),
            queue_domain: integration.queue_domain.as_deref(),
            queue_path_prefix: integration.queue_path_prefix.as_deref(),
            cookie_domain: integration.cookie_domain.as_deref(),
            cookie_http_only: integration.cookie_http_only,
            cookie_secure: integration.cookie_secure,
            version,
            action_name: integration.name.as_deref(),
        }
    }

    fn cookies(&self) -> CookieSettings<'v> {
        CookieSettings { domain: self.cookie_domain, http_only: self.cookie_http_only, secure: self.cookie_secure }
    }
}

/// Ends a visitor's sessions. `target` is where the waiting room shall send them afterwards.
pub(super) fn cancel<'v>(
    visit: &Visit<'v>,
    config: &CancelConfig<'v>,
    target: &str,
    debug: &mut Debug<'v>,
) -> Result<Decision<'v>, Exception> {
    debug.of_cancel(visit, Some(config), target);
    visit.check_credentials()?;
    if config.waiting_rooms.is_empty() {
        return Err(Exception::Missing("cancelConfig.waitingRoomIds"));
    }
    let queue_domain = config.queue_domain.filter(|domain| !domain.is_empty());
    let queue_domain = queue_domain.ok_or(Exception::Missing("cancelConfig.queueDomain"))?;

    let sessions = sessions::whatever_age(visit, config.waiting_rooms);
    let decision = Decision {
        kind: Some(Kind::Cancel),
        waiting_rooms: Some(config.waiting_rooms),
        ajax: Some(visit.is_ajax()),
        ..Decision::nothing()
    };
    Ok(match sessions.iter().find_map(|(_, session)| *session) {
        Some(first) => Decision {
            reason: Reason::SessionCancelled,
            queue_id: Some(first.queue_id),
            redirect_type: Some(first.redirect_type),
            action_name: config.action_name,
            redirect: Some(redirect::cancel(visit, config, queue_domain, &sessions, target)),
            cookies: config.cookies().delete_present(visit, config.waiting_rooms),
            ..decision
        },
        // The official engine mixes up two arguments here and reports the name as redirect type. Nothing that a
        // visitor sees depends on it.
        None => Decision { reason: Reason::NoSessionToCancel, redirect_type: config.action_name, ..decision },
    })
}
