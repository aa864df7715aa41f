//! Lists: text with one `value # comment` a line, or the JSON items of the lists API.

use std::ops::Range;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::document::{Node, Value, parse_json};
use super::finding::File;
use super::settings::is_host;
use crate::language::expression::IpRange;
use crate::language::{Code, Diagnostic};
use crate::program::{Hostname, List, ListKind};
use crate::request::{address, network};

/// A list in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSummary {
    /// What it holds.
    pub kind: ListKind,
    /// How many.
    pub members: usize,
}

/// Reads a list; bad members are reported and left out.
pub(super) fn read(file: File, name: &str, kind: ListKind) -> List {
    let mut reader = Reader { file, subject: format!("list ${name}"), list: empty(kind), is_bad: false };
    if file.path.ends_with(".json") {
        reader.items()
    } else {
        reader.lines()
    }
    reader.finish()
}

/// Why a text is not a member of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", help.as_ref().map(|help| format!("; {help}")).unwrap_or_default())]
pub struct BadMember {
    /// What is wrong.
    pub message: String,
    /// What to write instead, if that is known.
    pub help: Option<String>,
}

impl BadMember {
    /// One of which this is wrong.
    pub fn new(message: impl Into<String>) -> BadMember {
        BadMember { message: message.into(), help: None }
    }

    /// What to do about it.
    pub fn help(self, help: impl Into<String>) -> BadMember {
        BadMember { help: Some(help.into()), ..self }
    }
}

/// A list of these members, of the kind that the first of them is of; or what is wrong with one of them.
pub fn list_of<'m>(members: impl IntoIterator<Item = &'m str>) -> Result<List, BadMember> {
    let mut members = members.into_iter().peekable();
    let mut list = empty(members.peek().map_or(ListKind::Ip, |first| kind_of(first)));
    for member in members {
        add_text(&mut list, member)?;
    }
    Ok(list)
}

fn kind_of(member: &str) -> ListKind {
    match (asn(member), ip_range(member)) {
        (Ok(_), _) => ListKind::Asn,
        (_, Err(_)) if hostname(member, true).is_ok() => ListKind::Hostname,
        _ => ListKind::Ip,
    }
}

struct Reader<'s> {
    file: File<'s>,
    subject: String,
    list: List,
    is_bad: bool,
}

impl<'s> Reader<'s> {
    fn lines(&mut self) {
        let mut start = 0;
        for line in self.file.text.split_inclusive('\n') {
            let value = line.split('#').next().unwrap_or_default();
            let member = value.trim();
            if !member.is_empty() {
                let at = start + (value.len() - value.trim_start().len());
                let outcome = add_text(&mut self.list, member);
                self.tell(at..at + member.len(), outcome);
            }
            start += line.len();
        }
    }

    fn items(&mut self) {
        let root = match parse_json(self.file.text) {
            Ok(root) => root,
            Err(error) => return self.tell(error.at..error.at, Err(BadMember::new(error.message))),
        };
        let items = root.get("result").or_else(|| root.get("items")).unwrap_or(&root);
        let Some(elements) = items.as_array() else {
            let message = format!("expected an array of items, found {}", items.kind());
            return self.tell(items.at..items.at + 1, Err(BadMember::new(message)));
        };
        for item in elements {
            let outcome = add_item(&mut self.list, item);
            self.tell(item.at..item.end, outcome);
        }
    }

    fn tell(&mut self, span: Range<usize>, outcome: Result<(), BadMember>) {
        let Err(BadMember { message, help }) = outcome else { return };
        self.is_bad = true;
        self.file.add(span, Diagnostic::error(Code::BadValue, message).maybe_help(help).about(&self.subject));
    }

    fn finish(self) -> List {
        if !self.is_bad && ListSummary::from(&self.list).members == 0 {
            let problem = Diagnostic::warning(Code::EmptyList, "the list is empty, so nothing is ever in it");
            self.file.report.add(self.file.path, problem.about(&self.subject));
        }
        self.list
    }
}

/// A list without members.
pub fn empty(kind: ListKind) -> List {
    match kind {
        ListKind::Ip => List::Ip(Vec::new()),
        ListKind::Hostname => List::Hostname(Vec::new()),
        ListKind::Asn => List::Asn(Vec::new()),
    }
}

impl From<&List> for ListSummary {
    fn from(list: &List) -> Self {
        let (kind, members) = match list {
            List::Ip(ranges) => (ListKind::Ip, ranges.len()),
            List::Hostname(names) => (ListKind::Hostname, names.len()),
            List::Asn(numbers) => (ListKind::Asn, numbers.len()),
        };
        ListSummary { kind, members }
    }
}

fn add_text(list: &mut List, text: &str) -> Result<(), BadMember> {
    match list {
        List::Ip(ranges) => ranges.push(ip_range(text)?),
        List::Hostname(names) => names.push(hostname(text, true)?),
        List::Asn(numbers) => numbers.push(asn(text)?),
    }
    Ok(())
}

/// One item of the API: its value stands under the kind of the list.
fn add_item(list: &mut List, item: &Node) -> Result<(), BadMember> {
    let key = match list {
        List::Ip(_) => "ip",
        List::Hostname(_) => "hostname",
        List::Asn(_) => "asn",
    };
    let value = item.get(key).ok_or_else(|| BadMember::new(format!("expected an item such as {}", example(key))))?;
    match (list, &value.value) {
        (list @ List::Ip(_), Value::Text(text)) => add_text(list, text),
        (list @ List::Asn(_), Value::Number(digits)) => add_text(list, digits),
        (List::Hostname(names), Value::Object(_)) => {
            let name = value.get("url_hostname").and_then(Node::as_text).unwrap_or_default();
            let exclude = value.get("exclude_exact_hostname").is_none_or(Node::is_truthy);
            names.push(hostname(name, exclude)?);
            Ok(())
        }
        _ => Err(BadMember::new(format!("expected an item such as {}, found {}", example(key), value.kind()))),
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "ip" => r#"{"ip": "192.0.2.0/24"}"#,
        "asn" => r#"{"asn": 64496}"#,
        _ => r#"{"hostname": {"url_hostname": "tickets.example"}}"#,
    }
}

fn ip_range(text: &str) -> Result<IpRange, BadMember> {
    if let Some(address) = address(text) {
        return Ok(IpRange { first: address, last: address });
    }
    if let Some((first, last)) = text.split_once("..") {
        return between(first, last).ok_or_else(|| BadMember::new(format!("`{text}` is not a range of addresses")));
    }
    let network = network(text).ok_or_else(|| BadMember::new(format!("`{text}` is not an address or network")))?;
    if network.addr() != network.network() {
        return Err(bits_behind_prefix(text, network));
    }
    Ok(IpRange { first: network.network(), last: network.broadcast() })
}

/// A network that has bits behind its prefix.
pub fn bits_behind_prefix(text: &str, network: IpNet) -> BadMember {
    BadMember::new(format!("`{text}` has bits set behind its prefix")).help(format!("write `{}`", network.trunc()))
}

fn between(first: &str, last: &str) -> Option<IpRange> {
    let (first, last) = (address(first)?, address(last)?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(IpRange { first, last })
}

/// A host name, or the names below one.
pub fn hostname(text: &str, exclude_exact: bool) -> Result<Hostname, BadMember> {
    let name = text.to_ascii_lowercase();
    let (suffix, is_below) = match name.strip_prefix("*.") {
        Some(suffix) => (suffix, true),
        None => (name.as_str(), false),
    };
    if !is_host(suffix) {
        let help = "write it as `tickets.example` or `*.tickets.example`, without scheme, port and path";
        return Err(BadMember::new(format!("`{text}` is not a host name")).help(help));
    }
    Ok(match is_below {
        true => Hostname::Below { suffix: suffix.to_owned(), apex: !exclude_exact },
        false => Hostname::Exact(name),
    })
}

/// An AS number.
pub fn asn(text: &str) -> Result<i64, BadMember> {
    let digits = text.strip_prefix("AS").unwrap_or(text);
    digits.parse::<u32>().map(i64::from).map_err(|_| BadMember::new(format!("`{text}` is not an AS number")))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Report;
    use super::*;

    fn list(path: &str, text: &str, kind: ListKind) -> (List, Vec<Diagnostic>) {
        let report = Report::default();
        let list = read(File { path, text, report: &report }, "l", kind);
        (list, report.into_findings())
    }

    fn range(first: &str, last: &str) -> IpRange {
        IpRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
    }

    #[test]
    fn text_holds_one_member_a_line() {
        let text = "# office\n192.0.2.10 # Ann\r\n\n  10.0.0.0/8\n2001:DB8::/32\n192.0.2.1..192.0.2.3";
        let (list, findings) = list("l.txt", text, ListKind::Ip);
        assert_eq!(findings, []);
        let expected = vec![
            range("192.0.2.10", "192.0.2.10"),
            range("10.0.0.0", "10.255.255.255"),
            range("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
            range("192.0.2.1", "192.0.2.3"),
        ];
        assert_eq!(list, List::Ip(expected));
    }

    #[test]
    fn addresses_are_in_the_form_in_which_hosts_tell_them() {
        let expected = List::Ip(vec![
            range("192.0.2.1", "192.0.2.1"),
            range("10.0.0.0", "10.255.255.255"),
            range("192.0.2.1", "192.0.2.3"),
        ]);
        let text = "::ffff:192.0.2.1\n::ffff:10.0.0.0/104\n::ffff:192.0.2.1..::ffff:c000:203";
        assert_eq!(list("l.txt", text, ListKind::Ip), (expected.clone(), vec![]));
        let items = r#"[{"ip": "::ffff:192.0.2.1"}, {"ip": "::ffff:10.0.0.0/104"}, {"ip": "192.0.2.1..192.0.2.3"}]"#;
        assert_eq!(list("l.json", items, ListKind::Ip), (expected, vec![]));
        let findings = list("l.txt", "::ffff:192.0.2.1/120\n::..::ffff:10.0.0.1", ListKind::Ip).1;
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[0].help.as_deref(), Some("write `192.0.2.0/24`"));
    }

    #[test]
    fn bad_members_are_named_with_their_line() {
        let (list, findings) = list("l.txt", "1.2.3.4\n10.0.0.1/8\nnope\n2.1.1.1..1.1.1.1", ListKind::Ip);
        assert_eq!(list, List::Ip(vec![range("1.2.3.4", "1.2.3.4")]));
        assert_eq!(findings.iter().map(|finding| finding.place.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(findings[0].help.as_deref(), Some("write `10.0.0.0/8`"));
    }

    #[test]
    fn items_of_the_api_are_accepted() {
        let text = r#"{"result": [{"hostname": {"url_hostname": "*.A.example", "exclude_exact_hostname": false}},
            {"hostname": {"url_hostname": "b.example"}, "comment": "x"}]}"#;
        let (names, findings) = list("l.json", text, ListKind::Hostname);
        assert_eq!(findings, []);
        let below = Hostname::Below { suffix: "a.example".to_owned(), apex: true };
        assert_eq!(names, List::Hostname(vec![below, Hostname::Exact("b.example".to_owned())]));
        assert_eq!(list("l.json", r#"[{"asn": 64496}]"#, ListKind::Asn).0, List::Asn(vec![64496]));
        assert_eq!(list("l.json", r#"[{"ip": "::1"}]"#, ListKind::Ip).0, List::Ip(vec![range("::1", "::1")]));
        assert_eq!(list("l.json", r#"[{"ip": 5}, 3]"#, ListKind::Ip).1.len(), 2);
    }

    #[test]
    fn the_first_member_tells_the_kind() {
        assert_eq!(list_of(["64496", "AS64497"]), Ok(List::Asn(vec![64496, 64497])));
        assert_eq!(list_of(["192.0.2.1"]), Ok(List::Ip(vec![range("192.0.2.1", "192.0.2.1")])));
        assert_eq!(list_of(["a.example"]), Ok(List::Hostname(vec![Hostname::Exact("a.example".to_owned())])));
        assert_eq!(list_of([]), Ok(List::Ip(vec![])));
        assert!(list_of(["192.0.2.1", "a.example"]).is_err());
        assert_eq!(
            list_of(["10.0.0.1/8"]).unwrap_err().to_string(),
            "`10.0.0.1/8` has bits set behind its prefix; write `10.0.0.0/8`"
        );
    }

    #[test]
    fn a_long_list_is_read_whole() {
        let text: String =
            (0..100_000u32).map(|n| format!("10.{}.{}.{}/32\n", n >> 16, n >> 8 & 255, n & 255)).collect();
        let List::Ip(ranges) = list("l.txt", &text, ListKind::Ip).0 else { panic!() };
        assert_eq!(ranges.len(), 100_000);
    }
}
