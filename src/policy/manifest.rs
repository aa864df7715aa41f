//! What a store holds of a policy, among its texts: rooms, bypass rules and lists, which stand in for those that
//! `velvetrope.toml` names, unless it says `managed = "files"`. Settings and the integration JSON stay the policy's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::File;
use super::settings::Settings;
use super::{ListFile, place};
use crate::language::{Code, Diagnostic};

/// The name of the manifest among the texts of a policy. No file of a policy can be called so.
pub const MANIFEST: &str = "store:manifest.json";

/// What the names of all texts begin with that come from a store.
pub const STORED: &str = "store:";

/// Which texts are rooms, rules and lists; written as JSON under the name [`MANIFEST`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// As `rooms` in `velvetrope.toml`.
    pub rooms: Option<String>,
    /// As `[rules]` in `velvetrope.toml`, one text for each room.
    pub rules: BTreeMap<String, String>,
    /// As `[lists]` in `velvetrope.toml`.
    pub lists: BTreeMap<String, ListFile>,
}

/// Lets the texts of a store stand in for those that the settings name.
pub(super) fn stand_in(file: File, settings: &mut Settings) {
    match serde_json::from_str::<Manifest>(file.text) {
        Ok(manifest) => {
            settings.rooms = manifest.rooms;
            settings.rules = manifest.rules.into_iter().map(|(room, text)| (room, vec![text])).collect();
            settings.lists = manifest.lists;
        }
        Err(error) => {
            let at = place::offset(file.text, error.line(), error.column());
            file.add(at..at, Diagnostic::error(Code::FileSyntax, format!("this is no manifest of a store: {error}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, SETTINGS_FILE, Sources};

    const FILES: [(&str, &str); 4] = [
        (
            SETTINGS_FILE,
            "customer_id = \"example\"\nrooms = \"rooms.json\"\nrules = { shop = \"rules.json\" }\n\
             lists = { office = \"office.txt\" }\n",
        ),
        ("rooms.json", r#"[{"name": "shop", "host": "tickets.example"}]"#),
        ("rules.json", r#"[{"id": "file", "action": "bypass_waiting_room", "expression": "ip.src in $office"}]"#),
        ("office.txt", "192.0.2.1\n"),
    ];

    const STORE: [(&str, &str); 4] = [
        (
            MANIFEST,
            r#"{"rooms": "store:rooms.json", "rules": {"Sale": "store:rules/Sale.json"},
                "lists": {"partners": {"file": "store:lists/partners.txt", "kind": "hostname"}}}"#,
        ),
        ("store:rooms.json", r#"[{"name": "Sale", "host": "sale.example"}]"#),
        (
            "store:rules/Sale.json",
            r#"[{"id": "kept", "action": "bypass_waiting_room", "expression": "http.host in $partners"}]"#,
        ),
        ("store:lists/partners.txt", "partner.example\n"),
    ];

    fn sources(texts: &[(&str, &str)]) -> Sources {
        texts.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[track_caller]
    fn compiled(sources: &Sources) -> Policy {
        let compiled = Policy::compile(sources, None).expect("it compiles");
        assert_eq!(compiled.warnings, []);
        compiled.policy
    }

    /// Names of rooms, ids of rules, names of lists.
    fn told(policy: &Policy) -> [Vec<&str>; 3] {
        let rooms = policy.rooms.iter().map(|room| room.name.as_str());
        let rules = policy.rules.iter().map(|rule| rule.id.as_str());
        [rooms.collect(), rules.collect(), policy.lists.keys().map(String::as_str).collect()]
    }

    #[test]
    fn what_a_store_holds_stands_in_for_files() {
        assert_eq!(told(&compiled(&sources(&FILES))), [["shop"], ["file"], ["office"]]);
        let all = sources(&[&FILES[..], &STORE[..]].concat());
        assert_eq!(told(&compiled(&all)), [["Sale"], ["kept"], ["partners"]]);
    }

    #[test]
    fn files_that_are_gone_are_not_missed() {
        let all = sources(&[&FILES[..1], &STORE[..]].concat());
        assert_eq!(told(&compiled(&all)), [["Sale"], ["kept"], ["partners"]]);
    }

    #[test]
    fn a_policy_that_its_files_manage_has_no_use_for_a_store() {
        let mut all = sources(&[&FILES[..], &STORE[..]].concat());
        let settings = all.get_mut(SETTINGS_FILE).expect("it is there");
        settings.splice(0..0, *b"managed = \"files\"\n");
        assert_eq!(told(&compiled(&all)), [["shop"], ["file"], ["office"]]);
    }

    #[test]
    fn an_integration_alone_can_have_a_store() {
        let integration = r#"{"Version": 1, "CustomerId": "example", "Integrations": []}"#;
        let all = sources(&[&[("integration.json", integration)], &STORE[..]].concat());
        assert_eq!(told(&compiled(&all)), [["Sale"], ["kept"], ["partners"]]);
    }

    #[test]
    fn an_empty_store_protects_nothing_and_is_no_mistake() {
        let store =
            [(MANIFEST, r#"{"rooms": "store:rooms.json", "rules": {}, "lists": {}}"#), ("store:rooms.json", "[]")];
        let all = sources(&[&[(SETTINGS_FILE, "customer_id = \"example\"\n")], &store[..]].concat());
        assert_eq!(told(&compiled(&all)), [[""; 0]; 3]);
    }

    #[test]
    fn rules_of_a_room_that_is_gone_hold_nothing_up() {
        let manifest = r#"{"rooms": "store:rooms.json", "rules": {"gone": "store:rules/gone.json"}, "lists": {}}"#;
        let store = [(MANIFEST, manifest), ("store:rooms.json", "[]"), ("store:rules/gone.json", "[]")];
        let compiled = Policy::compile(&sources(&[&FILES[..1], &store[..]].concat()), None).expect("it compiles");
        let told: Vec<_> = compiled.warnings.iter().map(|found| (&*found.place.file, &*found.message)).collect();
        assert_eq!(told, [(MANIFEST, "there is no room `gone`")]);
    }

    #[test]
    fn a_broken_manifest_is_refused_with_a_place() {
        for (manifest, line, says) in [
            ("{", 1, "EOF"),
            ("[]\n", 1, "no manifest"),
            ("{\"rules\": {}}", 1, "missing field `lists`"),
            ("{\"rooms\": null,\n\"rule\": {}}", 2, "unknown field `rule`"),
            ("{\"rules\": {\"shop\":\n7}}", 2, "expected a string"),
            ("{\"lists\": {\"a\": {\"file\": \"store:a\", \"kind\": \"ips\"}}}", 1, "unknown variant `ips`"),
        ] {
            let sources = sources(&[&FILES[..], &[(MANIFEST, manifest)]].concat());
            let findings = Policy::compile(&sources, None).expect_err(manifest);
            let finding = findings.errors().find(|finding| finding.place.file == MANIFEST).expect("it is told");
            assert!(finding.place.line == line && finding.message.contains(says), "{manifest}: {finding:?}");
        }
        let findings =
            Policy::compile(&sources(&[&FILES[..], &STORE[..3]].concat()), None).expect_err("a file is gone");
        let first = findings.all().first().map(|finding| (&*finding.place.file, &*finding.message));
        assert_eq!(first, Some((MANIFEST, "`store:lists/partners.txt` is not there, or cannot be read")));
    }
}
