//! `compile`: a policy as one file that hosts load without reading any text.

use std::fmt::{self, Display};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::input;
use super::output::{Answer, DOUBTFUL, Exit, Failure, Format, count, styled};
use super::policy::{self, TargetName};
use velvetrope::internal::policy::{Policy, SAVED_SUFFIX};

/// Compile a policy into one file
///
/// Hosts load it without reading any text; `serve`, `check`, `show` and `bench` take it in place of the policy. It holds
/// no secrets and no texts of expressions, so it cannot be explained: keep the policy. Only versions of velvetrope that
/// write the same format can load it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope compile policy/ -o site.vrp
  velvetrope compile policy/ -o site.vrp --target worker
  velvetrope compile policy/ -o - | ssh edge 'cat > site.vrp'

JSON: file, bytes, integrations, rules, lists, notes")]
pub struct Compile {
    /// A folder with a velvetrope.toml, that file, or an integration .json
    policy: PathBuf,
    /// The file to write, named `*.vrp`; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Where it is to run, instead of what it says itself: what such a host cannot know is refused
    #[arg(long, value_enum)]
    target: Option<TargetName>,
}

/// What was written.
#[derive(Serialize)]
struct CompileReport {
    file: String,
    bytes: usize,
    integrations: usize,
    rules: usize,
    lists: usize,
    /// What one should know of this file.
    notes: Vec<&'static str>,
}

impl Compile {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let is_stdout = input::is_stdin(&self.output);
        let name = self.output.display().to_string();
        if !is_stdout && !name.ends_with(SAVED_SUFFIX) {
            let help = format!("`{name}{SAVED_SUFFIX}`, for example: commands know compiled policies by their names");
            return Err(Failure::new(format!("the name of {name} does not end in {SAVED_SUFFIX}")).help(help));
        }
        let policy = policy::load_for(&self.policy, self.target.map(Into::into))?;
        if policy.awaits_configuration() {
            let help = "put it where velvetrope.toml says, and compile again";
            return Err(Failure::new("the integration JSON has not been delivered yet").help(help));
        }
        let bytes = policy.save();
        let written = if is_stdout { print(&bytes) } else { write(&self.output, &bytes) };
        written.map_err(|error| Failure::new(format!("cannot write {name}: {error}")))?;
        if is_stdout {
            return Ok(Answer { text: String::new(), exit: Exit::Fine });
        }
        Answer::of(&CompileReport::new(name, &bytes, &policy), format, Exit::Fine)
    }
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Writes beside and renames, so that nobody ever reads half of it.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}

impl CompileReport {
    fn new(file: String, bytes: &[u8], policy: &Policy) -> CompileReport {
        let delivery = &policy.settings.delivery;
        let note = "it takes no configuration that is delivered to it: compile the policy again for each";
        CompileReport {
            file,
            bytes: bytes.len(),
            integrations: policy.integrations().all.len(),
            rules: policy.rules().len(),
            lists: policy.lists().len(),
            notes: (delivery.push || delivery.pull).then_some(note).into_iter().collect(),
        }
    }
}

impl Display for CompileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [(self.bytes, "byte"), (self.integrations, "integration"), (self.rules, "rule"), (self.lists, "list")];
        let parts = parts.map(|(number, what)| count(number, what));
        writeln!(f, "{}: {}", self.file, parts.join(", "))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{}: {note}", styled(DOUBTFUL, "note")))
    }
}
