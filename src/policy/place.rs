//! From byte offsets to lines, columns and snippets.

use std::ops::Range;

pub use crate::language::position;

/// How many bytes of a long line are shown on either side of a place.
const CONTEXT: usize = 80;

/// Tells the lines of ascending byte offsets without counting from the start each time.
pub struct Lines<'t> {
    text: &'t str,
    /// What has been counted, and the line it ends in.
    counted: usize,
    line: usize,
}

impl<'t> Lines<'t> {
    /// Counts from the start of a text.
    pub fn of(text: &'t str) -> Self {
        Lines { text, counted: 0, line: 1 }
    }

    /// The line (1-based) of a byte offset.
    pub fn line(&mut self, offset: usize) -> usize {
        if offset < self.counted {
            *self = Lines::of(self.text);
        }
        let passed = self.text.as_bytes().get(self.counted..offset).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', passed).count();
        self.counted = offset;
        self.line
    }
}

/// The byte offset of a line and column (both 1-based) as parsers report them; never beyond the text.
pub fn offset(text: &str, line: usize, column: usize) -> usize {
    let mut starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
    let start = starts.nth(line.saturating_sub(1)).unwrap_or(text.len());
    (start + column.saturating_sub(1)).min(text.len())
}

/// The source line of a span and carets below it, without a trailing newline; only as much of a long line as is
/// needed.
pub fn snippet(text: &str, span: Range<usize>) -> String {
    let start = text.floor_char_boundary(span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let end = text.floor_char_boundary(span.end).clamp(start, line_end);

    let from = text.floor_char_boundary(start.saturating_sub(CONTEXT)).max(line_start);
    let to = text.floor_char_boundary(end.min(start + CONTEXT) + CONTEXT).min(line_end);
    let (open, close) = (if from > line_start { "…" } else { "" }, if to < line_end { "…" } else { "" });
    let shown = text[from..to].trim_end_matches('\r').replace('\t', " ");
    let indent = open.chars().count() + text[from..start].chars().count();
    let carets = text[start..end.min(to)].chars().count().max(1);
    format!("{open}{shown}{close}\n{:indent$}{:^<carets$}", "", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_the_way_there_and_back() {
        let text = "ab\ncdé\n\nf";
        for (at, _) in text.char_indices() {
            let (line, column) = position(text, at);
            assert_eq!(offset(text, line, column), at);
        }
        let mut lines = Lines::of(text);
        for at in [0, 3, 3, 8, 1, 9] {
            assert_eq!(lines.line(at), position(text, at).0, "{at}");
        }
        assert_eq!(position(text, 999), (4, 2));
        assert_eq!(offset(text, 99, 99), text.len());
    }

    #[test]
    fn a_snippet_shows_the_line_and_points_at_the_span() {
        assert_eq!(snippet("one\ntwo three\nfour", 8..13), "two three\n    ^^^^^");
        assert_eq!(snippet("one", 3..3), "one\n   ^");
        assert_eq!(snippet("äö ü", 5..7), "äö ü\n   ^");
        assert_eq!(snippet("", 0..0), "\n^");
    }

    #[test]
    fn of_a_long_line_only_the_surroundings_are_shown() {
        let text = format!("{}here{}", "é".repeat(500), "x".repeat(500));
        let shown = snippet(&text, 1000..1004);
        let (line, carets) = shown.split_once('\n').unwrap();
        assert!(line.starts_with('…') && line.ends_with('…') && line.len() < 300, "{line}");
        assert_eq!(line.chars().position(|c| c == 'h'), carets.chars().position(|c| c == '^'));
    }
}
