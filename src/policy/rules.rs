//! Bypass rules, in the shapes of the waiting-room API (API, section 2).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Checker, Origin, constant};
use super::document::{Node, Value, parse_json};
use super::fields::Fields;
use super::finding::{File, Kind, Problem};
use super::integration::{Action, Integration};
use super::place::Lines;
use crate::language::Expression;

/// A bypass rule; drafts are kept, and never in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BypassRule {
    /// Its id, given or made from the room and its place, such as `shop/2`.
    pub id: String,
    /// The room's id, or `*` for every room.
    pub room: Arc<str>,
    /// What the operator calls it.
    pub description: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line its expression starts in, from 1.
    pub line: usize,
}

/// A rule and its checked expression.
pub(super) type Checked = (BypassRule, Arc<Expression>);

impl BypassRule {
    /// Whether it lets visitors walk past an integration's room. Where nobody waits there is nothing to walk past.
    pub fn is_for(&self, integration: &Integration) -> bool {
        let is_room = |id: &String| id.eq_ignore_ascii_case(&self.room);
        integration.action != Action::Ignore
            && (*self.room == *"*" || integration.event_id.as_ref().is_some_and(is_room))
    }

    /// What a finding about it says it is about.
    pub(super) fn subject(&self) -> String {
        let name = if self.description.is_empty() { &self.id } else { &self.description };
        format!("rule {name:?} of room {}", self.room)
    }
}

/// A file of rules.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "rules")]
#[allow(dead_code, reason = "read by the schema only")]
pub(super) enum RulesFile {
    /// As the API wants it.
    Bare(Vec<RuleObject>),
    /// One rule, as the API wants it when one is created.
    One(RuleObject),
    /// As some clients send it.
    Wrapped {
        /// The rules, in order.
        rules: Vec<RuleObject>,
    },
    /// As the API answers.
    Answer {
        /// The rules, in order.
        result: Vec<RuleObject>,
    },
}

/// A rule as the API has it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "rule")]
#[allow(dead_code, reason = "read by the schema only")]
pub(super) struct RuleObject {
    /// Set by the API; here any text, unique within the room.
    id: Option<String>,
    /// Set by the API; ignored.
    version: Option<String>,
    /// What the rule does.
    action: ActionName,
    /// When it does it, in the rules language.
    expression: String,
    /// What the operator calls it.
    description: Option<String>,
    /// False for a draft. Default true.
    enabled: Option<bool>,
    /// Terraform's spelling of `enabled`.
    status: Option<StatusName>,
    /// Set by the API; ignored.
    last_updated: Option<String>,
}

/// The only action.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code, reason = "read by the schema only")]
enum ActionName {
    /// The request passes the waiting room by.
    BypassWaitingRoom,
}

/// Terraform's spelling of `enabled`.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code, reason = "read by the schema only")]
enum StatusName {
    /// In force.
    Enabled,
    /// A draft.
    Disabled,
}

/// Reads a file of rules for `room`; `already` is how many rules the room has from earlier files.
pub(super) fn read(file: File, room: &str, already: usize, checker: &Checker) -> Vec<Checked> {
    let root = match parse_json(file.text) {
        Ok(root) => root,
        Err(error) => {
            file.add(error.at..error.at, Problem::error(Kind::Syntax, error.message));
            return Vec::new();
        }
    };
    let rules = match (&root.value, root.get("rules").or_else(|| root.get("result"))) {
        (Value::Object(_), Some(wrapped)) => wrapped,
        _ => &root,
    };
    let rules = rules.as_array().unwrap_or(std::slice::from_ref(rules)).iter().zip(already + 1..);
    let mut lines = Lines::of(file.text);
    let home = Home { room: room.into(), file: file.path.into() };
    rules.filter_map(|(rule, number)| read_rule(file, rule, &home, number, &mut lines, checker)).collect()
}

/// Where the rules of one file belong.
struct Home {
    room: Arc<str>,
    file: Arc<str>,
}

fn read_rule(
    file: File,
    node: &Node,
    home: &Home,
    number: usize,
    lines: &mut Lines,
    checker: &Checker,
) -> Option<Checked> {
    let room = &home.room;
    let mut fields = Fields::new(file, node, format!("rule {number} of room {room}"))?;
    let (submitted, checked) = submitted(&mut fields, room, true, checker);
    fields.finish();
    let (expression_node, expression) = checked?;
    let line = lines.line(expression_node.at);
    let (room, file) = (Arc::clone(room), Arc::clone(&home.file));
    let id = submitted.id.unwrap_or_else(|| format!("{room}/{number}"));
    let Submitted { description, enabled, .. } = submitted;
    let description = description.unwrap_or_default();
    let rule = BypassRule { id, room, description, enabled: enabled.unwrap_or(true), file, line };
    Some((rule, Arc::new(expression)))
}

/// A rule as somebody wrote it; what is `None` was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub id: Option<String>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
    pub expression: Option<String>,
}

/// Reads a rule of `room`, and checks its expression; everything wrong with it is reported. A whole one must say what
/// it does and when. The caller asks for what else may stand there, and finishes the fields.
pub(crate) fn submitted<'n, 't>(
    fields: &mut Fields<'n, 't, '_>,
    room: &str,
    is_whole: bool,
    checker: &Checker,
) -> (Submitted, Option<(&'n Node<'t>, Expression)>) {
    let (id, description) = (fields.text("id"), fields.text("description"));
    if let Some(description) = description.as_deref().filter(|description| !description.is_empty()) {
        fields.subject = format!("rule {description:?} of room {room}");
    }
    fields.get("version");
    fields.get("last_updated");
    let get = |key, help| if is_whole { fields.required(key, help) } else { fields.get(key) };
    get("action", "write `\"action\": \"bypass_waiting_room\"`");
    fields.choice("action", &[("bypass_waiting_room", ())]);
    let enabled = read_enabled(fields);
    let node = get("expression", "write when the rule applies, in the rules language");
    let text = node.and_then(|node| fields.text_of(node));
    let expression = node.zip(text.as_deref()).and_then(|(node, text)| {
        let origin = Origin { file: fields.file, node, subject: &fields.subject };
        let expression = checker.expression(origin, text)?;
        warn_of_constant(origin, text, &expression, enabled.unwrap_or(true));
        Some((node, expression))
    });
    (Submitted { id, description, enabled, expression: text }, expression)
}

/// `enabled`, or Terraform's `status`, which must not contradict it.
fn read_enabled(fields: &Fields) -> Option<bool> {
    let enabled = fields.flag("enabled");
    let status = fields.choice("status", &[("enabled", true), ("disabled", false)]);
    if let (Some(enabled), Some(status), Some(node)) = (enabled, status, fields.get("status"))
        && enabled != status
    {
        fields.bad_value(node, "`status` contradicts `enabled`", "keep one of them");
    }
    enabled.or(status)
}

fn warn_of_constant(origin: Origin, text: &str, expression: &Expression, enabled: bool) {
    let message = match constant(&expression.root) {
        Some(true) if enabled => "the rule lets everybody pass the waiting room",
        Some(false) => "the rule can never apply",
        _ => return,
    };
    origin.add(text, 0..text.len(), Problem::warning(Kind::Constant, message));
}
