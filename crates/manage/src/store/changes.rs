//! Which items of lists a change has changed, kept beside its entry in the audit trail; and the way back.

use serde_json::{Value as Json, json};

use super::audit::{About, CHANGES, Entry};
use super::lists::ListRow;
use super::{DatabaseError, Row, Store, Value};
use velvetrope::internal::program::ListKind;

/// What became of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedItem {
    /// As a text.
    pub value: String,
    /// What it was, with its comment; null if there was none.
    pub before: Json,
    /// What it became; null if it is gone.
    pub after: Json,
}

/// An item as it is kept.
const ITEM: &str = "json_object('id', id, 'item', json(item), 'comment', comment, 'created_on', created_on)";

impl Store<'_> {
    /// The items that an entry changed, in ascending order: `count` of them after the first `skip`.
    pub fn changed_items(&self, entry: i64, skip: i64, count: i64) -> Result<Vec<ChangedItem>, DatabaseError> {
        let sql = "SELECT value, before, after FROM changed_items WHERE entry = ?1 ORDER BY sort LIMIT ?3 OFFSET ?2";
        self.query(sql, &[entry.into(), skip.into(), count.into()])?.iter().map(changed_item).collect()
    }

    /// How many items an entry changed.
    pub fn count_changed_items(&self, entry: i64) -> Result<i64, DatabaseError> {
        let row = self.first("SELECT count(*) FROM changed_items WHERE entry = ?1", &[entry.into()])?;
        row.map_or(Ok(0), |row| row.integer(0))
    }

    /// Begins an entry about a change of a list's items.
    pub(super) fn begin_change(&self, list: &ListRow, action: &str, actor: &str) -> Result<i64, DatabaseError> {
        let entry = self.note(&format!("list.{action}"), about(list), told(list, list.num_items), None)?;
        // Whoever asked did it, not whoever does it now.
        self.query("UPDATE audit SET actor = ?2 WHERE number = ?1", &[entry.into(), actor.into()])?;
        Ok(entry)
    }

    /// Keeps what these items of a list are before the change: those that `which` selects, of which `?3` and further
    /// are the parameters.
    pub(super) fn keep_items(
        &self,
        entry: i64,
        list: &ListRow,
        which: &str,
        parameters: &[Value],
    ) -> Result<(), DatabaseError> {
        let sql = format!(
            "INSERT OR IGNORE INTO changed_items (entry, sort, value, before)
             SELECT ?1, sort, value, {ITEM} FROM items WHERE list = ?2 AND {which}"
        );
        self.query(&sql, &[&[entry.into(), (&list.id).into()], parameters].concat()).map(drop)
    }

    /// Ends an entry: what has become of the items that were kept, and of those that were not there.
    pub(super) fn end_change(&self, entry: i64, list: &ListRow) -> Result<(), DatabaseError> {
        let of_both = [entry.into(), (&list.id).into()];
        let sql = format!(
            "UPDATE changed_items SET after = (
                 SELECT {ITEM} FROM items WHERE list = ?2 AND items.value = changed_items.value)
             WHERE entry = ?1"
        );
        self.query(&sql, &of_both)?;
        self.query("DELETE FROM changed_items WHERE entry = ?1 AND before IS after", &[entry.into()])?;
        let sql = "UPDATE lists SET revision = revision + 1, modified_on = ?2 WHERE id = ?1";
        self.query(sql, &[(&list.id).into(), self.now().into()])?;
        self.raise_revision(&list.zone)?;
        let count = self.list(&list.zone, &list.id)?.map_or(0, |list| list.num_items);
        let sql = "UPDATE audit SET after = ?2 WHERE number = ?1";
        self.query(sql, &[entry.into(), told(list, count).into()]).map(drop)
    }

    /// Whether the items that an entry changed are still what it made of them.
    pub fn is_last_of_items(&self, entry: i64, list: &ListRow) -> Result<bool, DatabaseError> {
        let sql = format!(
            "SELECT 1 FROM changed_items WHERE entry = ?1 AND after IS NOT (
                 SELECT {ITEM} FROM items WHERE list = ?2 AND items.value = changed_items.value) LIMIT 1"
        );
        Ok(self.first(&sql, &[entry.into(), (&list.id).into()])?.is_none())
    }

    /// Makes the items that an entry changed what they were before it.
    pub fn undo_items(&self, undone: i64, list: &ListRow) -> Result<(), DatabaseError> {
        let entry = self.begin_change(list, "undo", &self.actor)?;
        self.put_back(undone, entry, list)
    }

    /// Adds a list that an entry tells the deletion of, with its items.
    pub fn restore_list(&self, deletion: &Entry, name: &str, kind: ListKind) -> Result<(), DatabaseError> {
        let text = |key: &str| deletion.before[key].as_str().unwrap_or_default();
        let sql = format!(
            "INSERT INTO lists (id, zone, name, kind, description, revision, created_on, modified_on)
             VALUES (?1, ?2, ?3, ?4, ?5, {CHANGES}, ?6, ?7)"
        );
        let parameters = [
            (&deletion.subject).into(),
            deletion.zone.as_ref().into(),
            name.into(),
            kind.name().into(),
            text("description").into(),
            text("created_on").into(),
            self.now().into(),
        ];
        self.query(&sql, &parameters)?;
        let zone = deletion.zone.as_deref().unwrap_or_default();
        let list = self.list(zone, &deletion.subject)?.ok_or_else(|| DatabaseError("no list was added".into()))?;
        let entry = self.begin_change(&list, "restore", &self.actor)?;
        self.put_back(deletion.number, entry, &list)
    }

    /// Puts back what items were before `undone`, and tells it by `entry`.
    fn put_back(&self, undone: i64, entry: i64, list: &ListRow) -> Result<(), DatabaseError> {
        let of_list: Value = (&list.id).into();
        self.keep_items(entry, list, "value IN (SELECT value FROM changed_items WHERE entry = ?3)", &[undone.into()])?;
        let sql = "INSERT OR IGNORE INTO changed_items (entry, sort, value)
                   SELECT ?1, sort, value FROM changed_items WHERE entry = ?2";
        self.query(sql, &[entry.into(), undone.into()])?;
        let sql = "DELETE FROM items WHERE list = ?1 AND value IN (SELECT value FROM changed_items WHERE entry = ?2)";
        self.query(sql, &[of_list.clone(), undone.into()])?;
        let sql = "INSERT INTO items (list, id, value, item, sort, comment, created_on, modified_on)
                   SELECT ?1, before ->> 'id', value, before -> 'item', sort, before ->> 'comment',
                       before ->> 'created_on', ?3
                   FROM changed_items WHERE entry = ?2 AND before IS NOT NULL";
        self.query(sql, &[of_list, undone.into(), self.now().into()])?;
        self.end_change(entry, list)
    }
}

fn about(list: &ListRow) -> About<'_> {
    About { zone: Some(&list.zone), subject: &list.id, ..About::default() }
}

/// A list as entries about its items have it.
fn told(list: &ListRow, count: i64) -> Option<String> {
    Some(json!({ "name": list.name, "num_items": count }).to_string())
}

fn changed_item(row: &Row) -> Result<ChangedItem, DatabaseError> {
    let json = |column| {
        let text = row.maybe_text(column)?.unwrap_or("null");
        serde_json::from_str(text).map_err(|error| DatabaseError(format!("a kept item is no JSON: {error}")))
    };
    Ok(ChangedItem { value: row.text(0)?.to_owned(), before: json(1)?, after: json(2)? })
}
