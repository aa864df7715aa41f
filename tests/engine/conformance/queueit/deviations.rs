//! Where this project answers otherwise than the record, and what it answers instead (`tests/vectors/deviations.toml`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{answers, edge_answers, rules, text};

/// The deviations, and which of them the cases needed.
pub struct Deviations {
    rules: Vec<Rule>,
    by_label: BTreeMap<String, Deviation>,
    families: BTreeSet<String>,
    labels: BTreeSet<String>,
    needed: BTreeSet<String>,
}

/// What holds for every case that it is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Why this project answers otherwise. For readers.
    #[serde(rename = "reason")]
    _reason: String,
    /// How the answer follows from the record.
    answer: String,
    #[serde(skip)]
    is_needed: bool,
}

#[derive(Deserialize)]
struct File {
    rule: Vec<Rule>,
    deviation: Vec<Deviation>,
}

/// One entry of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    /// Family and label: a case's name without its number.
    case: String,
    /// Why this project answers otherwise. For readers.
    #[serde(rename = "reason")]
    _reason: String,
    /// How the answer follows from the record.
    answer: String,
}

impl Deviations {
    pub fn load() -> Deviations {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/deviations.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let by_label = file.deviation.into_iter().map(|deviation| (deviation.case.clone(), deviation)).collect();
        let rules = file.rule;
        Deviations { rules, by_label, families: BTreeSet::new(), labels: BTreeSet::new(), needed: BTreeSet::new() }
    }

    /// The case as it is asked about.
    pub fn asked(&mut self, mut case: Value) -> Value {
        for rule in &mut self.rules {
            rule.is_needed |= rules::ask(&rule.answer, &mut case);
        }
        case
    }

    /// The recorded answer, or the one this project gives instead.
    pub fn expected(&mut self, family: &str, case: &Value) -> Value {
        let label = label(case);
        self.families.insert(family.to_owned());
        self.labels.insert(label.to_owned());
        let recorded = &case["expect"];
        let mut expected = recorded.clone();
        if let Some(deviation) = self.by_label.get(label) {
            expected = derive(&deviation.answer, case);
            if expected != *recorded {
                self.needed.insert(label.to_owned());
            }
        }
        for rule in &mut self.rules {
            let before = expected.clone();
            rules::apply(&rule.answer, &mut expected, case);
            rule.is_needed |= expected != before;
        }
        expected
    }

    /// Deviations without a case that needs them. In another recording than the bundled one, chance may have it that
    /// no case with the label shows the difference; but cases with the label there must be.
    pub fn unneeded(&self) -> Vec<String> {
        let is_bundled = std::env::var_os("VELVETROPE_VECTORS").is_none();
        let is_recorded = |label: &str| self.families.contains(label.split('/').next().unwrap_or_default());
        let unneeded = self.by_label.keys().filter(|label| !self.needed.contains(*label) && is_recorded(label));
        let (unshown, missing): (Vec<_>, Vec<_>) = unneeded.partition(|label| self.labels.contains(*label));
        let complain = |label: &String| format!("deviations.toml: no case needs {label}");
        let idle = self.rules.iter().filter(|rule| !rule.is_needed && is_bundled);
        let idle = idle.map(|rule| format!("deviations.toml: no case needs the rule {:?}", rule.answer));
        if !is_bundled {
            unshown.iter().for_each(|label| println!("noted: no case shows the deviation {label}"));
            return missing.into_iter().map(complain).collect();
        }
        missing.into_iter().chain(unshown).map(complain).chain(idle).collect()
    }
}

/// A case's name without its number.
fn label(case: &Value) -> &str {
    let name = text(case, "name");
    name.rsplit_once('-').map_or(name, |(label, _)| label)
}

/// The answer of this project, worked out from the record.
fn derive(answer: &str, case: &Value) -> Value {
    let mut expected = case["expect"].clone();
    match answer {
        "no cookie" => answers::no_cookie(&mut expected),
        "a token of no room" => answers::token_is_refused(&mut expected, case),
        "a session of no connector" => answers::session_is_refused(&mut expected, case),
        "nothing to cancel" => answers::nothing_to_cancel(&mut expected, case),
        "the session is recognised" => answers::session_is_recognised(&mut expected, case),
        "our JSON parser says what is wrong" => answers::json_error_is_ours(&mut expected, case),
        "the URL without tokens means the same" => edge_answers::url_means_the_same(&mut expected, case),
        "the redirect stays on this site" => edge_answers::stays_on_site(&mut expected, case),
        "private" => edge_answers::is_private(&mut expected),
        "303" => edge_answers::see_other(&mut expected),
        "the token is refused" => edge_answers::token_is_refused(&mut expected, case),
        "to the queue without a target" => edge_answers::queue_without_target(&mut expected, case),
        "the unreadable cookie stays" => edge_answers::unreadable_cookie_stays(&mut expected),
        "cancel as in 5.x" => edge_answers::cancel_of_5(&mut expected, case),
        "debug as in 5.x" => edge_answers::debug_of_5(&mut expected, case),
        "debug as in 5.x, every cookie kept" => edge_answers::debug_of_5_and_every_cookie(&mut expected, case),
        "the push is refused" => edge_answers::push_is_refused(&mut expected),
        "UTF-8 is kept" => edge_answers::utf8_is_kept(&mut expected, case),
        other => panic!("deviations.toml: no such answer: {other}"),
    }
    expected
}
