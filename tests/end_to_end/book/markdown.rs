//! What of Markdown matters to links: headings, links, and where code is.

use std::collections::HashMap;

/// A line outside code blocks, with its number.
pub fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let trimmed = line.trim_start();
        let ticks = &trimmed[..trimmed.len() - trimmed.trim_start_matches('`').len()];
        match fence {
            Some(open) if ticks.len() >= open.len() => fence = None,
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => return Some((index + 1, line)),
            Some(_) => {}
        }
        None
    })
}

/// The anchors of a page: its headings, as mdBook and GitHub name them.
pub fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len() && title.starts_with(' ')).then_some(title.trim())
    });
    headings
        .map(|title| {
            let anchor = anchor(title);
            let count = seen.entry(anchor.clone()).or_default();
            *count += 1;
            if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
        })
        .collect()
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The targets of links and images in a line, outside code spans.
pub fn links(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['`', ']']) {
        let (skipped, from) = rest.split_at(at);
        if from.starts_with('`') {
            let ticks = from.len() - from.trim_start_matches('`').len();
            let close = from[ticks..].find(&from[..ticks]).map_or(from.len(), |end| 2 * ticks + end);
            rest = &from[close..];
            continue;
        }
        let _ = skipped;
        rest = &from[1..];
        if let Some(target) = rest.strip_prefix('(')
            && let Some(end) = target.find(')')
        {
            found.push(&target[..end]);
            rest = &target[end..];
        }
    }
    found
}

/// The code spans of a line.
pub fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn what_links_are() {
    assert_eq!(links("see [a](b.md#c), `[x](y)` and ![p](q.png)"), ["b.md#c", "q.png"]);
    assert_eq!(code_spans("a `b` c `d`").collect::<Vec<_>>(), ["b", "d"]);
    assert_eq!(anchors("# A `b`: c\n```\n# no\n```\n## A `b`: c\n"), ["a-b-c", "a-b-c-1"]);
}
