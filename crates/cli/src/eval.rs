//! `eval`: one expression against one request.

use std::fmt::{self, Display};
use std::path::Path;

use bumpalo::Bump;
use serde::Serialize;

use super::input;
use super::output::{Answer, BAD, Exit, Failure, Format, GOOD, styled};
use super::policy::TargetName;
use super::request::{RequestOptions, RequestReport, assignment};
use super::trace;
use velvetrope::internal::edge::{Described, Incoming};
use velvetrope::internal::language::{self, Diagnostic, Expression, Scheme};
use velvetrope::internal::policy::list_of;
use velvetrope::internal::program::{List, Lists, Program, Trace};
use velvetrope::internal::queueit::without_token;
use velvetrope::internal::request::{OwnedRequest, Target};

/// How messages call the expression's place.
const ORIGIN: &str = "the expression";

/// Evaluate one expression against one request
///
/// Prints whether the expression is true, and what each of its parts saw. Ends with 0 if it is true, with 1 if it is
/// false, and with 2 if it is no expression.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope eval 'ends_with(http.request.uri.path, \"/userverified\")' https://tickets.example/t/1/userverified
  velvetrope eval 'ip.src in $admins' https://tickets.example/ --ip 192.0.2.7 --list admins=192.0.2.0/24
  velvetrope eval 'ip.src.country eq \"DE\"' https://tickets.example/ --country DE && echo welcome

JSON: request, expression, result, trace (text, result, saw, parts), warnings (each with code,
message, help)")]
pub struct Eval {
    /// The expression; `-` reads it from standard input
    expression: String,
    /// The absolute URL, as the visitor asks for it
    url: String,
    #[command(flatten)]
    request: RequestOptions,
    /// The host that decides: hosts differ in what they know
    #[arg(long, value_enum, default_value = "proxy")]
    target: TargetName,
    /// A list that the expression names: a file with one member on each line, or the members; may be given several times
    #[arg(long = "list", value_name = "NAME=FILE|A,B,C", value_parser = assignment)]
    lists: Vec<(String, String)>,
}

#[derive(Serialize)]
struct EvalReport {
    request: RequestReport,
    expression: String,
    result: bool,
    trace: Trace,
    /// Why the expression may not do what its author meant.
    warnings: Vec<WarningReport>,
}

#[derive(Serialize)]
struct WarningReport {
    code: &'static str,
    message: String,
    help: Option<String>,
    #[serde(skip)]
    rendered: String,
}

impl Eval {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let text = input::argument(&self.expression)?;
        let expression = parse(&text)?;
        let warnings = language::lint(&expression).into_iter().map(|found| WarningReport::new(&found, &text)).collect();
        let request = self.request.request(&self.url)?;
        let lists = lists(&self.lists)?;
        let trace = evaluate(&expression, &lists, &request, self.target.into())?;
        let result = trace.result.unwrap_or(false);
        let report = EvalReport {
            request: RequestReport::from(&request),
            expression: expression.to_string(),
            result,
            trace,
            warnings,
        };
        Answer::of(&report, format, if result { Exit::Fine } else { Exit::Findings })
    }
}

fn parse(text: &str) -> Result<Expression, Failure> {
    // What `show` prints of triggers can be tried, too.
    language::parse(text, Scheme::triggers()).map(Expression::with_canonical_addresses).map_err(|diagnostics| {
        let rendered: Vec<_> = diagnostics.iter().map(|found| found.render(text, ORIGIN, 1)).collect();
        Failure::new(format!("the expression cannot be evaluated\n\n{}\n", rendered.join("\n\n")))
    })
}

impl WarningReport {
    fn new(found: &Diagnostic, text: &str) -> WarningReport {
        WarningReport {
            code: found.code.as_str(),
            message: found.message.clone(),
            help: found.help.clone(),
            rendered: found.render(text, ORIGIN, 1),
        }
    }
}

fn evaluate(expression: &Expression, lists: &Lists, request: &OwnedRequest, target: Target) -> Result<Trace, Failure> {
    let program = Program::single(expression, lists);
    let arena = Bump::new();
    let refused = |why| Failure::new(format!("{why}: every host answers such a request with 400"));
    let url = request.canonical_url().map_err(refused)?;
    let (headers, facts) = (request.header_pairs_for(url.authority()), Described::to_any(target, request));
    let incoming = Incoming::of(request, &url, &headers, &facts);
    let explanation = program.explain(&incoming.view(without_token(url.as_str(), &arena), &arena));
    let trace = explanation.and_then(|explained| explained.entries.into_iter().next());
    trace.map(|(_, trace)| trace).ok_or_else(|| Failure::new("the expression was not evaluated"))
}

fn lists(given: &[(String, String)]) -> Result<Lists, Failure> {
    given
        .iter()
        .map(|(name, members)| {
            Ok((name.clone(), list(members).map_err(|failure| failure.within(format!("list ${name}")))?))
        })
        .collect()
}

/// A list of the members in a file, one on each line, or of those that are given.
fn list(given: &str) -> Result<List, Failure> {
    let path = Path::new(given);
    let text = if input::is_stdin(path) || path.is_file() { input::text(path)? } else { given.replace(',', "\n") };
    let members = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(list_of(members.filter(|member| !member.is_empty()))?)
}

impl Display for EvalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = if self.result { styled(GOOD, "true") } else { styled(BAD, "false") };
        write!(f, "{result}\n\n{}", trace::render(&self.trace, 2))?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\n{}\n", warning.rendered))
    }
}
