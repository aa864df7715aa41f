//! `show`: a whole policy as text.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::Serialize;

use super::output::{Answer, Exit, FAINT, Failure, Format, STRONG, count, styled};
use super::policy;
use velvetrope::internal::policy::{BypassRule, ListSummary, Policy};

/// Print a whole policy as text
///
/// Every integration in the order in which they are tried: its triggers as an expression, what it does, and the rules
/// that let visitors walk past its waiting room.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope show policy/
  velvetrope show policy/ --format json | jq '.integrations[].when'

JSON: customer_id, version, target, compiled, integrations (each with name, action, room, when, rules),
other_rules, lists (by name: kind, members); a rule has id, room, description, enabled, expression; when
and expression are null for a compiled policy")]
pub struct Show {
    /// A folder with a velvetrope.toml, that file, or a compiled .vrp
    policy: PathBuf,
}

#[derive(Serialize)]
struct ShowReport {
    customer_id: String,
    version: String,
    target: String,
    /// Whether it was loaded from a compiled policy, which holds no texts.
    compiled: bool,
    integrations: Vec<IntegrationReport>,
    /// Rules of rooms that no integration leads to.
    other_rules: Vec<RuleReport>,
    lists: BTreeMap<String, ListReport>,
}

#[derive(Serialize)]
struct IntegrationReport {
    name: String,
    action: &'static str,
    room: Option<String>,
    when: Option<String>,
    rules: Vec<RuleReport>,
}

/// A bypass rule.
#[derive(Clone, Serialize)]
pub struct RuleReport {
    pub id: String,
    pub room: String,
    pub description: String,
    pub enabled: bool,
    pub expression: Option<String>,
}

#[derive(Serialize)]
struct ListReport {
    kind: &'static str,
    members: usize,
}

impl Show {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let policy = policy::load(&self.policy)?;
        Answer::of(&ShowReport::of(&policy), format, Exit::Fine)
    }
}

impl ShowReport {
    fn of(policy: &Policy) -> ShowReport {
        let all = &policy.integrations().all;
        let is_other = |(_, rule): &(usize, &BypassRule)| !all.iter().any(|integration| rule.is_for(integration));
        let others = policy.rules().iter().enumerate().filter(is_other);
        ShowReport {
            customer_id: policy.settings.customer_id.clone(),
            version: policy.integrations().version.clone(),
            target: policy.settings.target.to_string(),
            compiled: !policy.program().has_texts(),
            integrations: (0..all.len()).map(|index| IntegrationReport::of(policy, index)).collect(),
            other_rules: others.map(|(index, rule)| RuleReport::of(policy, index, rule)).collect(),
            lists: policy.lists().iter().map(|(name, list)| (name.clone(), ListReport::from(list))).collect(),
        }
    }
}

impl IntegrationReport {
    fn of(policy: &Policy, index: usize) -> IntegrationReport {
        let integration = &policy.integrations().all[index];
        let rules = policy.rules_of(integration).map(|(index, rule)| RuleReport::of(policy, index, rule));
        IntegrationReport {
            name: integration.title().to_owned(),
            action: integration.action.name(),
            room: integration.event_id.clone(),
            when: policy.program().entry(index).map(ToString::to_string),
            rules: rules.collect(),
        }
    }
}

impl From<&ListSummary> for ListReport {
    fn from(list: &ListSummary) -> ListReport {
        ListReport { kind: list.kind.name(), members: list.members }
    }
}

impl RuleReport {
    fn of(policy: &Policy, index: usize, rule: &BypassRule) -> RuleReport {
        RuleReport {
            id: rule.id.clone(),
            room: rule.room.to_string(),
            description: rule.description.clone(),
            enabled: rule.enabled,
            expression: policy.program().rule(index).map(ToString::to_string),
        }
    }
}

impl Display for ShowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "customer {}, configuration {}, for {}", self.customer_id, self.version, self.target)?;
        if self.compiled {
            writeln!(f, "compiled: the texts of its expressions are in the policy that it was compiled from")?;
        }
        writeln!(f, "\n{}", styled(STRONG, "Integrations, in the order in which they are tried"))?;
        for (index, integration) in self.integrations.iter().enumerate() {
            write!(f, "\n{:>3}  {integration}", index + 1)?;
        }
        if !self.other_rules.is_empty() {
            writeln!(f, "\n{}", styled(STRONG, "Rules of rooms that no integration leads to"))?;
            self.other_rules.iter().try_for_each(|rule| write!(f, "\n     room {}\n{rule}", rule.room))?;
        }
        if !self.lists.is_empty() {
            writeln!(f, "\n{}\n", styled(STRONG, "Lists"))?;
            let width = self.lists.keys().map(String::len).max().unwrap_or(0);
            for (name, list) in &self.lists {
                writeln!(f, "     ${name:<width$}  {:<8}  {}", list.kind, count(list.members, "member"))?;
            }
        }
        Ok(())
    }
}

impl Display for IntegrationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", styled(STRONG, &self.name), self.action)?;
        match &self.room {
            Some(room) => writeln!(f, ", room {room}")?,
            None => writeln!(f)?,
        }
        if let Some(when) = &self.when {
            writeln!(f, "     {}  {when}", styled(FAINT, "when  "))?;
        }
        self.rules.iter().try_for_each(|rule| rule.fmt(f))
    }
}

impl Display for RuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.description.is_empty() { String::new() } else { format!("  {}", self.description) };
        let scope = if self.room == "*" { "  (every room)" } else { "" };
        let draft = if self.enabled { "" } else { "  (draft, not in force)" };
        writeln!(f, "     {}  {}{about}{scope}{draft}", styled(FAINT, "bypass"), self.id)?;
        self.expression.iter().try_for_each(|expression| writeln!(f, "               {expression}"))
    }
}
