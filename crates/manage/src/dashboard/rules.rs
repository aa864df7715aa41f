//! The bypass rules of a room, in their order.
//!
//! One form holds the table; its buttons say what is to be done with which rule. Scripts add dragging, and keys that
//! move a rule.

use http::header::LOCATION;
use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::form::Form;
use super::rooms::{in_text, name};
use super::{Desk, Reply, layout};
use crate::api::{self, Call, Success};
use crate::failure::{Code, Failure};
use crate::store::rooms::RoomRow;
use crate::store::rules::Rule;

/// How many rules a page shows.
const PER_PAGE: usize = 200;

type Operation = fn(&Call) -> Result<Success, Failure>;

impl Desk<'_, '_> {
    pub(super) fn rules(&self, room: &RoomRow) -> Result<Reply, Failure> {
        let page = self.query("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        self.rules_page(room, page, None)
    }

    /// Moves a rule: one up or down, or to a place counted from 1.
    pub(super) fn move_rule(&self, room: &RoomRow, id: &str, form: &Form) -> Result<Reply, Failure> {
        let (index, _) = self.store.rule(&room.id, id)?.ok_or_else(|| Failure::not_found("rule", id))?;
        let place = match form.text("to") {
            "up" => index,
            "down" => index + 2,
            place => place.parse().map_err(|_| Failure::new(400, Code::Invalid, "say where the rule is to stand"))?,
        };
        let body = json!({ "position": { "index": place.max(1) } });
        self.act_on_rule(room, id, api::rules::change, &body, form)
    }

    pub(super) fn switch_rule(&self, room: &RoomRow, id: &str, on: bool, form: &Form) -> Result<Reply, Failure> {
        self.act_on_rule(room, id, api::rules::change, &json!({ "enabled": on }), form)
    }

    /// Deletes a rule, and offers to restore what was before.
    pub(super) fn delete_rule(&self, room: &RoomRow, id: &str, form: &Form) -> Result<Reply, Failure> {
        let reply = self.act_on_rule(room, id, api::rules::delete, &json!({}), form)?;
        Ok(match reply.keep {
            true => self.to_rules(room, &format!("?deleted={}", room.rules_version)).kept(),
            false => reply,
        })
    }

    /// Puts an earlier version in place of the present one.
    pub(super) fn restore_rules(&self, room: &RoomRow, version: &str, form: &Form) -> Result<Reply, Failure> {
        let path = [("room_id", room.id.as_str()), ("version", version)];
        match self.call(api::rules::restore, &path, &json!({}), Some(form.text("version"))) {
            Ok(_) => Ok(self.to_rules(room, "?restored").kept()),
            Err(failure) => self.rules_page(room, 1, Some(&failure)),
        }
    }

    /// Does something to one rule, and shows the rules again, with that one in focus.
    fn act_on_rule(
        &self,
        room: &RoomRow,
        id: &str,
        operation: Operation,
        body: &Json,
        form: &Form,
    ) -> Result<Reply, Failure> {
        let path = [("room_id", room.id.as_str()), ("rule_id", id)];
        match self.call(operation, &path, body, Some(form.text("version"))) {
            Ok(_) => {
                let index = self.store.rule(&room.id, id)?.map_or(0, |(index, _)| index);
                let mut reply = self.to_rules(room, "").kept();
                let to = self.link(&["rooms", &room.id, "rules"]);
                reply.set(LOCATION, &format!("{to}?page={}#{}", index / PER_PAGE + 1, anchor(id)));
                Ok(reply)
            }
            Err(failure) => self.rules_page(room, 1, Some(&failure)),
        }
    }

    pub(super) fn to_rules(&self, room: &RoomRow, query: &str) -> Reply {
        Reply::redirect(&(self.link(&["rooms", &room.id, "rules"]) + query))
    }

    fn rules_page(&self, room: &RoomRow, page: usize, failure: Option<&Failure>) -> Result<Reply, Failure> {
        let rules = self.store.rules(&room.id)?;
        let pages = rules.len().div_ceil(PER_PAGE).max(1);
        let page = page.clamp(1, pages);
        let first = (page - 1) * PER_PAGE;
        let shown = rules.iter().enumerate().skip(first).take(PER_PAGE);
        let event_id = room.event_id();
        let hits = |rule: &Rule| self.live.hits(&self.zone.id, &event_id, &rule.id);
        let title = format!("Bypass rules of {}", in_text(room));
        let main = html! {
            p.crumbs { a href=(self.link(&["rooms"])) { "Waiting rooms" } " › " (name(room)) }
            div.title {
                h1 { (title) }
                @if self.may_change() {
                    a.button.primary href=(self.link(&["rooms", &room.id, "new-rule"])) { "Create new bypass rule" }
                }
            }
            @if let Some(failure) = failure {
                (layout::objections(failure))
                @if failure.status == 412 { p { "These are the rules as they are now." } }
            }
            (self.undo(room))
            @match rules.is_empty() {
                true => p {
                    "There are no rules yet. A rule lets requests for which its expression is true pass the waiting room by."
                },
                false => {
                    p {
                        "A request passes the waiting room by if any enabled rule is true for it. Rules are tried in this "
                        "order, and the request is a hit of the first that is true."
                        @if self.may_change() {
                            span.with-scripts hidden {
                                " Drag rules to order them, or focus one and press Alt with an arrow key."
                            }
                        }
                    }
                    form #rules method="post" data-rules[self.may_change()] {
                        (self.hidden(Some(room.rules_version)))
                        table.cards.rules {
                            caption.unseen { (title) ", in order" }
                            thead { tr {
                                th scope="col" { "Order" }
                                th scope="col" { "Rule" }
                                th scope="col" { "When" }
                                th scope="col" { "Hits" }
                                th scope="col" { "Enabled" }
                                th scope="col" { "Actions" }
                            } }
                            tbody {
                                @for (index, rule) in shown {
                                    (self.rule_row(room, rule, index, rules.len(), hits(rule)))
                                }
                            }
                        }
                    }
                }
            }
            @if pages > 1 {
                nav.pages aria-label="Pages of rules" {
                    @for number in 1..=pages {
                        a href=(format!("?page={number}")) aria-current=[(number == page).then_some("page")] { (number) }
                    }
                }
            }
            p { a.button href=(format!("{}?room={}", self.link(&["audit"]), room.id)) { "Earlier versions" } }
        };
        Ok(self.page(failure.map_or(200, |failure| failure.status), &title, &main))
    }

    fn rule_row(&self, room: &RoomRow, rule: &Rule, index: usize, count: usize, hits: Option<u64>) -> Markup {
        let called = title(rule);
        let to = |what: &str| self.link(&["rooms", &room.id, "rules", &rule.id, what]);
        let (switch, checked) = if rule.enabled { ("disable", "true") } else { ("enable", "false") };
        let may_change = self.may_change();
        html! {
            tr id=(anchor(&rule.id)) tabindex="-1" data-place=(index + 1) data-move=(to("move"))
                draggable=[may_change.then_some("true")] {
                td.order data-label="Order" {
                    span.number { (index + 1) }
                    @if may_change {
                        button.quiet name="to" value="up" formaction=(to("move")) disabled[index == 0]
                            aria-label=(format!("Move {called} up")) { "↑" }
                        button.quiet name="to" value="down" formaction=(to("move")) disabled[index + 1 == count]
                            aria-label=(format!("Move {called} down")) { "↓" }
                    }
                }
                th scope="row" {
                    (called)
                    @if !rule.enabled { " " span.badge.draft { "Draft" } }
                    @if rule.velvetrope.opens_for_everybody { " " span.badge.all { "For everybody" } }
                }
                td data-label="When" { code.code data-expression { (rule.expression) } }
                td.number data-label="Hits" {
                    @match hits {
                        Some(hits) => (hits),
                        None => "–",
                    }
                }
                td data-label="Enabled" {
                    button.switch role="switch" aria-checked=(checked) formaction=(to(switch)) disabled[!may_change]
                        aria-label=(format!("{called} is enabled")) {}
                }
                td data-label="Actions" {
                    div.actions {
                        a.button href=(self.link(&["rooms", &room.id, "rules", &rule.id])) {
                            @if may_change { "Edit" } @else { "Look" }
                            span.unseen { " " (called) }
                        }
                        @if may_change {
                            button.bad formaction=(to("delete")) aria-label=(format!("Delete {called}")) { "Delete" }
                        }
                    }
                }
            }
        }
    }

    /// The offer to undo a deletion, and the word that something was restored.
    fn undo(&self, room: &RoomRow) -> Markup {
        let deleted = self.query("deleted").and_then(|version| version.parse::<i64>().ok());
        html! {
            @if let Some(before) = deleted.filter(|before| before + 1 == room.rules_version) {
                form.notice.good method="post"
                    action=(self.link(&["rooms", &room.id, "restore", &before.to_string()])) {
                    (self.hidden(Some(room.rules_version)))
                    span role="status" { "The rule is deleted. " }
                    button.quiet autofocus { "Undo" }
                }
            }
            @if self.query("restored").is_some() {
                div.notice.good role="status" { p { "The earlier rules are back." } }
            }
        }
    }
}

/// What people call a rule.
pub(super) fn title(rule: &Rule) -> &str {
    if rule.description.is_empty() { &rule.id } else { &rule.description }
}

/// By what links lead to a rule on the page.
fn anchor(id: &str) -> String {
    format!("rule-{}", super::encoded(id).replace('%', "."))
}
