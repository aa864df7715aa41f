//! What to say of a text that the grammar refuses.

use pest::Parser as _;
use pest::error::{ErrorVariant, InputLocation};

use super::check::{error, quote, unknown_field, unknown_function};
use super::grammar::{Grammar, Node, Rule};
use super::{Code, Diagnostic, Function, MAX_NESTING, Scheme};

/// The diagnostics for `text`, which stands at `base` in the author's text.
pub(super) fn diagnose(
    text: &str,
    base: usize,
    refusal: &pest::error::Error<Rule>,
    scheme: &Scheme,
) -> Vec<Diagnostic> {
    let place = match refusal.location {
        InputLocation::Pos(place) => place,
        InputLocation::Span((place, _)) => place,
    };
    if unexpected(refusal).contains(&Rule::too_deep) {
        let message = format!("this is nested more than {MAX_NESTING} levels deep");
        let help = "every `(`, `not`, call, any and all is a level".to_owned();
        let end = base + text.get(..place).unwrap_or(text).trim_end().len();
        return vec![error(Code::TooDeep, end.saturating_sub(1)..end, message, Some(help))];
    }
    let survey = Survey::of(text);
    let mut diagnostics = survey.unknown_names(base, text, place, scheme);
    let is_told = expected(refusal).is_some();
    let unclosed = survey.unclosed(base, text, place, is_told);
    diagnostics.push(unclosed.unwrap_or_else(|| refused(text, base, place, refusal)));
    if place >= text.len() {
        diagnostics.extend(survey.too_few_arguments(base, text, scheme));
    }
    diagnostics
}

/// What can be seen in a text without understanding it.
struct Survey<'t> {
    /// Names where an operand may stand, and whether they are called.
    names: Vec<(pest::Span<'t>, bool)>,
    /// Brackets that are open at the end.
    open: Vec<pest::Span<'t>>,
    /// The first bracket that closes nothing.
    stray_close: Option<pest::Span<'t>>,
    /// A quote that is never closed.
    quote: Option<pest::Span<'t>>,
}

impl<'t> Survey<'t> {
    fn of(text: &'t str) -> Self {
        let mut survey = Survey { names: Vec::new(), open: Vec::new(), stray_close: None, quote: None };
        let tokens = Grammar::parse(Rule::survey, text).ok().and_then(|mut pairs| pairs.next());
        for token in tokens.into_iter().flat_map(Node::into_inner) {
            survey.note(token);
        }
        survey
    }

    fn note(&mut self, token: Node<'t>) {
        match token.as_rule() {
            Rule::surveyed_name => {
                let mut parts = token.into_inner();
                let name = parts.next().map(|name| name.as_span());
                let called = parts.next().is_some();
                self.names.extend(name.map(|name| (name, called)));
            }
            Rule::open => self.open.push(token.as_span()),
            Rule::close if self.open.pop().is_none() => {
                self.stray_close.get_or_insert(token.as_span());
            }
            Rule::unclosed => self.quote = Some(token.as_span()),
            _ => {}
        }
    }

    /// Unknown names before the place where the grammar gave up.
    fn unknown_names(&self, base: usize, text: &str, place: usize, scheme: &Scheme) -> Vec<Diagnostic> {
        let goes_on = |name: &pest::Span<'_>| text.get(name.end()..).is_some_and(|rest| rest.starts_with('.'));
        let before = self.names.iter().filter(|(name, _)| name.start() < place && !goes_on(name));
        before
            .filter_map(|(name, called)| {
                let (text, span) = (name.as_str(), base + name.start()..base + name.end());
                let function = Function::by_name(text).filter(|of| scheme.is_of_triggers() || !of.is_of_triggers());
                match called {
                    true => function.is_none().then(|| unknown_function(text, span, scheme)),
                    false => scheme.field(text).is_none().then(|| unknown_field(text, span, scheme)),
                }
            })
            .collect()
    }

    /// A quote or bracket that is never closed, or closes nothing, if that is why the grammar gave up. `is_told`:
    /// whether the grammar says what it expected.
    fn unclosed(&self, base: usize, text: &str, place: usize, is_told: bool) -> Option<Diagnostic> {
        if let Some(quote) = self.quote.filter(|quote| quote.start() <= place) {
            let start = base + quote.start();
            let help = "a quote inside the text is written `\\\"`".to_owned();
            return Some(error(Code::Unclosed, start..start + 1, "this text is never closed", Some(help)));
        }
        if let Some(close) = self.stray_close.filter(|close| close.start() == place) {
            let message = format!("`{}` closes nothing", close.as_str());
            return Some(error(Code::Unclosed, base + place..base + place + 1, message, None));
        }
        let open = self.open.last().filter(|open| open.start() < place && (place >= text.len() || !is_told))?;
        let message = format!("`{}` is never closed", open.as_str().trim());
        let start = base + open.start();
        Some(error(Code::Unclosed, start..start + 1, message, None))
    }

    /// Calls that would have too few arguments if every bracket that is open were closed where the text ends.
    fn too_few_arguments(&self, base: usize, text: &str, scheme: &Scheme) -> Vec<Diagnostic> {
        let closing = |open: &pest::Span<'_>| match open.as_str().trim() {
            "{" => '}',
            "[" => ']',
            _ => ')',
        };
        let closed: String = text.chars().chain(self.open.iter().rev().map(closing)).collect();
        let Ok(matched) = Grammar::parse(Rule::text, &closed) else { return Vec::new() };
        let told = super::check::check(&closed, base, matched, scheme).err().unwrap_or_default();
        let counts = told.into_iter().filter(|diagnostic| diagnostic.code == Code::ArgumentCount);
        let in_text = |diagnostic: Diagnostic| {
            let span = diagnostic.span.start..diagnostic.span.end.min(base + text.len());
            Diagnostic { span, ..diagnostic }
        };
        counts.map(in_text).collect()
    }
}

/// The grammar gave up at `place`.
fn refused(text: &str, base: usize, place: usize, refusal: &pest::error::Error<Rule>) -> Diagnostic {
    let rest = text.get(place..).unwrap_or_default();
    let wants = expected(refusal).unwrap_or("something else");
    let Some(first) = rest.chars().next() else {
        let message = format!("the expression ends where {wants} is expected");
        return error(Code::Syntax, base + place..base + place, message, None);
    };
    let span = base + place..base + place + first.len_utf8();
    if first.is_whitespace() || first == '\u{feff}' || first == '\u{200b}' {
        let message = format!("the character U+{:04X} may not separate words", u32::from(first));
        let help = "only spaces and line breaks may stand between words".to_owned();
        return error(Code::WhiteSpace, span, message, Some(help));
    }
    if let Some(closing) = matching_quote(first) {
        let inner = rest.get(first.len_utf8()..).and_then(|rest| rest.split(closing).next()).unwrap_or_default();
        let help = format!("write `{}`", quote(inner));
        return error(Code::Quotes, span, "text stands in double quotes", Some(help));
    }
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.')).collect();
    let found = if word.is_empty() { first.to_string() } else { word };
    let before = text.get(..place).unwrap_or_default().trim_end();
    let help = match before.ends_with('&') && !before.ends_with("&&") {
        true => Some("write `and` to join conditions; `&` tests the bits of a number".to_owned()),
        false => hint(&found, rest),
    };
    let message = format!("unexpected `{found}` where {wants} is expected");
    error(Code::Syntax, base + place..base + place + found.len(), message, help)
}

fn matching_quote(first: char) -> Option<[char; 2]> {
    match first {
        '\'' => Some(['\'', '\'']),
        '“' | '”' | '„' => Some(['”', '“']),
        '‘' | '’' => Some(['’', '‘']),
        '`' => Some(['`', '`']),
        _ => None,
    }
}

fn hint(found: &str, rest: &str) -> Option<String> {
    let lower = found.to_ascii_lowercase();
    let help = match found {
        "&" => "write `and`".to_owned(),
        "|" => "write `or`".to_owned(),
        "^" => "write `xor`".to_owned(),
        "," => "conditions are joined with `and` or `or`".to_owned(),
        ";" => "delete it; an expression ends by itself".to_owned(),
        "[" => "no space may stand before the bracket".to_owned(),
        "(" if rest.starts_with('(') => "is `and` or `or` missing before it?".to_owned(),
        _ if lower != found && ["and", "or", "xor", "not"].contains(&lower.as_str()) => {
            format!("operators are lower case: write `{lower}`")
        }
        _ => return None,
    };
    Some(help)
}

/// What would have been right, in words; `None` where the grammar cannot tell.
fn expected(refusal: &pest::error::Error<Rule>) -> Option<&'static str> {
    const WORDS: [(&[Rule], &str); 7] = [
        (&[Rule::word, Rule::symbol, Rule::ordering, Rule::containing, Rule::membership], "an operator"),
        (&[Rule::negation, Rule::group, Rule::quantified, Rule::comparison, Rule::expression], "a condition"),
        (&[Rule::quoted, Rule::raw, Rule::bare, Rule::regex, Rule::operand, Rule::name], "a value"),
        (&[Rule::set, Rule::list], "a set `{…}` or a list `$name`"),
        (&[Rule::argument], "an argument"),
        (&[Rule::each, Rule::int], "an index"),
        (&[Rule::connective], "`and`, `or`, `xor` or the end"),
    ];
    let ErrorVariant::ParsingError { positives, .. } = &refusal.variant else {
        return None;
    };
    let is_expected = |rules: &[Rule]| rules.iter().any(|rule| positives.contains(rule));
    WORDS.iter().find(|(rules, _)| is_expected(rules)).map(|&(_, words)| words)
}

fn unexpected(refusal: &pest::error::Error<Rule>) -> &[Rule] {
    match &refusal.variant {
        ErrorVariant::ParsingError { negatives, .. } => negatives,
        ErrorVariant::CustomError { .. } => &[],
    }
}
