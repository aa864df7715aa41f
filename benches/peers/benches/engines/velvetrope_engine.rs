use velvetrope::internal::program::{Program, Scratch, Site, Verdict};

use super::Engine;
use crate::{Visit, workload};

pub struct VelvetropeEngine {
    program: Program,
    scratch: Scratch,
    /// Sites without bypass rules have one entry, which is the rule.
    has_rules: bool,
}

impl VelvetropeEngine {
    pub fn new(rules: &[String]) -> Self {
        VelvetropeEngine::of_site(&workload::site(&workload::expressions(rules)))
    }

    pub fn of_site(site: &Site) -> Self {
        VelvetropeEngine {
            program: Program::compile(site),
            scratch: Scratch::default(),
            has_rules: !site.rules.is_empty(),
        }
    }
}

impl Engine for VelvetropeEngine {
    fn name(&self) -> &'static str {
        "velvetrope"
    }

    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        let arena = self.scratch.start();
        match self.program.evaluate(&visit.received.plain_view(arena), arena) {
            Verdict::Bypassed { rule, .. } => Some(rule),
            Verdict::Matched { entry } if !self.has_rules => Some(entry),
            _ => None,
        }
    }
}
