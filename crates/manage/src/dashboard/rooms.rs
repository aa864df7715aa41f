//! The table of rooms.

use maud::{Markup, html};
use serde_json::json;

use super::form::Form;
use super::{Desk, Reply, layout};
use crate::api;
use crate::failure::Failure;
use crate::store::rooms::{Origin, RoomRow, RuleCount};
use velvetrope::internal::policy::Room;
use velvetrope::internal::room::Occupancy;

impl Desk<'_, '_> {
    pub(super) fn rooms(&self) -> Result<Reply, Failure> {
        self.rooms_page(None)
    }

    /// Switches a room on or off; asks before it is switched off.
    pub(super) fn suspend_room(&self, row: &RoomRow, is_suspended: bool, form: &Form) -> Result<Reply, Failure> {
        self.zone.refuse_if_managed_by_files()?;
        if is_suspended && !form.has("sure") {
            return Ok(self.ask_to_suspend(row));
        }
        let body = json!({ "suspended": is_suspended });
        match self.call(api::rooms::change, &[("room_id", &row.id)], &body, Some(form.text("version"))) {
            Ok(_) => Ok(self.to_rooms(row)?.kept()),
            Err(failure) => self.rooms_page(Some(&failure)),
        }
    }

    /// To the rooms, with the offer to undo what was done to one.
    pub(super) fn to_rooms(&self, row: &RoomRow) -> Result<Reply, Failure> {
        Ok(Reply::redirect(&(self.link(&["rooms"]) + &self.done(&row.id)?)))
    }

    fn ask_to_suspend(&self, row: &RoomRow) -> Reply {
        let title = format!("Disable room {}?", row.name);
        let main = html! {
            h1 { (title) }
            form.card.danger method="post" action=(self.link(&["rooms", &row.id, "disable"])) {
                (self.hidden(Some(row.version)))
                input type="hidden" name="sure" value="yes";
                p { "While a room is disabled it stands nowhere: whoever waits there, and everybody who comes, is let in." }
                div.actions {
                    button.bad { "Disable room" }
                    a.button href=(self.link(&["rooms"])) autofocus { "Cancel" }
                }
            }
        };
        self.page(200, &title, &main)
    }

    fn rooms_page(&self, failure: Option<&Failure>) -> Result<Reply, Failure> {
        let rooms = self.store.rooms(&self.zone.id)?;
        let counts = self.store.rule_counts(&self.zone.id)?;
        let count = |row: &RoomRow| {
            counts.iter().find(|(room, _)| *room == row.id).map(|(_, count)| *count).unwrap_or_default()
        };
        let main = html! {
            div.title {
                h1 { "Waiting rooms" }
                @if self.may_change() { a.button.primary href=(self.link(&["new-room"])) { "Create room" } }
            }
            @if let Some(failure) = failure { (layout::objections(failure)) }
            (self.way_back()?)
            table.cards {
                caption.unseen { "Waiting rooms of " (self.zone.id) }
                thead { tr {
                    th scope="col" { "Room" }
                    th scope="col" { "Stands before" }
                    th scope="col" { "Status" }
                    th scope="col" { "Next event" }
                    th scope="col" { "Bypass rules" }
                    th scope="col" { "Actions" }
                } }
                tbody { @for row in &rooms { (self.room_row(row, count(row))) } }
            }
        };
        Ok(self.page(failure.map_or(200, |failure| failure.status), "Waiting rooms", &main))
    }

    fn room_row(&self, row: &RoomRow, count: RuleCount) -> Markup {
        let room = row.room();
        let room = room.as_ref();
        html! {
            tr id=(format!("room-{}", row.id)) tabindex="-1" {
                th scope="row" {
                    (name(row))
                    @if let Some(description) = room.map(|room| &room.description).filter(|text| !text.is_empty()) {
                        span.about { (description) }
                    }
                }
                td data-label="Stands before" { (place(row, room)) }
                td data-label="Status" { (self.status(row, room)) }
                td data-label="Next event" {
                    @match room.and_then(|room| room.next_event_start_time.as_ref()) {
                        Some(time) => time datetime=(time) { (time) },
                        None => "N/A",
                    }
                }
                td data-label="Bypass rules" { (indicator(count)) }
                td data-label="Actions" {
                    div.actions {
                        a.button href=(self.link(&["rooms", &row.id, "rules"])) {
                            "Manage rules" span.unseen { " of " (in_text(row)) }
                        }
                        @if let Some(room) = room { (self.room_actions(row, room)) }
                    }
                }
            }
        }
    }

    fn status(&self, row: &RoomRow, room: Option<&Room>) -> Markup {
        let (class, text) = match room {
            Some(room) if room.suspended => ("off", "Disabled"),
            Some(room) if room.queue_all => ("all", "Queue-all"),
            _ if row.origin == Origin::Every => return html! { "–" },
            _ => match self.live.occupancy(&self.zone.id, &row.event_id()) {
                Some(occupancy) => return doing(occupancy),
                None => ("on", "Active"),
            },
        };
        html! { span class=(format!("badge {class}")) { (text) } }
    }

    fn room_actions(&self, row: &RoomRow, room: &Room) -> Markup {
        let (to, label) = if room.suspended { ("enable", "false") } else { ("disable", "true") };
        html! {
            a.button href=(self.link(&["rooms", &row.id])) {
                @if self.may_change() { "Edit" } @else { "Look" }
                span.unseen { " room " (row.name) }
            }
            @if self.may_change() {
                form method="post" action=(self.link(&["rooms", &row.id, to])) {
                    (self.hidden(Some(row.version)))
                    button.switch role="switch" aria-checked=(label) aria-label=(format!("Room {} is enabled", row.name)) {}
                }
            }
        }
    }
}

/// What people call a room.
pub(super) fn name(row: &RoomRow) -> &str {
    if row.origin == Origin::Every { "Every room" } else { &row.name }
}

/// The same within a sentence.
pub(super) fn in_text(row: &RoomRow) -> &str {
    if row.origin == Origin::Every { "every room" } else { &row.name }
}

fn place(row: &RoomRow, room: Option<&Room>) -> Markup {
    let Some(room) = room else {
        let place =
            if row.origin == Origin::Every { "wherever a room stands" } else { "where Queue-it's integration says" };
        return html! { (place) };
    };
    html! {
        @if let Some(when) = &room.velvetrope.when { code data-expression { (when) } }
        @if let Some(host) = &room.host { span.place { (host) (room.path) } }
        @for route in &room.additional_routes { span.place { (route.host) (route.path) } }
    }
}

/// What a room that runs here is doing.
fn doing(occupancy: Occupancy) -> Markup {
    let Occupancy { waiting, active, longest_wait } = occupancy;
    html! {
        @if waiting == 0 { span.badge.on { "Not queueing" } } @else { span.badge.all { "Queueing" } }
        span.about {
            (waiting) " waiting, " (active) " inside"
            @if waiting > 0 {
                @match longest_wait.map(|seconds| seconds.div_ceil(60)) {
                    Some(minutes) => { ", at most " (minutes) " min to wait" }
                    None => ", nobody is let in",
                }
            }
        }
    }
}

/// How many rules a room has, in words.
fn indicator(count: RuleCount) -> Markup {
    let RuleCount { active, drafts } = count;
    html! {
        @if active == 0 && drafts == 0 { span.none { "No bypass rules" } }
        @if active > 0 { span.badge.bypass { (active) @if active == 1 { " bypass rule active" } @else { " bypass rules active" } } }
        @if drafts > 0 { span.badge { (drafts) @if drafts == 1 { " draft" } @else { " drafts" } } }
    }
}
