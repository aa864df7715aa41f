//! Lists that expressions of a zone use as `$name`, and what is in them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::audit::About;
use super::{DatabaseError, Row, Store};
use velvetrope::internal::check::lists_of;
use velvetrope::internal::language::{Scheme, parse};
use velvetrope::internal::lists::{BadMember, asn, bits_behind_prefix, empty, hostname};
use velvetrope::internal::program::{ListKind, Lists};
use velvetrope::internal::{address, network};

/// How many items all lists of a zone together may hold.
pub const MAX_ITEMS: usize = 500_000;

/// How many items of a list are asked for, if it is all of them: SQLite takes it for no limit. A larger number than any
/// would not do, because a Durable Object knows 53 bits of one.
pub const ALL_ITEMS: i64 = -1;

/// A list, without its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRow {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The zone whose expressions use it.
    pub zone: String,
    /// What follows `$` in expressions.
    pub name: String,
    /// What it holds.
    pub kind: ListKind,
    /// For people.
    pub description: String,
    /// How many items it holds.
    pub num_items: i64,
    /// Counts the changes of its items.
    pub revision: i64,
    /// When it was created, in RFC 3339.
    pub created_on: String,
    /// When it was changed last, in RFC 3339.
    pub modified_on: String,
}

/// An item to be put into a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewItem {
    /// As a text, by which it is told from others.
    pub value: String,
    /// As the API has it.
    pub item: Json,
    /// What items are ordered by.
    pub sort: String,
    /// For people.
    pub comment: String,
}

/// An item of a list, as the API has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// 32 hexadecimal digits.
    pub id: String,
    /// As a text.
    pub value: String,
    /// As the API has it, under the name of the list's kind.
    pub item: Json,
    /// What items are ordered by.
    pub sort: String,
    /// For people.
    pub comment: String,
    /// When it was put in, in RFC 3339.
    pub created_on: String,
    /// When it was changed last, in RFC 3339.
    pub modified_on: String,
}

const COLUMNS: &str = "id, name, kind, description,
    (SELECT count(*) FROM items WHERE list = lists.id), revision, created_on, modified_on, zone";
const ITEM_COLUMNS: &str = "id, value, item, sort, comment, created_on, modified_on";

impl Store<'_> {
    /// The lists of a zone, by name.
    pub fn lists(&self, zone: &str) -> Result<Vec<ListRow>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM lists WHERE zone = ?1 ORDER BY name");
        self.query(&sql, &[zone.into()])?.iter().map(list).collect()
    }

    /// One list.
    pub fn list(&self, zone: &str, id: &str) -> Result<Option<ListRow>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM lists WHERE zone = ?1 AND id = ?2");
        self.first(&sql, &[zone.into(), id.into()])?.as_ref().map(list).transpose()
    }

    /// The list that expressions call so.
    pub fn list_named(&self, zone: &str, name: &str) -> Result<Option<ListRow>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM lists WHERE zone = ?1 AND name = ?2");
        self.first(&sql, &[zone.into(), name.into()])?.as_ref().map(list).transpose()
    }

    /// Which lists there are and of which kind; without their members, which no check of an expression looks at.
    pub fn list_kinds(&self, zone: &str) -> Result<Lists, DatabaseError> {
        let rows = self.query("SELECT name, kind FROM lists WHERE zone = ?1", &[zone.into()])?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), empty(kind(row.text(1)?))))).collect()
    }

    /// Adds an empty list.
    pub fn create_list(
        &self,
        zone: &str,
        name: &str,
        kind: ListKind,
        description: &str,
    ) -> Result<ListRow, DatabaseError> {
        let sql = format!(
            "INSERT INTO lists (id, zone, name, kind, description, created_on, modified_on)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) RETURNING {COLUMNS}"
        );
        let parameters =
            [self.new_id().into(), zone.into(), name.into(), kind.name().into(), description.into(), self.now().into()];
        let row = self.first(&sql, &parameters)?;
        let row = row.as_ref().map(list).ok_or_else(|| DatabaseError("no list was added".into()))??;
        self.raise_revision(zone)?;
        self.note("list.create", about(&row), None, Some(row.json(0).to_string()))?;
        Ok(row)
    }

    /// Describes a list in other words.
    pub fn describe_list(&self, row: &ListRow, description: &str) -> Result<(), DatabaseError> {
        let sql = "UPDATE lists SET description = ?2, modified_on = ?3 WHERE id = ?1";
        self.query(sql, &[(&row.id).into(), description.into(), self.now().into()])?;
        let told = |description: &str| Some(json!({ "description": description }).to_string());
        self.note("list.change", about(row), told(&row.description), told(description)).map(drop)
    }

    /// Deletes a list with its items, which are kept beside the entry in the audit trail.
    pub fn delete_list(&self, row: &ListRow) -> Result<(), DatabaseError> {
        let entry = self.note("list.delete", about(row), Some(row.json(0).to_string()), None)?;
        self.keep_items(entry, row, "true", &[])?;
        self.query("DELETE FROM items WHERE list = ?1", &[(&row.id).into()])?;
        self.query("DELETE FROM lists WHERE id = ?1", &[(&row.id).into()])?;
        self.raise_revision(&row.zone)
    }

    /// What uses a list, in words: rules, drafts too, and the conditions that place rooms.
    pub fn users_of_list(&self, list: &ListRow) -> Result<Vec<String>, DatabaseError> {
        let name = &list.name;
        let parameters = [format!("${name}").into(), (&list.zone).into()];
        let rules = self.query(
            "SELECT expression, rules.id, rules.description, rooms.name FROM rules JOIN rooms ON rooms.id = room
             WHERE instr(expression, ?1) AND zone = ?2 ORDER BY rooms.name, position",
            &parameters,
        )?;
        let rooms = self.query(
            "SELECT coalesce(json_extract(body, '$.velvetrope.when'), ''), name FROM rooms
             WHERE instr(body, ?1) AND zone = ?2 ORDER BY name",
            &parameters,
        )?;
        let mut users = Vec::new();
        for row in rules.iter().filter(|row| row.text(0).is_ok_and(|text| uses(text, name))) {
            let called = if row.text(2)?.is_empty() { row.text(1)? } else { row.text(2)? };
            users.push(format!("rule {called:?} of room {}", row.text(3)?));
        }
        for row in rooms.iter().filter(|row| row.text(0).is_ok_and(|text| uses(text, name))) {
            users.push(format!("room {}", row.text(1)?));
        }
        Ok(users)
    }

    /// Items of a list in ascending order, those after `cursor` (an item's `sort`).
    pub fn items(
        &self,
        list: &ListRow,
        cursor: Option<&str>,
        search: Option<&str>,
        count: i64,
    ) -> Result<Vec<Item>, DatabaseError> {
        let matches = match list.kind {
            ListKind::Ip => "substr(value, 1, length(?3)) = ?3",
            ListKind::Hostname => "instr(value, ?3)",
            ListKind::Asn => "value = ?3",
        };
        let sql = format!(
            "SELECT {ITEM_COLUMNS} FROM items WHERE list = ?1 AND sort > ?2 AND (?3 = '' OR {matches})
             ORDER BY sort LIMIT ?4"
        );
        let search = search.unwrap_or_default().to_ascii_lowercase();
        let parameters = [(&list.id).into(), cursor.unwrap_or_default().into(), search.into(), count.into()];
        self.query(&sql, &parameters)?.iter().map(item).collect()
    }

    /// One item of a list.
    pub fn item(&self, list: &str, id: &str) -> Result<Option<Item>, DatabaseError> {
        let sql = format!("SELECT {ITEM_COLUMNS} FROM items WHERE list = ?1 AND id = ?2");
        self.first(&sql, &[list.into(), id.into()])?.as_ref().map(item).transpose()
    }
}

/// Whether an expression uses the list.
fn uses(expression: &str, list: &str) -> bool {
    parse(expression, Scheme::standard()).is_ok_and(|expression| lists_of(&expression).contains(&list))
}

impl ListRow {
    /// The list as the API answers it; `users` is how many rules use it.
    pub fn json(&self, users: usize) -> Json {
        json!({
            "id": self.id,
            "name": self.name,
            "kind": self.kind.name(),
            "description": self.description,
            "num_items": self.num_items,
            "num_referencing_filters": users,
            "created_on": self.created_on,
            "modified_on": self.modified_on,
        })
    }
}

impl Item {
    /// The item as the API answers it.
    pub fn json(&self, kind: ListKind) -> Json {
        let mut json = json!({
            "id": self.id,
            "comment": self.comment,
            "created_on": self.created_on,
            "modified_on": self.modified_on,
        });
        json[kind.name()] = self.item.clone();
        json
    }
}

impl NewItem {
    /// An address or a network, as people and the API write it.
    pub fn ip(text: &str, comment: &str) -> Result<NewItem, BadMember> {
        let network = address(text).map(IpNet::from).or_else(|| network(text));
        let network = network.ok_or_else(|| BadMember::new(format!("`{text}` is not an address or network")))?;
        if network.addr() != network.network() {
            return Err(bits_behind_prefix(text, network));
        }
        let (family, least) = if network.addr().is_ipv4() { (4, 2) } else { (6, 4) };
        if network.prefix_len() < least {
            return Err(BadMember::new(format!("`{text}` is too wide: the shortest prefix is /{least}")));
        }
        let is_single = network.prefix_len() == network.max_prefix_len();
        let value = if is_single { network.addr().to_string() } else { network.to_string() };
        let bits = match network.network() {
            IpAddr::V4(address) => format!("{:08x}", address.to_bits()),
            IpAddr::V6(address) => format!("{:032x}", address.to_bits()),
        };
        let sort = format!("{family}{bits}/{:03}", network.prefix_len());
        Ok(NewItem { item: json!(value), value, sort, comment: comment.to_owned() })
    }

    /// A host name, or the names below one (`*.example.com`); with the name itself, too, unless that is excluded.
    pub fn hostname(text: &str, exclude_exact: bool, comment: &str) -> Result<NewItem, BadMember> {
        hostname(text, exclude_exact)?;
        let value = text.to_ascii_lowercase();
        let item = match value.starts_with("*.") {
            true => json!({ "url_hostname": value, "exclude_exact_hostname": exclude_exact }),
            false => json!({ "url_hostname": value }),
        };
        Ok(NewItem { item, sort: value.clone(), value, comment: comment.to_owned() })
    }

    /// An AS number.
    pub fn asn(text: &str, comment: &str) -> Result<NewItem, BadMember> {
        let number = asn(text)?;
        let value = number.to_string();
        Ok(NewItem { item: json!(number), sort: format!("{number:010}"), value, comment: comment.to_owned() })
    }

    /// An item of a list of this kind, as people write it.
    pub fn of_text(kind: ListKind, text: &str, comment: &str) -> Result<NewItem, BadMember> {
        match kind {
            ListKind::Ip => NewItem::ip(text, comment),
            ListKind::Hostname => NewItem::hostname(text, true, comment),
            ListKind::Asn => NewItem::asn(text, comment),
        }
    }
}

fn kind(name: &str) -> ListKind {
    ListKind::named(name).unwrap_or(ListKind::Ip)
}

fn about(row: &ListRow) -> About<'_> {
    About { zone: Some(&row.zone), subject: &row.id, ..About::default() }
}

fn list(row: &Row) -> Result<ListRow, DatabaseError> {
    Ok(ListRow {
        id: row.text(0)?.to_owned(),
        name: row.text(1)?.to_owned(),
        kind: kind(row.text(2)?),
        description: row.text(3)?.to_owned(),
        num_items: row.integer(4)?,
        revision: row.integer(5)?,
        created_on: row.text(6)?.to_owned(),
        modified_on: row.text(7)?.to_owned(),
        zone: row.text(8)?.to_owned(),
    })
}

fn item(row: &Row) -> Result<Item, DatabaseError> {
    let no_json = |error| DatabaseError(format!("an item in the store is no JSON: {error}"));
    Ok(Item {
        id: row.text(0)?.to_owned(),
        value: row.text(1)?.to_owned(),
        item: serde_json::from_str(row.text(2)?).map_err(no_json)?,
        sort: row.text(3)?.to_owned(),
        comment: row.text(4)?.to_owned(),
        created_on: row.text(5)?.to_owned(),
        modified_on: row.text(6)?.to_owned(),
    })
}
