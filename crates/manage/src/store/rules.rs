//! Bypass rules of a room, in their order.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::audit::About;
use super::rooms::RoomRow;
use super::{DatabaseError, Row, Store};
use crate::database::Value;

/// A bypass rule as the API has it (docs/protocol/api.md#rules-of-a-waiting-room).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique within its room.
    pub id: String,
    /// Counts the changes, from 1.
    #[serde(with = "as_text")]
    pub version: i64,
    /// What it does; there is one thing only.
    pub action: Action,
    /// When it does it.
    pub expression: String,
    /// What people call it.
    pub description: String,
    /// False for a draft.
    pub enabled: bool,
    /// When it was changed last, in RFC 3339.
    pub last_updated: String,
    /// What the API does not know.
    #[serde(default, skip_serializing_if = "Additions::is_default")]
    pub velvetrope: Additions,
}

/// What a rule can say beyond the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Additions {
    /// Whether somebody has acknowledged that its expression lets everybody pass.
    pub opens_for_everybody: bool,
}

impl Additions {
    fn is_default(&self) -> bool {
        *self == Additions::default()
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The request passes the waiting room by.
    #[default]
    BypassWaitingRoom,
}

/// What somebody wants a rule to be; what is `None` stays as it is, or takes its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// For a replacement: which of the rules it is.
    pub id: Option<String>,
    /// When it applies.
    pub expression: Option<String>,
    /// What people call it.
    pub description: Option<String>,
    /// False for a draft.
    pub enabled: Option<bool>,
    /// Whether its expression is acknowledged to let everybody pass; that lapses with the expression.
    pub opens_for_everybody: Option<bool>,
}

/// Where a rule is to stand among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// At this place, counted from 1; beyond the end means last.
    Index(u32),
    /// Before the rule with this id, or first.
    Before(Option<String>),
    /// After the rule with this id, or last.
    After(Option<String>),
}

/// Names of actions on rules.
pub(super) mod action {
    pub const CREATE: &str = "rule.create";
    pub const CHANGE: &str = "rule.change";
    pub const DELETE: &str = "rule.delete";
    pub const REPLACE: &str = "rules.replace";
}

const COLUMNS: &str = "id, version, expression, description, enabled, last_updated, opens_for_everybody";

impl Store<'_> {
    /// The rules of a room, in order.
    pub fn rules(&self, room: &str) -> Result<Vec<Rule>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM rules WHERE room = ?1 ORDER BY position");
        self.query(&sql, &[room.into()])?.iter().map(Rule::of_row).collect()
    }

    /// One rule, and its index among the others.
    pub fn rule(&self, room: &str, id: &str) -> Result<Option<(usize, Rule)>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS}, position FROM rules WHERE room = ?1 AND id = ?2");
        let Some(row) = self.first(&sql, &[room.into(), id.into()])? else { return Ok(None) };
        let before = "SELECT count(*) FROM rules WHERE room = ?1 AND position < ?2";
        let index = self.first(before, &[room.into(), row.integer(7)?.into()])?;
        let index = index.map_or(Ok(0), |row| row.integer(0))?;
        Ok(Some((usize::try_from(index).unwrap_or_default(), Rule::of_row(&row)?)))
    }

    /// Adds a rule behind the others.
    pub fn create_rule(&self, room: &RoomRow, wanted: Wanted) -> Result<Rule, DatabaseError> {
        let count = self.first("SELECT count(*), max(position) FROM rules WHERE room = ?1", &[(&room.id).into()])?;
        let (count, last) = match &count {
            Some(row) => (row.integer(0)?, row.integer(1).unwrap_or_default()),
            None => (0, 0),
        };
        let rule = self.new_rule(wanted);
        self.insert_rule(&room.id, &rule, last + 1)?;
        let rules_version = self.raise_rules_version(room)?;
        let about = about(room, rules_version, &rule.id);
        self.note(action::CREATE, about, None, placed(&rule, usize::try_from(count).unwrap_or_default()))?;
        Ok(rule)
    }

    /// Changes a rule, and its place if one is given; `None` if there is no such rule. A position names rules that
    /// exist.
    pub fn change_rule(
        &self,
        room: &RoomRow,
        id: &str,
        wanted: Wanted,
        position: Option<&Position>,
    ) -> Result<Option<Rule>, DatabaseError> {
        let Some((index, before)) = self.rule(&room.id, id)? else { return Ok(None) };
        let after = self.changed(&before, wanted);
        let sql = "UPDATE rules SET version = ?3, expression = ?4, description = ?5, enabled = ?6, last_updated = ?7,
                       opens_for_everybody = ?8
                   WHERE room = ?1 AND id = ?2";
        self.query(sql, &after.values(&room.id))?;
        let new_index = match position {
            Some(position) => self.move_rule(&room.id, id, position)?,
            None => index,
        };
        if after != before || new_index != index {
            let rules_version = self.raise_rules_version(room)?;
            let about = about(room, rules_version, id);
            self.note(action::CHANGE, about, placed(&before, index), placed(&after, new_index))?;
        }
        Ok(Some(after))
    }

    /// Deletes a rule; `None` if there is no such rule.
    pub fn delete_rule(&self, room: &RoomRow, id: &str) -> Result<Option<()>, DatabaseError> {
        let Some((index, rule)) = self.rule(&room.id, id)? else { return Ok(None) };
        self.query("DELETE FROM rules WHERE room = ?1 AND id = ?2", &[(&room.id).into(), id.into()])?;
        let rules_version = self.raise_rules_version(room)?;
        self.note(action::DELETE, about(room, rules_version, id), placed(&rule, index), None)?;
        Ok(Some(()))
    }

    /// Puts these rules in the place of all others. A rule with the id of one that is there is that one, changed; ids
    /// that are not there are kept, too: they come from exports and restored versions.
    pub fn replace_rules(&self, room: &RoomRow, wanted: Vec<Wanted>) -> Result<Vec<Rule>, DatabaseError> {
        let old = self.rules(&room.id)?;
        let known = |id: &Option<String>| old.iter().find(|rule| id.as_ref() == Some(&rule.id));
        let rules: Vec<Rule> = wanted
            .into_iter()
            .map(|wanted| match known(&wanted.id) {
                Some(rule) => {
                    // A replacement says everything: what it leaves out takes its default.
                    let enabled = wanted.enabled.or(Some(true));
                    let description = wanted.description.clone().or(Some(String::new()));
                    self.changed(rule, Wanted { description, enabled, ..wanted })
                }
                None => self.new_rule(wanted),
            })
            .collect();
        let rules_version = self.raise_rules_version(room)?;
        let entry = self.note(action::REPLACE, about(room, rules_version, &room.id), None, None)?;
        self.keep_rules(entry, &room.id)?;
        self.query("DELETE FROM rules WHERE room = ?1", &[(&room.id).into()])?;
        for (rule, position) in rules.iter().zip(1..) {
            self.insert_rule(&room.id, rule, position)?;
        }
        Ok(rules)
    }

    /// Keeps the rules of a room beside the entry that says what became of them.
    pub(super) fn keep_rules(&self, entry: i64, room: &str) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO replaced_rules (entry, position, rule)
                   SELECT ?1, position, json_object('id', id, 'version', CAST(version AS TEXT),
                       'action', 'bypass_waiting_room', 'expression', expression, 'description', description,
                       'enabled', json(iif(enabled, 'true', 'false')), 'last_updated', last_updated,
                       'velvetrope', json_object('opens_for_everybody',
                           json(iif(opens_for_everybody, 'true', 'false'))))
                   FROM rules WHERE room = ?2";
        self.query(sql, &[entry.into(), room.into()]).map(drop)
    }

    /// The rules that were kept beside an entry, in order.
    pub fn kept_rules(&self, entry: i64) -> Result<Vec<Rule>, DatabaseError> {
        let sql = "SELECT rule FROM replaced_rules WHERE entry = ?1 ORDER BY position";
        self.query(sql, &[entry.into()])?.iter().map(|row| Rule::of_json(row.text(0)?)).collect()
    }

    fn new_rule(&self, wanted: Wanted) -> Rule {
        Rule {
            id: wanted.id.unwrap_or_else(|| self.new_id()),
            version: 1,
            action: Action::BypassWaitingRoom,
            expression: wanted.expression.unwrap_or_default(),
            description: wanted.description.unwrap_or_default(),
            enabled: wanted.enabled.unwrap_or(true),
            last_updated: self.now(),
            velvetrope: Additions { opens_for_everybody: wanted.opens_for_everybody.unwrap_or_default() },
        }
    }

    /// The rule as it is wanted, with a new version if that is different.
    fn changed(&self, rule: &Rule, wanted: Wanted) -> Rule {
        let is_same = wanted.expression.as_ref().is_none_or(|expression| *expression == rule.expression);
        let opens_for_everybody = wanted.opens_for_everybody.unwrap_or(is_same && rule.velvetrope.opens_for_everybody);
        let after = Rule {
            velvetrope: Additions { opens_for_everybody },
            expression: wanted.expression.unwrap_or_else(|| rule.expression.clone()),
            description: wanted.description.unwrap_or_else(|| rule.description.clone()),
            enabled: wanted.enabled.unwrap_or(rule.enabled),
            ..rule.clone()
        };
        match after == *rule {
            true => after,
            false => Rule { version: rule.version + 1, last_updated: self.now(), ..after },
        }
    }

    pub(super) fn insert_rule(&self, room: &str, rule: &Rule, position: i64) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO rules (room, id, version, expression, description, enabled, last_updated,
                       opens_for_everybody, position)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let values: Vec<Value> = rule.values(room).into_iter().chain([position.into()]).collect();
        self.query(sql, &values).map(drop)
    }

    /// Moves a rule, and the others out of its way; its new index.
    fn move_rule(&self, room: &str, id: &str, position: &Position) -> Result<usize, DatabaseError> {
        let ids = self.query("SELECT id FROM rules WHERE room = ?1 ORDER BY position", &[room.into()])?;
        let mut ids: Vec<&str> = ids.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
        ids.retain(|other| *other != id);
        let place_of = |id: &str| ids.iter().position(|other| *other == id);
        let index = match position {
            Position::Index(place) => usize::try_from(place.saturating_sub(1)).unwrap_or(usize::MAX),
            Position::Before(None) => 0,
            Position::After(None) => ids.len(),
            Position::Before(Some(other)) => place_of(other).unwrap_or(ids.len()),
            Position::After(Some(other)) => place_of(other).map_or(ids.len(), |place| place + 1),
        };
        let index = index.min(ids.len());
        // The place of the rule that it comes to stand before, or behind them all.
        let next = ids.get(index).copied();
        let place = match next {
            Some(next) => {
                self.first("SELECT position FROM rules WHERE room = ?1 AND id = ?2", &[room.into(), next.into()])?
            }
            None => self.first("SELECT max(position) + 1 FROM rules WHERE room = ?1", &[room.into()])?,
        };
        let place = place.map_or(Ok(1), |row| row.integer(0))?;
        let shift = "UPDATE rules SET position = position + 1 WHERE room = ?1 AND position >= ?2";
        self.query(shift, &[room.into(), place.into()])?;
        let put = "UPDATE rules SET position = ?3 WHERE room = ?1 AND id = ?2";
        self.query(put, &[room.into(), id.into(), place.into()])?;
        Ok(index)
    }

    fn raise_rules_version(&self, room: &RoomRow) -> Result<i64, DatabaseError> {
        let sql = "UPDATE rooms SET rules_version = rules_version + 1 WHERE id = ?1 RETURNING rules_version";
        let row = self.first(sql, &[(&room.id).into()])?;
        self.raise_revision(&room.zone)?;
        row.ok_or_else(|| DatabaseError(format!("there is no room {}", room.id)))?.integer(0)
    }
}

/// A rule and the place it has among the others, from 0, as entries hold them.
fn placed(rule: &Rule, index: usize) -> Option<String> {
    Some(json!({ "index": index, "rule": rule }).to_string())
}

fn about<'a>(room: &'a RoomRow, rules_version: i64, subject: &'a str) -> About<'a> {
    About { zone: Some(&room.zone), room: Some(&room.id), rules_version: Some(rules_version), subject }
}

impl Rule {
    fn of_row(row: &Row) -> Result<Rule, DatabaseError> {
        Ok(Rule {
            id: row.text(0)?.to_owned(),
            version: row.integer(1)?,
            action: Action::BypassWaitingRoom,
            expression: row.text(2)?.to_owned(),
            description: row.text(3)?.to_owned(),
            enabled: row.integer(4)? != 0,
            last_updated: row.text(5)?.to_owned(),
            velvetrope: Additions { opens_for_everybody: row.integer(6)? != 0 },
        })
    }

    pub(super) fn of_json(text: &str) -> Result<Rule, DatabaseError> {
        serde_json::from_str(text).map_err(|error| DatabaseError(format!("a rule in the store is no rule: {error}")))
    }

    /// The parameters of statements that write it: room, id, version, expression, description, enabled, last_updated,
    /// opens_for_everybody.
    fn values(&self, room: &str) -> [Value; 8] {
        [
            room.into(),
            (&self.id).into(),
            self.version.into(),
            (&self.expression).into(),
            (&self.description).into(),
            self.enabled.into(),
            (&self.last_updated).into(),
            self.velvetrope.opens_for_everybody.into(),
        ]
    }
}

/// Numbers that the API writes as texts.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
