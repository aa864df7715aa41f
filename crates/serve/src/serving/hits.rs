//! How often each bypass rule let a request pass.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use velvetrope::internal::policy::BypassRule;

type Counter = Arc<AtomicU64>;

/// One counter for each rule of a policy. A rule that is also in the next policy keeps its counter, whatever has become
/// of it: a rule is known by its room and its id.
#[derive(Default)]
pub(crate) struct Hits {
    /// In the order of the policy.
    counters: Vec<Counter>,
    /// By room, in lower case, and id.
    by_rule: HashMap<String, HashMap<String, Counter>>,
}

impl Hits {
    /// Counters for these rules, those of the policy `before` among them.
    pub(crate) fn of(rules: &[BypassRule], before: Option<&Hits>) -> Hits {
        let mut hits = Hits::default();
        for rule in rules {
            let known = before.and_then(|before| before.counter(&rule.room, &rule.id));
            let counter = known.map(Arc::clone).unwrap_or_default();
            hits.counters.push(Arc::clone(&counter));
            hits.by_rule.entry(rule.room.to_lowercase()).or_default().insert(rule.id.clone(), counter);
        }
        hits
    }

    /// A rule, by its place in the policy, lets somebody pass.
    pub(crate) fn count(&self, rule: usize) {
        if let Some(counter) = self.counters.get(rule) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often a rule did so.
    pub(crate) fn counted(&self, room: &str, rule: &str) -> Option<u64> {
        self.counter(room, rule).map(|counter| counter.load(Ordering::Relaxed))
    }

    fn counter(&self, room: &str, rule: &str) -> Option<&Counter> {
        self.by_rule.get(&room.to_lowercase())?.get(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(ids: &[(&str, &str)]) -> Vec<BypassRule> {
        let rule = |(room, id): &(&str, &str)| BypassRule {
            id: (*id).to_owned(),
            room: (*room).into(),
            description: String::new(),
            enabled: true,
            file: "rules.json".into(),
            line: 1,
        };
        ids.iter().map(rule).collect()
    }

    #[test]
    fn a_rule_keeps_its_count_wherever_it_moves() {
        let hits = Hits::of(&rules(&[("shop", "a"), ("Shop", "b"), ("sale", "a")]), None);
        for (rule, times) in [(0, 1), (1, 2), (2, 3), (7, 5)] {
            (0..times).for_each(|_| hits.count(rule));
        }
        let all = |hits: &Hits| [("shop", "a"), ("SHOP", "b"), ("sale", "a")].map(|(room, id)| hits.counted(room, id));
        assert_eq!(all(&hits), [Some(1), Some(2), Some(3)]);

        let later = Hits::of(&rules(&[("sale", "a"), ("shop", "c"), ("shop", "a")]), Some(&hits));
        assert_eq!(all(&later), [Some(1), None, Some(3)]);
        assert_eq!(later.counted("shop", "c"), Some(0));
        // Of a request that was under way.
        hits.count(0);
        later.count(2);
        assert_eq!(all(&later), [Some(3), None, Some(3)]);
    }
}
