//! The audit trail: who changed what, when, from what to what.

use serde::Serialize;
use serde_json::Value as Json;

use super::{DatabaseError, Row, Store};

/// A change that somebody made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Ascends with time.
    pub number: i64,
    /// When, in RFC 3339.
    pub at: String,
    /// Who: the name of a token, or of the command that did it.
    pub actor: String,
    /// What was done, such as `rule.create`.
    pub action: String,
    /// The zone that it concerns, if it is about one.
    pub zone: Option<String>,
    /// The room that it concerns, if it is about one.
    pub room: Option<String>,
    /// The version of the room's rules after the change, if it is about rules.
    pub rules_version: Option<i64>,
    /// The id of what was changed.
    pub subject: String,
    /// What it was; null if there was none.
    pub before: Json,
    /// What it became; null if it is gone.
    pub after: Json,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub zone: Option<&'a str>,
    pub room: Option<&'a str>,
    pub rules_version: Option<i64>,
    pub subject: &'a str,
}

/// How often something has been changed, for versions that go on where it is restored.
pub(super) const CHANGES: &str = "(SELECT count(*) + 1 FROM audit WHERE subject = ?1)";

pub(super) const COLUMNS: &str = "number, at, actor, action, zone, room, rules_version, subject, before, after";

impl Store<'_> {
    /// Notes a change; the entry's number.
    pub(super) fn note(
        &self,
        action: &str,
        about: About<'_>,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<i64, DatabaseError> {
        let About { zone, room, rules_version, subject } = about;
        let row = self.first(
            "INSERT INTO audit (at, actor, action, zone, room, rules_version, subject, before, after)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING number",
            &[
                self.now().into(),
                (&self.actor).into(),
                action.into(),
                zone.into(),
                room.into(),
                rules_version.into(),
                subject.into(),
                before.into(),
                after.into(),
            ],
        )?;
        row.ok_or_else(|| DatabaseError("no audit entry".into()))?.integer(0)
    }

    /// The latest entries of a zone, newest first, from before the entry `before` on; with those that concern no zone,
    /// but tokens. Only those of one room, if one is given.
    pub fn trail(
        &self,
        zone: &str,
        room: Option<&str>,
        before: Option<i64>,
        count: i64,
    ) -> Result<Vec<Entry>, DatabaseError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM audit
             WHERE (zone = ?1 OR zone IS NULL) AND (?2 IS NULL OR room = ?2) AND number < ?3
             ORDER BY number DESC LIMIT ?4"
        );
        let before = before.unwrap_or(i64::from(u32::MAX));
        self.query(&sql, &[zone.into(), room.into(), before.into(), count.into()])?.iter().map(entry).collect()
    }

    /// One entry of a zone.
    pub fn entry(&self, zone: &str, number: i64) -> Result<Option<Entry>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE zone = ?1 AND number = ?2");
        self.first(&sql, &[zone.into(), number.into()])?.as_ref().map(entry).transpose()
    }

    /// The newest entry about something.
    pub fn last_entry(&self, zone: &str, subject: &str) -> Result<Option<Entry>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE zone = ?1 AND subject = ?2 ORDER BY number DESC LIMIT 1");
        self.first(&sql, &[zone.into(), subject.into()])?.as_ref().map(entry).transpose()
    }
}

pub(super) fn entry(row: &Row) -> Result<Entry, DatabaseError> {
    let json = |column| {
        let text = row.maybe_text(column)?.unwrap_or("null");
        serde_json::from_str(text).map_err(|error| DatabaseError(format!("an audit entry is no JSON: {error}")))
    };
    Ok(Entry {
        number: row.integer(0)?,
        at: row.text(1)?.to_owned(),
        actor: row.text(2)?.to_owned(),
        action: row.text(3)?.to_owned(),
        zone: row.maybe_text(4)?.map(str::to_owned),
        room: row.maybe_text(5)?.map(str::to_owned),
        rules_version: row.integer(6).ok(),
        subject: row.text(7)?.to_owned(),
        before: json(8)?,
        after: json(9)?,
    })
}
