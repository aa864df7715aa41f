//! Bypass rules of a room (docs/protocol/api.md#rules-of-a-waiting-room). Every operation yields the whole list.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use serde_json::json;

use super::super::body::{self, Body};
use super::super::failure::{Code, Failure};
use super::super::store::rooms::RoomRow;
use super::super::store::rules::{Position, Rule, Wanted};
use super::super::store::zones::Zone;
use super::{Call, Success};
use velvetrope::internal::check::Checker;
use velvetrope::internal::document::{Node, Value};
use velvetrope::internal::fields::Fields;
use velvetrope::internal::finding::File;
use velvetrope::internal::language::{self, Diagnostic};
use velvetrope::internal::policy::{Managed, Settings};
use velvetrope::internal::program::Lists;
use velvetrope::internal::rules::{Before, Submitted, submitted};

pub(crate) fn list(call: &Call) -> Result<Success, Failure> {
    let (_, room) = room(call)?;
    answer(call, &room)
}

pub(crate) fn create(call: &Call) -> Result<Success, Failure> {
    let (zone, room) = room_to_change(call)?;
    let ground = Ground::of(call, &zone)?;
    let (wanted, doubts) = body::read(call.body, "rules", |file, node| {
        let mut fields = Fields::new(file, node, format!("a rule of room {}", room.name))?;
        let wanted = ground.rule(&mut fields, &room.name, None);
        fields.finish();
        Some(wanted)
    })?;
    // Ids are the server's to give.
    call.store.create_rule(&room, Wanted { id: None, ..wanted })?;
    Ok(answer(call, &room)?.with_messages(doubts))
}

pub(crate) fn replace(call: &Call) -> Result<Success, Failure> {
    let (zone, room) = room_to_change(call)?;
    let ground = Ground::of(call, &zone)?;
    let present = call.store.rules(&room.id)?;
    let (wanted, doubts) = body::read(call.body, "rules", |file, node| ground.rules(file, node, &room.name, &present))?;
    call.store.replace_rules(&room, wanted)?;
    Ok(answer(call, &room)?.with_messages(doubts))
}

pub(crate) fn change(call: &Call) -> Result<Success, Failure> {
    let (zone, room) = room_to_change(call)?;
    let id = call.path("rule_id");
    let known = |id: &str| call.store.rule(&room.id, id).map(|rule| rule.is_some());
    let (_, before) = call.store.rule(&room.id, id)?.ok_or_else(|| Failure::not_found("rule", id))?;
    let ground = Ground::of(call, &zone)?;
    let ((wanted, position), doubts) = body::read(call.body, "rules", |file, node| {
        let mut fields = Fields::new(file, node, format!("a rule of room {}", room.name))?;
        let position = position(&fields);
        let wanted = ground.rule(&mut fields, &room.name, Some(before.before(false)));
        fields.finish();
        Some((wanted, position))
    })?;
    if let Some(Position::Before(Some(other)) | Position::After(Some(other))) = &position {
        let key = if matches!(position, Some(Position::Before(_))) { "before" } else { "after" };
        let pointer = format!("/position/{key}");
        if other == id {
            return Err(Failure::invalid(&pointer, "a rule cannot stand before or after itself"));
        }
        if !known(other)? {
            return Err(Failure::invalid(&pointer, format!("there is no rule `{other}` in this room")));
        }
    }
    call.store.change_rule(&room, id, wanted, position.as_ref())?;
    Ok(answer(call, &room)?.with_messages(doubts))
}

pub(crate) fn delete(call: &Call) -> Result<Success, Failure> {
    let (_, room) = room_to_change(call)?;
    let id = call.path("rule_id");
    call.store.delete_rule(&room, id)?.ok_or_else(|| Failure::not_found("rule", id))?;
    answer(call, &room)
}

/// The rules as they were at an earlier version.
pub(crate) fn version(call: &Call) -> Result<Success, Failure> {
    let (_, room) = room(call)?;
    let version = earlier(call, &room)?;
    Ok(Success::new(&call.store.rules_at(&room.id, version)?))
}

/// Puts an earlier version in place of the present one, if its expressions still do.
pub(crate) fn restore(call: &Call) -> Result<Success, Failure> {
    let (zone, room) = room_to_change(call)?;
    let version = earlier(call, &room)?;
    let rules = call.store.rules_at(&room.id, version)?;
    let kept = json!(rules);
    let ground = Ground::of(call, &zone)?;
    let present = call.store.rules(&room.id)?;
    let (wanted, doubts) =
        body::read(Body::Said(&kept), "", |file, node| ground.rules(file, node, &room.name, &present))?;
    call.store.replace_rules(&room, wanted)?;
    Ok(answer(call, &room)?.with_messages(doubts))
}

fn earlier(call: &Call, room: &RoomRow) -> Result<i64, Failure> {
    let version = call.path("version").parse().ok().filter(|version| (0..=room.rules_version).contains(version));
    version.ok_or_else(|| {
        let message = format!("versions of this room's rules go from 0 to {}", room.rules_version);
        Failure::new(404, Code::NotFound, message)
    })
}

/// The rules as they are now, and their version.
fn answer(call: &Call, room: &RoomRow) -> Result<Success, Failure> {
    let rules: Vec<Rule> = call.store.rules(&room.id)?;
    let version = call.store.room(&room.zone, &room.id)?.map_or(room.rules_version, |room| room.rules_version);
    Ok(Success::new(&rules).at_version(version))
}

fn room(call: &Call) -> Result<(Zone, RoomRow), Failure> {
    let zone = call.zone()?;
    let id = call.path("room_id");
    let room = call.store.room(&zone.id, id)?.ok_or_else(|| Failure::not_found("waiting room", id))?;
    Ok((zone, room))
}

/// The room, whose rules the caller may change, and knows.
fn room_to_change(call: &Call) -> Result<(Zone, RoomRow), Failure> {
    let (zone, room) = room(call)?;
    zone.refuse_if_managed_by_files()?;
    call.expect(room.rules_version)?;
    Ok((zone, room))
}

/// What rules of a zone are checked against.
pub(crate) struct Ground<'z> {
    pub settings: &'z Settings,
    /// Without their members, which no check looks at.
    pub lists: Lists,
}

impl<'z> Ground<'z> {
    pub(super) fn of(call: &Call, zone: &'z Zone) -> Result<Ground<'z>, Failure> {
        Ok(Ground { settings: zone.settings(), lists: call.store.list_kinds(&zone.id)? })
    }

    fn rule(&self, fields: &mut Fields, room: &str, before: Option<Before>) -> Wanted {
        let checker = Checker { settings: self.settings, lists: &self.lists };
        let (submitted, _) = submitted(fields, room, before, &checker);
        let Submitted { id, description, enabled, expression, opens_for_everybody } = submitted;
        body::limit(fields, "description", description.as_deref(), body::MAX_TEXT);
        Wanted { id, description, enabled, expression, opens_for_everybody }
    }

    /// Rules in place of those that are `present`.
    pub(super) fn rules(&self, file: File, node: &Node, room: &str, present: &[Rule]) -> Option<Vec<Wanted>> {
        let present: HashMap<&str, &Rule> = present.iter().map(|rule| (rule.id.as_str(), rule)).collect();
        let Some(elements) = node.as_array() else {
            let problem = Diagnostic::error(
                language::Code::WrongType,
                format!("expected an array of rules, found {}", node.kind()),
            );
            file.add(node.at..node.at + 1, problem);
            return None;
        };
        let mut ids = HashSet::new();
        let mut wanted = Vec::with_capacity(elements.len());
        for (element, number) in elements.iter().zip(1..) {
            let Some(mut fields) = Fields::new(file, element, format!("rule {number} of room {room}")) else {
                continue;
            };
            let id = element.get("id").and_then(Node::as_text);
            let before = id.and_then(|id| present.get(id)).map(|rule| rule.before(true));
            let rule = self.rule(&mut fields, room, before);
            if let (Some(id), Some(node)) = (&rule.id, fields.get("id"))
                && !ids.insert(id.clone())
            {
                fields.problem(
                    node,
                    Diagnostic::error(language::Code::Duplicate, format!("two rules have the id `{id}`")),
                );
            }
            fields.finish();
            wanted.push(rule);
        }
        Some(wanted)
    }
}

impl Rule {
    /// What it is before a change, which may be a replacement.
    fn before(&self, is_replaced: bool) -> Before<'_> {
        let opens_for_everybody = self.velvetrope.opens_for_everybody;
        Before { expression: &self.expression, enabled: self.enabled, opens_for_everybody, is_replaced }
    }
}

/// The wanted position; exactly one of `index`, `before` and `after`.
fn position(fields: &Fields) -> Option<Position> {
    /// A place beyond the end means last; the API counts from 1, and its own clients' tests send 0.
    const PLACES: RangeInclusive<u32> = 0..=u32::MAX;
    let position = fields.table("position")?;
    let other = |text: String| Some(text).filter(|id| !id.is_empty());
    let given = [
        position.number("index", PLACES).map(Position::Index),
        position.text("before").map(|id| Position::Before(other(id))),
        position.text("after").map(|id| Position::After(other(id))),
    ];
    let said = ["index", "before", "after"]
        .into_iter()
        .filter(|key| position.node.get(key).is_some_and(|node| node.value != Value::Null));
    if said.count() != 1 {
        let message = "`position` takes exactly one of `index`, `before` and `after`";
        position.problem(position.node, Diagnostic::error(language::Code::BadValue, message));
    }
    position.finish();
    given.into_iter().flatten().next()
}

impl Zone {
    /// Refuses to change what its files say.
    pub(crate) fn refuse_if_managed_by_files(&self) -> Result<(), Failure> {
        if self.settings().managed == Managed::Store {
            return Ok(());
        }
        let message = format!(
            "the policy {:?} is managed by its files (`managed = \"files\"` in velvetrope.toml): change them there, or set `managed` to \"store\"",
            self.id
        );
        Err(Failure::new(409, Code::ManagedByFiles, message))
    }
}
