//! Bypass rules, in the shapes of the waiting-room API (docs/protocol/api.md#rules-of-a-waiting-room).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::STORED;
use super::check::{Checker, Origin};
use super::document::{Node, Value, parse_json};
use super::fields::Fields;
use super::finding::File;
use super::integration::{Action, Integration};
use super::place::Lines;
use super::spelling::unmet;
use crate::language::{Code, Diagnostic, Expression, Scheme, certainty, parse};

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
pub struct RuleObject {
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
    /// What the API does not know.
    velvetrope: Option<RuleAdditions>,
}

/// What a rule can say beyond the API.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "read by the schema only")]
struct RuleAdditions {
    /// Acknowledges that the rule lets everybody pass. Without it a rule that can be seen to do so is refused.
    opens_for_everybody: Option<bool>,
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
            file.add(error.at..error.at, Diagnostic::error(Code::FileSyntax, error.message));
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
    let (submitted, checked) = submitted(&mut fields, room, None, checker);
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
pub struct Submitted {
    /// Its id.
    pub id: Option<String>,
    /// What the operator calls it.
    pub description: Option<String>,
    /// Whether it is in force.
    pub enabled: Option<bool>,
    /// When it lets requests pass.
    pub expression: Option<String>,
    /// Whether it says that it opens for everybody.
    pub opens_for_everybody: Option<bool>,
}

/// A rule that is to be changed.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// When it lets requests pass.
    pub expression: &'a str,
    /// Whether it is in force.
    pub enabled: bool,
    /// Whether it says that it opens for everybody. That is said of one expression: with another it lapses.
    pub opens_for_everybody: bool,
    /// Whether what is said replaces the rule, so that what is not said takes its default, but for what is ours.
    pub is_replaced: bool,
}

/// Reads a rule of `room`, and checks its expression; everything wrong with it is reported. A whole one must say what
/// it does and when; one that changes another (`before`) need not. The caller asks for what else may stand there, and
/// finishes the fields.
pub fn submitted<'n, 't>(
    fields: &mut Fields<'n, 't, '_>,
    room: &str,
    before: Option<Before>,
    checker: &Checker,
) -> (Submitted, Option<(&'n Node<'t>, Expression)>) {
    let is_whole = before.is_none_or(|before| before.is_replaced);
    let (id, description) = (read_id(fields), fields.text("description"));
    if let Some(description) = description.as_deref().filter(|description| !description.is_empty()) {
        fields.subject = format!("rule {description:?} of room {room}");
    }
    fields.get("version");
    fields.get("last_updated");
    let get = |key, help| if is_whole { fields.required(key, help) } else { fields.get(key) };
    get("action", "write `\"action\": \"bypass_waiting_room\"`");
    fields.choice("action", &[("bypass_waiting_room", ())]);
    let enabled = read_enabled(fields);
    let opens_for_everybody = read_additions(fields);
    let node = get("expression", "write when the rule applies, in the rules language");
    let text = node.and_then(|node| fields.text_of(node));
    let expression = node.zip(text.as_deref()).and_then(|(node, text)| {
        let origin = Origin { file: fields.file, node, subject: &fields.subject };
        Some((node, checker.expression(origin, text)?))
    });
    let submitted = Submitted { id, description, enabled, expression: text, opens_for_everybody };
    review_reach(fields, &submitted, before, expression.as_ref().map(|(node, expression)| (*node, expression)));
    (submitted, expression)
}

/// An id, which must be one that a path of the API can name.
fn read_id(fields: &Fields) -> Option<String> {
    const LONGEST: usize = 200;
    let node = fields.get("id")?;
    let id = fields.text_of(node)?;
    let is_good = !matches!(id.as_str(), "" | "." | "..") && id.len() <= LONGEST && !id.contains(char::is_control);
    if !is_good {
        let help = format!("give one of 1 to {LONGEST} bytes, not `.` or `..`, or leave it out");
        fields.bad_value(node, format!("{id:?} cannot be the id of a rule: no address could name it"), &help);
    }
    Some(id)
}

/// Whether the rule says that it opens for everybody.
fn read_additions(fields: &Fields) -> Option<bool> {
    let additions = fields.table("velvetrope")?;
    let opens = additions.flag("opens_for_everybody");
    additions.finish();
    opens
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

/// Reports a rule that is the same for every request. One that lets everybody pass is refused unless it says so, or is
/// a draft, or was in force as it is. `said` is the expression, if one was given.
fn review_reach(fields: &Fields, submitted: &Submitted, before: Option<Before>, said: Option<(&Node, &Expression)>) {
    let default = before.filter(|before| !before.is_replaced).is_none_or(|before| before.enabled);
    let enabled = submitted.enabled.unwrap_or(default);
    let same = before.filter(|before| submitted.expression.as_deref().is_none_or(|text| text == before.expression));
    let acknowledged = same.is_some_and(|before| before.opens_for_everybody);
    let acknowledged = submitted.opens_for_everybody.unwrap_or(acknowledged);
    let was_in_force = same.is_some_and(|before| before.enabled && !before.opens_for_everybody);
    let kept;
    let (node, text, expression) = match (said, before) {
        (Some((node, expression)), _) => (node, node.as_text().unwrap_or_default(), expression),
        (None, Some(before)) if submitted.expression.is_none() => {
            let Ok(expression) = parse(before.expression, Scheme::standard()) else { return };
            kept = expression;
            (fields.get("enabled").unwrap_or(fields.node), before.expression, &kept)
        }
        _ => return,
    };
    let origin = Origin { file: fields.file, node, subject: &fields.subject };
    for unmet in unmet(expression, false) {
        let problem = Diagnostic::warning(Code::Surprise, unmet.message).help(unmet.help);
        origin.add(text, 0..text.len(), problem);
    }
    let problem = match certainty(expression) {
        Some(false) => Diagnostic::warning(Code::Constant, "the rule can never apply"),
        Some(true) if !enabled => {
            Diagnostic::warning(Code::OpensForEverybody, "the draft would let everybody pass the waiting room")
        }
        Some(true) if acknowledged => {
            Diagnostic::warning(Code::Constant, "the rule lets everybody pass the waiting room, as it says")
        }
        Some(true) => {
            // What a store holds was put in force before rules had to say so: it is not taken out of force for that.
            let is_refused = !was_in_force && !fields.file.path.starts_with(STORED);
            let problem = Diagnostic::error(Code::OpensForEverybody, EVERYBODY).help(ACKNOWLEDGE);
            if is_refused { problem } else { problem.softened() }
        }
        None => return,
    };
    origin.add(text, 0..text.len(), problem);
}

/// What is wrong with a rule that is true of every request.
const EVERYBODY: &str = "the rule is true of every request, so everybody would pass the waiting room";
const ACKNOWLEDGE: &str = "say of whom it shall be true; or, if it is meant to let everybody pass, say so beside it: \
                           `\"velvetrope\": {\"opens_for_everybody\": true}`";
