//! Rooms of a zone: those that are placed here, those that the integration JSON names, and `*`, which is every room.

use serde_json::{Map, Value as Json, json};

use super::audit::About;
use super::{DatabaseError, Row, Store};
use velvetrope::internal::policy::Room;

/// The name under which rules for every room are kept.
pub const EVERY_ROOM: &str = "*";

/// A room as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRow {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The zone it belongs to.
    pub zone: String,
    /// Unique in its zone; by this name the policy knows it.
    pub name: String,
    /// Why there is such a room.
    pub origin: Origin,
    /// The room, as the API has it, in JSON.
    pub body: String,
    /// Counts the changes of the room itself, from 1.
    pub version: i64,
    /// Counts the changes of its rules.
    pub rules_version: i64,
    /// When it was created, in RFC 3339.
    pub created_on: String,
    /// When it was changed last, in RFC 3339.
    pub modified_on: String,
}

/// Why there is a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody placed it, by host and path or by an expression.
    Placed,
    /// The integration JSON names it. Only its rules are managed here.
    Published,
    /// It stands for every room. Only its rules are managed here.
    Every,
}

/// How many rules a room has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCount {
    /// Those in force.
    pub active: i64,
    /// Those that are not.
    pub drafts: i64,
}

/// Where the entry about a deletion says how many rules were kept.
pub const KEPT_RULES: &str = "bypass_rules";

pub(super) const COLUMNS: &str = "id, zone, name, origin, body, version, rules_version, created_on, modified_on";

impl Store<'_> {
    /// The rooms of a zone by name, [`EVERY_ROOM`] first.
    pub fn rooms(&self, zone: &str) -> Result<Vec<RoomRow>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM rooms WHERE zone = ?1 ORDER BY origin = 'every' DESC, name");
        self.query(&sql, &[zone.into()])?.iter().map(room).collect()
    }

    /// A room by its id; [`EVERY_ROOM`] also by its name.
    pub fn room(&self, zone: &str, id: &str) -> Result<Option<RoomRow>, DatabaseError> {
        let sql =
            format!("SELECT {COLUMNS} FROM rooms WHERE zone = ?1 AND (id = ?2 OR (name = ?2 AND origin = 'every'))");
        self.first(&sql, &[zone.into(), id.into()])?.as_ref().map(room).transpose()
    }

    /// A room by its name, in any case.
    pub fn room_named(&self, zone: &str, name: &str) -> Result<Option<RoomRow>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM rooms WHERE zone = ?1 AND name = ?2");
        self.first(&sql, &[zone.into(), name.into()])?.as_ref().map(room).transpose()
    }

    /// The room that rules are for, by the name under which a policy's files have them: that of a room, or its id in
    /// the protocol. Where there is none it will come with a later integration, and its rules are kept for it.
    pub fn room_for_rules(&self, zone: &str, name: &str) -> Result<RoomRow, DatabaseError> {
        if let Some(row) = self.room_named(zone, name)? {
            return Ok(row);
        }
        match self.rooms(zone)?.into_iter().find(|row| row.event_id().eq_ignore_ascii_case(name)) {
            Some(row) => Ok(row),
            None => self.add_room(zone, name, Origin::Published, "{}"),
        }
    }

    /// How many rules the rooms of a zone have, by room id; rooms without rules are not in it.
    pub fn rule_counts(&self, zone: &str) -> Result<Vec<(String, RuleCount)>, DatabaseError> {
        let sql = "SELECT room, sum(enabled), count(*) - sum(enabled) FROM rules JOIN rooms ON rooms.id = room
                   WHERE zone = ?1 GROUP BY room";
        let rows = self.query(sql, &[zone.into()])?;
        let count = |row: &Row| {
            let count = RuleCount { active: row.integer(1)?, drafts: row.integer(2)? };
            Ok((row.text(0)?.to_owned(), count))
        };
        rows.iter().map(count).collect()
    }

    /// Adds a room. Rules that were kept under its name, because the integration JSON named such a room, become its
    /// rules.
    pub fn create_room(&self, zone: &str, room: &Room) -> Result<RoomRow, DatabaseError> {
        if let Some(published) = self.room_named(zone, &room.name)? {
            return self.write_room(&published, room, "room.create");
        }
        let row = self.add_room(zone, &room.name, Origin::Placed, &body(room))?;
        self.raise_revision(zone)?;
        self.note("room.create", about(&row), None, Some(row.json().to_string()))?;
        Ok(row)
    }

    /// Makes a room what it is to be.
    pub fn change_room(&self, row: &RoomRow, room: &Room) -> Result<RoomRow, DatabaseError> {
        self.write_room(row, room, "room.change")
    }

    /// Deletes a room and its rules, which are kept beside the entry in the audit trail.
    pub fn delete_room(&self, row: &RoomRow) -> Result<(), DatabaseError> {
        let mut before = row.json();
        before[KEPT_RULES] = self.rules(&row.id)?.len().into();
        let entry = self.note("room.delete", about(row), Some(before.to_string()), None)?;
        self.keep_rules(entry, &row.id)?;
        self.query("DELETE FROM rules WHERE room = ?1", &[(&row.id).into()])?;
        self.query("DELETE FROM rooms WHERE id = ?1", &[(&row.id).into()])?;
        self.raise_revision(&row.zone)
    }

    fn write_room(&self, row: &RoomRow, room: &Room, action: &str) -> Result<RoomRow, DatabaseError> {
        let sql = format!(
            "UPDATE rooms SET name = ?2, body = ?3, origin = 'placed', version = version + 1, modified_on = ?4
             WHERE id = ?1 RETURNING {COLUMNS}"
        );
        let parameters = [(&row.id).into(), (&room.name).into(), body(room).into(), self.now().into()];
        let after = self.first(&sql, &parameters)?;
        let after = after.as_ref().map(self::room).ok_or_else(|| DatabaseError("the room is gone".into()))??;
        self.raise_revision(&row.zone)?;
        self.note(action, about(&after), Some(row.json().to_string()), Some(after.json().to_string()))?;
        Ok(after)
    }

    fn add_room(&self, zone: &str, name: &str, origin: Origin, body: &str) -> Result<RoomRow, DatabaseError> {
        let sql = format!(
            "INSERT INTO rooms (id, zone, name, origin, body, created_on, modified_on)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) RETURNING {COLUMNS}"
        );
        let parameters =
            [self.new_id().into(), zone.into(), name.into(), origin.name().into(), body.into(), self.now().into()];
        let row = self.first(&sql, &parameters)?;
        row.as_ref().map(room).ok_or_else(|| DatabaseError("no room was added".into()))?
    }

    /// Adds the rooms that the integration names and that are not there, and `*`; removes those that it names no more,
    /// unless they have rules.
    pub(super) fn sync_published_rooms(&self, zone: &str, names: &[String]) -> Result<(), DatabaseError> {
        let rooms = self.rooms(zone)?;
        let is_there = |name: &str| rooms.iter().any(|room| room.name.eq_ignore_ascii_case(name));
        if !is_there(EVERY_ROOM) {
            self.add_room(zone, EVERY_ROOM, Origin::Every, "{}")?;
        }
        let mut added: Vec<&str> = Vec::new();
        for name in names {
            if !is_there(name) && !added.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                self.add_room(zone, name, Origin::Published, "{}")?;
                added.push(name);
            }
        }
        for room in rooms.iter().filter(|room| room.origin == Origin::Published) {
            if !names.iter().any(|name| name.eq_ignore_ascii_case(&room.name)) {
                let sql = "DELETE FROM rooms WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM rules WHERE room = ?1)";
                self.query(sql, &[(&room.id).into()])?;
            }
        }
        Ok(())
    }
}

impl RoomRow {
    /// The room as the API answers it.
    pub fn json(&self) -> Json {
        let mut json: Map<String, Json> = serde_json::from_str(&self.body).unwrap_or_default();
        json.insert("id".into(), json!(self.id));
        json.insert("name".into(), json!(self.name));
        json.insert("created_on".into(), json!(self.created_on));
        json.insert("modified_on".into(), json!(self.modified_on));
        if self.origin != Origin::Placed {
            json.insert("velvetrope".into(), json!({ "origin": self.origin.name() }));
        }
        Json::Object(json)
    }

    /// The room as the policy has it, if it is placed here.
    pub fn room(&self) -> Option<Room> {
        (self.origin == Origin::Placed).then(|| serde_json::from_value(self.json()).ok())?
    }

    /// Its id in the protocol.
    pub fn event_id(&self) -> String {
        self.room().map_or_else(|| self.name.clone(), |room| room.event_id().to_owned())
    }
}

impl Origin {
    /// As the store and the API write it.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Placed => "placed",
            Origin::Published => "published",
            Origin::Every => "every",
        }
    }
}

/// A room as the store keeps it.
pub(crate) fn body(room: &Room) -> String {
    let mut json = serde_json::to_value(room).unwrap_or_default();
    // Columns of their own.
    if let Some(json) = json.as_object_mut() {
        ["id", "name", "created_on", "modified_on"].iter().for_each(|key| _ = json.remove(*key));
    }
    json.to_string()
}

pub(super) fn about(row: &RoomRow) -> About<'_> {
    About { zone: Some(&row.zone), room: Some(&row.id), rules_version: None, subject: &row.id }
}

pub(super) fn room(row: &Row) -> Result<RoomRow, DatabaseError> {
    Ok(RoomRow {
        id: row.text(0)?.to_owned(),
        zone: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        origin: match row.text(3)? {
            "placed" => Origin::Placed,
            "published" => Origin::Published,
            _ => Origin::Every,
        },
        body: row.text(4)?.to_owned(),
        version: row.integer(5)?,
        rules_version: row.integer(6)?,
        created_on: row.text(7)?.to_owned(),
        modified_on: row.text(8)?.to_owned(),
    })
}
