//! A room's rules at an earlier version, and the way back to it.

use std::collections::HashMap;

use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::audit::{Line, diff, differences};
use super::rooms::{in_text, name};
use super::rules::title;
use super::{Desk, Reply};
use crate::failure::Failure;
use crate::store::rooms::RoomRow;
use crate::store::rules::Rule;

impl Desk<'_, '_> {
    pub(super) fn version(&self, room: &RoomRow, version: &str) -> Result<Reply, Failure> {
        let number = version.parse::<i64>().ok().filter(|number| (0..=room.rules_version).contains(number));
        let number = number.ok_or_else(|| Failure::not_found("version", version))?;
        let rules = self.store.rules_at(&room.id, number)?;
        let before = if number > 0 { self.store.rules_at(&room.id, number - 1)? } else { Vec::new() };
        let changes = changes(&before, &rules);
        let heading = format!("Version {number} of the rules of {}", in_text(room));
        let link = |number: i64| self.link(&["rooms", &room.id, "versions", &number.to_string()]);
        let main = html! {
            p.crumbs {
                a href=(self.link(&["rooms"])) { "Waiting rooms" } " › "
                a href=(self.link(&["rooms", &room.id, "rules"])) { (name(room)) } " › Version " (number)
            }
            h1 { (heading) }
            div.actions {
                @if number > 0 { a.button href=(link(number - 1)) { "Earlier" } }
                @if number < room.rules_version { a.button href=(link(number + 1)) { "Later" } }
                @if number < room.rules_version && self.may_change() {
                    form method="post" action=(self.link(&["rooms", &room.id, "restore", &number.to_string()])) {
                        (self.hidden(Some(room.rules_version)))
                        button.primary { "Restore this version" }
                    }
                }
                @if number == room.rules_version { span.badge.on { "In force" } }
            }
            @if !changes.is_empty() {
                h2 { "What it changed" }
                @for (title, lines) in &changes { section.card { h3 { (title) } (diff(lines)) } }
            }
            h2 { "Its rules" }
            (table(&rules))
        };
        Ok(self.page(200, &heading, &main))
    }
}

fn table(rules: &[Rule]) -> Markup {
    html! {
        @match rules {
            [] => p { "There were none." },
            rules => table.cards {
                caption.unseen { "Rules of this version, in order" }
                thead { tr {
                    th scope="col" { "Order" }
                    th scope="col" { "Rule" }
                    th scope="col" { "When" }
                } }
                tbody { @for (rule, place) in rules.iter().zip(1..) { tr {
                    td data-label="Order" { (place) }
                    th scope="row" { (title(rule)) @if !rule.enabled { " " span.badge.draft { "Draft" } } }
                    td data-label="When" { code.code data-expression { (rule.expression) } }
                } } }
            },
        }
    }
}

/// The rules that differ, with what differs in each; and their order, if that does.
fn changes(before: &[Rule], after: &[Rule]) -> Vec<(String, Vec<Line>)> {
    let by_id =
        |rules| -> HashMap<&str, &Rule> { <[Rule]>::iter(rules).map(|rule| (rule.id.as_str(), rule)).collect() };
    let (old, new) = (by_id(before), by_id(after));
    let json = |rule: Option<&&Rule>| rule.map_or(Json::Null, |rule| json!(rule));
    let changed =
        after.iter().map(|rule| (title(rule).to_owned(), differences(&json(old.get(rule.id.as_str())), &json!(rule))));
    let gone = before.iter().filter(|rule| !new.contains_key(rule.id.as_str()));
    let gone = gone.map(|rule| (format!("{} (deleted)", title(rule)), differences(&json!(rule), &Json::Null)));
    let order = |rules: &[Rule], others: &HashMap<&str, &Rule>| -> String {
        let common = rules.iter().filter(|rule| others.contains_key(rule.id.as_str()));
        common.map(title).collect::<Vec<_>>().join(", ")
    };
    let order = differences(&json!({ "order": order(before, &new) }), &json!({ "order": order(after, &old) }));
    let all = changed.chain(gone).chain([("Order".to_owned(), order)]);
    all.filter(|(_, lines)| !lines.is_empty()).collect()
}
