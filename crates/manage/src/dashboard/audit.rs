//! The audit trail: who changed what, when, from what to what; and the way back to earlier rules.

use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::{Desk, Reply, layout};
use crate::api;
use crate::failure::Failure;
use crate::store::audit::Entry;
use crate::store::changes::ChangedItem;
use crate::store::rooms::RoomRow;

/// How many entries a page shows.
const PER_PAGE: usize = 50;

impl Desk<'_, '_> {
    pub(super) fn audit(&self) -> Result<Reply, Failure> {
        self.audit_page(None)
    }

    /// Undoes a change of a room or a list, and shows what that leads to.
    pub(super) fn undo_change(&self, number: &str) -> Result<Reply, Failure> {
        if let Err(failure) = self.call(api::undo::undo, &[("entry", number)], &json!({}), None) {
            return self.audit_page(Some(&failure));
        }
        let entry = number.parse().ok().map(|number| self.store.entry(&self.zone.id, number)).transpose()?.flatten();
        let entry = entry.ok_or_else(|| Failure::not_found("entry of the audit trail", number))?;
        let to = match entry.action.starts_with("list.") {
            true => self.link(&["lists", &entry.subject]),
            false => self.link(&["rooms"]),
        };
        Ok(Reply::redirect(&(to + "?undone")).kept())
    }

    /// The last change of something, as pages are told what to offer to undo.
    pub(super) fn done(&self, subject: &str) -> Result<String, Failure> {
        let entry = self.store.last_entry(&self.zone.id, subject)?;
        Ok(entry.map(|entry| format!("?done={}", entry.number)).unwrap_or_default())
    }

    /// Says what was just done, and offers to undo it; or that it was undone.
    pub(super) fn way_back(&self) -> Result<Markup, Failure> {
        let number = self.query("done").and_then(|number| number.parse().ok());
        let entry = number.map(|number| self.store.entry(&self.zone.id, number)).transpose()?.flatten();
        Ok(html! {
            @if let Some(entry) = entry.filter(api::undo::has_way_back) { (self.offer(&entry, true)) }
            @if self.query("undone").is_some() {
                div.notice.good role="status" { p { "It is as it was before." } }
            }
        })
    }

    /// Offers to undo a change; `is_next` where that is what the keyboard is to be at.
    pub(super) fn offer(&self, entry: &Entry, is_next: bool) -> Markup {
        html! {
            form.notice.good method="post" action=(self.undo_link(entry.number)) {
                (self.hidden(None))
                span role="status" {
                    "You " (words(&entry.action))
                    @if let Some(name) = subject(entry) { " “" (name) "”" }
                    ". "
                }
                @if self.may_change() { button.quiet autofocus[is_next] { "Undo" } }
            }
        }
    }

    fn undo_link(&self, number: i64) -> String {
        self.link(&["audit", &number.to_string(), "undo"])
    }

    fn audit_page(&self, failure: Option<&Failure>) -> Result<Reply, Failure> {
        let rooms = self.store.rooms(&self.zone.id)?;
        let before = self.query("before").and_then(|number| number.parse().ok());
        let of_room = self.query("room").filter(|room| !room.is_empty());
        let mut entries = self.store.trail(&self.zone.id, of_room.as_deref(), before, PER_PAGE as i64 + 1)?;
        let has_more = entries.len() > PER_PAGE;
        entries.truncate(PER_PAGE);
        let next = entries.last().filter(|_| has_more).map(|entry| {
            let room = of_room.as_ref().map(|room| format!("&room={room}")).unwrap_or_default();
            format!("{}?before={}{room}", self.link(&["audit"]), entry.number)
        });
        let main = html! {
            h1 { "Audit trail" }
            @if let Some(failure) = failure { (layout::objections(failure)) }
            form.search method="get" {
                label for="room" { "Room" }
                select #room name="room" {
                    option value="" { "Everything" }
                    @for room in &rooms {
                        option value=(room.id) selected[of_room.as_ref() == Some(&room.id)] { (super::rooms::name(room)) }
                    }
                }
                button { "Show" }
            }
            @if entries.is_empty() { p { "Nothing has been changed yet." } }
            ol.trail { @for entry in &entries { (self.entry(entry, &rooms)?) } }
            @if let Some(next) = next { a.button href=(next) { "Older entries" } }
        };
        Ok(self.page(failure.map_or(200, |failure| failure.status), "Audit trail", &main))
    }

    fn entry(&self, entry: &Entry, rooms: &[RoomRow]) -> Result<Markup, Failure> {
        let room = rooms.iter().find(|room| entry.room.as_ref() == Some(&room.id));
        Ok(html! {
            li.card {
                p {
                    time datetime=(entry.at) { (layout::moment(&entry.at)) } ": "
                    strong { (entry.actor) } " – " (words(&entry.action))
                    @if let Some(name) = subject(entry) { " “" (name) "”" }
                    @if let Some(room) = room { ", room " (super::rooms::name(room)) }
                }
                @let lines = differences(&entry.before, &entry.after);
                @if !lines.is_empty() {
                    details open[lines.len() <= 8] {
                        summary { "What changed" }
                        (diff(&lines))
                    }
                }
                (self.items_of(entry)?)
                @if let (Some(room), Some(version)) = (room, entry.rules_version) {
                    a href=(self.link(&["rooms", &room.id, "versions", &version.to_string()])) {
                        "Version " (version) " of the rules"
                    }
                }
                @if self.may_change() && api::undo::has_way_back(entry) {
                    form method="post" action=(self.undo_link(entry.number)) {
                        (self.hidden(None))
                        button { "Undo" span.unseen { " the change of " (layout::moment(&entry.at)) } }
                    }
                }
            }
        })
    }

    /// The items of a list that an entry changed, the first of them.
    fn items_of(&self, entry: &Entry) -> Result<Markup, Failure> {
        const SHOWN: i64 = 50;
        if !entry.action.starts_with("list.") {
            return Ok(html! {});
        }
        let items = self.store.changed_items(entry.number, 0, SHOWN)?;
        let count = self.store.count_changed_items(entry.number)?;
        let lines: Vec<Line> = items
            .into_iter()
            .map(|ChangedItem { value, before, after }| Line {
                name: value,
                before: kept(&before),
                after: kept(&after),
            })
            .collect();
        Ok(html! {
            @if !lines.is_empty() {
                details open[lines.len() <= 8] {
                    summary { (count) @if count == 1 { " item changed" } @else { " items changed" } }
                    (diff(&lines))
                    @if count > SHOWN { p.help { "and " (count - SHOWN) " more, which the API tells" } }
                }
            }
        })
    }
}

/// What an item is, beside its value.
fn kept(item: &Json) -> Option<String> {
    let comment = item.get("comment")?.as_str().filter(|comment| !comment.is_empty());
    Some(comment.map_or_else(|| "in the list".to_owned(), |comment| format!("in the list: {comment}")))
}

/// What people call that which was changed.
fn subject(entry: &Entry) -> Option<&str> {
    [&entry.after, &entry.before].into_iter().find_map(|value| {
        let names = [value.pointer("/rule/description"), value.get("name")];
        names.into_iter().flatten().find_map(Json::as_str).filter(|name| !name.is_empty())
    })
}

/// What was done, in words.
fn words(action: &str) -> &str {
    match action {
        "rule.create" => "created a bypass rule",
        "rule.change" => "changed a bypass rule",
        "rule.delete" => "deleted a bypass rule",
        "rules.replace" => "replaced all bypass rules",
        "room.create" => "created a room",
        "room.change" => "changed a room",
        "room.delete" => "deleted a room",
        "room.restore" => "brought a deleted room back",
        "list.create" => "created a list",
        "list.change" => "changed the description of a list",
        "list.delete" => "deleted a list",
        "list.add" => "added items to a list",
        "list.replace" => "replaced the items of a list",
        "list.remove" => "removed items from a list",
        "list.undo" => "undid a change of a list",
        "list.restore" => "brought a deleted list back",
        "zone.settings" => "changed the settings",
        "token.create" => "created a token",
        "token.revoke" => "revoked a token",
        other => other,
    }
}

/// What became of one value.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    name: String,
    before: Option<String>,
    after: Option<String>,
}

impl Line {
    fn markup(&self) -> Markup {
        html! {
            div.line role="listitem" {
                span.name { (self.name) }
                @if let Some(before) = &self.before { del { span.unseen { "was " } (before) } }
                @if let Some(after) = &self.after { ins { span.unseen { "is " } (after) } }
            }
        }
    }
}

/// What changed, value by value.
pub(super) fn diff(lines: &[Line]) -> Markup {
    html! { div.diff role="list" { @for line in lines { (line.markup()) } } }
}

/// The values that differ, by name.
pub(super) fn differences(before: &Json, after: &Json) -> Vec<Line> {
    /// What changes with every change, what the entry itself says, and what nobody chose.
    const TOLD: [&str; 7] =
        ["last_updated", "created_on", "modified_on", "version", "id", "action", "num_referencing_filters"];
    let (mut old, mut new) = (Vec::new(), Vec::new());
    flatten(String::new(), before, &mut old);
    flatten(String::new(), after, &mut new);
    let find = |values: &[(String, String)], name: &str| {
        values.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut names: Vec<&String> = old.iter().map(|(name, _)| name).collect();
    names.extend(new.iter().map(|(name, _)| name).filter(|name| find(&old, name).is_none()));
    let lines =
        names.into_iter().map(|name| Line { name: name.clone(), before: find(&old, name), after: find(&new, name) });
    let is_told = |name: &str| TOLD.contains(&name.rsplit('.').next().unwrap_or_default());
    lines.filter(|line| line.before != line.after && !is_told(&line.name)).collect()
}

/// All values within a value, with the path to each.
fn flatten(name: String, value: &Json, all: &mut Vec<(String, String)>) {
    match value {
        Json::Null => {}
        Json::Object(object) => {
            for (key, value) in object {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(name, value, all);
            }
        }
        // Places are counted from 1 where people read them.
        Json::Number(place) if name == "index" => {
            all.push(("place".into(), place.as_i64().map_or(0, |place| place + 1).to_string()));
        }
        Json::String(text) => all.push((name, text.clone())),
        other => all.push((name, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let line = |name: &str, before: Option<&str>, after: Option<&str>| Line {
            name: name.into(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let before = json!({ "index": 0, "rule": { "id": "a", "enabled": true, "version": "1", "expression": "ssl" } });
        let after = json!({ "index": 2, "rule": { "id": "a", "enabled": false, "version": "2", "expression": "ssl" } });
        let expected = [line("place", Some("1"), Some("3")), line("rule.enabled", Some("true"), Some("false"))];
        assert_eq!(differences(&before, &after), expected);
        assert_eq!(differences(&Json::Null, &json!({ "name": "a" })), [line("name", None, Some("a"))]);
        assert_eq!(differences(&Json::Null, &Json::Null), []);
    }
}
