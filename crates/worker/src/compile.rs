//! From the texts that KV holds to a saved policy.

use super::outcome::{Outcome, Refused, Texts};
use super::sources::sources;
use velvetrope::internal::edge::FailureClass;
use velvetrope::internal::language::Severity;
use velvetrope::internal::policy::{Finding, Policy, Sources, settings_of};
use velvetrope::internal::request::Target;

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
    let (policy, findings) = compile(sources, Some(Target::Worker));
    let of = |severity| findings.iter().filter(move |finding| finding.severity == severity).map(place_and_message);
    let Some(policy) = policy else {
        let errors: Vec<_> = of(Severity::Error).collect();
        let first = errors.first().map_or("", String::as_str);
        let why = format!("the configuration has {} errors, first {first}", errors.len());
        return Err(refused(FailureClass::InvalidConfiguration, why));
    };
    if policy.awaits_configuration() {
        let why = "the integration JSON has not been published yet: KV holds no `info`".to_owned();
        return Err(refused(FailureClass::NoConfiguration, why));
    }
    Ok(Outcome::Compiled { policy: policy.save(), warnings: of(Severity::Warning).collect() })
}

fn place_and_message(finding: &Finding) -> String {
    format!("{}:{}: {}", finding.file, finding.line, finding.message)
}
