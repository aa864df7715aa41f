use cel::{Context, Program, Value};

use super::Engine;
use crate::Visit;

pub struct CelEngine {
    programs: Vec<Program>,
    root: Context<'static, 'static>,
}

impl CelEngine {
    pub fn new(rules: &[String]) -> Self {
        let compile = |rule: &String| Program::compile(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
        CelEngine { programs: rules.iter().map(compile).collect(), root: Context::default() }
    }
}

impl Engine for CelEngine {
    fn name(&self) -> &'static str {
        "cel 0.15"
    }

    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        let asked = &visit.asked;
        let mut context = self.root.new_inner_scope();
        context.add_variable_from_value("host", asked.host);
        context.add_variable_from_value("path", asked.path);
        context.add_variable_from_value("query", asked.query);
        context.add_variable_from_value("agent", asked.agent);
        context.add_variable_from_value("country", asked.country);
        context.add_variable_from_value("ip", asked.address_number());
        context.add_variable_from_value("asn", asked.asn);
        self.programs.iter().position(|program| program.execute(&context) == Ok(Value::Bool(true)))
    }
}
