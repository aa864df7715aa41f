//! How a condition came out, part by part.

use std::fmt::Write;

use serde::Serialize;

use super::output::{BAD, FAINT, GOOD, printable, shortened, styled};
use crate::program::Trace;

/// The longest text of a condition whose parts are shown beneath it.
const MOST_OF_WHOLE: usize = 100;

/// A [`Trace`] as it is printed in JSON.
#[derive(Serialize)]
pub struct TraceReport {
    /// The condition.
    pub text: String,
    /// `null` where it was not evaluated, because the outcome was already clear.
    pub result: Option<bool>,
    /// What its left side was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saw: Option<String>,
    /// What it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<TraceReport>,
}

impl From<Trace> for TraceReport {
    fn from(trace: Trace) -> TraceReport {
        let parts = trace.parts.into_iter().map(TraceReport::from).collect();
        TraceReport { text: trace.text, result: trace.result, saw: trace.saw, parts }
    }
}

impl TraceReport {
    /// One line for each part, the whole first, each after `indent` spaces and two more for each level.
    pub fn render(&self, indent: usize) -> String {
        let mut out = String::new();
        self.render_into(&mut out, indent);
        out
    }

    fn render_into(&self, out: &mut String, indent: usize) {
        let text = printable(&self.text);
        let text = if self.parts.is_empty() { text } else { shortened(&text, MOST_OF_WHOLE) };
        let _ = match self.result {
            Some(true) => write!(out, "{:indent$}{}  {text}", "", styled(GOOD, "true ")),
            Some(false) => write!(out, "{:indent$}{}  {text}", "", styled(BAD, "false")),
            None => write!(out, "{:indent$}{}", "", styled(FAINT, format_args!("-      {text}"))),
        };
        out.push('\n');
        if let Some(saw) = &self.saw {
            let saw = printable(saw);
            let _ = writeln!(out, "{:indent$}       {}", "", styled(FAINT, format_args!("saw {saw}")));
        }
        // What was not looked at has no parts worth a line.
        if self.result.is_some() {
            self.parts.iter().for_each(|part| part.render_into(out, indent + 2));
        }
    }
}
