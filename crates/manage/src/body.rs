//! The body of a request: JSON that is read and checked as the files of a policy are, so that whoever sent it learns of
//! everything that is wrong at once, and where.

use super::failure::{Code, Failure, Objection};
use velvetrope::internal::document::{Node, parse_json, pointer};
use velvetrope::internal::fields::Fields;
use velvetrope::internal::finding::{File, Kind, Report};
use velvetrope::internal::language::Severity;
use velvetrope::internal::place;
use velvetrope::internal::policy::Finding;

/// What findings call the body.
const NAME: &str = "body";

/// Reads a body with `read`, which reports what is wrong with it; what it read, and what is doubtful. `member` is the
/// key under which some clients put what others send bare.
pub(super) fn read<T>(
    body: &[u8],
    member: &str,
    read: impl FnOnce(File, &Node) -> Option<T>,
) -> Result<(T, Vec<String>), Failure> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let message = format!("the body is not UTF-8: byte {} is out of place", error.valid_up_to() + 1);
        Failure::new(400, Code::Malformed, message)
    })?;
    let root = parse_json(text).map_err(|error| {
        let (line, column) = place::position(text, error.at);
        let message = format!("the body is no JSON: line {line}, column {column}: {}", error.message);
        Failure::new(400, Code::Malformed, message)
    })?;
    let report = Report::default();
    let file = File { path: NAME, text, report: &report };
    let wanted = root.get(member).unwrap_or(&root);
    let value = read(file, wanted);
    let has_errors = report.has_errors();
    let findings = report.into_findings();
    match value {
        Some(value) if !has_errors => Ok((value, findings.iter().map(message).collect())),
        _ => Err(refusal(text, &root, &findings)),
    }
}

/// What is wrong with a body.
fn refusal(text: &str, root: &Node, findings: &[Finding]) -> Failure {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let errors: Vec<_> = errors.map(|finding| objection(text, root, finding)).collect();
    match errors.is_empty() {
        true => Failure::new(400, Code::Malformed, "the body is not what is expected here"),
        false => Failure { errors, ..Failure::new(400, Code::Invalid, "") },
    }
}

fn objection(text: &str, root: &Node, finding: &Finding) -> Objection {
    let is = |kind: Kind| finding.code == kind.to_string();
    let code = match finding.within {
        _ if is(Kind::OpensForEverybody) => Code::OpensForEverybody,
        Some(_) => Code::Expression,
        None if is(Kind::Duplicate) => Code::Duplicate,
        None => Code::Invalid,
    };
    let at = place::offset(text, finding.line, finding.column);
    Objection { code, message: message(finding), pointer: Some(pointer(root, at)) }
}

/// A finding in words; of an expression with the source and carets below what is meant, as the API does it.
fn message(finding: &Finding) -> String {
    let help = finding.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
    match (finding.within, &finding.snippet) {
        (Some((line, column)), Some(snippet)) => {
            let Finding { message, code, .. } = finding;
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
