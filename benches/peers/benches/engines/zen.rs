use std::sync::Arc;

use serde_json::json;
use zen_expression::Isolate;
use zen_expression::compiler::Opcode;
use zen_expression::variable::Variable;

use super::Engine;
use crate::Visit;

pub struct ZenEngine {
    isolate: Isolate,
    rules: Vec<Arc<[Opcode]>>,
}

impl ZenEngine {
    pub fn new(rules: &[String]) -> Self {
        let mut isolate = Isolate::new();
        let mut compile = |rule: &String| {
            isolate.compile_standard(rule).unwrap_or_else(|error| panic!("{rule}: {error}")).bytecode().clone()
        };
        let rules = rules.iter().map(&mut compile).collect();
        ZenEngine { isolate, rules }
    }
}

impl Engine for ZenEngine {
    fn name(&self) -> &'static str {
        "zen-expression 2.1"
    }

    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        let asked = &visit.asked;
        let environment = json!({
            "host": asked.host,
            "path": asked.path,
            "query": asked.query,
            "agent": asked.agent,
            "country": asked.country,
            "ip": asked.address_number(),
            "asn": asked.asn,
        });
        self.isolate.set_environment(Variable::from(environment));
        let isolate = &mut self.isolate;
        self.rules.iter().position(|rule| matches!(isolate.run_compiled(rule), Ok(Variable::Bool(true))))
    }
}
