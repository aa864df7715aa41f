//! What a regular expression says in plain text, so that it need not be run, or not always.

use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::print::Printer;
use regex_syntax::hir::{Hir, HirKind, Look};

/// What a text has to do with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// It is the whole.
    Whole,
    /// It is the start.
    Start,
    /// It is the end.
    End,
    /// It is anywhere.
    Anywhere,
}

/// A pattern that is a plain text, possibly with anchors: the text, and where it has to be.
pub fn plain(pattern: &str) -> Option<(Place, Box<[u8]>)> {
    let hir = parse(pattern)?;
    let mut parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(&hir),
    };
    let is_look = |part: &Hir, look| matches!(part.kind(), HirKind::Look(found) if *found == look);
    let (mut starts, mut ends) = (false, false);
    while let [first, rest @ ..] = parts
        && is_look(first, Look::Start)
    {
        (starts, parts) = (true, rest);
    }
    while let [rest @ .., last] = parts
        && is_look(last, Look::End)
    {
        (ends, parts) = (true, rest);
    }
    let text: Box<[u8]> = match parts {
        [] => Box::default(),
        [part] => match part.kind() {
            HirKind::Literal(literal) => literal.0.clone(),
            HirKind::Empty => Box::default(),
            _ => return None,
        },
        _ => return None,
    };
    let place = match (starts, ends) {
        (true, true) => Place::Whole,
        (true, false) => Place::Start,
        (false, true) => Place::End,
        (false, false) => Place::Anywhere,
    };
    Some((place, text))
}

/// Texts of which every match holds at least one; none if nothing is known.
pub fn required(pattern: &str) -> Vec<Box<[u8]>> {
    let Some(hir) = parse(pattern) else { return Vec::new() };
    let extracted = |kind| texts(&Extractor::new().kind(kind).extract(&hir));
    let candidates = [extracted(ExtractKind::Prefix), extracted(ExtractKind::Suffix), inner(&hir)];
    // Long texts are found seldom, and every further one is one more to be found.
    let worth = |texts: &Vec<Box<[u8]>>| {
        let shortest = texts.iter().map(|text| text.len()).min()?;
        Some(shortest as i64 - texts.len() as i64)
    };
    candidates.into_iter().max_by_key(worth).unwrap_or_default()
}

/// The longest text that stands by itself in a sequence.
fn inner(hir: &Hir) -> Vec<Box<[u8]>> {
    let HirKind::Concat(parts) = hir.kind() else { return Vec::new() };
    let literals = parts.iter().filter_map(|part| match part.kind() {
        HirKind::Literal(literal) => Some(literal.0.clone()),
        _ => None,
    });
    literals.max_by_key(|text| text.len()).into_iter().collect()
}

fn texts(found: &Seq) -> Vec<Box<[u8]>> {
    let literals = found.literals().unwrap_or_default();
    if literals.iter().any(|literal| literal.is_empty()) {
        return Vec::new();
    }
    literals.iter().map(|literal| literal.as_bytes().into()).collect()
}

/// The same pattern with every Unicode class as the ranges that it stands for, if it could hold one: these have to be
/// asked for by a flag.
pub fn spelled_out(pattern: &str) -> Option<String> {
    let hir = pattern.contains("(?").then(|| parse(pattern))??;
    let mut text = "(?u:".to_owned();
    Printer::new().print(&hir, &mut text).ok()?;
    text.push(')');
    parse(&text).is_some().then_some(text)
}

/// As the language compiles it.
fn parse(pattern: &str) -> Option<Hir> {
    regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(pattern).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_recognised() {
        for (pattern, expected) in [
            ("/userverified$", Some((Place::End, "/userverified"))),
            (r"^/a\.b", Some((Place::Start, "/a.b"))),
            (r"^/a\z", Some((Place::Whole, "/a"))),
            ("^$", Some((Place::Whole, ""))),
            ("abc", Some((Place::Anywhere, "abc"))),
            ("", Some((Place::Anywhere, ""))),
            ("(?i)abc", None),
            ("(?m)^abc", None),
            ("a.c", None),
            ("a|b", None),
            ("$a", None),
        ] {
            let expected = expected.map(|(place, text)| (place, text.as_bytes().into()));
            assert_eq!(plain(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn unicode_classes_are_spelled_out() {
        assert_eq!(spelled_out("/a[0-9]+"), None);
        assert_eq!(spelled_out("(?u)[é-ë]").as_deref(), Some(r"(?u:[é-ë])"));
        for pattern in [
            r"(?u)\p{L}+",
            r"(?u:\w\b\d)\w",
            r"(?iu)straße$",
            r"(?i)\xff(a|b)*?",
            r"(?P<x>a)(?m)^.$",
            "(?u)\\p{ASCII}",
            "(?s-u:.)(?u:.)",
        ] {
            let text = spelled_out(pattern).expect("a text");
            assert!(!text.contains("\\p") && !text.contains("\\w"), "{text}");
            assert_eq!(parse(&text), parse(pattern), "{text}");
        }
    }

    #[test]
    fn every_match_holds_a_required_text() {
        for (pattern, expected) in [
            ("^(shop|tickets)[.]example", &["shop.example", "tickets.example"][..]),
            ("/seats/[0-9]+/book", &["/seats/"]),
            (".*googlebot.*", &["googlebot"]),
            ("[a-z]+/checkout", &["/checkout"]),
            ("[a-z]+", &[]),
            ("a*", &[]),
        ] {
            let found = required(pattern);
            let found: Vec<_> = found.iter().map(|text| std::str::from_utf8(text).expect("text")).collect();
            assert_eq!(found, expected, "{pattern}");
        }
    }
}
