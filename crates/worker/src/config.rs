//! From what KV holds, or the compiler made of it, to a policy.

use super::outcome::{Outcome, Refused, Texts};
use velvetrope::internal::edge::{FailureClass, Secrets};
use velvetrope::internal::policy::{FailurePolicy, OnFailure, Policy};
use velvetrope::internal::request::Target;

/// What a connector has to know that is no policy: from the Worker's bindings, or from KV entries of the same names.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    pub customer_id: String,
    pub secret: String,
    pub previous_secret: Option<String>,
    /// Where no policy says otherwise.
    pub on_failure: OnFailure,
    /// Likewise.
    pub shared_sessions: bool,
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

/// Which of the texts KV holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// The integration JSON.
    pub info: bool,
    /// The bundle.
    pub policy: bool,
}

impl Texts<'_> {
    /// Which of them there are.
    pub fn held(&self) -> Held {
        Held { info: self.info.is_some(), policy: self.policy.is_some() }
    }
}

/// A policy that was compiled from texts just now.
#[derive(Debug)]
pub(super) struct Compiled {
    pub policy: Policy,
    pub saved: Vec<u8>,
    /// What it would be well to know all the same.
    pub warnings: Vec<String>,
}

/// Loads what was saved of the texts that are held if it is whole; they have to be compiled otherwise.
pub(super) fn load(held: Held, saved: &[u8], variables: &Variables) -> Result<Option<Policy>, Refused> {
    complete(held, variables)?;
    let fit = Policy::load(saved)
        .ok()
        .filter(|policy| policy.settings.target == Target::Worker && !policy.awaits_configuration());
    Ok(fit.map(|policy| with_variables(policy, held, variables)))
}

/// Loads what the compiler made of the texts that are held.
pub(super) fn take(held: Held, outcome: &[u8], variables: &Variables) -> Result<Compiled, Refused> {
    complete(held, variables)?;
    let died = || Refused::new(FailureClass::InvalidConfiguration, "the compiler died of the configuration");
    match postcard::from_bytes(outcome).map_err(|_| died())? {
        Outcome::Refused(refused) => Err(refused),
        Outcome::Compiled { policy: saved, warnings } => {
            let policy = Policy::load(&saved).map_err(|_| died())?;
            Ok(Compiled { policy: with_variables(policy, held, variables), saved, warnings })
        }
    }
}

/// Whether there is all that it takes.
fn complete(held: Held, variables: &Variables) -> Result<(), Refused> {
    let (class, why) = if !held.info && !held.policy {
        let why =
            "KV holds neither `info` nor `policy`: publish the configuration at Queue-it, or `velvetrope publish`";
        (FailureClass::NoConfiguration, why)
    } else if variables.secret.is_empty() {
        let why =
            "no secret: set QUEUEIT_SECRETKEY to the customer's secret key (`wrangler secret put QUEUEIT_SECRETKEY`)";
        (FailureClass::InvalidConfiguration, why)
    } else if !held.policy && variables.customer_id.is_empty() {
        let why = "no customer: set QUEUEIT_CUSTOMERID to Queue-it's id of the account";
        (FailureClass::InvalidConfiguration, why)
    } else {
        return Ok(());
    };
    Err(Refused::new(class, why))
}

/// Without a bundle, the variables are all that is set.
fn with_variables(mut policy: Policy, held: Held, variables: &Variables) -> Policy {
    if !held.policy {
        policy.settings.customer_id.clone_from(&variables.customer_id);
        policy.settings.failure = variables.failure();
        policy.settings.shared_sessions = variables.shared_sessions;
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;
    use velvetrope::internal::policy::SETTINGS_FILE;
    use velvetrope::internal::policy::bundle::bundle;

    const INFO: &str = r#"{"Version": 7, "Integrations": []}"#;

    fn variables() -> Variables {
        let [customer_id, secret] = ["acme", "s"].map(str::to_owned);
        Variables { customer_id, secret, on_failure: OnFailure::Closed, shared_sessions: true, ..Variables::default() }
    }

    fn bundled(settings: &str) -> String {
        bundle(&[(SETTINGS_FILE.to_owned(), settings.as_bytes().to_vec())].into()).expect("texts")
    }

    #[derive(Debug)]
    struct Good {
        policy: Policy,
        /// Whether it had to be compiled.
        is_new: bool,
    }

    fn policy(texts: Texts<'_>, saved: &[u8], variables: &Variables) -> Result<Good, Refused> {
        if let Some(policy) = load(texts.held(), saved, variables)? {
            return Ok(Good { policy, is_new: false });
        }
        let outcome = postcard::to_allocvec(&compile(texts, &variables.customer_id)).expect("bytes");
        take(texts.held(), &outcome, variables).map(|compiled| Good { policy: compiled.policy, is_new: true })
    }

    fn class(texts: Texts<'_>, variables: &Variables) -> FailureClass {
        policy(texts, &[], variables).expect_err("no policy").class
    }

    #[test]
    fn without_a_bundle_variables_are_the_settings() {
        let texts = Texts { info: Some(INFO), ..Texts::default() };
        let good = policy(texts, &[], &variables()).expect("a policy");
        let settings = &good.policy.settings;
        assert_eq!((settings.customer_id.as_str(), settings.target), ("acme", Target::Worker));
        assert_eq!((settings.failure.internal, settings.shared_sessions), (OnFailure::Closed, true));
        assert!(settings.delivery.push && good.is_new);
        assert_eq!(good.policy.integrations().version, "7");
    }

    #[test]
    fn what_kv_delivers_stands_in_for_the_bundles_own() {
        for settings in ["customer_id = 'other'", "customer_id = 'other'\nintegration = 'not there.json'"] {
            let policy_text = bundled(settings);
            let texts = Texts { info: Some(INFO), policy: Some(&policy_text), managed: None };
            let good = policy(texts, &[], &variables()).expect("a policy");
            assert_eq!(good.policy.settings.customer_id, "other");
            assert_eq!(good.policy.settings.failure, FailurePolicy::default());
            assert!(!good.policy.settings.shared_sessions);
            assert_eq!(good.policy.integrations().version, "7");
        }
    }

    #[test]
    fn what_is_managed_stands_in_for_the_bundles_own() {
        let manifest = r#"{"rooms": "store:rooms.json", "rules": {}, "lists": {}}"#;
        let room = |name: &str| format!(r#"[{{"name": "{name}", "host": "{name}.example"}}]"#);
        let (own, stored) = (room("own"), room("stored"));
        let bundled = |texts: &[(&str, &str)]| {
            let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
            bundle(&texts.collect()).expect("texts")
        };
        let own = bundled(&[(SETTINGS_FILE, "customer_id = 'a'\nrooms = 'rooms.json'"), ("rooms.json", &own)]);
        let settings = (SETTINGS_FILE, "customer_id = 'somebody else'");
        let managed = bundled(&[("store:manifest.json", manifest), ("store:rooms.json", &stored), settings]);
        let texts = Texts { info: Some(INFO), policy: Some(&own), managed: Some(&managed) };
        let good = policy(texts, &[], &variables()).expect("a policy");
        assert_eq!(good.policy.rooms().iter().map(|room| &*room.name).collect::<Vec<_>>(), ["stored"]);
        assert_eq!(good.policy.settings.customer_id, "a", "settings are nobody else's");
        assert_eq!(class(Texts { managed: Some("{"), ..texts }, &variables()), FailureClass::InvalidConfiguration);
    }

    #[test]
    fn pushes_can_be_switched_off() {
        let policy_text = bundled("customer_id = 'a'\n[delivery]\npush = false");
        let texts = Texts { info: Some(INFO), policy: Some(&policy_text), managed: None };
        let good = policy(texts, &[], &variables()).expect("a policy");
        assert!(!good.policy.settings.delivery.push);
    }

    #[test]
    fn what_is_missing_or_broken_is_told_apart() {
        let info = |info| Texts { info: Some(info), ..Texts::default() };
        assert_eq!(class(Texts::default(), &variables()), FailureClass::NoConfiguration);
        for broken in ["", "{", "null", &INFO[..10], "\u{0}", "{}"] {
            assert_eq!(class(info(broken), &variables()), FailureClass::InvalidConfiguration, "{broken:?}");
            let broken = Texts { info: Some(INFO), policy: Some(broken), managed: None };
            assert_eq!(class(broken, &variables()), FailureClass::InvalidConfiguration, "{broken:?}");
        }
        assert_eq!(class(info(INFO), &Variables::default()), FailureClass::InvalidConfiguration);
        let nameless = Variables { customer_id: String::new(), ..variables() };
        assert_eq!(class(info(INFO), &nameless), FailureClass::InvalidConfiguration);
        let without_bundle = policy(info("{"), &[], &variables()).expect_err("no JSON");
        assert!(without_bundle.settings.is_none(), "what becomes of the request is for the variables to say");
        let odd = Variables { customer_id: "a\"\n[b]".to_owned(), ..variables() };
        assert_eq!(class(info(INFO), &odd), FailureClass::InvalidConfiguration);

        let waiting = bundled("customer_id = 'a'\nintegration = 'i.json'\n[failure]\nno_configuration = 'closed'");
        let texts = Texts { info: None, policy: Some(&waiting), managed: None };
        let refused = policy(texts, &[], &variables()).expect_err("nothing has arrived");
        assert_eq!(refused.class, FailureClass::NoConfiguration);
        assert_eq!(refused.settings.map(|settings| settings.failure.no_configuration), Some(OnFailure::Closed));
    }

    #[test]
    fn only_what_was_saved_whole_is_loaded() {
        let texts = Texts { info: Some(INFO), ..Texts::default() };
        let bytes = policy(texts, &[], &variables()).expect("a policy").policy.save();
        let is_new = |bytes: &[u8]| policy(texts, bytes, &variables()).expect("a policy").is_new;
        assert!(!is_new(&bytes));
        assert!(is_new(&bytes[..bytes.len() / 2]));
        let renamed = Variables { customer_id: "renamed".to_owned(), ..variables() };
        let loaded = policy(texts, &bytes, &renamed).expect("a policy");
        assert_eq!(loaded.policy.settings.customer_id, "renamed");
    }

    #[test]
    fn what_the_compiler_left_unfinished_is_refused() {
        let texts = Texts { info: Some(INFO), ..Texts::default() };
        let outcome = postcard::to_allocvec(&compile(texts, "acme")).expect("bytes");
        for length in [0, 1, outcome.len() / 2] {
            let refused = take(texts.held(), &outcome[..length], &variables()).expect_err("half an outcome");
            assert_eq!(refused.class, FailureClass::InvalidConfiguration);
        }
    }
}
