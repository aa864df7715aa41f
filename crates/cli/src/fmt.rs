//! `fmt`: canonical text of expressions.

use std::fmt::{self, Display};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::input;
use super::output::{Answer, Exit, Failure, Format, count};
use velvetrope::internal::language::{self, Scheme};

/// The keys of rules and rooms whose values are expressions.
const EXPRESSION_KEYS: [&str; 2] = ["expression", "when"];

/// Rewrite expressions in canonical form
///
/// In JSON files with rules or rooms, the values of `expression` and `when` are rewritten and nothing else is touched.
/// Any other file is taken for the text of one expression. Folders stand for the JSON files in them. What is read from
/// standard input, or given with -e, is printed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope fmt -e 'http.host==\"tickets.example\"&&ssl'
  velvetrope fmt policy/rules.json
  velvetrope fmt --check policy/
  cat rules.json | velvetrope fmt -

JSON: files (each with file, changed, and text where it is not written back)")]
pub struct Fmt {
    /// Files or folders; `-` is standard input
    #[arg(required_unless_present = "expression", conflicts_with = "expression")]
    files: Vec<PathBuf>,
    /// An expression
    #[arg(short, long, value_name = "EXPRESSION")]
    expression: Option<String>,
    /// Change nothing; end with 1 if something would change
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
struct FmtReport {
    files: Vec<FileReport>,
    #[serde(skip)]
    check: bool,
}

/// One text that was formatted.
#[derive(Serialize)]
struct FileReport {
    file: String,
    changed: bool,
    /// Of what is not written back to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Fmt {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let mut files = Vec::new();
        if let Some(expression) = &self.expression {
            files.push(printed("the expression", &format!("{expression}\n"))?);
        }
        for path in &self.files {
            for path in json_files(path)? {
                files.push(self.file(&path)?);
            }
        }
        let changed = files.iter().any(|file| file.changed);
        let exit = if self.check && changed { Exit::Findings } else { Exit::Fine };
        Answer::of(&FmtReport { files, check: self.check }, format, exit)
    }

    fn file(&self, path: &Path) -> Result<FileReport, Failure> {
        let name = input::name(path);
        let before = input::text(path)?;
        if input::is_stdin(path) {
            return printed(&name, &before);
        }
        let after = formatted(&name, &before)?;
        let changed = after != before;
        if changed && !self.check {
            std::fs::write(path, after).map_err(|error| Failure::new(format!("cannot write {name}: {error}")))?;
        }
        Ok(FileReport { file: name, changed, text: None })
    }
}

fn printed(name: &str, before: &str) -> Result<FileReport, Failure> {
    let after = formatted(name, before)?;
    Ok(FileReport { file: name.to_owned(), changed: after != before, text: Some(after) })
}

/// The path itself, or the JSON files below it.
fn json_files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error| Failure::new(format!("cannot read {}: {error}", path.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            found.extend(json_files(&entry.path())?);
        } else if kind.is_file() && entry.path().extension().is_some_and(|extension| extension == "json") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// No expression begins with a brace or a bracket, and every JSON file of a policy does.
fn formatted(name: &str, text: &str) -> Result<String, Failure> {
    if text.trim_start().starts_with(['{', '[']) { formatted_json(name, text) } else { formatted_text(name, text) }
}

fn formatted_text(name: &str, text: &str) -> Result<String, Failure> {
    Ok(canonical(name, 1, text.trim())? + "\n")
}

fn formatted_json(name: &str, text: &str) -> Result<String, Failure> {
    let _: serde::de::IgnoredAny =
        serde_json::from_str(text).map_err(|error| Failure::new(format!("{name} is not JSON: {error}")))?;
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for place in expressions(text) {
        let written = &text[place.clone()];
        let Ok(before) = serde_json::from_str::<String>(written) else { continue };
        let line = 1 + text[..place.start].matches('\n').count();
        let after = canonical(name, line, &before)?;
        if after != before {
            out.push_str(&text[copied..place.start]);
            out.push_str(&serde_json::Value::from(after).to_string());
            copied = place.end;
        }
    }
    out.push_str(&text[copied..]);
    Ok(out)
}

fn canonical(name: &str, line: usize, text: &str) -> Result<String, Failure> {
    language::parse(text, Scheme::standard()).map(|expression| expression.to_string()).map_err(|diagnostics| {
        let rendered: Vec<_> = diagnostics.iter().map(|found| found.render(text, name, line)).collect();
        Failure::new(format!("{name} cannot be formatted\n\n{}\n", rendered.join("\n\n")))
    })
}

/// Where valid JSON has texts (quotes included) that are values of one of [`EXPRESSION_KEYS`].
fn expressions(json: &str) -> Vec<Range<usize>> {
    let texts = texts(json);
    let is_key = |text: &Range<usize>| {
        let name = serde_json::from_str::<String>(&json[text.clone()]).unwrap_or_default();
        EXPRESSION_KEYS.contains(&name.as_str())
    };
    let pairs = texts.iter().zip(texts.iter().skip(1));
    let joined = |key: &Range<usize>, value: &Range<usize>| json[key.end..value.start].trim() == ":";
    pairs.filter(|(key, value)| joined(key, value) && is_key(key)).map(|(_, value)| value.clone()).collect()
}

/// Where valid JSON has texts: from each quote to the next that is not escaped.
fn texts(json: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open = None;
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate() {
        match (byte, open) {
            (_, Some(_)) if escaped => escaped = false,
            (b'\\', Some(_)) => escaped = true,
            (b'"', Some(start)) => {
                found.push(start..at + 1);
                open = None;
            }
            (b'"', None) => open = Some(at),
            _ => {}
        }
    }
    found
}

impl Display for FmtReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            match &file.text {
                Some(text) if !self.check => f.write_str(text)?,
                _ if file.changed => {
                    writeln!(f, "{} {}", if self.check { "would change" } else { "changed" }, file.file)?;
                }
                _ => {}
            }
        }
        let changed = self.files.iter().filter(|file| file.changed).count();
        if self.check || self.files.iter().any(|file| file.text.is_none()) {
            let done = if self.check { "would change" } else { "changed" };
            writeln!(f, "{} looked at, {changed} {done}", count(self.files.len(), "text"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_found_by_their_keys() {
        let json = r#"[{"description": "expression", "expression" : "a \" b", "x": ["when"]}, {"\u0077hen":"c"}]"#;
        let found: Vec<_> = expressions(json).into_iter().map(|place| &json[place]).collect();
        assert_eq!(found, [r#""a \" b""#, r#""c""#]);
    }

    #[test]
    fn a_key_that_is_named_like_a_value_is_no_value() {
        assert!(expressions(r#"{"a": "expression", "b": "c", "expression": null, "d": "e"}"#).is_empty());
    }
}
