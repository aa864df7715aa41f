//! The form of a room.

use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::form::Form;
use super::{Desk, Reply, layout};
use crate::api;
use crate::failure::{Code, Failure};
use crate::store::rooms::{Origin, RoomRow};
use velvetrope::internal::object::{Rule, Shape, Table};
use velvetrope::internal::policy::Room;
use velvetrope::internal::rooms::REQUIRED_BY_API;

/// A field of the form. What may stand in it, the table of the room says.
struct Field {
    /// Where the room has it, as a JSON pointer of one or two keys.
    pointer: &'static str,
    label: &'static str,
    help: &'static str,
    look: Look,
}

/// How a field looks that could look in several ways.
enum Look {
    Plain,
    Long,
    /// One host and path a line.
    Routes,
    /// With other names for some of the values that may be chosen.
    Named(&'static [(&'static str, &'static str)]),
}

/// The fields by the headings that they stand under.
const GROUPS: &[(&str, &[Field])] = &[
    (
        "Room",
        &[
            plain("/name", "Name", "Letters, digits, - and _. Rules and the queue know the room by it."),
            plain("/description", "Description", "For people."),
            plain("/suspended", "Disabled", "While this is ticked, the room stands nowhere: nobody waits."),
        ],
    ),
    (
        "Place",
        &[
            plain("/host", "Host", "Such as tickets.example, without scheme and wildcard."),
            plain("/path", "Path", "The room stands before everything below it, too."),
            field(
                "/additional_routes",
                "Further places",
                "One a line: host and path, such as shop.example/sale.",
                Look::Routes,
            ),
            field("/velvetrope/when", "Or an expression", "Places the room instead of host and path.", Look::Long),
        ],
    ),
    (
        "Queue",
        &[
            plain("/total_active_users", "Visitors on the site", "How many the site holds."),
            plain("/new_users_per_minute", "New visitors a minute", ""),
            plain("/session_duration", "Minutes a session lasts", ""),
            plain("/disable_session_renewal", "Sessions are not renewed", "They end that long after they began."),
            plain("/queue_all", "Queue everybody", "Every new visitor waits."),
            field("/queueing_method", "Order", "", Look::Named(METHODS)),
            field("/queueing_status_code", "Status of the waiting page", "", Look::Named(STATUSES)),
            plain("/json_response_enabled", "The waiting page exists as JSON, too", ""),
            plain("/default_template_language", "Language of the waiting page", "Such as da-DK."),
            field("/custom_page_html", "Waiting page of one's own", "HTML.", Look::Long),
        ],
    ),
    (
        "Queue-it",
        &[
            plain("/velvetrope/event_id", "Id in the protocol", "The room's name if empty."),
            plain("/velvetrope/queue_domain", "Host of the waiting room", "CUSTOMER.queue-it.net if empty."),
            plain("/velvetrope/layout", "Layout", "Of the waiting page."),
            plain("/velvetrope/cookie_domain", "Domain of the cookie", "The host alone if empty."),
            plain("/cookie_attributes/secure", "Cookie is secure", ""),
        ],
    ),
];

const METHODS: &[(&str, &str)] =
    &[("fifo", "First come, first served"), ("random", "Random"), ("passthrough", "Passthrough"), ("reject", "Reject")];
const STATUSES: &[(&str, &str)] = &[("200", "200 OK"), ("202", "202 Accepted"), ("429", "429 Too Many Requests")];

/// What is said before a room is switched off.
const STOPS: &str =
    "a disabled room stands nowhere, and everybody is let in: tick the box above Save if it is meant so";

/// Whether it is asked if a room is to be switched off.
fn is_asked(failure: &Failure) -> bool {
    failure.errors.iter().any(|error| error.message == STOPS)
}

const fn field(pointer: &'static str, label: &'static str, help: &'static str, look: Look) -> Field {
    Field { pointer, label, help, look }
}

const fn plain(pointer: &'static str, label: &'static str, help: &'static str) -> Field {
    field(pointer, label, help, Look::Plain)
}

impl Desk<'_, '_> {
    pub(super) fn new_room(&self) -> Reply {
        let defaults = Room::FIELDS.iter().filter_map(|(key, rule)| Some(((*key).to_owned(), rule.default()?)));
        self.room_form(None, &Json::Object(defaults.collect()), None)
    }

    pub(super) fn room_page(&self, row: &RoomRow) -> Result<Reply, Failure> {
        match row.origin {
            Origin::Placed => Ok(self.room_form(Some(row), &row.json(), None)),
            _ => Ok(Reply::redirect(&self.link(&["rooms", &row.id, "rules"]))),
        }
    }

    pub(super) fn create_room(&self, form: &Form) -> Result<Reply, Failure> {
        let wanted = submitted(json!({}), form);
        match self.call(api::rooms::create, &[], &wanted, None) {
            Ok(_) => Ok(Reply::redirect(&self.link(&["rooms"])).kept()),
            Err(failure) => Ok(self.room_form(None, &wanted, Some(&failure))),
        }
    }

    pub(super) fn write_room(&self, row: &RoomRow, form: &Form) -> Result<Reply, Failure> {
        let wanted = submitted(row.json(), form);
        let is_stopped = wanted["suspended"] == true && row.room().is_some_and(|room| !room.suspended);
        let written = match is_stopped && !form.has("sure") {
            true => Err(Failure::invalid("/suspended", STOPS)),
            false => self.call(api::rooms::replace, &[("room_id", &row.id)], &wanted, Some(form.text("version"))),
        };
        match written {
            Ok(_) => Ok(self.to_rooms(row)?.kept()),
            Err(failure) => Ok(self.room_form(Some(row), &wanted, Some(&failure))),
        }
    }

    pub(super) fn delete_room(&self, row: &RoomRow, form: &Form) -> Result<Reply, Failure> {
        let deleted = match form.has("sure") {
            true => self.call(api::rooms::delete, &[("room_id", &row.id)], &json!({}), Some(form.text("version"))),
            false => Err(Failure::new(400, Code::Invalid, "tick the box to delete the room and its rules")),
        };
        match deleted {
            Ok(_) => Ok(self.to_rooms(row)?.kept()),
            Err(failure) => Ok(self.room_form(Some(row), &row.json(), Some(&failure))),
        }
    }

    /// The form with what it holds, which may be what somebody has sent and was refused.
    fn room_form(&self, row: Option<&RoomRow>, room: &Json, failure: Option<&Failure>) -> Reply {
        let title = row.map_or_else(|| "Create room".to_owned(), |row| format!("Room {}", row.name));
        let action = match row {
            Some(row) => self.link(&["rooms", &row.id]),
            None => self.link(&["new-room"]),
        };
        let now = row.filter(|_| failure.is_some_and(|failure| failure.status == 412)).map(RoomRow::json);
        let main = html! {
            h1 { (title) }
            @if let Some(failure) = failure { (layout::objections(failure)) }
            @if now.is_some() {
                p {
                    "What you entered is still here, and what is otherwise now stands beside it. Save again to put yours in "
                    "its place."
                }
            }
            form method="post" action=(action) {
                (self.hidden(row.map(|row| row.version)))
                fieldset.bare disabled[!self.may_change()] {
                    @for (heading, fields) in GROUPS {
                        fieldset.card {
                            legend { (heading) }
                            @for field in *fields { (field.markup(room, now.as_ref(), failure)) }
                        }
                    }
                    @if failure.is_some_and(is_asked) {
                        label.tick {
                            input type="checkbox" name="sure" value="yes";
                            " The room is to be disabled: nobody waits there."
                        }
                    }
                    @if self.may_change() {
                        div.actions {
                            button.primary { "Save" }
                            a.button href=(self.link(&["rooms"])) { "Cancel" }
                        }
                    }
                }
            }
            @if let (Some(row), true) = (row, self.may_change()) { (self.deletion(row)) }
        };
        self.page(failure.map_or(200, |failure| failure.status), &title, &main)
    }

    fn deletion(&self, row: &RoomRow) -> Markup {
        html! {
            form.card.danger method="post" action=(self.link(&["rooms", &row.id, "delete"])) {
                (self.hidden(Some(row.version)))
                h2 { "Delete the room" }
                label.tick {
                    input type="checkbox" name="sure" value="yes" required;
                    " The room " (row.name) " and its bypass rules are to go."
                }
                button.bad { "Delete room" }
            }
        }
    }
}

impl Field {
    /// The field with its value; and with what it is now, where somebody else has changed that.
    fn markup(&self, room: &Json, now: Option<&Json>, failure: Option<&Failure>) -> Markup {
        let id = self.pointer.trim_start_matches('/').replace('/', "-");
        let help = format!("{id}-help");
        let value = self.shown(room);
        let now = now.map(|now| self.shown(now)).filter(|now| *now != value);
        let errors = failure.map(|failure| failure.errors.as_slice()).unwrap_or_default();
        let is_here = |pointer: &str| pointer == self.pointer || pointer.starts_with(&format!("{}/", self.pointer));
        let wrong = errors.iter().find(|error| error.pointer.as_deref().is_some_and(is_here));
        let invalid = wrong.map(|_| "true");
        let is_required = REQUIRED_BY_API.contains(&self.pointer.trim_start_matches('/'));
        let shape = self.rule().shape;
        html! {
            div.field {
                @if matches!(shape, Shape::Flag) {
                    label.tick {
                        input type="checkbox" id=(id) name=(self.pointer) value="true" checked[value == "true"]
                            aria-describedby=(help);
                        " " (self.label)
                    }
                } @else {
                    label for=(id) { (self.label) }
                }
                @match (&self.look, shape) {
                    (_, Shape::Flag) => {},
                    (Look::Long | Look::Routes, _) => textarea id=(id) name=(self.pointer) rows="3" spellcheck="false"
                        aria-describedby=(help) aria-invalid=[invalid] { "\n" (value) },
                    (_, Shape::Words(_) | Shape::Numbers(_)) => select id=(id) name=(self.pointer) aria-describedby=(help) {
                        @for choice in self.choices() {
                            option value=(choice) selected[value == choice] { (self.name_of(&choice)) }
                        }
                    },
                    (_, Shape::Number { .. }) => input type="text" inputmode="numeric" id=(id) name=(self.pointer)
                        value=(value) required[is_required] aria-describedby=(help) aria-invalid=[invalid];,
                    (_, Shape::Text | Shape::Inner(_)) => input type="text" id=(id) name=(self.pointer) value=(value)
                        required[is_required] aria-describedby=(help) aria-invalid=[invalid];,
                }
                p.help id=(help) {
                    (self.help_text())
                    @if let Some(error) = wrong { strong.wrong { " " (error.message) } }
                    @if let Some(now) = now { strong.wrong { " Now it is: " (now) } }
                }
            }
        }
    }

    /// What may stand in the field.
    fn rule(&self) -> Rule {
        self.known_rule().unwrap_or(Rule::TEXT)
    }

    fn known_rule(&self) -> Option<Rule> {
        let of =
            |table: &[(&str, Rule)], key: &str| table.iter().find(|(known, _)| *known == key).map(|(_, rule)| *rule);
        let mut keys = self.pointer.split('/').skip(1);
        let outer = of(Room::FIELDS, keys.next()?)?;
        match (outer.shape, keys.next()) {
            (Shape::Inner(inner), Some(key)) => of(inner, key),
            _ => Some(outer),
        }
    }

    /// The help, with what the table knows.
    fn help_text(&self) -> String {
        let rule = self.rule();
        let default = rule.default().map(|default| format!("; {default} if empty")).unwrap_or_default();
        let range = match rule.shape {
            Shape::Number { least, most: u32::MAX } => format!("At least {least}{default}."),
            Shape::Number { least, most } => format!("From {least} to {most}{default}."),
            _ => String::new(),
        };
        let idle = if rule.is_idle { "Kept; nothing acts on it yet." } else { "" };
        let all = [self.help, &range, idle].into_iter().filter(|part| !part.is_empty());
        all.collect::<Vec<_>>().join(" ")
    }

    /// The values that may be chosen; the first is that nothing is said, where that makes a difference.
    fn choices(&self) -> Vec<String> {
        let rule = self.rule();
        let values = match rule.shape {
            Shape::Words(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            Shape::Numbers(numbers) => numbers.iter().map(u32::to_string).collect(),
            _ => Vec::new(),
        };
        let unsaid = rule.default().is_none().then(String::new);
        unsaid.into_iter().chain(values).collect()
    }

    /// What a value that may be chosen is called.
    fn name_of<'v>(&self, value: &'v str) -> &'v str {
        let names = if let Look::Named(names) = self.look { names } else { &[] };
        let named = names.iter().find(|(known, _)| *known == value).map(|(_, name)| *name);
        named.unwrap_or(if value.is_empty() { "Not said" } else { value })
    }

    /// The value as the form shows it.
    fn shown(&self, room: &Json) -> String {
        match (room.pointer(self.pointer), &self.look) {
            (Some(Json::Array(routes)), Look::Routes) => {
                let text = |route: &Json, key: &str| route[key].as_str().unwrap_or_default().to_owned();
                let lines: Vec<String> =
                    routes.iter().map(|route| text(route, "host") + &text(route, "path")).collect();
                lines.join("\n")
            }
            (Some(Json::String(text)), _) => text.clone(),
            (None | Some(Json::Null), _) => String::new(),
            (Some(other), _) => other.to_string(),
        }
    }

    /// What somebody has entered; null for nothing.
    fn entered(&self, text: &str) -> Json {
        let number = |text: &str| text.parse::<i64>().map_or_else(|_| json!(text), Json::from);
        match (&self.look, self.rule().shape) {
            (_, Shape::Flag) => json!(text == "true"),
            (Look::Routes, _) => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(route).collect(),
            _ if text.is_empty() => Json::Null,
            (_, Shape::Number { .. } | Shape::Numbers(_)) => number(text),
            // Browsers send line ends as CR LF.
            (Look::Long, _) => json!(text.replace("\r\n", "\n")),
            _ => json!(text),
        }
    }
}

/// A host and a path.
fn route(line: &str) -> Json {
    match line.find('/') {
        Some(at) => json!({ "host": &line[..at], "path": &line[at..] }),
        None => json!({ "host": line, "path": "/" }),
    }
}

/// The room as somebody wants it, with what the form does not show left as it is.
fn submitted(mut room: Json, form: &Form) -> Json {
    for field in GROUPS.iter().flat_map(|(_, fields)| fields.iter()) {
        let text = form.text(field.pointer);
        let text = if matches!(field.look, Look::Long) { text } else { text.trim() };
        put(&mut room, field.pointer, field.entered(text));
    }
    room
}

/// Puts a value, or takes one away, that stands at a pointer of one or two keys.
fn put(room: &mut Json, pointer: &str, value: Json) {
    let (key, below) = match pointer.trim_start_matches('/').split_once('/') {
        Some((key, below)) => (key, Some(below)),
        None => (pointer.trim_start_matches('/'), None),
    };
    let Some(object) = room.as_object_mut() else { return };
    match (below, value) {
        (None, Json::Null) => drop(object.remove(key)),
        (None, value) => drop(object.insert(key.to_owned(), value)),
        (Some(below), Json::Null) => {
            object.get_mut(key).and_then(Json::as_object_mut).map(|inner| inner.remove(below));
        }
        (Some(below), value) => {
            let inner = object.entry(key).or_insert_with(|| json!({}));
            put(inner, below, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_form_is_one_of_the_room() {
        for field in GROUPS.iter().flat_map(|(_, fields)| *fields) {
            assert!(field.known_rule().is_some(), "{}", field.pointer);
        }
    }
}
