//! `check`: every problem of a policy in one run.

use std::path::PathBuf;

use super::output::{Answer, Exit, Failure, Format};
use super::policy::{self, TargetName};

/// Find every problem of a policy in one run
///
/// Each is printed with its file and line, and with what to do about it. Warnings are expressions that are valid and
/// probably do not do what their author meant.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope check policy/
  velvetrope check policy/ --target worker --deny-warnings
  velvetrope check policy/ --format json | jq '.findings[].message'

JSON: findings (each with severity, code, file, line, column, subject, message, help), errors,
warnings")]
pub struct Check {
    /// A folder with a velvetrope.toml, that file, or a compiled .vrp
    policy: PathBuf,
    /// Where it is to run, instead of what it says itself: what such a host cannot know is refused
    #[arg(long, value_enum)]
    target: Option<TargetName>,
    /// End with 1 for warnings, too
    #[arg(long)]
    deny_warnings: bool,
}

impl Check {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let (_, report) = policy::compile(&self.policy, self.target.map(Into::into))?;
        let failed = report.errors > 0 || (self.deny_warnings && report.warnings > 0);
        Answer::of(&report, format, if failed { Exit::Findings } else { Exit::Fine })
    }
}
