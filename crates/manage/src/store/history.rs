//! What was there before. A room's rules at an earlier version are what they are now with every later change undone, the
//! last one first; a room that is gone is in the entry about its deletion.

use serde_json::Value as Json;

use super::audit::{self, CHANGES, COLUMNS as ENTRY_COLUMNS, Entry};
use super::rooms::{self, COLUMNS as ROOM_COLUMNS};
use super::rules::{Rule, action};
use super::{DatabaseError, Store};
use velvetrope::internal::policy::Room;

impl Store<'_> {
    /// Adds a room that an entry tells the deletion of, with its rules.
    pub fn restore_room(&self, deletion: &Entry, room: &Room, rules: &[Rule]) -> Result<(), DatabaseError> {
        let zone = deletion.zone.as_deref().unwrap_or_default();
        // What the integration JSON names, and has no rules, gives way.
        let sql = "DELETE FROM rooms WHERE zone = ?1 AND name = ?2 AND origin = 'published'";
        self.query(sql, &[zone.into(), (&room.name).into()])?;
        let sql = format!(
            "INSERT INTO rooms (id, zone, name, origin, body, version, rules_version, created_on, modified_on)
             VALUES (?1, ?2, ?3, 'placed', ?4, {CHANGES},
                 (SELECT coalesce(max(rules_version), 0) FROM audit WHERE room = ?1), ?5, ?6) RETURNING {ROOM_COLUMNS}"
        );
        let created = deletion.before["created_on"].as_str().unwrap_or_default();
        let parameters = [
            (&deletion.subject).into(),
            zone.into(),
            (&room.name).into(),
            rooms::body(room).into(),
            created.into(),
            self.now().into(),
        ];
        let row = self.first(&sql, &parameters)?;
        let row = row.as_ref().map(rooms::room).ok_or_else(|| DatabaseError("no room was added".into()))??;
        for (rule, position) in rules.iter().zip(1..) {
            self.insert_rule(&row.id, rule, position)?;
        }
        self.raise_revision(zone)?;
        self.note("room.restore", rooms::about(&row), None, Some(row.json().to_string())).map(drop)
    }

    /// The changes of a room's rules after a version, newest first.
    fn changes_since(&self, room: &str, version: i64) -> Result<Vec<Entry>, DatabaseError> {
        let sql = format!(
            "SELECT {ENTRY_COLUMNS} FROM audit WHERE room = ?1 AND rules_version > ?2 ORDER BY rules_version DESC"
        );
        self.query(&sql, &[room.into(), version.into()])?.iter().map(audit::entry).collect()
    }

    /// A room's rules as they were at a version.
    pub fn rules_at(&self, room: &str, version: i64) -> Result<Vec<Rule>, DatabaseError> {
        let mut rules = self.rules(room)?;
        for entry in self.changes_since(room, version)? {
            self.undo(&mut rules, &entry)?;
        }
        Ok(rules)
    }

    fn undo(&self, rules: &mut Vec<Rule>, entry: &Entry) -> Result<(), DatabaseError> {
        if entry.action == action::REPLACE {
            *rules = self.kept_rules(entry.number)?;
            return Ok(());
        }
        rules.retain(|rule| rule.id != entry.subject);
        if !entry.before.is_null() {
            let index = entry.before.get("index").and_then(Json::as_u64).unwrap_or_default();
            let index = usize::try_from(index).unwrap_or(usize::MAX).min(rules.len());
            rules.insert(index, Rule::of_json(&entry.before["rule"].to_string())?);
        }
        Ok(())
    }
}
