//! `test`: requests and what is expected to happen to them, kept beside a policy.

pub mod cases;
mod junit;

use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::Serialize;

use super::explain::{ExplainReport, throw_away};
use super::output::{Answer, BAD, Exit, FAINT, Failure, Format, GOOD, STRONG, indented, styled};
use super::policy::{self, TargetName};
use cases::Case;
use velvetrope::internal::edge::Described;
use velvetrope::internal::policy::{BypassRule, Policy};

/// Run the cases of a policy
///
/// A case is a request and what is expected to happen to it. Cases are kept in cases.toml or cases.jsonl beside the
/// policy. For a case that fails, it is told why the policy did otherwise. In the end those integrations and rules are
/// named that no case ever matched. Cases are decided with a secret of their own, and at 2026-01-01T12:00:00Z unless
/// they say `at`.
#[derive(clap::Args)]
#[command(after_help = cases::HELP)]
pub struct Test {
    /// A folder with a velvetrope.toml, or that file
    policy: PathBuf,
    /// Files of cases; `-` is standard input [default: cases.toml and cases.jsonl beside the policy]
    cases: Vec<PathBuf>,
    /// Where it is to run, instead of what it says itself: hosts differ in what they know
    #[arg(long, value_enum)]
    target: Option<TargetName>,
    /// Write the results to a file in the form of JUnit, for CI
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// End with 1 if there is an integration or a rule that no case matched, too
    #[arg(long)]
    deny_unmatched: bool,
}

#[derive(Serialize)]
struct TestReport {
    cases: Vec<CaseReport>,
    passed: usize,
    failed: usize,
    unmatched: Unmatched,
}

/// How one case went.
#[derive(Serialize)]
struct CaseReport {
    file: String,
    line: usize,
    name: String,
    passed: bool,
    /// What was expected and did not happen.
    failures: Vec<String>,
    /// Why the policy did what it did; of failed cases only.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<ExplainReport>,
}

/// What no case matched.
#[derive(Serialize)]
struct Unmatched {
    integrations: Vec<String>,
    rules: Vec<String>,
}

impl Test {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let policy = policy::load_for(&self.policy, self.target.map(Into::into))?;
        let mut run = Run::new(&policy);
        for file in self.files()? {
            for case in cases::read(&file)? {
                run.case(case)?;
            }
        }
        let report = run.report();
        if let Some(file) = &self.junit {
            junit::write(&report, file)?;
        }
        let unmatched = report.unmatched.integrations.len() + report.unmatched.rules.len();
        let failed = report.failed > 0 || (self.deny_unmatched && unmatched > 0);
        Answer::of(&report, format, if failed { Exit::Findings } else { Exit::Fine })
    }

    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        if !self.cases.is_empty() {
            return Ok(self.cases.clone());
        }
        let found = cases::beside(&self.policy);
        if found.is_empty() {
            let folder = policy::folder(&self.policy);
            return Err(Failure::new(format!("there is neither cases.toml nor cases.jsonl in {}", folder.display()))
                .help("`velvetrope test --help` shows what to write into one"));
        }
        Ok(found)
    }
}

/// Cases run so far.
struct Run<'p> {
    policy: &'p Policy,
    cases: Vec<CaseReport>,
    integrations_matched: Vec<bool>,
    rules_matched: Vec<bool>,
}

impl<'p> Run<'p> {
    fn new(policy: &'p Policy) -> Run<'p> {
        Run {
            policy,
            cases: Vec::new(),
            integrations_matched: vec![false; policy.integrations().all.len()],
            rules_matched: vec![false; policy.rules().len()],
        }
    }

    fn case(&mut self, case: Case) -> Result<(), Failure> {
        let secrets = throw_away();
        let request = case.request(&secrets)?;
        let Some(expected) = &case.expect else {
            return Err(Failure::new(format!("{}, line {}: the case expects nothing", case.file, case.line))
                .help("say what, such as `expect = { decision = \"pass\" }`"));
        };
        let facts = Described::to(&self.policy.settings, &request);
        let explanation = ExplainReport::of(self.policy, &secrets, &request, &facts)?;
        let tick = |matched: &mut Vec<bool>, index: Option<usize>| {
            if let Some(known) = index.and_then(|index| matched.get_mut(index)) {
                *known = true;
            }
        };
        tick(&mut self.integrations_matched, explanation.explained.matched_integration());
        tick(&mut self.rules_matched, explanation.explained.matched_rule());
        let failures = expected.failures(&explanation.explained);
        let passed = failures.is_empty();
        let explanation = (!passed).then_some(explanation);
        let name = case.name();
        self.cases.push(CaseReport { file: case.file, line: case.line, name, passed, failures, explanation });
        Ok(())
    }

    fn report(self) -> TestReport {
        let failed = self.cases.iter().filter(|case| !case.passed).count();
        let integrations = self.policy.integrations().all.iter().enumerate();
        let integrations = integrations.filter(|(index, _)| !self.integrations_matched[*index]);
        let rules = self.policy.rules().iter().zip(&self.rules_matched);
        let rules = rules.filter(|(rule, matched)| rule.enabled && !**matched);
        TestReport {
            unmatched: Unmatched {
                integrations: integrations.map(|(index, found)| format!("{} {}", index + 1, found.title())).collect(),
                rules: rules.map(|(rule, _)| title(rule)).collect(),
            },
            passed: self.cases.len() - failed,
            failed,
            cases: self.cases,
        }
    }
}

/// What to call a rule.
pub fn title(rule: &BypassRule) -> String {
    let about = if rule.description.is_empty() { String::new() } else { format!(" ({})", rule.description) };
    match &*rule.room {
        "*" => format!("{}{about} of every room", rule.id),
        room => format!("{}{about} of room {room}", rule.id),
    }
}

impl Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cases.iter().try_for_each(|case| case.fmt(f))?;
        writeln!(f, "\n{} passed, {} failed", self.passed, self.failed)?;
        self.unmatched.fmt(f)
    }
}

impl Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed {
            return writeln!(f, "{}    {}", styled(GOOD, "ok"), self.name);
        }
        let place = styled(FAINT, format!("{}:{}", self.file, self.line));
        writeln!(f, "{}  {}  {place}", styled(BAD, "FAIL"), styled(STRONG, &self.name))?;
        self.failures.iter().try_for_each(|failure| writeln!(f, "      {failure}"))?;
        match &self.explanation {
            Some(explanation) => write!(f, "\n{}\n", indented(&explanation.to_string(), "      ")),
            None => Ok(()),
        }
    }
}

impl Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.integrations.is_empty() && self.rules.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nNo case matched")?;
        self.integrations.iter().try_for_each(|name| writeln!(f, "  integration {name}"))?;
        self.rules.iter().try_for_each(|name| writeln!(f, "  rule {name}"))
    }
}
