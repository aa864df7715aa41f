use a_tree::{ATree, AttributeDefinition};

use super::Engine;
use crate::Visit;

pub struct ATreeEngine {
    tree: ATree<usize>,
}

impl ATreeEngine {
    pub fn new(rules: &[String]) -> Self {
        let definitions = ["host", "path", "country"].map(AttributeDefinition::string);
        let mut tree = ATree::new(&definitions).unwrap_or_else(|error| panic!("{error}"));
        for (number, rule) in rules.iter().enumerate() {
            tree.insert(&number, rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
        }
        ATreeEngine { tree }
    }
}

impl Engine for ATreeEngine {
    fn name(&self) -> &'static str {
        "a-tree 0.6"
    }

    /// It reports every rule that is true, in no order.
    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        let asked = &visit.asked;
        let mut event = self.tree.make_event();
        for (name, text) in [("host", asked.host), ("path", asked.path), ("country", asked.country)] {
            event.with_string(name, text).expect("it is a text");
        }
        let event = event.build().expect("it is complete");
        let report = self.tree.search(&event).expect("it can be searched");
        report.matches().iter().map(|number| **number).min()
    }
}
