//! From the texts that KV holds to a saved policy.

use super::outcome::{Outcome, Refused, Texts};
use super::sources::sources;
use velvetrope::internal::edge::FailureClass;
use velvetrope::internal::policy::{Compiled, Policy, Sources, settings_of};
use velvetrope::internal::request::Target;

/// A policy compiled for Workers, as KV keeps it for them.
#[cfg(any(not(target_arch = "wasm32"), feature = "manage"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precompiled {
    /// Under which key: Workers of this version look there, when they come by these texts.
    pub key: String,
    /// What is kept there.
    pub value: Vec<u8>,
}

/// Compiles what KV holds, or is to hold: the integration JSON, what `velvetrope publish` bundled, and the bundle of what is
/// managed. Without a bundle, the customer is all that is set. The error is a text that says what is wrong with them.
#[cfg(any(not(target_arch = "wasm32"), feature = "manage"))]
pub fn precompile(
    info: Option<&str>,
    policy: Option<&str>,
    managed: Option<&str>,
    customer_id: &str,
) -> Result<Precompiled, String> {
    let texts = Texts { info, policy, managed };
    match compile(texts, customer_id) {
        Outcome::Compiled { policy, .. } => Ok(Precompiled { key: texts.key(), value: policy }),
        Outcome::Refused(refused) => Err(refused.why),
    }
}

/// Compiles texts; where there is no bundle, the customer is all that is set.
pub(super) fn compile(texts: Texts<'_>, customer_id: &str) -> Outcome {
    sources(texts, customer_id).and_then(|sources| compiled(texts, &sources)).unwrap_or_else(Outcome::Refused)
}

fn compiled(texts: Texts<'_>, sources: &Sources) -> Result<Outcome, Refused> {
    let refused = |class, why| {
        // Without a bundle, nobody has written any settings.
        let settings = texts.policy.and_then(|_| settings_of(sources, Some(Target::Worker)));
        Refused { class, why, settings: settings.map(Box::new) }
    };
    let compile = if texts.info.is_some() { Policy::compile_delivered } else { Policy::compile };
    let Compiled { policy, warnings } = compile(sources, Some(Target::Worker))
        .map_err(|findings| refused(FailureClass::InvalidConfiguration, format!("the configuration has {findings}")))?;
    if policy.awaits_configuration() {
        let why = "the integration JSON has not been published yet: KV holds no `info`".to_owned();
        return Err(refused(FailureClass::NoConfiguration, why));
    }
    Ok(Outcome::Compiled { policy: policy.save(), warnings: warnings.iter().map(ToString::to_string).collect() })
}
