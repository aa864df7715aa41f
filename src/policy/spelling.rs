//! What triggers, rooms and rules name, in whichever spelling.
//!
//! `/%40artist` and `/@artist`, `/caf%C3%A9` and `/café` are the same place to origins (RFC 3986, section 6.2.2). A request
//! is decided about in all its [readings](crate::request::readings()), which only ever decode. So a condition that names a
//! place in escapes, or with characters that no request has but in escapes, is asked twice: as it is written, and of what
//! both sides are decoded. Where being true keeps visitors out, one of the two suffices; where it lets them pass, both
//! are needed.

use std::sync::Arc;

use bumpalo::Bump;

use crate::language::expression::{
    Argument, Base, Call, Comparison, Condition, Connective, Literal, Operand, Pattern, Relation, Right, Set, Test,
    Wildcard,
};
use crate::language::{Expression, Function};
use crate::program::url_decode;
use crate::request::{Field, FieldId, Type, escaped_byte, path_in_one_form, unescape_percents};

/// How many parts of one `xor` are taken apart.
const MOST_OF_XOR: usize = 6;

/// The condition that is decided by. `keeps_out` says whether it places a room, and does not open it.
pub(super) fn in_every_spelling(when: Arc<Expression>, keeps_out: bool) -> Arc<Expression> {
    if decoded(&when.root).is_none() {
        return when;
    }
    Arc::new(Expression { root: strict(&when.root, keeps_out) })
}

/// The condition with both spellings of what it names; `keeps_out` says whether it does so by being true.
fn strict(condition: &Condition, keeps_out: bool) -> Condition {
    match condition {
        Condition::Constant(_) => condition.clone(),
        Condition::Not(inner) => Condition::Not(Box::new(strict(inner, !keeps_out))),
        Condition::Chain(Connective::Xor, parts) if decoded(condition).is_some() && parts.len() <= MOST_OF_XOR => {
            without_xor(parts).map_or_else(|| condition.clone(), |same| strict(&same, keeps_out))
        }
        Condition::Chain(Connective::Xor, _) => condition.clone(),
        Condition::Chain(connective, parts) => {
            Condition::Chain(*connective, parts.iter().map(|part| strict(part, keeps_out)).collect())
        }
        Condition::Truth(_) | Condition::Compare(_) | Condition::Quantified(..) => {
            let connective = if keeps_out { Connective::Or } else { Connective::And };
            match decoded(condition).filter(|_| keeps_out || may_be_negative(condition)) {
                Some(decoded) => Condition::Chain(connective, vec![condition.clone(), decoded]),
                None => condition.clone(),
            }
        }
    }
}

/// `a xor b` as `a and not b or not a and b`.
fn without_xor(parts: &[Condition]) -> Option<Condition> {
    let not = |condition: &Condition| Condition::Not(Box::new(condition.clone()));
    let both = |one: Condition, other: Condition| Condition::Chain(Connective::And, vec![one, other]);
    parts.iter().cloned().reduce(|one, other| {
        let (not_one, not_other) = (not(&one), not(&other));
        Condition::Chain(Connective::Or, vec![both(one, not_other), both(not_one, other)])
    })
}

/// Whether a condition may be true because it names something else: decoded, it is then needed where it opens.
fn may_be_negative(condition: &Condition) -> bool {
    match condition {
        Condition::Compare(comparison) => matches!(comparison.test, Test::Order(Relation::Ne, _)),
        condition => matches!(condition, Condition::Quantified(..)),
    }
}

/// The same condition of decoded URLs, if it names something in one of them that is spelt otherwise there.
fn decoded(condition: &Condition) -> Option<Condition> {
    let mut decoding = Decoding::default();
    let decoded = decoding.condition(condition);
    (decoding.reads_url && decoding.names_spelt).then_some(decoded)
}

/// Decodes conditions, and what they look at.
#[derive(Default)]
struct Decoding {
    reads_url: bool,
    names_spelt: bool,
}

impl Decoding {
    fn condition(&mut self, condition: &Condition) -> Condition {
        match condition {
            Condition::Constant(value) => Condition::Constant(*value),
            Condition::Truth(operand) => Condition::Truth(self.operand(operand)),
            Condition::Compare(comparison) => Condition::Compare(self.comparison(comparison)),
            Condition::Not(inner) => Condition::Not(Box::new(self.condition(inner))),
            Condition::Chain(connective, parts) => {
                Condition::Chain(*connective, parts.iter().map(|part| self.condition(part)).collect())
            }
            Condition::Quantified(quantifier, inner) => {
                Condition::Quantified(*quantifier, Box::new(self.condition(inner)))
            }
        }
    }

    fn comparison(&mut self, comparison: &Comparison) -> Comparison {
        let Comparison { left, test, span } = comparison;
        let test = match test {
            Test::Order(relation, Right::Literal(Literal::Bytes(text))) => {
                Test::Order(*relation, Right::Literal(Literal::Bytes(self.text(text, left))))
            }
            Test::Order(relation, Right::Operand(right)) => {
                Test::Order(*relation, Right::Operand(Box::new(self.operand(right))))
            }
            Test::Contains(text) => Test::Contains(self.text(text, left)),
            Test::Matches(pattern) => Test::Matches(self.pattern(pattern)),
            Test::Wildcard(wildcard) => Test::Wildcard(self.wildcard(wildcard)),
            Test::In(Set::Bytes(texts)) => {
                Test::In(Set::Bytes(texts.iter().map(|text| self.text(text, left)).collect()))
            }
            Test::Order(_, Right::Literal(_)) | Test::In(_) | Test::InList(_) | Test::Bits(_) => test.clone(),
        };
        Comparison { left: self.operand(left), test, span: span.clone() }
    }

    fn operand(&mut self, operand: &Operand) -> Operand {
        match &operand.base {
            Base::Field(field) if is_of_url(*field) => {
                self.reads_url = true;
                let options = Argument::Literal(Literal::Bytes(b"r"[..].into()));
                let arguments = vec![Argument::Operand(operand.clone()), options];
                let base = Base::Call(Call { function: Function::UrlDecode, arguments, mapped: false });
                Operand { base, path: Vec::new(), value_type: Type::Bytes, each: false, span: operand.span.clone() }
            }
            Base::Field(_) => operand.clone(),
            Base::Call(call) => Operand { base: Base::Call(self.call(call)), ..operand.clone() },
        }
    }

    fn call(&mut self, call: &Call) -> Call {
        let subject = call.arguments.iter().find_map(|argument| match argument {
            Argument::Operand(operand) => Some(operand),
            _ => None,
        });
        let arguments = call.arguments.iter().map(|argument| match (argument, subject) {
            (Argument::Literal(Literal::Bytes(text)), Some(subject)) => {
                Argument::Literal(Literal::Bytes(self.text(text, subject)))
            }
            (Argument::Operand(operand), _) => Argument::Operand(self.operand(operand)),
            (Argument::Condition(condition), _) => Argument::Condition(Box::new(self.condition(condition))),
            (Argument::Pattern(pattern), _) => Argument::Pattern(self.pattern(pattern)),
            (argument, _) => argument.clone(),
        });
        Call { arguments: arguments.collect(), ..call.clone() }
    }

    /// A text that is held against `subject`, in the case in which that is.
    fn text(&mut self, text: &[u8], subject: &Operand) -> Box<[u8]> {
        self.names_spelt |= is_spelt(text);
        in_case_of(subject, url_decode(text, b"r", &Bump::new()).to_vec()).into()
    }

    /// A pattern of decoded text. What is escaped in it is that byte, and `+`, which is a space when decoded, both.
    fn pattern(&mut self, pattern: &Pattern) -> Pattern {
        let source = once_escaped(pattern.text.as_bytes());
        if !pattern.text.is_ascii() || has_escape(&source) {
            self.names_spelt = true;
        }
        let mut text = Vec::new();
        let (mut at, mut in_set) = (0, false);
        while let Some(&byte) = source.get(at) {
            let is_plus = |byte| byte == Some(&b'+');
            if let Some(escaped) = escaped_byte(&source[at..]) {
                let escaped = if escaped == b'+' { b' ' } else { escaped };
                text.extend(format!(r"\x{escaped:02X}").into_bytes());
                at += 3;
                continue;
            }
            match byte {
                b'\\' if is_plus(source.get(at + 1)) => text.extend(br"[+\x20]"),
                b'\\' => text.extend(source[at..].iter().take(2)),
                b'+' if in_set => text.extend(br"+\x20"),
                byte => text.push(byte),
            }
            in_set = (in_set || byte == b'[') && byte != b']';
            at += if byte == b'\\' { 2 } else { 1 };
        }
        let compiled = String::from_utf8(text).ok().and_then(|text| Some((Pattern::compile(&text).ok()?, text)));
        compiled.map_or_else(|| pattern.clone(), |(regex, text)| Pattern { text, regex })
    }

    fn wildcard(&mut self, wildcard: &Wildcard) -> Wildcard {
        self.names_spelt |= is_spelt(&wildcard.pattern);
        let source = once_escaped(&wildcard.pattern);
        let mut pattern = Vec::new();
        let mut at = 0;
        while let Some(&byte) = source.get(at) {
            match escaped_byte(&source[at..]) {
                Some(b'+') => pattern.push(b' '),
                Some(special @ (b'*' | b'\\')) => pattern.extend([b'\\', special]),
                Some(escaped) => pattern.push(escaped),
                None => pattern.push(if byte == b'+' { b' ' } else { byte }),
            }
            at += if escaped_byte(&source[at..]).is_some() { 3 } else { 1 };
        }
        Wildcard { pattern: pattern.into(), strict: wildcard.strict }
    }
}

/// The fields in which a path is, as a whole or with more.
fn is_of_url(field: FieldId) -> bool {
    use Field::*;
    matches!(
        field.standard(),
        Some(
            TriggerPageUrl
                | TriggerPagePath
                | TriggerNormalizedPageUrl
                | TriggerNormalizedPagePath
                | HttpRequestUri
                | HttpRequestUriPath
                | HttpRequestUriPathExtension
                | HttpRequestFullUri
                | RawHttpRequestUri
                | RawHttpRequestUriPath
                | RawHttpRequestUriPathExtension
                | RawHttpRequestFullUri
        )
    )
}

/// A text in the case into which functions bring what it is held against.
fn in_case_of(subject: &Operand, text: Vec<u8>) -> Vec<u8> {
    let Base::Call(call) = &subject.base else { return text };
    let text = match call.arguments.first() {
        Some(Argument::Operand(inner)) => in_case_of(inner, text),
        _ => text,
    };
    match call.function {
        Function::Lower => text.to_ascii_lowercase(),
        Function::Upper => text.to_ascii_uppercase(),
        Function::UpperUnicode => match std::str::from_utf8(&text) {
            Ok(valid) => valid.to_uppercase().into_bytes(),
            Err(_) => text.to_ascii_uppercase(),
        },
        _ => text,
    }
}

/// Whether a text has anything that paths have in several spellings, all of which are not among the readings of each:
/// whatever is no letter, no digit and no delimiter (RFC 3986, sections 2.2 and 2.3), escapes included.
fn is_spelt(text: &[u8]) -> bool {
    !text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/?#:@!$&'()*+,;=".contains(byte))
}

fn has_escape(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text).any(|at| escaped_byte(&text[at..]).is_some())
}

/// Without the escapes of escapes.
fn once_escaped(text: &[u8]) -> Vec<u8> {
    let mut kept = text.to_vec();
    loop {
        let mut less = Vec::with_capacity(kept.len());
        unescape_percents(&kept, &mut less);
        if less.len() == kept.len() {
            return kept;
        }
        kept = less;
    }
}

/// A text in a condition that no request meets as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unmet {
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Texts that open nothing, because requests are read in other spellings, too: those of paths where being met lets a
/// visitor pass, and those of hosts everywhere. `keeps_out` as for [`in_every_spelling`].
pub(super) fn unmet(when: &Expression, keeps_out: bool) -> Vec<Unmet> {
    let mut all = Vec::new();
    find_unmet(&when.root, keeps_out, &mut all);
    all
}

fn find_unmet(condition: &Condition, keeps_out: bool, all: &mut Vec<Unmet>) {
    match condition {
        Condition::Constant(_) => {}
        Condition::Not(inner) => find_unmet(inner, !keeps_out, all),
        Condition::Chain(_, parts) => parts.iter().for_each(|part| find_unmet(part, keeps_out, all)),
        Condition::Quantified(_, inner) => find_unmet(inner, keeps_out, all),
        Condition::Truth(operand) => {
            if let Base::Call(Call { function: Function::StartsWith | Function::EndsWith, arguments, .. }) =
                &operand.base
                && let [Argument::Operand(subject), Argument::Literal(Literal::Bytes(text))] = &arguments[..]
            {
                all.extend(unmet_text(subject, text, !keeps_out));
            }
        }
        Condition::Compare(Comparison { left, test, .. }) => {
            let mut add = |text: &[u8], opens| all.extend(unmet_text(left, text, opens));
            match test {
                Test::Order(Relation::Eq, Right::Literal(Literal::Bytes(text))) => add(text, !keeps_out),
                Test::Order(Relation::Ne, Right::Literal(Literal::Bytes(text))) => add(text, keeps_out),
                Test::Contains(text) => add(text, !keeps_out),
                Test::In(Set::Bytes(texts)) => texts.iter().for_each(|text| add(text, !keeps_out)),
                _ => {}
            }
        }
    }
}

fn unmet_text(subject: &Operand, text: &[u8], opens: bool) -> Option<Unmet> {
    use Field::*;
    let text = std::str::from_utf8(text).ok()?;
    let (host, path) = match field_in_some_case(subject)? {
        TriggerHostName | TriggerNormalizedHostName | HttpHost => (text, ""),
        TriggerPageUrl | TriggerNormalizedPageUrl | HttpRequestFullUri => {
            let host = text.find("://").map_or(0, |at| at + "://".len());
            text.split_at(text[host..].find('/').map_or(text.len(), |at| host + at))
        }
        TriggerPagePath | TriggerNormalizedPagePath | HttpRequestUri | HttpRequestUriPath => ("", text),
        _ => return None,
    };
    if !host.is_ascii() && (path.starts_with('/') || host.contains('.')) {
        let message = format!("no request names the host in {text:?}: browsers send such names in ASCII");
        let help = "write the host as browsers send it, with `xn--` (RFC 5891)".to_owned();
        return Some(Unmet { message, help });
    }
    let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
    if !opens || !path.starts_with('/') {
        return None;
    }
    let in_one_form = String::from_utf8(in_case_of(subject, path_in_one_form(path).into_bytes())).ok()?;
    (in_one_form != path).then(|| Unmet {
        message: format!(
            "{text:?} lets nobody pass as it is written: paths are read decoded, and as browsers send them"
        ),
        help: format!("write `{in_one_form}`"),
    })
}

/// The field that a text is held against, whatever case it is brought into.
fn field_in_some_case(subject: &Operand) -> Option<Field> {
    match &subject.base {
        Base::Field(field) => field.standard(),
        Base::Call(Call {
            function: Function::Lower | Function::Upper | Function::UpperUnicode, arguments, ..
        }) => match arguments.first()? {
            Argument::Operand(inner) => field_in_some_case(inner),
            _ => None,
        },
        Base::Call(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Scheme, parse};
    use crate::program::{Lists, Program};
    use crate::request::{NoFacts, RequestParts, RequestView, readings};

    fn expression(text: &str) -> Arc<Expression> {
        Arc::new(parse(text, Scheme::standard()).expect("an expression"))
    }

    /// What a condition says of each reading of a path.
    fn of_readings(when: &Expression, path: &str) -> Vec<bool> {
        let arena = Bump::new();
        let program = Program::single(when, &Lists::new());
        let url = format!("https://h.example{path}");
        let parts = RequestParts {
            method: "GET",
            url: &url,
            version: "HTTP/1.1",
            headers: &[],
            client_ip: None,
            body: "",
            received_ms: 0,
            facts: &NoFacts,
        };
        let view = RequestView::new(parts, &arena);
        let readings = readings(path, &arena).expect("readings");
        let read = readings.iter().map(|reading| program.matches(&view.reading("h.example", reading.path), &arena));
        std::iter::once(program.matches(&view, &arena)).chain(read).collect()
    }

    /// Some character and its spellings: as it is, where a path may have it so, and in escapes of either case.
    fn spellings(character: char) -> Vec<String> {
        let escaped =
            |write: fn(u8) -> String| character.to_string().into_bytes().into_iter().map(write).collect::<String>();
        let upper = escaped(|byte| format!("%{byte:02X}"));
        let mut all = vec![upper.clone(), escaped(|byte| format!("%{byte:02x}")), upper.replace('%', "%25")];
        if !is_spelt(character.to_string().as_bytes()) && !matches!(character, '?' | '#') {
            all.push(character.to_string());
        }
        all
    }

    /// Those, and what no request has as it is; but what ends a path is in none.
    fn names(character: char) -> Vec<String> {
        let raw = Some(character.to_string()).filter(|_| !matches!(character, '?' | '#'));
        spellings(character).into_iter().chain(raw).collect()
    }

    const NAMED: &str = "@+~:;!$&'()*,=-_.aZ0%?#\\ \"<>^{}|\u{e9}\u{c9}\u{df}\u{4e2d}/[]";

    #[test]
    fn a_place_is_found_in_whichever_spelling_it_is_named_and_asked_for() {
        for character in NAMED.chars() {
            for named in names(character) {
                let literal = Literal::Bytes(format!("/x{named}y").into_bytes().into());
                let pattern = format!("/x{named}y").replace('\\', r"\\").replace('*', r"\*");
                let pattern = Literal::Bytes(pattern.into_bytes().into());
                for condition in [
                    format!("http.request.uri.path eq {literal}"),
                    format!("http.request.uri.path contains {literal}"),
                    format!("http.request.full_uri contains {literal}"),
                    format!("http.request.uri.path in {{\"/z\" {literal}}}"),
                    format!("starts_with(http.request.uri.path, {literal})"),
                    format!("any(http.request.headers.names[*] eq \"z\") or http.request.uri eq {literal}"),
                    format!("not http.request.uri.path ne {literal}"),
                    format!("(http.request.uri.path eq {literal} xor ip.src eq 192.0.2.1)"),
                    format!("raw.http.request.uri.path eq {literal} or ends_with(http.request.uri.path, {literal})"),
                    format!("http.request.uri.path strict wildcard {pattern}"),
                ] {
                    let when = in_every_spelling(expression(&condition), true);
                    for asked in spellings(character) {
                        let path = format!("/x{asked}y");
                        assert!(of_readings(&when, &path).contains(&true), "{path} is not found by {condition}");
                    }
                    assert!(!of_readings(&when, "/xzy").contains(&true), "{condition}");
                }
            }
        }
    }

    #[test]
    fn what_opens_unless_a_place_is_named_does_not_open_there() {
        for character in NAMED.chars() {
            for named in names(character) {
                let literal = Literal::Bytes(format!("/x{named}y").into_bytes().into());
                for condition in [
                    format!("http.request.uri.path ne {literal}"),
                    format!("not http.request.uri.path contains {literal}"),
                    format!("not (http.request.uri.path in {{{literal}}} or ip.src eq 192.0.2.1)"),
                    format!("not starts_with(http.request.uri.path, {literal})"),
                ] {
                    let when = in_every_spelling(expression(&condition), false);
                    for asked in spellings(character) {
                        let path = format!("/x{asked}y");
                        assert!(of_readings(&when, &path).contains(&false), "{path} is let past by {condition}");
                    }
                    assert!(!of_readings(&when, "/xzy").contains(&false), "{condition}");
                }
            }
        }
    }

    #[test]
    fn patterns_are_of_decoded_text() {
        for (pattern, path) in [
            ("^/%40[a-z]+$", "/@artist"),
            (r"^/live%2b\d+$", "/live+2026"),
            (r"^/live\+20%32%36$", "/live+2026"),
            ("^/[%40+]+x$", "/@+x"),
            ("^/caf\u{e9}$", "/caf%C3%A9"),
            ("(?i)^/%2540A", "/@a"),
        ] {
            let when = in_every_spelling(expression(&format!("http.request.uri.path matches r\"{pattern}\"")), true);
            assert!(of_readings(&when, path).contains(&true), "{path} is not matched by {pattern}");
        }
    }

    #[test]
    fn what_is_plain_stays_as_it_is() {
        for text in [
            r#"http.request.uri.path eq "/a+b@c" and http.host eq "h""#,
            r#"http.cookie contains "%40" or http.user_agent eq "é""#,
        ] {
            let when = expression(text);
            assert!(Arc::ptr_eq(&in_every_spelling(Arc::clone(&when), true), &when));
        }
    }

    #[test]
    fn what_lets_nobody_pass_as_it_is_written_is_told() {
        for (text, help) in [
            (r#"http.request.uri.path eq "/%40x""#, "write `/@x`"),
            (r#"starts_with(http.request.uri.path, "/caf%c3%a9")"#, "write `/caf%C3%A9`"),
            (r#"http.request.full_uri contains "h/café?q=%40""#, "write `/caf%C3%A9`"),
            (r#"http.host eq "münchen.example""#, "write the host as browsers send it, with `xn--` (RFC 5891)"),
        ] {
            let told: Vec<_> = unmet(&expression(text), false).into_iter().map(|unmet| unmet.help).collect();
            assert_eq!(told, [help], "{text}");
        }
        for text in [
            r#"lower(http.request.uri.path) eq "/caf%c3%a9""#,
            r#"http.request.uri.path eq "/caf%C3%A9/@x""#,
            r#"url_decode(http.request.uri.path) eq "/café""#,
            r#"not http.request.uri.path eq "/%40x""#,
        ] {
            assert_eq!(unmet(&expression(text), false), [], "{text}");
        }
    }
}
