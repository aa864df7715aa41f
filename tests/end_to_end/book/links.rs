//! Whether links lead somewhere: between pages, to files of the repository, and from comments in code to pages.

use std::path::{Path, PathBuf};

use super::markdown::{anchors, code_spans, links, prose};
use super::{files, read, root};

#[test]
fn links_of_pages_lead_somewhere() {
    let mut broken = Vec::new();
    for page in files(&[".md"]) {
        let text = read(&page);
        for (line, target) in
            prose(&text).flat_map(|(line, text)| links(text).into_iter().map(move |link| (line, link)))
        {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if page.starts_with(root().join("docs")) && target.contains("README.md") && !page.ends_with("SUMMARY.md") {
                broken.push(format!("{}:{line}: {target}: in the book this page is index.html", page.display()));
            }
            if let Err(why) = leads_somewhere(&page, target) {
                broken.push(format!("{}:{line}: {target}: {why}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_contents_name_every_page() {
    let summary = root().join("docs/SUMMARY.md");
    let text = read(&summary);
    let named: Vec<PathBuf> = text.lines().flat_map(links).map(|link| root().join("docs").join(link)).collect();
    for page in files(&[".md"]).into_iter().filter(|page| page.starts_with(root().join("docs")) && *page != summary) {
        assert!(named.contains(&page), "docs/SUMMARY.md does not name {}", page.display());
    }
}

/// Files and folders that pages name are there.
#[test]
fn files_that_pages_name_are_there() {
    const FOLDERS: [&str; 10] =
        ["src/", "crates/", "tests/", "tools/", "deploy/", "examples/", "benches/", "fuzz/", "grammar/", "schemas/"];
    let mut missing = Vec::new();
    for page in files(&[".md"]) {
        let beside = page.parent().expect("pages are in a folder");
        for (line, name) in prose(&read(&page)).flat_map(|(line, text)| code_spans(text).map(move |name| (line, name)))
        {
            let is_path = FOLDERS.iter().any(|folder| name.starts_with(folder)) && !name.contains([' ', '*', '{']);
            // A test program may be a file or a folder.
            let found = |at: &Path| at.join(name).exists() || at.join(format!("{name}.rs")).exists();
            if is_path && !found(root()) && !found(beside) {
                missing.push(format!("{}:{line}: {name}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "these are not in the repository:\n{}", missing.join("\n"));
}

/// Metrics that pages name are registered somewhere.
#[test]
fn metrics_that_pages_name_are_counted() {
    let code: String = files(&[".rs"]).iter().map(|file| read(file)).collect();
    for page in files(&[".md"]) {
        for (line, span) in prose(&read(&page)).flat_map(|(line, text)| code_spans(text).map(move |span| (line, span)))
        {
            let Some(name) = span.strip_prefix("velvetrope_").and_then(|name| name.split('{').next()) else { continue };
            // What has a value is a mark in URLs, which begins as metrics do.
            if !name.contains('=') {
                let name = name.trim_end_matches("_total").trim_end_matches("_seconds");
                assert!(code.contains(&format!("\"{name}\"")), "{}:{line}: nothing counts `{span}`", page.display());
            }
        }
    }
}

/// What a book includes is found where the page says.
#[test]
fn what_pages_include_is_there() {
    for page in files(&[".md"]).into_iter().filter(|page| page.starts_with(root().join("docs"))) {
        for included in read(&page).split("{{#include ").skip(1).filter_map(|rest| rest.split("}}").next()) {
            let file = included.split(':').next().unwrap_or(included);
            let path = page.with_file_name(file);
            assert!(path.is_file(), "{} includes {file}", page.display());
            if !file.ends_with(".md") {
                continue;
            }
            // In the book the page stands elsewhere, so that a link from its own place would lead astray.
            for link in
                prose(&read(&path)).flat_map(|(_, line)| links(line).into_iter().map(str::to_owned).collect::<Vec<_>>())
            {
                assert!(link.starts_with('#') || link.contains("://"), "{file} is in the book, and links to {link}");
            }
        }
    }
}

/// Comments that name a place in the book name one that is there.
#[test]
fn comments_name_places_of_the_book() {
    let mut broken = Vec::new();
    for file in files(&[".rs", ".js", ".py", ".pest", ".toml", ".yaml", ".sh"]) {
        for (index, line) in read(&file).lines().enumerate() {
            for place in line.split("docs/").skip(1).filter(|_| !file.ends_with("tests/end_to_end/book/links.rs")) {
                let end = place.find(|letter: char| !(letter.is_alphanumeric() || "/._-#".contains(letter)));
                let place = place[..end.unwrap_or(place.len())].trim_end_matches('.');
                if place.contains(".md") && leads_somewhere(&root().join("docs/x"), place).is_err() {
                    broken.push(format!("{}:{}: docs/{place}", file.display(), index + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "these places are not in the book:\n{}", broken.join("\n"));
}

/// A section that a comment cites is one of an RFC or another standard, which everybody can read; what is ours has a place
/// in the book.
#[test]
fn comments_cite_what_everybody_can_read() {
    let mut cited = Vec::new();
    for file in files(&[".rs"]).into_iter().filter(|file| !file.ends_with("tests/end_to_end/book/links.rs")) {
        let text = read(&file);
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("//")) {
            let numbered = ["section ", "sections ", "decision "].iter().any(|word| {
                line.split(word).skip(1).any(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
            });
            let around = lines[index.saturating_sub(1)..=index].concat();
            if numbered && !["RFC", "WHATWG"].iter().any(|standard| around.contains(standard)) {
                cited.push(format!("{}:{}: {}", file.display(), index + 1, line.trim()));
            }
        }
    }
    assert!(cited.is_empty(), "these comments cite what is not here:\n{}", cited.join("\n"));
}

fn leads_somewhere(page: &Path, target: &str) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { page.to_owned() } else { page.parent().expect("pages are in a folder").join(path) };
    if !path.exists() {
        return Err("there is no such file".to_owned());
    }
    if anchor.is_empty() || anchors(&included(&path)).iter().any(|found| found == anchor) {
        return Ok(());
    }
    Err("there is no such heading".to_owned())
}

/// A page with what it includes.
fn included(page: &Path) -> String {
    let include = |line: &str| match line.trim().strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}")) {
        Some(file) => read(&page.with_file_name(file)),
        None => line.to_owned(),
    };
    read(page).lines().map(|line| include(line) + "\n").collect()
}
