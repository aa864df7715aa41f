//! From what KV holds to a policy.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::connector::edge::{FailureClass, Secrets};
use crate::language::Severity;
use crate::policy::bundle::unbundle;
use crate::policy::{
    DELIVERED, FailurePolicy, Finding, OnFailure, Policy, SETTINGS_FILE, Settings, Sources, settings_of,
};
use crate::request::Target;

/// What a connector has to know that is no policy: from the Worker's bindings, or from KV entries of the same names.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    pub customer_id: String,
    pub secret: String,
    pub previous_secret: Option<String>,
    /// Where no policy says otherwise.
    pub on_failure: OnFailure,
}

impl Variables {
    pub fn secrets(&self) -> Secrets {
        Secrets::new(self.secret.clone(), self.previous_secret.clone())
    }

    /// What becomes of requests where no policy says it.
    pub fn failure(&self) -> FailurePolicy {
        let all = self.on_failure;
        FailurePolicy {
            no_configuration: all,
            invalid_configuration: all,
            store_unreachable: all,
            internal: all,
            ..FailurePolicy::default()
        }
    }
}

/// The texts that a policy is made from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Texts<'t> {
    /// The integration JSON, as Queue-it published it.
    pub info: Option<&'t str>,
    /// Everything else, as `velvetrope publish` bundles it.
    pub policy: Option<&'t str>,
}

/// What a saved policy was made from, and by whom.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    info: Option<String>,
    policy: Option<String>,
    version: String,
}

impl Texts<'_> {
    /// The metadata of a policy that was compiled from these texts by this version.
    pub fn origin(&self) -> String {
        // Texts by name are JSON.
        serde_json::to_string(&self.origin_parts()).unwrap_or_default()
    }

    fn origin_parts(&self) -> Origin {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Origin { info: self.info.map(digest), policy: self.policy.map(digest), version }
    }

    fn are_of(&self, origin: &str) -> bool {
        serde_json::from_str::<Origin>(origin).is_ok_and(|origin| origin == self.origin_parts())
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A policy as KV holds it compiled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Saved<'s> {
    pub bytes: &'s [u8],
    /// Its metadata: JSON.
    pub origin: &'s str,
}

/// Why there is no policy.
#[derive(Debug)]
pub(super) struct Refused {
    pub class: FailureClass,
    pub why: String,
    /// What the policy says of failures, as far as it can be read.
    pub settings: Option<Box<Settings>>,
}

/// A policy that can be put in force.
#[derive(Debug)]
pub(super) struct Good {
    pub policy: Policy,
    /// Whether it had to be compiled.
    pub is_new: bool,
    /// What it would be well to know all the same.
    pub warnings: Vec<String>,
}

/// Loads what was saved if it is of these texts and whole, and compiles the texts otherwise.
pub(super) fn policy(texts: Texts<'_>, saved: Saved<'_>, variables: &Variables) -> Result<Good, Refused> {
    let refused = |class, why: String| Refused { class, why, settings: None };
    if texts.info.is_none() && texts.policy.is_none() {
        let why =
            "KV holds neither `info` nor `policy`: publish the configuration at Queue-it, or `velvetrope publish`";
        return Err(refused(FailureClass::NoConfiguration, why.to_owned()));
    }
    if variables.secret.is_empty() {
        let why =
            "no secret: set QUEUEIT_SECRETKEY to the customer's secret key (`wrangler secret put QUEUEIT_SECRETKEY`)";
        return Err(refused(FailureClass::InvalidConfiguration, why.to_owned()));
    }
    if texts.policy.is_none() && variables.customer_id.is_empty() {
        let why = "no customer: set QUEUEIT_CUSTOMERID to Queue-it's id of the account";
        return Err(refused(FailureClass::InvalidConfiguration, why.to_owned()));
    }
    let mut good = match loaded(texts, saved) {
        Some(policy) => Good { policy, is_new: false, warnings: Vec::new() },
        None => compiled(texts, &sources(texts, variables)?)?,
    };
    if texts.policy.is_none() {
        good.policy.settings.customer_id.clone_from(&variables.customer_id);
        good.policy.settings.failure = variables.failure();
    }
    Ok(good)
}

fn loaded(texts: Texts<'_>, saved: Saved<'_>) -> Option<Policy> {
    let policy = texts.are_of(saved.origin).then(|| Policy::load(saved.bytes).ok())??;
    (policy.settings.target == Target::Worker && !policy.awaits_configuration()).then_some(policy)
}

/// The texts of the policy; where there is no bundle, the variables are all that is set.
fn sources(texts: Texts<'_>, variables: &Variables) -> Result<Sources, Refused> {
    let mut sources = match texts.policy {
        Some(bundle) => unbundle(bundle).map_err(|error| {
            let why = format!("`policy` in KV is not what `velvetrope publish` writes: {error}");
            Refused { class: FailureClass::InvalidConfiguration, why, settings: None }
        })?,
        None => {
            let settings = format!("customer_id = {}\n", toml::Value::from(variables.customer_id.as_str()));
            Sources::from([(SETTINGS_FILE.to_owned(), settings.into_bytes())])
        }
    };
    if let Some(info) = texts.info {
        sources.insert(DELIVERED.to_owned(), info.as_bytes().to_vec());
    }
    Ok(sources)
}

fn compiled(texts: Texts<'_>, sources: &Sources) -> Result<Good, Refused> {
    let refused = |class, why| {
        // Without a bundle, nobody has written any settings.
        let settings = texts.policy.and_then(|_| settings_of(sources, Some(Target::Worker)));
        Refused { class, why, settings: settings.map(Box::new) }
    };
    let (policy, findings) = Policy::compile(sources, Some(Target::Worker));
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
    Ok(Good { policy, is_new: true, warnings: of(Severity::Warning).collect() })
}

fn place_and_message(finding: &Finding) -> String {
    format!("{}:{}: {}", finding.file, finding.line, finding.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::bundle::bundle;

    const INFO: &str = r#"{"Version": 7, "Integrations": []}"#;

    fn variables() -> Variables {
        let [customer_id, secret] = ["acme", "s"].map(str::to_owned);
        Variables { customer_id, secret, previous_secret: None, on_failure: OnFailure::Closed }
    }

    fn bundled(settings: &str) -> String {
        bundle(&[(SETTINGS_FILE.to_owned(), settings.as_bytes().to_vec())].into()).expect("texts")
    }

    fn class(texts: Texts<'_>, variables: &Variables) -> FailureClass {
        policy(texts, Saved::default(), variables).expect_err("no policy").class
    }

    #[test]
    fn without_a_bundle_variables_are_the_settings() {
        let texts = Texts { info: Some(INFO), policy: None };
        let good = policy(texts, Saved::default(), &variables()).expect("a policy");
        let settings = &good.policy.settings;
        assert_eq!((settings.customer_id.as_str(), settings.target), ("acme", Target::Worker));
        assert_eq!(settings.failure.internal, OnFailure::Closed);
        assert!(settings.delivery.push && good.is_new);
        assert_eq!(good.policy.integrations.version, "7");
    }

    #[test]
    fn what_kv_delivers_stands_in_for_the_bundles_own() {
        for settings in ["customer_id = 'other'", "customer_id = 'other'\nintegration = 'not there.json'"] {
            let policy_text = bundled(settings);
            let texts = Texts { info: Some(INFO), policy: Some(&policy_text) };
            let good = policy(texts, Saved::default(), &variables()).expect("a policy");
            assert_eq!(good.policy.settings.customer_id, "other");
            assert_eq!(good.policy.settings.failure, FailurePolicy::default());
            assert_eq!(good.policy.integrations.version, "7");
        }
    }

    #[test]
    fn pushes_can_be_switched_off() {
        let policy_text = bundled("customer_id = 'a'\n[delivery]\npush = false");
        let texts = Texts { info: Some(INFO), policy: Some(&policy_text) };
        let good = policy(texts, Saved::default(), &variables()).expect("a policy");
        assert!(!good.policy.settings.delivery.push);
    }

    #[test]
    fn what_is_missing_or_broken_is_told_apart() {
        let info = |info| Texts { info: Some(info), policy: None };
        assert_eq!(class(Texts::default(), &variables()), FailureClass::NoConfiguration);
        for broken in ["", "{", "null", &INFO[..10], "\u{0}", "{}"] {
            assert_eq!(class(info(broken), &variables()), FailureClass::InvalidConfiguration, "{broken:?}");
            let broken = Texts { info: Some(INFO), policy: Some(broken) };
            assert_eq!(class(broken, &variables()), FailureClass::InvalidConfiguration, "{broken:?}");
        }
        assert_eq!(class(info(INFO), &Variables::default()), FailureClass::InvalidConfiguration);
        let nameless = Variables { customer_id: String::new(), ..variables() };
        assert_eq!(class(info(INFO), &nameless), FailureClass::InvalidConfiguration);
        let without_bundle = policy(info("{"), Saved::default(), &variables()).expect_err("no JSON");
        assert!(without_bundle.settings.is_none(), "what becomes of the request is for the variables to say");
        let odd = Variables { customer_id: "a\"\n[b]".to_owned(), ..variables() };
        assert_eq!(class(info(INFO), &odd), FailureClass::InvalidConfiguration);

        let waiting = bundled("customer_id = 'a'\nintegration = 'i.json'\n[failure]\nno_configuration = 'closed'");
        let texts = Texts { info: None, policy: Some(&waiting) };
        let refused = policy(texts, Saved::default(), &variables()).expect_err("nothing has arrived");
        assert_eq!(refused.class, FailureClass::NoConfiguration);
        assert_eq!(refused.settings.map(|settings| settings.failure.no_configuration), Some(OnFailure::Closed));
    }

    #[test]
    fn only_what_was_saved_of_these_texts_is_loaded() {
        let texts = Texts { info: Some(INFO), policy: None };
        let bytes = policy(texts, Saved::default(), &variables()).expect("a policy").policy.save();
        let origin = texts.origin();
        let is_new = |texts, bytes: &[u8], origin: &str| {
            policy(texts, Saved { bytes, origin }, &variables()).expect("a policy").is_new
        };
        assert!(!is_new(texts, &bytes, &origin));
        assert!(is_new(texts, &bytes[..bytes.len() / 2], &origin));
        for origin in ["", "null", "{}", "[{}]", &origin.replace(env!("CARGO_PKG_VERSION"), "0.0.0")] {
            assert!(is_new(texts, &bytes, origin), "{origin}");
        }
        let other = Texts { info: Some(r#"{"Version": 8, "Integrations": []}"#), policy: None };
        assert!(is_new(other, &bytes, &origin));
        assert!(is_new(Texts { policy: Some(&bundled("customer_id = 'a'")), ..texts }, &bytes, &origin));
        let loaded = policy(
            texts,
            Saved { bytes: &bytes, origin: &origin },
            &Variables { customer_id: "renamed".to_owned(), ..variables() },
        );
        assert_eq!(loaded.expect("a policy").policy.settings.customer_id, "renamed");
    }
}
