//! Waiting rooms (docs/protocol/api.md#waiting-rooms).

use serde_json::{Map, Value as Json, json};

use super::super::body::{self, Body};
use super::super::failure::{Code, Failure};
use super::super::store::rooms::{Origin, RoomRow};
use super::super::store::zones::Zone;
use super::{Call, Success};
use velvetrope::internal::check::Checker;
use velvetrope::internal::document::Node;
use velvetrope::internal::finding::File;
use velvetrope::internal::language::{self, Diagnostic};
use velvetrope::internal::policy::Room;
use velvetrope::internal::rooms;
use velvetrope::internal::rooms::{MIN_VISITORS, REQUIRED_BY_API};

/// The key under which some clients send a room.
const WRAPPER: &str = "waiting_room";
/// The key of what the public API does not know.
const OURS: &str = "velvetrope";

pub(crate) fn list(call: &Call) -> Result<Success, Failure> {
    let zone = call.zone()?;
    Ok(page(call, call.store.rooms(&zone.id)?))
}

pub(crate) fn get(call: &Call) -> Result<Success, Failure> {
    let room = room(call, &call.zone()?)?;
    Ok(Success::new(&room.json()).at_version(room.version))
}

pub(crate) fn create(call: &Call) -> Result<Success, Failure> {
    let zone = call.zone_to_change()?;
    let (wanted, doubts) = submitted(call, &zone, None, call.body)?;
    let room = call.store.create_room(&zone.id, &wanted)?;
    Ok(Success::new(&room.json()).at_version(room.version).with_messages(doubts))
}

pub(crate) fn replace(call: &Call) -> Result<Success, Failure> {
    let zone = call.zone_to_change()?;
    let room = room_to_change(call, &zone)?;
    let whole = with_ours(&room, call.body);
    write(call, &zone, &room, whole.as_ref().map_or(call.body, Body::Said))
}

pub(crate) fn change(call: &Call) -> Result<Success, Failure> {
    let zone = call.zone_to_change()?;
    let room = room_to_change(call, &zone)?;
    let merged = merged(&room, call.body)?;
    write(call, &zone, &room, Body::Said(&merged))
}

pub(crate) fn delete(call: &Call) -> Result<Success, Failure> {
    let zone = call.zone_to_change()?;
    let room = room_to_change(call, &zone)?;
    call.store.delete_room(&room)?;
    Ok(Success::new(&json!({ "id": room.id })))
}

/// What a room is doing is known where it runs (docs/protocol/api.md#events-and-status).
pub(crate) fn status(call: &Call) -> Result<Success, Failure> {
    let zone = call.zone()?;
    let row = room(call, &zone)?;
    let Some(occupancy) = call.live.occupancy(&zone.id, &row.event_id()) else {
        let message = format!("the room {:?} does not run here, but at Queue-it, who knows its status", row.name);
        return Err(Failure::new(404, Code::NotFound, message));
    };
    let status = match occupancy.waiting {
        _ if row.room().is_some_and(|room| room.suspended) => "suspended",
        0 => "not_queueing",
        _ => "queueing",
    };
    Ok(Success::new(&json!({
        "status": status,
        "event_id": "",
        "estimated_queued_users": occupancy.waiting,
        "estimated_total_active_users": occupancy.active,
        "max_estimated_time_minutes": occupancy.longest_wait.map(|seconds| seconds.div_ceil(60)),
    })))
}

fn write(call: &Call, zone: &Zone, room: &RoomRow, body: Body) -> Result<Success, Failure> {
    let (wanted, mut doubts) = submitted(call, zone, Some(room), body)?;
    let (old, new) = (room.event_id(), wanted.event_id());
    if old != new {
        doubts.push(format!(
            "the room's id in the protocol becomes {new:?}, and was {old:?}: visitors now wait in another queue, and \
             sessions of the earlier one do not count"
        ));
    }
    let room = call.store.change_room(room, &wanted)?;
    Ok(Success::new(&room.json()).at_version(room.version).with_messages(doubts))
}

/// A page of rooms; what stands for every room is none.
fn page(call: &Call, rooms: Vec<RoomRow>) -> Success {
    let is_wanted = |room: &&RoomRow| room.origin != Origin::Every && call.query.is_wanted("name", &room.name);
    Success::page(call, rooms.iter().filter(is_wanted).map(RoomRow::json).collect())
}

fn room(call: &Call, zone: &Zone) -> Result<RoomRow, Failure> {
    let id = call.path("room_id");
    call.store.room(&zone.id, id)?.ok_or_else(|| Failure::not_found("waiting room", id))
}

fn room_to_change(call: &Call, zone: &Zone) -> Result<RoomRow, Failure> {
    let room = room(call, zone)?;
    call.expect(room.version)?;
    match room.origin {
        Origin::Placed => Ok(room),
        Origin::Published => {
            let message =
                format!("the room {:?} comes from Queue-it's integration: only its rules are managed here", room.name);
            Err(Failure::new(409, Code::Invalid, message))
        }
        Origin::Every => Err(Failure::new(409, Code::Invalid, "`*` is every room: only its rules are managed here")),
    }
}

/// A replacement with what is ours as it was: clients of the public API do not know it. Nothing where the body says it,
/// or cannot be read.
fn with_ours(room: &RoomRow, body: Body) -> Option<Json> {
    let mut said: Json = body.json().ok()?;
    let wanted = if said.get(WRAPPER).is_some() { &mut said[WRAPPER] } else { &mut said };
    let ours = room.json().get_mut(OURS)?.take();
    let wanted = wanted.as_object_mut().filter(|wanted| !wanted.contains_key(OURS))?;
    wanted.insert(OURS.to_owned(), ours);
    Some(said)
}

/// The room as a body says it; what the API requires, and a policy's files do not, is there.
pub(super) fn submitted(
    call: &Call,
    zone: &Zone,
    itself: Option<&RoomRow>,
    body: Body,
) -> Result<(Room, Vec<String>), Failure> {
    let rows = call.store.rooms(&zone.id)?;
    let others: Vec<Room> =
        rows.iter().filter(|row| itself.is_none_or(|room| room.id != row.id)).filter_map(RoomRow::room).collect();
    let lists = call.store.list_kinds(&zone.id)?;
    let checker = Checker { settings: zone.settings(), lists: &lists };
    body::read(body, WRAPPER, |file, node| {
        // The name is required of every room.
        for key in REQUIRED_BY_API.into_iter().filter(|key| *key != "name") {
            require(file, node, key);
        }
        rooms::submitted(file, node, &others, &checker)
    })
}

fn require(file: File, node: &Node, key: &str) {
    if node.get(key).is_none() {
        let problem = Diagnostic::error(language::Code::MissingKey, format!("`{key}` is missing"));
        let help = format!("give a number of visitors, at least {MIN_VISITORS}");
        file.add(node.at..node.at + 1, problem.help(help));
    }
}

/// The room with what a body says in place of what it said before.
fn merged(room: &RoomRow, body: Body) -> Result<Json, Failure> {
    let mut changes: Map<String, Json> = body
        .json()
        .map_err(|error| Failure::new(400, Code::Malformed, format!("the body is no JSON object: {error}")))?;
    if let Some(Json::Object(wrapped)) = changes.get_mut(WRAPPER) {
        changes = std::mem::take(wrapped);
    }
    let mut all = room.json();
    // One of ours that is changed leaves the others as they are: without its `event_id` it would be another room.
    if let (Some(Json::Object(ours)), Some(Json::Object(old))) = (changes.get_mut(OURS), all.get(OURS)) {
        let kept = old.iter().filter(|(key, _)| !ours.contains_key(*key));
        let kept: Vec<_> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        ours.extend(kept);
    }
    if let Json::Object(all) = &mut all {
        all.extend(changes);
    }
    Ok(all)
}
