//! Requests made up from what a policy asks for: a handful that reach its integrations and rules.

use std::collections::HashSet;

use serde_json::json;

use crate::output::Failure;
use crate::test::cases::{self, Case};
use velvetrope::internal::language::expression::{
    Argument, Base, Call, Condition, Literal, Operand, Relation, Right, Set, Test,
};
use velvetrope::internal::language::{Expression, Function};
use velvetrope::internal::policy::{Action, Integration, Policy};
use velvetrope::internal::request::Field;

/// Of each kind, at most so many are made up.
const MOST: usize = 4;

/// A visit to the front page, to where integrations and rules look, and those of a visitor who returns with a token and
/// of one who has a session.
pub fn cases(policy: &Policy) -> Result<Vec<Case>, Failure> {
    let all = &policy.integrations().all;
    let integrations = spread(all.len());
    let mut asked: Vec<_> = integrations.clone().map(|index| Asked::of(policy.program().entry(index))).collect();
    for index in spread(policy.rules().len()) {
        let rule = &policy.rules()[index];
        let queues = |integration: &Integration| integration.action == Action::Queue && rule.is_for(integration);
        let room = all.iter().position(queues).and_then(|room| policy.program().entry(room));
        asked.push(Asked::of(policy.program().rule(index)).within(&Asked::of(room)));
    }
    let known = asked.iter().find_map(|asked| asked.host.clone());
    let host = policy.settings.hosts.first().cloned().or(known).unwrap_or_else(|| "shop.example".to_owned());
    let mut lines = vec![json!({"url": format!("https://{host}/")})];
    lines.extend(asked.iter().map(|asked| json!({"url": asked.url(&host)})));
    let queue =
        integrations.map(|index| &all[index]).zip(&asked).find(|(integration, _)| integration.action == Action::Queue);
    if let Some((room, asked)) = queue.and_then(|(integration, asked)| Some((integration.event_id.as_ref()?, asked))) {
        lines.push(json!({"url": asked.url(&host), "token": {"room": room, "queue_id": QUEUE_ID}}));
        lines.push(json!({"url": asked.url(&host), "session": {"room": room, "queue_id": QUEUE_ID}}));
    }
    let mut seen = HashSet::new();
    lines.retain(|line| seen.insert(line.clone()));
    let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    cases::parse("requests that were made up", &lines.join("\n"))
}

const QUEUE_ID: &str = "3a1b2c3d-0000-4000-8000-5e6f70819203";

/// A few indexes, from the first to the last.
fn spread(count: usize) -> impl Iterator<Item = usize> + Clone {
    (0..count).step_by(count.div_ceil(MOST).max(1))
}

/// What a condition wants of a URL.
#[derive(Default)]
struct Asked {
    host: Option<String>,
    path: Option<String>,
    /// How the path ends.
    end: Option<String>,
}

impl Asked {
    /// Nothing, where nobody knows the expression any more.
    fn of(expression: Option<&Expression>) -> Asked {
        let mut asked = Asked::default();
        if let Some(expression) = expression {
            asked.look(&expression.root);
        }
        asked
    }

    /// What a rule wants, and besides what its room wants.
    fn within(self, room: &Asked) -> Asked {
        Asked { host: self.host.or(room.host.clone()), path: self.path.or(room.path.clone()), end: self.end }
    }

    fn url(&self, host: &str) -> String {
        let (host, path) = (self.host.as_deref().unwrap_or(host), self.path.as_deref().unwrap_or("/"));
        match &self.end {
            Some(end) => format!("https://{host}{}{end}", path.trim_end_matches('/')),
            None => format!("https://{host}{path}"),
        }
    }

    /// The first host and the first path that would make a part of it true.
    fn look(&mut self, condition: &Condition) {
        match condition {
            Condition::Constant(_) | Condition::Not(_) => {}
            Condition::Truth(operand) => self.note(field(operand), argument(operand), is_end(operand)),
            Condition::Compare(comparison) => self.note(field(&comparison.left), compared(&comparison.test), false),
            Condition::Chain(_, parts) => parts.iter().for_each(|part| self.look(part)),
            Condition::Quantified(_, inner) => self.look(inner),
        }
    }

    fn note(&mut self, field: Option<Field>, text: Option<&[u8]>, is_end: bool) {
        use Field::*;
        let usable = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/%".contains(byte);
        let text = text.filter(|text| !text.is_empty() && text.iter().all(usable));
        let Some(text) = text.map(String::from_utf8_lossy) else { return };
        match field {
            Some(HttpHost | TriggerHostName | TriggerNormalizedHostName) if !text.contains(['/', '%']) => {
                self.host.get_or_insert(text.into_owned());
            }
            Some(
                HttpRequestUri
                | HttpRequestUriPath
                | RawHttpRequestUri
                | RawHttpRequestUriPath
                | TriggerPagePath
                | TriggerNormalizedPagePath
                | TriggerPageUrl
                | TriggerNormalizedPageUrl,
            ) => {
                let part = if is_end { &mut self.end } else { &mut self.path };
                part.get_or_insert(format!("/{}", text.trim_start_matches('/')));
            }
            _ => {}
        }
    }
}

/// The field that a value is made from.
fn field(operand: &Operand) -> Option<Field> {
    match &operand.base {
        Base::Field(field) => field.standard(),
        Base::Call(Call { arguments, .. }) => match arguments.first()? {
            Argument::Operand(inner) => field(inner),
            _ => None,
        },
    }
}

/// The text that a call such as `ends_with` looks for.
fn argument(operand: &Operand) -> Option<&[u8]> {
    match &operand.base {
        Base::Call(Call { arguments, .. }) => match arguments.get(1)? {
            Argument::Literal(Literal::Bytes(text)) => Some(text),
            _ => None,
        },
        Base::Field(_) => None,
    }
}

fn is_end(operand: &Operand) -> bool {
    matches!(&operand.base, Base::Call(call) if call.function == Function::EndsWith)
}

/// A text that passes a test.
fn compared(test: &Test) -> Option<&[u8]> {
    match test {
        Test::Order(Relation::Eq, Right::Literal(Literal::Bytes(text))) | Test::Contains(text) => Some(text),
        Test::In(Set::Bytes(texts)) => texts.first().map(AsRef::as_ref),
        _ => None,
    }
}
