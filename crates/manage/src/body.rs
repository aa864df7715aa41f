//! The body of a request: JSON that is read and checked as the files of a policy are, so that whoever sent it learns of
//! everything that is wrong at once, and where.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::failure::{Code, Failure, Objection};
use velvetrope::internal::document::{Node, node_of, parse_json, pointer};
use velvetrope::internal::fields::Fields;
use velvetrope::internal::finding::{File, Report};
use velvetrope::internal::language::{self, Diagnostic, Severity};
use velvetrope::internal::place;

/// How long a description or a comment may be, in characters.
pub(super) const MAX_TEXT: usize = 500;

/// What findings call the body.
const NAME: &str = "body";

/// What an operation is asked to do.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    /// By a client: JSON as it came.
    Sent(&'a [u8]),
    /// By a form, or by what was kept: JSON that is read already.
    Said(&'a Json),
}

impl Body<'_> {
    /// All of it.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        match self {
            Body::Sent(text) => serde_json::from_slice(text),
            Body::Said(json) => serde_json::from_value(json.clone()),
        }
    }
}

/// Reads a body with `read`, which reports what is wrong with it; what it read, and what is doubtful. `member` is the
/// key under which some clients put what others send bare.
pub(super) fn read<T>(
    body: Body,
    member: &str,
    read: impl FnOnce(File, &Node) -> Option<T>,
) -> Result<(T, Vec<String>), Failure> {
    let (text, root) = match body {
        Body::Sent(bytes) => parsed(bytes)?,
        Body::Said(json) => ("", node_of(json)),
    };
    let report = Report::default();
    let file = File { path: NAME, text, report: &report };
    let wanted = root.get(member).unwrap_or(&root);
    let value = read(file, wanted);
    let has_errors = report.has_errors();
    let findings = report.into_findings();
    match value {
        Some(value) if !has_errors => Ok((value, findings.iter().map(message).collect())),
        _ => Err(refusal(&root, &findings)),
    }
}

fn parsed(bytes: &[u8]) -> Result<(&str, Node<'_>), Failure> {
    let malformed = |message: String| Failure::new(400, Code::Malformed, message);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        malformed(format!("the body is not UTF-8: byte {} is out of place", error.valid_up_to() + 1))
    })?;
    let root = parse_json(text).map_err(|error| {
        let (line, column) = place::position(text, error.at);
        malformed(format!("the body is no JSON: line {line}, column {column}: {}", error.message))
    })?;
    Ok((text, root))
}

/// What is wrong with a body.
fn refusal(root: &Node, findings: &[Diagnostic]) -> Failure {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let errors: Vec<_> = errors.map(|finding| objection(root, finding)).collect();
    match errors.is_empty() {
        true => Failure::new(400, Code::Malformed, "the body is not what is expected here"),
        false => Failure { errors, ..Failure::new(400, Code::Invalid, "") },
    }
}

fn objection(root: &Node, finding: &Diagnostic) -> Objection {
    let code = match (finding.code, finding.place.within) {
        (language::Code::OpensForEverybody, _) => Code::OpensForEverybody,
        (_, Some(_)) => Code::Expression,
        (language::Code::Duplicate, None) => Code::Duplicate,
        (_, None) => Code::Invalid,
    };
    Objection { code, message: message(finding), pointer: Some(pointer(root, finding.place.offset)) }
}

/// A finding in words; of an expression with the source and carets below what is meant, as the API does it.
fn message(finding: &Diagnostic) -> String {
    let help = finding.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
    match (finding.place.within, &finding.place.snippet) {
        (Some((line, column)), Some(snippet)) => {
            let Diagnostic { message, code, .. } = finding;
            format!("Filter parsing error ({line}:{column}):\n{snippet} {message} [{code}]{help}")
        }
        _ => format!("{}{}", finding.message, help.replace("\nhelp: ", "; ")),
    }
}

/// Reports a text that is too long.
pub(super) fn limit(fields: &Fields, key: &'static str, text: Option<&str>, most: usize) {
    if let (Some(text), Some(node)) = (text, fields.get(key))
        && text.chars().count() > most
    {
        fields.bad_value(node, format!("`{key}` is longer than {most} characters"), "shorten it");
    }
}
