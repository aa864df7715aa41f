//! The policy in force, and how it is replaced: by a better one, never by a worse one.
//!
//! ```text
//!                   refuse                          refuse
//!                  ┌──────┐                        ┌──────┐
//!                  │      ▼     put_in_force       │      ▼
//! LastGood::none ─►  Absent  ────────────────────►  InForce
//!                 (last why)                       ▲      │
//!                                                  └──────┘ put_in_force
//! ```
//!
//! Hosts read texts, compile them and keep watch; what follows from the outcome is said here, for all of them alike.
//! A configuration that is delivered and refused changes nothing: whoever delivers it is told, and no more.

use std::sync::Arc;

use super::FailureClass;
use crate::policy::{FailurePolicy, OlderVersion, Policy, Settings, version_of};

/// What requests are decided by. `P` is a policy and what a host keeps with it.
#[allow(clippy::large_enum_variant, reason = "there is one for each policy of a process")]
#[derive(Clone, Debug)]
pub enum PolicyState<P> {
    /// The last good policy. A newer one may have been refused since.
    InForce(P),
    /// Nothing.
    Absent {
        /// Which failure it is.
        class: FailureClass,
        /// Why, for operators.
        why: String,
        /// What the policy would say that was refused, as far as it can be read.
        settings: Option<Settings>,
    },
}

impl<P> PolicyState<P> {
    /// What is in force.
    pub fn in_force(&self) -> Option<&P> {
        match self {
            PolicyState::InForce(policy) => Some(policy),
            PolicyState::Absent { .. } => None,
        }
    }
}

impl<P: AsRef<Policy>> PolicyState<P> {
    /// What the policy in force says, or the policy that would be if it had no errors.
    pub fn settings(&self) -> Option<&Settings> {
        match self {
            PolicyState::InForce(policy) => Some(&policy.as_ref().settings),
            PolicyState::Absent { settings, .. } => settings.as_ref(),
        }
    }

    /// What becomes of requests that cannot be decided about; what the host says where no policy does.
    pub fn failure(&self, otherwise: FailurePolicy) -> FailurePolicy {
        self.settings().map_or(otherwise, |settings| settings.failure)
    }

    /// Refuses a delivered policy that is older than what is in force, or than the integration JSON that the host keeps:
    /// that may be newer than what it has put in force, and an old one that somebody sends again must not replace it.
    pub fn refuse_older(&self, delivered: &Policy, kept: Option<&str>) -> Result<(), OlderVersion> {
        if let Some(in_force) = self.in_force() {
            delivered.refuse_older(&in_force.as_ref().integrations().version)?;
        }
        kept.and_then(version_of).map_or(Ok(()), |kept| delivered.refuse_older(&kept))
    }
}

/// The last good policy, and what has been tried since. `T` are texts by which a host knows again what it has tried; `()` if
/// it does not look at the same ones again.
#[derive(Debug)]
pub struct LastGood<P, T = ()> {
    state: Arc<PolicyState<P>>,
    /// Of what is in force.
    texts: Option<T>,
    /// Those refused last, if it is them who are to blame.
    refused: Option<T>,
    /// What was complained of last; nothing once all is well again.
    complaint: Option<String>,
}

/// What has become of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// They are in force.
    InForce,
    /// They were refused, and would be again.
    Refused,
}

impl<P, T> LastGood<P, T> {
    /// Nothing is in force yet.
    pub fn none(class: FailureClass, why: impl Into<String>) -> LastGood<P, T> {
        let state = PolicyState::Absent { class, why: why.into(), settings: None };
        LastGood { state: Arc::new(state), texts: None, refused: None, complaint: None }
    }

    /// What requests are decided by from now on.
    pub fn state(&self) -> &Arc<PolicyState<P>> {
        &self.state
    }

    /// The texts that are in force.
    pub fn texts(&self) -> Option<&T> {
        self.texts.as_ref()
    }

    /// Puts a good policy in force, whatever was before, which is returned. What was refused may be fit beside this one.
    pub fn put_in_force(&mut self, policy: P, texts: T) -> Arc<PolicyState<P>> {
        (self.texts, self.refused, self.complaint) = (Some(texts), None, None);
        std::mem::replace(&mut self.state, Arc::new(PolicyState::InForce(policy)))
    }

    /// Notes why there is no newer policy, and which texts are to blame, if any are: those that need not be tried again.
    /// What is in force stays so. Where nothing is, this is why from now on, and `true`; only then are `settings` asked for.
    pub fn refuse(
        &mut self,
        class: FailureClass,
        why: impl Into<String>,
        to_blame: Option<T>,
        settings: impl FnOnce() -> Option<Settings>,
    ) -> bool {
        self.refused = to_blame;
        let is_absent = self.state.in_force().is_none();
        if is_absent {
            self.state = Arc::new(PolicyState::Absent { class, why: why.into(), settings: settings() });
        }
        is_absent
    }

    /// Whether a complaint is another than the last: what is tried again and again is complained of once.
    pub fn is_news(&mut self, complaint: &str) -> bool {
        let is_news = self.complaint.as_deref() != Some(complaint);
        if is_news {
            self.complaint = Some(complaint.to_owned());
        }
        is_news
    }
}

impl<P, T: PartialEq> LastGood<P, T> {
    /// What has become of these texts, if they are known.
    pub fn tried(&self, texts: &T) -> Option<Tried> {
        if self.refused.as_ref() == Some(texts) {
            return Some(Tried::Refused);
        }
        (self.texts.as_ref() == Some(texts)).then_some(Tried::InForce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{OnFailure, Sources};

    /// A policy of an integration JSON of this version.
    struct Deployed(Policy);

    impl AsRef<Policy> for Deployed {
        fn as_ref(&self) -> &Policy {
            &self.0
        }
    }

    fn integration(version: u32) -> String {
        format!(r#"{{"Version": {version}, "Integrations": []}}"#)
    }

    fn policy(version: u32, more: &str) -> Policy {
        let settings = format!("customer_id = 'a'\nintegration = 'i.json'\n{more}");
        let sources = [("velvetrope.toml", settings), ("i.json", integration(version))];
        let sources: Sources = sources.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
        Policy::compile(&sources, None).unwrap_or_else(|findings| panic!("{findings:#?}")).policy
    }

    fn settings(more: &str) -> Settings {
        policy(1, more).settings
    }

    /// Things that can happen to texts that are named by a letter.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Event {
        Good(char),
        Bad(char),
        Unreachable,
    }

    const EVENTS: [Event; 5] =
        [Event::Good('a'), Event::Good('b'), Event::Bad('a'), Event::Bad('c'), Event::Unreachable];

    /// All runs of so many events.
    fn runs(length: u32) -> impl Iterator<Item = Vec<Event>> {
        let one = move |run: usize| (0..length).map(|at| EVENTS[run / EVENTS.len().pow(at) % EVENTS.len()]).collect();
        (0..EVENTS.len().pow(length)).map(one)
    }

    fn happens(kept: &mut LastGood<char, char>, event: Event) {
        match event {
            Event::Good(texts) => _ = kept.put_in_force(texts, texts),
            Event::Bad(texts) => {
                _ = kept.refuse(FailureClass::InvalidConfiguration, texts, Some(texts), || None);
            }
            Event::Unreachable => _ = kept.refuse(FailureClass::StoreUnreachable, "gone", None, || None),
        }
    }

    #[test]
    fn after_any_run_the_last_good_one_counts_or_the_last_reason() {
        for run in (0..=5).flat_map(runs) {
            let mut kept = LastGood::none(FailureClass::NoConfiguration, "not yet");
            run.iter().for_each(|event| happens(&mut kept, *event));
            let good = run.iter().rev().find_map(|event| match event {
                Event::Good(texts) => Some(*texts),
                _ => None,
            });
            let expected = match (good, run.last()) {
                (Some(good), _) => Ok(good),
                (None, None) => Err((FailureClass::NoConfiguration, "not yet")),
                (None, Some(Event::Bad('a'))) => Err((FailureClass::InvalidConfiguration, "a")),
                (None, Some(Event::Bad(_))) => Err((FailureClass::InvalidConfiguration, "c")),
                (None, Some(_)) => Err((FailureClass::StoreUnreachable, "gone")),
            };
            let is = match &**kept.state() {
                PolicyState::InForce(texts) => Ok(*texts),
                PolicyState::Absent { class, why, .. } => Err((*class, why.as_str())),
            };
            assert_eq!(is, expected, "{run:?}");
            assert_eq!(kept.texts().copied(), good, "{run:?}");
        }
    }

    #[test]
    fn after_any_run_only_what_need_not_be_tried_is_known() {
        for run in (0..=5).flat_map(runs) {
            let mut kept = LastGood::none(FailureClass::NoConfiguration, "not yet");
            run.iter().for_each(|event| happens(&mut kept, *event));
            for texts in ['a', 'b', 'c'] {
                let expected = match run.last() {
                    Some(Event::Bad(refused)) if *refused == texts => Some(Tried::Refused),
                    _ => (kept.texts() == Some(&texts)).then_some(Tried::InForce),
                };
                assert_eq!(kept.tried(&texts), expected, "{texts} after {run:?}");
            }
        }
    }

    #[test]
    fn what_is_in_force_is_handed_back_when_it_is_replaced() {
        let mut kept = LastGood::none(FailureClass::NoConfiguration, "not yet");
        assert_eq!(kept.put_in_force(1, ()).in_force(), None);
        let asked = Arc::clone(kept.state());
        assert!(!kept.refuse(FailureClass::Internal, "broken", None, || panic!("nobody asks what a worse one says")));
        assert_eq!(kept.put_in_force(2, ()).in_force(), Some(&1));
        assert_eq!(asked.in_force(), Some(&1), "a request goes on with what it has begun with");
    }

    #[test]
    fn a_complaint_is_told_once_until_all_is_well() {
        let mut kept = LastGood::none(FailureClass::NoConfiguration, "not yet");
        assert_eq!(["x", "x", "y", "x"].map(|complaint| kept.is_news(complaint)), [true, false, true, true]);
        kept.refuse(FailureClass::InvalidConfiguration, "x", Some(()), || None);
        assert!(!kept.is_news("x"), "to refuse is not to tell");
        kept.put_in_force((), ());
        assert!(kept.is_news("x"));
    }

    #[test]
    fn the_failure_policy_is_the_readable_one_or_the_hosts() {
        const CLOSED: &str = "[failure]\ninvalid_configuration = 'closed'";
        let hosts = FailurePolicy { internal: OnFailure::Closed, ..FailurePolicy::default() };
        let mut kept = LastGood::<Deployed>::none(FailureClass::StoreUnreachable, "not yet");
        assert!(kept.state().settings().is_none());
        assert_eq!(kept.state().failure(hosts), hosts);
        assert!(kept.refuse(FailureClass::InvalidConfiguration, "broken", None, || Some(settings(CLOSED))));
        let PolicyState::Absent { class, .. } = **kept.state() else { panic!("nothing is in force") };
        assert_eq!(class.on_failure(&kept.state().failure(hosts)), OnFailure::Closed);
        assert!(kept.refuse(FailureClass::StoreUnreachable, "gone", None, || None));
        assert_eq!(kept.state().failure(hosts), hosts, "what was read once is not what counts now");
        kept.put_in_force(Deployed(policy(1, "")), ());
        assert!(!kept.refuse(FailureClass::InvalidConfiguration, "broken", None, || Some(settings(CLOSED))));
        assert_eq!(kept.state().failure(hosts), FailurePolicy::default(), "the policy in force says it");
    }

    #[test]
    fn what_is_older_than_anything_known_is_refused() {
        let absent = LastGood::<Deployed>::none(FailureClass::NoConfiguration, "not yet");
        let mut in_force = LastGood::none(FailureClass::NoConfiguration, "not yet");
        in_force.put_in_force(Deployed(policy(10, "")), ());
        let is_taken = |kept: &LastGood<Deployed>, version, text: Option<u32>| {
            let text = text.map(integration);
            kept.state().refuse_older(&policy(version, ""), text.as_deref()).is_ok()
        };
        assert!(is_taken(&absent, 1, None));
        assert!(!is_taken(&absent, 9, Some(10)) && is_taken(&absent, 10, Some(10)));
        assert!(!is_taken(&in_force, 9, None) && is_taken(&in_force, 10, None));
        assert!(!is_taken(&in_force, 9, Some(8)), "what is in force counts");
        assert!(!is_taken(&in_force, 11, Some(12)), "and what is kept beside it");
        assert!(absent.state().refuse_older(&policy(9, ""), Some("no JSON")).is_ok());
        assert!(in_force.state().refuse_older(&policy(9, "[delivery]\nallow_older = true"), None).is_ok());
    }
}
