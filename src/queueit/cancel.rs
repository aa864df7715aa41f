//! Cancel: a visitor's sessions end (docs/protocol/queue-it.md#cancel-and-ignore).

use super::config::CancelConfig;
use super::debug::Debug;
use super::decision::{Decision, Exception, Kind, Reason};
use super::redirect;
use super::sessions;
use super::visit::Visit;

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
