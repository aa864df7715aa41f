//! How a condition came out, part by part.

use std::fmt::Write;

use super::output::{BAD, FAINT, GOOD, printable, shortened, styled};
use velvetrope::internal::program::Trace;

/// The longest text of a condition whose parts are shown beneath it.
const MOST_OF_WHOLE: usize = 100;

/// One line for each part, the whole first, each after `indent` spaces and two more for each level.
pub fn render(trace: &Trace, indent: usize) -> String {
    let mut out = String::new();
    render_into(trace, &mut out, indent);
    out
}

fn render_into(trace: &Trace, out: &mut String, indent: usize) {
    let text = printable(&trace.text);
    let text = if trace.parts.is_empty() { text } else { shortened(&text, MOST_OF_WHOLE) };
    let _ = match trace.result {
        Some(true) => write!(out, "{:indent$}{}  {text}", "", styled(GOOD, "true ")),
        Some(false) => write!(out, "{:indent$}{}  {text}", "", styled(BAD, "false")),
        None => write!(out, "{:indent$}{}", "", styled(FAINT, format_args!("-      {text}"))),
    };
    out.push('\n');
    if let Some(saw) = &trace.saw {
        let saw = printable(saw);
        let _ = writeln!(out, "{:indent$}       {}", "", styled(FAINT, format_args!("saw {saw}")));
    }
    // What was not looked at has no parts worth a line.
    if trace.result.is_some() {
        trace.parts.iter().for_each(|part| render_into(part, out, indent + 2));
    }
}
