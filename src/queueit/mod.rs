//! What is Queue-it's: the visitor's signed state (token, session cookie, hashes, enqueue token), and policy + session →
//! decision (docs/protocol/queue-it.md#decision-flow). A [`TriggerView`] is a request as triggers see it.
//!
//! [`decide`] is pure: the same visit, configuration and answers give the same decision. Where it needs an answer from
//! outside it returns the question, and the host calls it again with the answer; [`resolve`] does that for hosts that
//! can wait. [`queue_local`], [`cancel_local`] and [`extend`] do without a published configuration.
//!
//! Time, randomness and secrets are arguments. [`cookie`], [`encoding`], [`enqueue`] and [`token`] know nothing of
//! policies, and nothing here knows of hosts: what every host must do alike is in [`edge`](crate::edge).

mod cancel;
mod config;
pub mod cookie;
pub mod cookies;
mod debug;
mod decision;
pub mod encoding;
pub mod enqueue;
mod local;
mod normalize;
mod outside;
mod queue;
mod redirect;
mod resolve;
mod secret;
mod sessions;
pub mod token;
mod trigger_view;
mod url_token;
mod visit;

pub use config::{CancelConfig, QueueConfig};
pub use decision::{Decision, Exception, Failure, Kind, Reason, Step};
pub use local::{Extension, cancel_local, extend, queue_local};
pub use normalize::normalize;
pub use outside::{
    Answers, DirectPassCall, DirectPassReply, DirectPassSettings, NoAnswer, NoOutside, Outside, Question, QueueIdUse,
    Services,
};
pub use resolve::resolve;
pub use secret::{Mac, Secret, Secrets};
pub use trigger_view::TriggerView;
pub use url_token::{token_of, without_token};
pub use visit::{ClientIp, Configuration, Visit};

use crate::policy::{Action, ConfigError, Integration, RedirectLogic};
use debug::Debug;
use decision::Stop;

/// Decides about one visit by the published configuration (docs/protocol/queue-it.md#decision-flow).
pub fn decide<'v>(visit: &Visit<'v>, configuration: Configuration<'v>, answers: &Answers) -> Step<'v> {
    debug::run(visit, |debug| by_configuration(visit, configuration, answers, debug))
}

fn by_configuration<'v>(
    visit: &Visit<'v>,
    configuration: Configuration<'v>,
    answers: &Answers,
    debug: &mut Debug<'v>,
) -> Result<Decision<'v>, Stop<'v>> {
    debug.of_configuration(visit);
    if !matches!(configuration, Configuration::Refused(ConfigError::Syntax { .. })) && visit.pure_url.is_empty() {
        return Err(Exception::Missing("currentUrlWithoutQueueITToken").into());
    }
    let (version, matched) = match configuration {
        Configuration::InForce { version, matched } => (version, matched),
        Configuration::Refused(error) => {
            debug.of_refused(error);
            return Err(Exception::Configuration(error.clone()).into());
        }
    };
    debug.of_match(version, matched);
    let Some(integration) = matched else { return Ok(Decision::nothing()) };
    if let Some(why) = &integration.broken {
        return Err(Exception::Broken(why.clone()).into());
    }
    match integration.action {
        Action::Queue => {
            let config = QueueConfig::of(integration, version);
            queue::queue(visit, &config, target(visit, integration), answers, debug)
        }
        Action::Cancel => {
            let config = CancelConfig::of(integration, version, visit.arena);
            Ok(cancel::cancel(visit, &config, visit.page_url(), debug)?)
        }
        Action::Ignore => Ok(Decision::ignore(visit, integration.name.as_deref())),
    }
}

/// Where the waiting room shall send the visitor in the end; "" leaves that to the room.
fn target<'v>(visit: &Visit<'v>, integration: &'v Integration) -> &'v str {
    match integration.redirect_logic {
        RedirectLogic::ForcedTargetUrl => integration.forced_target_url.as_deref().unwrap_or_default(),
        RedirectLogic::EventTargetUrl => "",
        RedirectLogic::AllowTParameter => visit.return_url(),
    }
}
