//! How Queue and Cancel actions are set up.

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use super::sessions::CookieSettings;
use crate::policy::{Integration, Number};

/// How a Queue action is set up.
#[derive(Clone, Copy, Debug)]
pub struct QueueConfig<'v> {
    /// The waiting room.
    pub event_id: Option<&'v str>,
    /// Further rooms whose sessions are accepted.
    pub involved_rooms: &'v [String],
    /// Layout of the waiting room's page.
    pub layout: Option<&'v str>,
    /// Language of the waiting room's page.
    pub culture: Option<&'v str>,
    /// Host of the waiting room.
    pub queue_domain: Option<&'v str>,
    /// First segments of the waiting room's paths.
    pub queue_path_prefix: Option<&'v str>,
    /// Whether each request prolongs the session.
    pub extend_cookie_validity: bool,
    /// Validity of sessions.
    pub cookie_validity_minute: Number,
    /// Domain of the session cookie.
    pub cookie_domain: Option<&'v str>,
    /// Whether scripts must not see the session cookie.
    pub cookie_http_only: bool,
    /// Whether the session cookie travels on encrypted connections only.
    pub cookie_secure: bool,
    /// Version of the configuration.
    pub version: &'v str,
    /// Name of the action.
    pub action_name: Option<&'v str>,
    /// Whether each use of a queue id is to be verified.
    pub verify_queue_id: bool,
    /// How often a queue id may be used.
    pub queue_id_usage_limit: Number,
}

impl<'v> QueueConfig<'v> {
    /// What a published integration says.
    pub fn of(integration: &'v Integration, version: &'v str) -> QueueConfig<'v> {
        QueueConfig {
            event_id: integration.event_id.as_deref(),
            involved_rooms: &integration.involved_rooms,
            layout: integration.layout.as_deref(),
            culture: integration.culture.as_deref(),
            queue_domain: integration.queue_domain.as_deref(),
            queue_path_prefix: integration.queue_path_prefix.as_deref(),
            extend_cookie_validity: integration.extend_cookie_validity,
            cookie_validity_minute: integration.cookie_validity_minute,
            cookie_domain: integration.cookie_domain.as_deref(),
            cookie_http_only: integration.cookie_http_only,
            cookie_secure: integration.cookie_secure,
            version,
            action_name: integration.name.as_deref(),
            verify_queue_id: integration.verify_queue_id,
            queue_id_usage_limit: integration.queue_id_usage_limit,
        }
    }

    pub(super) fn cookies(&self) -> CookieSettings<'v> {
        CookieSettings { domain: self.cookie_domain, http_only: self.cookie_http_only, secure: self.cookie_secure }
    }
}

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
            waiting_rooms: each_once(event_id, &integration.involved_rooms, arena),
            queue_domain: integration.queue_domain.as_deref(),
            queue_path_prefix: integration.queue_path_prefix.as_deref(),
            cookie_domain: integration.cookie_domain.as_deref(),
            cookie_http_only: integration.cookie_http_only,
            cookie_secure: integration.cookie_secure,
            version,
            action_name: integration.name.as_deref(),
        }
    }

    pub(super) fn cookies(&self) -> CookieSettings<'v> {
        CookieSettings { domain: self.cookie_domain, http_only: self.cookie_http_only, secure: self.cookie_secure }
    }
}

/// The ids of rooms, each once, in order.
pub(super) fn each_once<'v>(first: &'v str, more: &'v [String], arena: &'v Bump) -> &'v [&'v str] {
    let mut rooms = ArenaVec::with_capacity_in(1 + more.len(), arena);
    for room in std::iter::once(first).chain(more.iter().map(String::as_str)) {
        if !room.is_empty() && !rooms.contains(&room) {
            rooms.push(room);
        }
    }
    rooms.into_bump_slice()
}
