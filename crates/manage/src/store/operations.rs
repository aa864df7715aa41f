//! What is asked of lists: kept when it is asked, done afterwards, in order. An operation that was acknowledged is done
//! even if the host ends in between.

use serde_json::{Value as Json, json};

use super::lists::{ListRow, MAX_ITEMS, NewItem};
use super::{DatabaseError, Row, Store, Value};
use crate::database::MAX_TEXT;

/// What is asked of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Put these in; those that are there get the new comment.
    Add,
    /// Put these in, and take everything else out.
    Replace,
    /// Take those with these ids out.
    Remove,
}

/// An operation and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `pending`, `running`, `completed` or `failed`.
    pub status: String,
    /// When it ended, in RFC 3339.
    pub completed: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// The entry in the audit trail that says what it changed.
    pub entry: Option<i64>,
}

impl Store<'_> {
    /// Keeps what items are to be put into a list; the operation's id.
    pub fn ask_to_put(&self, list: &ListRow, change: Change, items: &[NewItem]) -> Result<String, DatabaseError> {
        let json = |item: &NewItem| {
            let NewItem { value, item, sort, comment } = item;
            json!({ "v": value, "i": item.to_string(), "s": sort, "c": comment }).to_string()
        };
        self.ask(list, change, items.iter().map(json))
    }

    /// Keeps which items are to be taken out of a list; the operation's id.
    pub fn ask_to_remove(&self, list: &ListRow, ids: &[String]) -> Result<String, DatabaseError> {
        self.ask(list, Change::Remove, ids.iter().map(|id| json!(id).to_string()))
    }

    /// Puts items into a list at once.
    pub fn put_items(&self, list: &ListRow, change: Change, items: &[NewItem]) -> Result<(), DatabaseError> {
        let id = self.ask_to_put(list, change, items)?;
        let is_done = |operation: Operation| operation.status != "pending";
        while !self.operation(&list.zone, &id)?.is_none_or(is_done) && self.run_next_operation()? {}
        Ok(())
    }

    fn ask(
        &self,
        list: &ListRow,
        change: Change,
        items: impl Iterator<Item = String>,
    ) -> Result<String, DatabaseError> {
        let id = self.new_id();
        let row = self.first(
            "INSERT INTO operations (id, zone, list, action, actor, status, created)
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6) RETURNING number",
            &[
                (&id).into(),
                (&list.zone).into(),
                (&list.id).into(),
                change.name().into(),
                (&self.actor).into(),
                self.now().into(),
            ],
        )?;
        let number = row.ok_or_else(|| DatabaseError("no operation was added".into()))?.integer(0)?;
        for (part, place) in parts(items).into_iter().zip(1_i64..) {
            let sql = "INSERT INTO operation_items (operation, part, items) VALUES (?1, ?2, ?3)";
            self.query(sql, &[number.into(), place.into(), part.into()])?;
        }
        Ok(id)
    }

    /// An operation on a list of a zone, by its id.
    pub fn operation(&self, zone: &str, id: &str) -> Result<Option<Operation>, DatabaseError> {
        let sql = "SELECT id, status, completed, error, entry FROM operations WHERE zone = ?1 AND id = ?2";
        let row = self.first(sql, &[zone.into(), id.into()])?;
        let operation = |row: Row| {
            Ok(Operation {
                id: row.text(0)?.to_owned(),
                status: row.text(1)?.to_owned(),
                completed: row.maybe_text(2)?.map(str::to_owned),
                error: row.maybe_text(3)?.map(str::to_owned),
                entry: row.integer(4).ok(),
            })
        };
        row.map(operation).transpose()
    }

    /// Whether something has been asked that is not done.
    pub fn has_pending_operations(&self) -> Result<bool, DatabaseError> {
        Ok(self.first("SELECT 1 FROM operations WHERE status = 'pending' LIMIT 1", &[])?.is_some())
    }

    /// Does what was asked first and is not done; whether there was something. One transaction.
    pub fn run_next_operation(&self) -> Result<bool, DatabaseError> {
        let sql = "SELECT number, zone, list, action, actor FROM operations WHERE status = 'pending'
                   ORDER BY number LIMIT 1";
        let Some(row) = self.first(sql, &[])? else { return Ok(false) };
        let (number, zone, list) = (row.integer(0)?, row.text(1)?, row.text(2)?);
        let (action, actor) = (row.text(3)?, row.text(4)?);
        let outcome = match self.list(zone, list)? {
            None => Some("the list has been deleted".to_owned()),
            Some(list) => self.run(number, &list, action, actor)?,
        };
        let status = if outcome.is_none() { "completed" } else { "failed" };
        let sql = "UPDATE operations SET status = ?2, completed = ?3, error = ?4 WHERE number = ?1";
        self.query(sql, &[number.into(), status.into(), self.now().into(), outcome.into()])?;
        self.query("DELETE FROM operation_items WHERE operation = ?1", &[number.into()])?;
        Ok(true)
    }

    /// Does it; in words why it cannot be done.
    fn run(&self, number: i64, list: &ListRow, action: &str, actor: &str) -> Result<Option<String>, DatabaseError> {
        let of_list: Value = (&list.id).into();
        if action != Change::Remove.name() && self.total_after(number, list, action)? > MAX_ITEMS {
            return Ok(Some(format!("the lists of the zone would hold more than {MAX_ITEMS} items together")));
        }
        let entry = self.begin_change(list, action, actor)?;
        self.query("UPDATE operations SET entry = ?2 WHERE number = ?1", &[number.into(), entry.into()])?;
        let of_operation = "FROM operation_items, json_each(items) AS item WHERE operation = ?3";
        if action == Change::Remove.name() {
            let which = format!("id IN (SELECT item.value {of_operation})");
            self.keep_items(entry, list, &which, &[number.into()])?;
        } else {
            let which = format!("value IN (SELECT item.value ->> 'v' {of_operation})");
            self.keep_items(entry, list, &which, &[number.into()])?;
            let sql = "INSERT OR IGNORE INTO changed_items (entry, sort, value)
                       SELECT ?1, new.value ->> 's', new.value ->> 'v'
                       FROM operation_items, json_each(items) AS new WHERE operation = ?2";
            self.query(sql, &[entry.into(), number.into()])?;
        }
        if action == Change::Replace.name() {
            let which = format!("value NOT IN (SELECT item.value ->> 'v' {of_operation})");
            self.keep_items(entry, list, &which, &[number.into()])?;
            let sql = "DELETE FROM items WHERE list = ?2 AND value NOT IN (
                           SELECT item.value ->> 'v' FROM operation_items, json_each(items) AS item
                           WHERE operation = ?1)";
            self.query(sql, &[number.into(), of_list.clone()])?;
        }
        let parts =
            self.query("SELECT part FROM operation_items WHERE operation = ?1 ORDER BY part", &[number.into()])?;
        for part in parts {
            let part = part.integer(0)?.into();
            match action == Change::Remove.name() {
                true => self.query(
                    "DELETE FROM items WHERE list = ?3 AND id IN (
                         SELECT item.value FROM operation_items, json_each(items) AS item
                         WHERE operation = ?1 AND part = ?2)",
                    &[number.into(), part, of_list.clone()],
                )?,
                false => self.query(
                    "INSERT INTO items (list, id, value, item, sort, comment, created_on, modified_on)
                     SELECT ?3, lower(hex(randomblob(16))), new.value ->> 'v', new.value ->> 'i', new.value ->> 's',
                         new.value ->> 'c', ?4, ?4
                     FROM operation_items, json_each(items) AS new WHERE operation = ?1 AND part = ?2
                     ON CONFLICT (list, value) DO UPDATE SET item = excluded.item, comment = excluded.comment,
                         modified_on = excluded.modified_on
                     WHERE item <> excluded.item OR comment <> excluded.comment",
                    &[number.into(), part, of_list.clone(), self.now().into()],
                )?,
            };
        }
        self.end_change(entry, list)?;
        Ok(None)
    }

    /// How many items all lists of the zone would hold after an operation that puts some in.
    fn total_after(&self, number: i64, list: &ListRow, action: &str) -> Result<usize, DatabaseError> {
        let others = "SELECT count(*) FROM items WHERE list IN (SELECT id FROM lists WHERE zone = ?3 AND id <> ?2)";
        let new = "SELECT count(DISTINCT new.value ->> 'v') FROM operation_items, json_each(items) AS new
                   WHERE operation = ?1";
        let kept = match action == Change::Replace.name() {
            true => "0",
            false => {
                "SELECT count(*) FROM items WHERE list = ?2 AND value NOT IN (
                     SELECT new.value ->> 'v' FROM operation_items, json_each(items) AS new WHERE operation = ?1)"
            }
        };
        let sql = format!("SELECT ({others}) + ({new}) + ({kept})");
        let row = self.first(&sql, &[number.into(), (&list.id).into(), (&list.zone).into()])?;
        let total = row.map_or(Ok(0), |row| row.integer(0))?;
        Ok(usize::try_from(total).unwrap_or(usize::MAX))
    }
}

/// JSON arrays of these elements, each short enough for the database.
fn parts(elements: impl Iterator<Item = String>) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    for element in elements {
        if part.len() + element.len() + 2 > MAX_TEXT {
            parts.push(std::mem::take(&mut part) + "]");
        }
        part.push(if part.is_empty() { '[' } else { ',' });
        part.push_str(&element);
    }
    if !part.is_empty() {
        parts.push(part + "]");
    }
    parts
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Change::Add => "add",
            Change::Replace => "replace",
            Change::Remove => "remove",
        }
    }
}

impl Operation {
    /// The operation as the API answers it.
    pub fn json(&self) -> Json {
        let mut json = json!({ "id": self.id, "status": self.status });
        if let Some(completed) = &self.completed {
            json["completed"] = json!(completed);
        }
        if let Some(error) = &self.error {
            json["error"] = json!(error);
        }
        json
    }
}
