//! What is wrong with what somebody wrote, where, and what to write instead: one [`Diagnostic`] for expressions, files of
//! a policy and bodies of requests.

use std::fmt;
use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What was written is refused.
    Error,
    /// It is accepted, and probably not what was meant.
    Warning,
}

impl Severity {
    /// The word for it in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// The coarse class of an error, as the conformance vectors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The text does not follow the grammar, or a literal is not what its place needs.
    Syntax,
    /// No field or function has this name.
    UnknownIdentifier,
    /// Types do not agree.
    Type,
    /// The number or the values of a call's arguments.
    Arguments,
    /// A regular expression that does not compile.
    Regex,
    /// A wildcard pattern that is not well formed.
    Wildcard,
    /// Too long or too deep.
    Limit,
    /// Accepted, and a trap.
    Lint,
    /// About a policy, not about the text of an expression.
    Policy,
}

impl Kind {
    /// As the vectors spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Syntax => "syntax",
            Kind::UnknownIdentifier => "unknown_identifier",
            Kind::Type => "type",
            Kind::Arguments => "arguments",
            Kind::Regex => "regex",
            Kind::Wildcard => "wildcard",
            Kind::Limit => "limit",
            Kind::Lint => "lint",
            Kind::Policy => "policy",
        }
    }
}

macro_rules! codes {
    ($( $(#[$doc:meta])* $variant:ident = $text:literal $kind:ident; )*) => {
        /// The kind of a mistake; stable, and printed as `E…`/`W…` of expressions, and as `P…` of everything else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $( $(#[$doc])* $variant, )* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[ $( Code::$variant, )* ];

            /// The stable spelling, for instance `E0201`.
            pub fn as_str(self) -> &'static str {
                match self { $( Code::$variant => $text, )* }
            }

            /// The coarse class.
            pub fn kind(self) -> Kind {
                match self { $( Code::$variant => Kind::$kind, )* }
            }
        }
    };
}

codes! {
    /// The text does not follow the grammar.
    Syntax = "E0100" Syntax;
    /// White space other than space, CR and LF between tokens.
    WhiteSpace = "E0101" Syntax;
    /// A parenthesis, bracket, brace or quote that is never closed.
    Unclosed = "E0102" Syntax;
    /// Single or typographic quotes.
    Quotes = "E0103" Syntax;
    /// An escape that does not exist.
    Escape = "E0104" Syntax;
    /// Text without quotes.
    Unquoted = "E0105" Syntax;
    /// A literal of another type than its place needs, or a number, address or byte string that is malformed.
    Literal = "E0106" Syntax;
    /// A network where a single address must stand.
    Network = "E0107" Syntax;
    /// A network whose host bits are not zero.
    HostBits = "E0108" Syntax;
    /// A range that ends before it begins, or of two address families.
    Range = "E0109" Syntax;
    /// Commas in a set.
    SetComma = "E0110" Syntax;
    /// A comment.
    Comment = "E0111" Syntax;
    /// An operator that does not exist.
    UnknownOperator = "E0112" Syntax;
    /// A function written like an operator.
    Infix = "E0113" Syntax;
    /// An operator's right side, or a set, in round brackets.
    RoundBrackets = "E0114" Syntax;
    /// A list name that is not one.
    ListName = "E0115" Syntax;
    /// A list or set where the operator takes something else, or the other way round.
    Membership = "E0116" Syntax;
    /// A value alone where a condition is expected.
    MissingOperator = "E0117" Syntax;
    /// A Bool compared with something.
    BoolCompared = "E0118" Syntax;
    /// Several conditions in any, all or a call without parentheses of their own.
    Unparenthesised = "E0119" Syntax;
    /// An index that is no index.
    IndexLiteral = "E0120" Syntax;
    /// A function without its parentheses, or arguments without commas.
    CallSyntax = "E0121" Syntax;
    /// `not` before an operator.
    MisplacedNot = "E0122" Syntax;
    /// No such field.
    UnknownField = "E0201" UnknownIdentifier;
    /// No such function.
    UnknownFunction = "E0202" UnknownIdentifier;
    /// The operator does not take values of this type.
    OperatorType = "E0301" Type;
    /// A whole array or map used as if it were one of its values.
    WholeCollection = "E0302" Type;
    /// An index into something that has none, or of the wrong kind.
    IndexType = "E0303" Type;
    /// The whole expression (or an operand of a connective) is not one Bool.
    NotOneBool = "E0304" Type;
    /// Single conditions mixed with element-wise ones.
    MixedConditions = "E0305" Type;
    /// An argument of the wrong type.
    ArgumentType = "E0306" Type;
    /// `[*]` in another than the first argument, or where one value is needed.
    MisplacedEach = "E0307" Type;
    /// any/all over something that is not an `Array<Bool>`.
    Quantified = "E0308" Type;
    /// The two sides of a comparison have different types.
    SidesDiffer = "E0309" Type;
    /// Too few or too many arguments.
    ArgumentCount = "E0401" Arguments;
    /// An argument whose value is not allowed.
    ArgumentValue = "E0402" Arguments;
    /// `regex_replace` or `wildcard_replace` more than once.
    ReplaceTwice = "E0403" Arguments;
    /// A regular expression that does not compile.
    Regex = "E0501" Regex;
    /// A regular expression that is too large when compiled.
    RegexSize = "E0502" Regex;
    /// A wildcard pattern that is not well formed.
    Wildcard = "E0601" Wildcard;
    /// More than 4,096 characters.
    TooLong = "E0701" Limit;
    /// More than 128 levels.
    TooDeep = "E0702" Limit;
    /// A doubled backslash in a regular expression.
    DoubleBackslash = "W0101" Lint;
    /// A path compared with text that does not begin with `/`.
    PathWithoutSlash = "W0102" Lint;
    /// A negated test that is true for everybody who lacks the value.
    TrueWhenAbsent = "W0103" Lint;
    /// `wildcard ""`
    EmptyWildcard = "W0104" Lint;
    /// `contains ""`, `starts_with(…, "")`
    EmptyText = "W0105" Lint;
    /// `in {}`
    EmptySet = "W0106" Lint;
    /// Text that the left side can never equal because of its case.
    NeverThisCase = "W0107" Lint;
    /// A host compared with a scheme, a path, or a port that is the scheme's own.
    HostWithMore = "W0108" Lint;
    /// Not a country code of ISO 3166.
    CountryCode = "W0109" Lint;
    /// Overlapping or repeated members of a set.
    SetOverlap = "W0110" Lint;
    /// A pattern that holds no special character, or a special character that is only literal here.
    PlainPattern = "W0111" Lint;
    /// A file is missing, unreadable or not UTF-8.
    Unreadable = "P0001" Policy;
    /// A file is not JSON or TOML.
    FileSyntax = "P0002" Policy;
    /// A key that nobody knows.
    UnknownKey = "P0003" Policy;
    /// A value of the wrong type.
    WrongType = "P0004" Policy;
    /// A key that must be there.
    MissingKey = "P0005" Policy;
    /// A value that is not allowed.
    BadValue = "P0006" Policy;
    /// Two of something that there may be one of.
    Duplicate = "P0007" Policy;
    /// A room that nothing defines.
    UnknownRoom = "P0008" Policy;
    /// A list that nothing defines.
    UnknownList = "P0009" Policy;
    /// A list of another kind than the field's.
    WrongList = "P0010" Policy;
    /// A list without members.
    EmptyList = "P0011" Policy;
    /// A field that bypass rules must not use.
    BarredField = "P0012" Policy;
    /// A field the target cannot supply.
    UnsuppliedField = "P0013" Policy;
    /// A field that needs something to be set up.
    UnconfiguredField = "P0014" Policy;
    /// A condition that is always or never true.
    Constant = "P0015" Policy;
    /// A value in the integration JSON that the engine does not know and works around.
    IgnoredValue = "P0016" Policy;
    /// Something that makes an integration fail for every visitor.
    BrokenIntegration = "P0017" Policy;
    /// Something in an integration that works, and probably surprises.
    Surprise = "P0018" Policy;
    /// Problems beyond those that are told one by one.
    More = "P0019" Policy;
    /// A rule that lets everybody pass, and does not say that it is meant to.
    OpensForEverybody = "P0020" Policy;
    /// A cookie that browsers do not take.
    CookieDomain = "P0021" Policy;
    /// A page that visitors are sent to and had better not be.
    TargetUrl = "P0022" Policy;
    /// A setting that is kept and that nothing acts on yet.
    NotActedOn = "P0023" Policy;
    /// What makes redirects lead back to where visitors did not come from.
    PublicAddress = "P0024" Policy;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong, or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What kind of mistake it is.
    pub code: Code,
    /// Bytes it is about, of the text of the expression or else of the file; an empty range points at one place.
    pub span: Range<usize>,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to write instead, if known.
    pub help: Option<String>,
    /// Where that text stands; nowhere for an expression by itself.
    pub place: Place,
}

/// Where in a policy, or in a body, something is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Path as in the sources of the policy.
    pub file: String,
    /// Byte of the file; 0 where a whole file or line is meant.
    pub offset: usize,
    /// 1-based; 0 where the whole file is meant.
    pub line: usize,
    /// 1-based, in bytes; 0 where the whole line is meant.
    pub column: usize,
    /// What it is about: `rule "admins" of room shop`, `integration 3 (Checkout)`, …; empty for a file.
    pub subject: String,
    /// The source line and carets, if there are any.
    pub snippet: Option<String>,
    /// For an expression: line and column within it, as above.
    pub within: Option<(usize, usize)>,
}

/// As logs and lists of findings write it: file, line and message.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place.file, self.place.line, self.message)
    }
}

impl Diagnostic {
    /// Something for which what was written is refused; where it stands is to be said.
    pub fn error(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code,
            span: 0..0,
            message: message.into(),
            help: None,
            place: Place::default(),
        }
    }

    /// Something that is accepted, and doubtful.
    pub fn warning(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, message).softened()
    }

    /// The same as a warning.
    pub fn softened(self) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..self }
    }

    /// Which bytes it is about.
    pub fn at(self, span: Range<usize>) -> Diagnostic {
        Diagnostic { span, ..self }
    }

    /// What it is about.
    pub fn about(mut self, subject: &str) -> Diagnostic {
        self.place.subject = subject.to_owned();
        self
    }

    /// What to do about it.
    pub fn help(self, help: impl Into<String>) -> Diagnostic {
        self.maybe_help(Some(help.into()))
    }

    /// What to do about it, if that is known.
    pub fn maybe_help(mut self, help: Option<String>) -> Diagnostic {
        self.help = help.or(self.help);
        self
    }

    /// The finding with its source line and carets, several lines, no trailing newline. `origin` names the file (or
    /// rule), `line` is the number of the expression's first line in that file (1-based). Without the feature `snippets`
    /// it is laid out more plainly.
    pub fn render(&self, text: &str, origin: &str, line: usize) -> String {
        rendered(self, text, origin, line)
    }

    /// The finding in the form of Cloudflare's API: line and column, the source line, carets and the message.
    pub fn filter_parsing_error(&self, text: &str) -> String {
        let (line, column) = self.position(text);
        format!("Filter parsing error ({line}:{column}):\n{} {}", self.marked(text), self.message)
    }

    /// The source line, and carets below it.
    fn marked(&self, text: &str) -> String {
        let (line, column) = self.position(text);
        let source = text.split('\n').nth(line - 1).unwrap_or_default().trim_end_matches('\r');
        let before = source.get(..column - 1).unwrap_or(source);
        let marked = source.get(column - 1..).unwrap_or_default();
        let length = self.span.end.saturating_sub(self.span.start).min(marked.len());
        let carets = marked.get(..length).map_or(length, |part| part.chars().count()).max(1);
        format!("{source}\n{}{}", " ".repeat(before.chars().count()), "^".repeat(carets))
    }

    /// Line and column (both 1-based, columns count bytes) of the start of the span in `text`.
    pub fn position(&self, text: &str) -> (usize, usize) {
        position(text, self.span.start)
    }
}

#[cfg(feature = "snippets")]
fn rendered(found: &Diagnostic, text: &str, origin: &str, line: usize) -> String {
    use annotate_snippets::renderer::DecorStyle;
    use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
    let level = match found.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    // Within the text and widened to whole characters.
    let start = text.floor_char_boundary(found.span.start.min(text.len()));
    let end = text.ceil_char_boundary(found.span.end.clamp(start, text.len()));
    let annotation = AnnotationKind::Primary.span(start..end);
    let snippet = Snippet::source(text).path(origin).line_start(line).annotation(annotation);
    let mut group = level.primary_title(found.message.as_str()).id(found.code.as_str()).element(snippet);
    if let Some(help) = &found.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let rendered = Renderer::plain().decor_style(DecorStyle::Ascii).render(&[group]);
    let lines: Vec<&str> = rendered.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[cfg(not(feature = "snippets"))]
fn rendered(found: &Diagnostic, text: &str, origin: &str, line: usize) -> String {
    let severity = found.severity.as_str();
    let ((within, column), line) = (found.position(text), line.max(1));
    let (code, message, marked) = (found.code, &found.message, found.marked(text));
    let help = found.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
    format!("{severity}[{code}]: {message}\n --> {origin}:{}:{column}\n{marked}{help}", line + within - 1)
}

/// Line and column (both 1-based, columns count bytes) of a byte offset.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    (memchr::memchr_iter(b'\n', before).count() + 1, before.len() - line_start + 1)
}
