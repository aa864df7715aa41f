//! The pages that are made from the code. Renew them with `VELVETROPE_RENEW=1 cargo test --test end_to_end book::`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use serde_json::Value;
use velvetrope::internal::language::Code;
use velvetrope::internal::language::function::{Accepts, Function, Parameter, Result, Source};
use velvetrope::internal::request::{Field, Supply, Target};

use super::{read, root};

#[test]
fn generated_pages_are_current() {
    let pages = [
        ("language/fields.md", fields()),
        ("language/functions.md", functions()),
        ("language/codes.md", codes()),
        ("policy/reference.md", reference()),
    ];
    for (name, text) in pages {
        let path = root().join("docs").join(name);
        if std::env::var_os("VELVETROPE_RENEW").is_some() {
            fs::write(&path, &text).expect("pages can be written");
        }
        assert!(read(&path) == text, "{} is out of date; run this test with VELVETROPE_RENEW=1", path.display());
    }
}

#[test]
fn the_settings_of_the_policy_page_are_all_there_are() {
    let page = read(&root().join("docs/policy.md"));
    let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the page has a block");
    let settings: toml::Table = block.parse().expect("the block is TOML");
    let settings = serde_json::to_value(settings).expect("TOML is JSON");
    let schema = schema("velvetrope.json");
    names_every_key(&schema, &schema, &settings, "");
}

/// Asserts that an object has every property of its schema, but for `$schema` of files.
fn names_every_key(root: &Value, schema: &Value, value: &Value, at: &str) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        assert!(value.get(key).is_some(), "docs/policy.md does not name {at}{key}");
        if let Some(name) = referred(property) {
            names_every_key(root, &root["$defs"][&name], &value[key], &format!("{at}{key}."));
        }
    }
}

const HOSTS: &str = "A host supplies a field always, with something that the operator sets up, or never. `velvetrope check` \
refuses a rule that needs a field that its target cannot supply.";

/// A heading, what it says of its fields, and which these are, by their names.
type Group = (&'static str, &'static str, fn(&str) -> bool);

fn fields() -> String {
    let groups: [Group; 5] = [
        ("The request", "What the visitor asks for.", |name| name.contains("http.")),
        ("The visitor's address", "Who asks, and from where.", |name| name.starts_with("ip.")),
        ("The connection", "How the visitor came here.", |name| matches!(name, "ssl" | "tcp.dstport")),
        ("What Cloudflare knows", "Most of these exist on a Worker only.", |name| name.starts_with("cf.")),
        ("Triggers", "What Queue-it's triggers look at. Bypass rules cannot use these.", |name| {
            name.starts_with("trigger.")
        }),
    ];
    let mut page = format!(
        "# Fields\n\nEvery field that an expression can ask for, its type, and which host supplies it.\n\n{HOSTS} The column \
         Google Cloud holds for Envoy, too: both hosts are the callout. `ip.geoip.*` is an older spelling of `ip.src.*`, and \
         works.\n\nA test makes this page from `src/request/field.rs`.\n"
    );
    let descriptions = descriptions();
    for (title, about, has) in groups {
        let _ = write!(
            page,
            "\n## {title}\n\n{about}\n\n| field | type | what it is | Worker | Google Cloud | proxy |\n| --- | --- | --- | --- | --- | --- |\n"
        );
        for info in Field::ALL.iter().map(|field| field.info()).filter(|info| has(info.name)) {
            let supplies =
                [Target::Worker, Target::GoogleCloud, Target::Proxy].map(|target| supply(info.supply(target)));
            let what = descriptions.get(info.name).map_or("", String::as_str);
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                info.name,
                html(&info.value_type().to_string()),
                cell(what),
                supplies.join(" | ")
            );
        }
    }
    page
}

/// What the code says of each field.
fn descriptions() -> BTreeMap<String, String> {
    let name = |line: &str| Some(line.split_once(" = \"")?.1.split_once("\":")?.0.to_owned());
    let found = commented("src/request/field.rs", name);
    for field in Field::ALL {
        assert!(found.contains_key(field.info().name), "src/request/field.rs says nothing of {}", field.info().name);
    }
    found
}

/// The comments of a file by what stands below them, as far as that has a name.
fn commented(file: &str, name: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let mut comment = Vec::new();
    let mut found = BTreeMap::new();
    for line in read(&root().join(file)).lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            comment.push(text.to_owned());
            continue;
        }
        if let Some(name) = name(line).filter(|_| !comment.is_empty()) {
            found.insert(name, without_reference(&comment.join(" ")));
        }
        comment.clear();
    }
    found
}

fn codes() -> String {
    let meanings = commented("src/language/diagnostic.rs", |line| {
        let code = line.split_once(" = \"")?.1.split_once('"')?.0;
        Code::ALL.iter().any(|known| known.as_str() == code).then(|| code.to_owned())
    });
    for code in Code::ALL {
        assert!(meanings.contains_key(code.as_str()), "src/language/diagnostic.rs says nothing of {code}");
    }
    let (of_files, of_expressions): (BTreeMap<_, _>, BTreeMap<_, _>) =
        meanings.into_iter().partition(|(code, _)| code.starts_with('P'));
    let mut page = String::from(
        "# Codes of messages\n\nEvery code that `check`, the API and the dashboard print with a message, and what it means. The \
         message itself says where the problem is and what to do.\n\nA code that begins with `E` is an error in an expression, \
         one with `W` a warning about an expression, and one with `P` an error or a warning about a policy's files. Codes keep \
         their meaning.\n\nA test makes this page from `src/language/diagnostic.rs`.\n",
    );
    for (title, codes) in [("Expressions", of_expressions), ("Files", of_files)] {
        let _ = write!(page, "\n## {title}\n\n| code | meaning |\n| --- | --- |\n");
        for (code, meaning) in codes {
            let _ = writeln!(page, "| `{code}` | {} |", html(&cell(&meaning)));
        }
    }
    page
}

/// A comment without the place in the book that it names.
fn without_reference(comment: &str) -> String {
    match comment.split_once(" (docs/") {
        Some((before, rest)) => format!("{before}{}", rest.split_once(')').map_or("", |(_, after)| after)),
        None => comment.to_owned(),
    }
}

fn supply(supply: Supply) -> String {
    match supply {
        Supply::Always => "yes".to_owned(),
        Supply::Configured(what) => format!("with {what}"),
        Supply::Never => "no".to_owned(),
    }
}

fn functions() -> String {
    let mut page = String::from(
        "# Functions\n\nEvery function, what it takes, and what it gives. `any` and `all` are not here: they are \
         [syntax](../language.md#several-values).\n\nAn argument in *italics* must be a field or a call, one in **bold** a \
         literal; the others may be either. `?` marks what may be left out, and `…` what may be repeated. A missing argument \
         makes the result missing, unless the table says otherwise.\n\nA test makes this page from \
         `src/language/function.rs`.\n\n| function | result | what it computes |\n| --- | --- | --- |\n",
    );
    for function in Function::ALL {
        let signature = function.signature();
        let argument = |(position, parameter): (usize, &Parameter)| {
            let name = match parameter.source {
                Source::Either => parameter.name.to_owned(),
                Source::Field => format!("*{}*", parameter.name),
                Source::Literal => format!("**{}**", parameter.name),
            };
            let optional = if position >= signature.required { "?" } else { "" };
            format!("{}{optional}: {}", name.replace('_', "\\_"), html(accepts(parameter.accepts)))
        };
        let mut arguments: Vec<String> = signature.parameters.iter().enumerate().map(argument).collect();
        if signature.maximum > signature.parameters.len() {
            arguments.push("…".to_owned());
        }
        let _ = writeln!(
            page,
            "| `{}` ({}) | {} | {} |",
            signature.name,
            arguments.join(", "),
            html(result(signature.result)),
            cell(signature.doc)
        );
    }
    page
}

fn accepts(accepts: Accepts) -> &'static str {
    match accepts {
        Accepts::Bytes => "String",
        Accepts::Int => "Int",
        Accepts::Ip => "Ip",
        Accepts::BytesOrInt => "String or Int",
        Accepts::BytesOrArray => "String or Array",
        Accepts::Sized => "String, Array or Map",
        Accepts::Printable => "Int, Bool or Ip",
        Accepts::Scalar => "a single value",
        Accepts::Any => "any type",
        Accepts::ArrayOfBytes => "Array<String>",
        Accepts::Map => "Map",
        Accepts::Collection => "Array or Map",
        Accepts::SameAsFirst => "as the first",
        Accepts::ElementOfFirst => "an element of the first",
        Accepts::Pattern => "a regular expression",
    }
}

fn result(result: Result) -> &'static str {
    match result {
        Result::Bool => "Bool",
        Result::Int => "Int",
        Result::Ip => "Ip",
        Result::Bytes => "String",
        Result::ArrayOfBytes => "Array<String>",
        Result::SameAsFirst => "as the first argument",
    }
}

fn schema(name: &str) -> Value {
    let schemas = velvetrope::internal::policy::schemas();
    let (_, text) = schemas.iter().find(|(found, _)| *found == name).expect("there is such a schema");
    serde_json::from_str(text).expect("a schema is JSON")
}

fn reference() -> String {
    let files = [
        ("velvetrope.json", "velvetrope.toml", "The settings of a policy."),
        ("rules.json", "Bypass rules", "Files that `[rules]` names."),
        ("rooms.json", "Rooms", "The file that `rooms` names."),
        (
            "list.json",
            "Lists",
            "Files that `[lists]` names, if they end in `.json`. Others are text, one `value # comment` a line.",
        ),
        ("integration.json", "The integration JSON", "The file that `integration` names, as Queue-it publishes it."),
    ];
    let mut page = String::from(
        "# Policy reference\n\nEvery key of every file of a policy: its type, its default, and what it means.\n\nA test makes this \
         page from the JSON Schemas in `schemas/`; `velvetrope schema NAME` prints them, for editors that complete and \
         check. [The policy](../policy.md) explains how the files work together.\n",
    );
    for (name, title, about) in files {
        let schema = schema(name);
        let file = Schema { root: &schema, file: name.trim_end_matches(".json") };
        let _ = write!(page, "\n## {title}\n\n{about} Schema: `schemas/{name}`.\n\n");
        file.object(&mut page, &schema);
        for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
            if file.has_section(definition) {
                let _ = write!(page, "\n### {}\n\n", file.title(name));
                let _ = write!(page, "{}\n\n", prose(definition).trim());
                file.object(&mut page, definition);
            }
        }
    }
    page
}

/// One schema, as a part of the page.
struct Schema<'s> {
    root: &'s Value,
    file: &'s str,
}

impl Schema<'_> {
    /// Whether a definition has a section of its own; what is a few words is told where it is used.
    fn has_section(&self, definition: &Value) -> bool {
        definition.get("properties").is_some() || self.alternatives(definition).count() > 0
    }

    /// The objects among the alternatives of a schema.
    fn alternatives<'a>(&self, schema: &'a Value) -> impl Iterator<Item = &'a Value> {
        let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
        alternatives.filter(|schema| schema.get("properties").is_some())
    }

    /// A definition's heading: the table of `velvetrope.toml` that it is, or its name, said of which file, so that no two are
    /// the same.
    fn title(&self, name: &str) -> String {
        if let Some(path) = path_to(self.root, self.root, name).filter(|_| self.file == "velvetrope") {
            return format!("[{path}]");
        }
        let mut words = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && words.ends_with(char::is_lowercase) {
                words.push(' ');
            }
            words.push(letter);
        }
        format!("{}: {}", self.file, words.to_lowercase())
    }

    fn object(&self, page: &mut String, schema: &Value) {
        if schema.get("properties").is_some() {
            self.table(page, schema);
        }
        for alternative in schema["anyOf"].as_array().into_iter().flatten() {
            let about = prose(alternative);
            if alternative.get("properties").is_some() {
                let _ = write!(page, "\n{about}\n\n");
                self.table(page, alternative);
            } else {
                let _ = writeln!(page, "{}: {}.\n", about.trim_end_matches('.'), self.kind(alternative));
            }
        }
    }

    fn table(&self, page: &mut String, schema: &Value) {
        page.push_str("| key | type | default | what it means |\n| --- | --- | --- | --- |\n");
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let default = match property.get("default") {
                _ if required.contains(&key.as_str()) => "required".to_owned(),
                None | Some(Value::Null) => String::new(),
                Some(Value::Object(_)) if referred(property).is_some() => String::new(),
                Some(value) => format!("`{value}`"),
            };
            let _ = writeln!(
                page,
                "| `{key}` | {} | {} | {} |",
                self.kind(property),
                cell(&default),
                cell(&prose(property))
            );
        }
    }

    /// The type of a value, in words.
    fn kind(&self, schema: &Value) -> String {
        if let Some(name) = referred(schema) {
            let definition = &self.root["$defs"][&name];
            if !self.has_section(definition) {
                return self.kind(definition);
            }
            let title = self.title(&name);
            let anchor: String = title.chars().filter(|letter| !":[].".contains(*letter)).collect();
            return format!("[{}](#{})", name_of(&title), anchor.replace(' ', "-"));
        }
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<String> =
                values.iter().filter(|value| !value.is_null()).map(|value| format!("`{value}`")).collect();
            return values.join(", ");
        }
        let alternatives: Vec<&Value> =
            ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten().collect();
        if !alternatives.is_empty() {
            let mut kinds: Vec<String> = alternatives.iter().map(|schema| self.kind(schema)).collect();
            kinds.retain(|kind| !kind.is_empty());
            kinds.dedup();
            return kinds.join(" or ");
        }
        if let Some(value) = schema.get("const") {
            return format!("`{value}`");
        }
        let mut kinds: Vec<String> = match &schema["type"] {
            Value::String(kind) => vec![self.simple(kind, schema)],
            Value::Array(kinds) => {
                kinds.iter().filter_map(Value::as_str).map(|kind| self.simple(kind, schema)).collect()
            }
            _ => vec!["any".to_owned()],
        };
        kinds.retain(|kind| kind != "null");
        kinds.join(" or ")
    }

    fn simple(&self, kind: &str, schema: &Value) -> String {
        match kind {
            "array" => format!("array of {}", self.kind(&schema["items"])),
            "object" if schema.get("additionalProperties").is_some_and(Value::is_object) => {
                format!("table of {}", self.kind(&schema["additionalProperties"]))
            }
            "integer" | "number" => {
                // A schema names the limits of the machine's types, too; those are nobody's rule.
                let limit = |key: &str| schema[key].as_u64().filter(|limit| *limit < u64::from(u16::MAX) * 2);
                match (limit("minimum"), limit("maximum")) {
                    (Some(least), Some(most)) => format!("number, {least} to {most}"),
                    _ => "number".to_owned(),
                }
            }
            "boolean" => "true or false".to_owned(),
            other => other.to_owned(),
        }
    }
}

/// The name of the definition that a property refers to.
fn referred(schema: &Value) -> Option<String> {
    let path = schema["$ref"].as_str()?;
    path.rsplit('/').next().map(|name| name.replace("%20", " "))
}

/// The keys by which a definition is reached from a schema, joined by dots.
fn path_to(root: &Value, schema: &Value, name: &str) -> Option<String> {
    let properties = schema["properties"].as_object()?;
    properties.iter().find_map(|(key, property)| {
        let definition = referred(property).or_else(|| property["anyOf"].as_array()?.iter().find_map(referred))?;
        if definition == name {
            return Some(key.clone());
        }
        path_to(root, &root["$defs"][&definition], name).map(|rest| format!("{key}.{rest}"))
    })
}

/// A heading without the file, as the text of a link.
fn name_of(title: &str) -> String {
    match title.split_once(": ") {
        Some((_, name)) => name.to_owned(),
        None => format!("`{title}`"),
    }
}

/// What a schema says of itself, without rustdoc's links.
fn prose(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    text.replace("[`", "`").replace("`]", "`")
}

/// Text in the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Text that may have angle brackets.
fn html(text: &str) -> String {
    text.replace('<', "&lt;").replace('>', "&gt;")
}
