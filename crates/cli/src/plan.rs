//! `explain --plan`: how the program finds what applies.

use std::fmt::{self, Display};

use serde::Serialize;

use super::output::{FAINT, Failure, STRONG, count, printable, styled};
use super::policy;
use velvetrope::internal::policy::Policy;
use velvetrope::internal::program::{Approach, BypassPlan, Filing};

/// How a policy's program finds what applies.
#[derive(Serialize)]
pub struct PlanReport {
    pub integrations: ListReport,
    /// One for each list of bypass rules; rooms with the same rules share it.
    pub bypasses: Vec<BypassReport>,
}

/// How the first true condition of a list is found.
#[derive(Serialize)]
pub struct ListReport {
    /// `in order` or `indexed`.
    pub approach: &'static str,
    /// In order.
    pub conditions: Vec<ConditionReport>,
}

/// Where a condition is filed.
#[derive(Serialize)]
pub struct ConditionReport {
    /// The integration's name, or the rule's id.
    pub what: String,
    /// `in order`, `under`, `always` or `never`.
    pub filed: &'static str,
    /// The parts of it of which one has to be found true before it is evaluated.
    pub under: Vec<String>,
}

/// The bypass rules of some integrations.
#[derive(Serialize)]
pub struct BypassReport {
    /// Names of the integrations.
    pub of: Vec<String>,
    #[serde(flatten)]
    pub rules: ListReport,
}

impl PlanReport {
    pub fn of(policy: &Policy) -> Result<PlanReport, Failure> {
        let plan = policy.program().plan().ok_or_else(policy::no_texts)?;
        let titles = policy.integrations().all.iter().map(|integration| integration.title().to_owned());
        let bypasses = plan.bypasses.into_iter().filter(|bypass| !bypass.rules.is_empty());
        Ok(PlanReport {
            integrations: ListReport::of(plan.entries, titles),
            bypasses: bypasses.map(|bypass| BypassReport::of(policy, bypass)).collect(),
        })
    }
}

impl BypassReport {
    fn of(policy: &Policy, bypass: BypassPlan) -> BypassReport {
        let titles = bypass.entries.iter().filter_map(|&entry| policy.integrations().all.get(entry));
        let ids = bypass.rules.iter().filter_map(|&rule| policy.rules().get(rule));
        BypassReport {
            of: titles.map(|integration| integration.title().to_owned()).collect(),
            rules: ListReport::of(bypass.approach, ids.map(|rule| rule.id.clone())),
        }
    }
}

impl ListReport {
    fn of(approach: Approach, names: impl Iterator<Item = String>) -> ListReport {
        match approach {
            Approach::InOrder => {
                let in_order = |what| ConditionReport { what, filed: "in order", under: Vec::new() };
                ListReport { approach: "in order", conditions: names.map(in_order).collect() }
            }
            Approach::Indexed(filings) => {
                let conditions = names.zip(filings).map(|(what, filing)| match filing {
                    Filing::Under(under) => ConditionReport { what, filed: "under", under },
                    Filing::Always => ConditionReport { what, filed: "always", under: Vec::new() },
                    Filing::Never => ConditionReport { what, filed: "never", under: Vec::new() },
                });
                ListReport { approach: "indexed", conditions: conditions.collect() }
            }
        }
    }
}

impl Display for PlanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", styled(STRONG, "Integrations"), self.integrations)?;
        self.bypasses.iter().try_for_each(|bypass| write!(f, "\n{bypass}"))
    }
}

impl Display for BypassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of: Vec<String> = self.of.iter().map(|name| printable(name)).collect();
        write!(f, "{} of {}  {}", styled(STRONG, "Bypass rules"), of.join(", "), self.rules)
    }
}

impl Display for ListReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.approach {
            "indexed" => "indexed: the request's values are looked up, and what is filed there is evaluated",
            _ => "evaluated one after the other until one is true",
        };
        writeln!(f, "{}, {how}", count(self.conditions.len(), "condition"))?;
        self.conditions
            .iter()
            .enumerate()
            .try_for_each(|(number, condition)| writeln!(f, "{:>5}  {condition}", number + 1))
    }
}

impl Display for ConditionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.what))?;
        match self.filed {
            "always" => write!(f, "  always evaluated"),
            "never" => write!(f, "  never evaluated: it cannot be true"),
            _ => self.under.iter().try_for_each(|part| write!(f, "\n         {} {part}", styled(FAINT, "under"))),
        }
    }
}
