//! Lists and their items (docs/protocol/api.md#lists).

use http::StatusCode;
use serde_json::{Value as Json, json};

use super::super::body;
use super::super::failure::{Code, Failure, Objection};
use super::super::items;
use super::super::store::lists::ListRow;
use super::super::store::operations::Change;
use super::{Call, Success};
use velvetrope::internal::fields::Fields;
use velvetrope::internal::is_list_name;
use velvetrope::internal::program::ListKind;

/// How many items a page has unless the caller says otherwise.
const PER_PAGE: u32 = 25;

pub(crate) fn all(call: &Call) -> Result<Success, Failure> {
    let lists = call.store.lists(&call.zone()?.id)?;
    let is_wanted =
        |list: &&ListRow| call.query.is_wanted("name", &list.name) && call.query.is_wanted("kind", list.kind.name());
    let lists: Vec<Json> = lists.iter().filter(is_wanted).map(|list| json(call, list)).collect::<Result<_, _>>()?;
    Ok(Success::new(&lists))
}

pub(crate) fn get(call: &Call) -> Result<Success, Failure> {
    let list = list(call)?;
    Ok(Success::new(&json(call, &list)?).at_version(list.revision))
}

pub(crate) fn create(call: &Call) -> Result<Success, Failure> {
    let zone = call.zone_to_change()?;
    let ((name, kind, description), doubts) = body::read(call.body, "list", |file, node| {
        let fields = Fields::new(file, node, "the list")?;
        let name_node = fields.required("name", "give it a name of small letters, digits and `_`");
        let name = name_node.and_then(|node| fields.text_of(node));
        if let (Some(node), Some(name)) = (name_node, &name)
            && (!is_list_name(name) || name.contains('.'))
        {
            fields.bad_value(
                node,
                format!("{name:?} cannot name a list"),
                "use up to 50 small letters, digits and `_`",
            );
        }
        fields.required("kind", "it is `ip`, `hostname` or `asn`");
        let kind = fields.choice("kind", ListKind::NAMED);
        let description = fields.text("description").unwrap_or_default();
        body::limit(&fields, "description", Some(&description), body::MAX_TEXT);
        fields.finish();
        Some((name?, kind?, description))
    })?;
    if call.store.list_named(&zone.id, &name)?.is_some() {
        let objection = Objection {
            code: Code::Duplicate,
            message: format!("there is a list `${name}` already"),
            pointer: Some("/name".into()),
        };
        return Err(Failure { errors: vec![objection], ..Failure::new(409, Code::Duplicate, "") });
    }
    let list = call.store.create_list(&zone.id, &name, kind, &description)?;
    Ok(Success::new(&list.json(0)).at_version(list.revision).with_messages(doubts))
}

pub(crate) fn describe(call: &Call) -> Result<Success, Failure> {
    let list = list_to_change(call)?;
    let (description, doubts) = body::read(call.body, "list", |file, node| {
        let fields = Fields::new(file, node, "the list")?;
        let description = fields.text("description").unwrap_or_default();
        body::limit(&fields, "description", Some(&description), body::MAX_TEXT);
        fields.finish();
        Some(description)
    })?;
    call.store.describe_list(&list, &description)?;
    let list = self::list(call)?;
    Ok(Success::new(&json(call, &list)?).at_version(list.revision).with_messages(doubts))
}

pub(crate) fn delete(call: &Call) -> Result<Success, Failure> {
    let list = list_to_change(call)?;
    call.store.refuse_if_used(&list)?;
    call.store.delete_list(&list)?;
    Ok(Success::new(&json!({ "id": list.id })))
}

pub(crate) fn items(call: &Call) -> Result<Success, Failure> {
    let list = list(call)?;
    let size = call.query.number("per_page").unwrap_or(PER_PAGE);
    let cursor = call.query.text("cursor").map(decode_cursor).transpose()?;
    let search = call.query.text("search");
    let mut found = call.store.items(&list, cursor.as_deref(), search, i64::from(size) + 1)?;
    let has_more = found.len() > size as usize;
    found.truncate(size as usize);
    let after = found.last().filter(|_| has_more).map(|item| encode_cursor(&item.sort));
    let info = match after {
        Some(after) => json!({ "cursors": { "after": after } }),
        None => json!({ "cursors": {} }),
    };
    let shown: Vec<Json> = found.iter().map(|item| item.json(list.kind)).collect();
    Ok(Success { info: Some(info), ..Success::new(&shown) })
}

pub(crate) fn item(call: &Call) -> Result<Success, Failure> {
    let list = list(call)?;
    let id = call.path("item_id");
    let item = call.store.item(&list.id, id)?.ok_or_else(|| Failure::not_found("item", id))?;
    Ok(Success::new(&item.json(list.kind)))
}

pub(crate) fn add_items(call: &Call) -> Result<Success, Failure> {
    put(call, Change::Add)
}

pub(crate) fn replace_items(call: &Call) -> Result<Success, Failure> {
    put(call, Change::Replace)
}

pub(crate) fn remove_items(call: &Call) -> Result<Success, Failure> {
    let list = list_to_change(call)?;
    let (ids, _) = body::read(call.body, "", |file, node| {
        let fields = Fields::new(file, node, "the items")?;
        let node = fields.required("items", "name what is to be removed: `{\"items\": [{\"id\": \"…\"}]}`");
        let items = node.and_then(|node| fields.elements_of(node)).unwrap_or_default();
        let ids = items.iter().filter_map(|item| {
            let item = Fields::new(file, item, "the item")?;
            item.required("id", "name the item");
            let id = item.text("id");
            item.finish();
            id
        });
        let ids: Vec<String> = ids.collect();
        fields.finish();
        Some(ids)
    })?;
    let operation = call.store.ask_to_remove(&list, &ids)?;
    Ok(Success { status: StatusCode::CREATED, ..Success::new(&json!({ "operation_id": operation })) })
}

pub(crate) fn operation(call: &Call) -> Result<Success, Failure> {
    let id = call.path("operation_id");
    let operation = call.store.operation(&call.zone()?.id, id)?.ok_or_else(|| Failure::not_found("operation", id))?;
    Ok(Success::new(&operation.json()))
}

fn put(call: &Call, change: Change) -> Result<Success, Failure> {
    let list = list_to_change(call)?;
    let items = items::of_body(call.body, list.kind)?;
    let operation = call.store.ask_to_put(&list, change, &items)?;
    Ok(Success { status: StatusCode::CREATED, ..Success::new(&json!({ "operation_id": operation })) })
}

fn list(call: &Call) -> Result<ListRow, Failure> {
    let id = call.path("list_id");
    call.store.list(&call.zone()?.id, id)?.ok_or_else(|| Failure::not_found("list", id))
}

fn list_to_change(call: &Call) -> Result<ListRow, Failure> {
    call.zone_to_change()?;
    let list = list(call)?;
    call.expect(list.revision)?;
    Ok(list)
}

fn json(call: &Call, list: &ListRow) -> Result<Json, Failure> {
    Ok(list.json(call.store.users_of_list(list)?.len()))
}

fn encode_cursor(sort: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sort)
}

fn decode_cursor(cursor: &str) -> Result<String, Failure> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Failure::new(400, Code::Invalid, "`cursor` is none that was given out here"))
}

impl crate::store::Store<'_> {
    /// Refuses to delete a list that something uses, drafts too.
    pub(crate) fn refuse_if_used(&self, list: &ListRow) -> Result<(), Failure> {
        /// How many users are named.
        const NAMED: usize = 5;
        let users = self.users_of_list(list)?;
        if users.is_empty() {
            return Ok(());
        }
        let more = match users.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = users.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("the list `${}` is used by {named}{more}: change or delete them first", list.name);
        Err(Failure::new(409, Code::InUse, message))
    }
}
