//! What commands print, and how they end.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    // For people.
    Text,
    // For programs.
    Json,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing to object to.
    Fine,
    /// Something was found.
    Findings,
    /// Wrong usage, or something that could not be read.
    Unusable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Fine => 0,
            Exit::Findings => 1,
            Exit::Unusable => 2,
        })
    }
}

/// What a command has to say when it is done.
#[derive(Debug)]
pub struct Answer {
    /// All of standard output, styled; the styles are taken out where it is no terminal.
    pub text: String,
    /// How it ended.
    pub exit: Exit,
}

impl Answer {
    /// A report in the format that was asked for.
    pub fn of<R: Serialize + Display>(report: &R, format: Format, exit: Exit) -> Result<Answer, Failure> {
        let text = match format {
            Format::Text => report.to_string(),
            Format::Json => {
                let json = serde_json::to_string_pretty(report);
                json.map_err(|error| Failure::new(format!("the report cannot be printed as JSON: {error}")))? + "\n"
            }
        };
        Ok(Answer { text, exit })
    }
}

/// Why a command could not do what was asked of it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    help: Option<String>,
}

impl Failure {
    /// What is wrong: a sentence without a full stop.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), help: None }
    }

    /// Adds how to mend it.
    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// Adds where it is.
    pub fn within(self, place: impl Display) -> Failure {
        Failure { message: format!("{place}: {}", self.message), ..self }
    }

    /// Prints it on standard error.
    pub fn print(&self) {
        let mut stderr = anstream::stderr().lock();
        let _ = writeln!(stderr, "{}: {}", styled(BAD, "error"), self.message);
        if let Some(help) = &self.help {
            let _ = writeln!(stderr, "{}: {help}", styled(STRONG, "help"));
        }
    }
}

/// An error that has nothing to add: its message says how to mend it.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error.to_string())
    }
}

/// Headings and names.
pub const STRONG: Style = Style::new().bold();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What did not.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What one should look at.
pub const DOUBTFUL: Style = AnsiColor::Yellow.on_default().bold();
/// What may be passed over.
pub const FAINT: Style = Style::new().dimmed();

/// A text in a style.
pub fn styled<T: Display>(style: Style, text: T) -> impl Display {
    struct Styled<T>(Style, T);
    impl<T: Display> Display for Styled<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}{}{:#}", self.0, self.1, self.0)
        }
    }
    Styled(style, text)
}

/// Writes to standard output; that its reader has gone away (`| head`) is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// `1 rule`, `2 rules`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A text with `prefix` before each of its lines.
pub fn indented(text: &str, prefix: &str) -> String {
    text.lines().map(|line| format!("{prefix}{line}").trim_end().to_owned() + "\n").collect()
}

/// At most `most` characters of a text, and `…` where it goes on.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Text from outside with its control characters escaped, so that it cannot steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}
