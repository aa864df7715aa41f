//! Reading a policy, and what there is to say about its sources.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::input;
use super::output::{BAD, DOUBTFUL, FAINT, Failure, STRONG, count, indented, styled};
use velvetrope::internal::language::Diagnostic;
use velvetrope::internal::policy::{Compiled, Policy, Sources};
use velvetrope::internal::queueit::Secrets;
use velvetrope::internal::request::Target;
use velvetrope_serve::files::{self, PolicyFiles};

/// Everything there is to say about a policy, and the policy if it works.
pub fn compile(path: &Path, target: Option<Target>) -> Result<(Option<Policy>, FindingsReport), Failure> {
    let PolicyFiles { sources, findings: unreadable, folder, .. } = read(path)?;
    let (policy, findings) = match Policy::compile(&sources, target) {
        Ok(Compiled { policy, warnings }) => (Some(policy).filter(|_| unreadable.is_empty()), warnings),
        Err(findings) => (None, findings.into_iter().collect()),
    };
    Ok((policy, FindingsReport::new(&folder, unreadable.into_iter().chain(findings))))
}

/// The texts of a policy, if all of them can be read.
pub fn sources(path: &Path) -> Result<Sources, Failure> {
    let PolicyFiles { sources, findings, folder, .. } = read(path)?;
    match findings.is_empty() {
        true => Ok(sources),
        false => Err(Failure::new(FindingsReport::new(&folder, findings).to_string())),
    }
}

/// A policy that works; its warnings are left to `check`.
pub fn load(path: &Path) -> Result<Policy, Failure> {
    load_for(path, None)
}

/// A policy that works, on another target than it says itself.
pub fn load_for(path: &Path, target: Option<Target>) -> Result<Policy, Failure> {
    let (policy, report) = compile(path, target)?;
    policy.ok_or_else(|| {
        let help = format!("`velvetrope check {}` tells of warnings, too", path.display());
        Failure::new(format!("this policy does not compile\n\n{}", report.without_warnings())).help(help)
    })
}

/// Why a policy that was loaded cannot be explained.
pub fn no_texts() -> Failure {
    let help = "name the policy that it was compiled from";
    Failure::new("a compiled policy holds no texts to explain").help(help)
}

/// Reads the texts of a policy; from standard input the integration JSON.
fn read(path: &Path) -> Result<PolicyFiles, Failure> {
    if !input::is_stdin(path) {
        return Ok(files::read(path)?);
    }
    let sources = Sources::from([("standard-input.json".to_owned(), input::text(path)?.into_bytes())]);
    Ok(PolicyFiles { sources, findings: Vec::new(), folder: PathBuf::new(), watch: Vec::new() })
}

/// The folder of a policy, which the names in it are relative to.
pub fn folder(path: &Path) -> &Path {
    if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) }
}

/// The secrets that a policy names; `None` where its environment variable is not set.
pub fn secrets(policy: &Policy) -> Result<Option<Secrets>, Failure> {
    let names = &policy.settings.secrets;
    let current = super::token::secret(&names.current)?;
    let previous = super::token::secret(&names.previous)?;
    Ok(current.map(|current| Secrets::new(current, previous)))
}

/// What was found in a policy.
#[derive(Serialize)]
pub struct FindingsReport {
    pub findings: Vec<FindingReport>,
    pub errors: usize,
    pub warnings: usize,
}

/// One finding; see [`Diagnostic`].
#[derive(Serialize)]
pub struct FindingReport {
    severity: &'static str,
    code: &'static str,
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    subject: Option<String>,
    message: String,
    help: Option<String>,
    #[serde(skip)]
    snippet: Option<String>,
}

impl FindingsReport {
    /// Names files as one would name them from where the command runs.
    fn new(folder: &Path, findings: impl IntoIterator<Item = Diagnostic>) -> FindingsReport {
        let findings: Vec<_> = findings.into_iter().map(|found| FindingReport::new(folder, found)).collect();
        let errors = findings.iter().filter(|found| found.severity == "error").count();
        FindingsReport { errors, warnings: findings.len() - errors, findings }
    }

    fn without_warnings(mut self) -> FindingsReport {
        self.findings.retain(|found| found.severity == "error");
        self
    }
}

impl FindingReport {
    fn new(folder: &Path, found: Diagnostic) -> FindingReport {
        let Diagnostic { severity, code, message, help, place, .. } = found;
        FindingReport {
            severity: severity.as_str(),
            code: code.as_str(),
            file: folder.join(place.file).display().to_string(),
            line: Some(place.line).filter(|line| *line > 0),
            column: Some(place.column).filter(|column| *column > 0),
            subject: Some(place.subject).filter(|subject| !subject.is_empty()),
            message,
            help,
            snippet: place.snippet,
        }
    }

    fn place(&self) -> String {
        let number = |number: Option<usize>| number.map(|number| format!(":{number}")).unwrap_or_default();
        format!("{}{}{}", self.file, number(self.line), number(self.column))
    }
}

impl Display for FindingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = if self.severity == "error" { BAD } else { DOUBTFUL };
        let title = format!("{}[{}]", self.severity, self.code);
        writeln!(f, "{}: {}", styled(style, title), styled(STRONG, &self.message))?;
        write!(f, "  {} {}", styled(FAINT, "-->"), self.place())?;
        match &self.subject {
            Some(subject) => writeln!(f, ", {subject}")?,
            None => writeln!(f)?,
        }
        if let Some(snippet) = &self.snippet {
            f.write_str(&indented(snippet, "   | "))?;
        }
        if let Some(help) = &self.help {
            writeln!(f, "  {} {help}", styled(FAINT, "help:"))?;
        }
        Ok(())
    }
}

impl Display for FindingsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|found| writeln!(f, "{found}"))?;
        match (self.errors, self.warnings) {
            (0, 0) => writeln!(f, "no problems"),
            (errors, warnings) => writeln!(f, "{}, {}", count(errors, "error"), count(warnings, "warning")),
        }
    }
}

/// Hosts as they are called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TargetName {
    /// A Cloudflare Worker
    Worker,
    /// A Google Cloud Service Extensions callout
    GoogleCloud,
    /// The reverse proxy of this program
    Proxy,
}

impl From<TargetName> for Target {
    fn from(name: TargetName) -> Target {
        match name {
            TargetName::Worker => Target::Worker,
            TargetName::GoogleCloud => Target::GoogleCloud,
            TargetName::Proxy => Target::Proxy,
        }
    }
}
