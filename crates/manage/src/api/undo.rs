//! The way back from a change of a room or a list. Rules have versions, which can be restored.

use serde_json::{Value as Json, json};

use super::super::body::{self, Body};
use super::super::failure::{Code, Failure};
use super::super::store::audit::Entry;
use super::super::store::lists::{ListRow, MAX_ITEMS};
use super::super::store::rooms::{KEPT_RULES, Origin};
use super::super::store::zones::Zone;
use super::rules::Ground;
use super::{Call, Success, rooms};
use velvetrope::internal::program::ListKind;

/// Which items a change has changed.
pub(crate) fn changed_items(call: &Call) -> Result<Success, Failure> {
    /// How many a page has unless the caller says otherwise.
    const PER_PAGE: u32 = 100;
    let entry = entry(call, &call.zone()?)?;
    let (page, size) = (call.query.number("page").unwrap_or(1), call.query.number("per_page").unwrap_or(PER_PAGE));
    let skip = i64::from(page - 1) * i64::from(size);
    let items = call.store.changed_items(entry.number, skip, size.into())?;
    let items: Vec<Json> =
        items.iter().map(|item| json!({ "value": item.value, "before": item.before, "after": item.after })).collect();
    let total = call.store.count_changed_items(entry.number)?;
    let info = json!({ "page": page, "per_page": size, "count": items.len(), "total_count": total });
    Ok(Success { info: Some(info), ..Success::new(&items) })
}

/// Makes a room or a list what it was before a change. What has been changed again since is left as it is.
pub(crate) fn undo(call: &Call) -> Result<Success, Failure> {
    let zone = call.zone_to_change()?;
    let entry = entry(call, &zone)?;
    let doubts = match entry.action.as_str() {
        "list.add" | "list.replace" | "list.remove" | "list.undo" => undo_items(call, &zone, &entry)?,
        "list.delete" => restore_list(call, &zone, &entry)?,
        "room.change" => undo_room(call, &zone, &entry)?,
        "room.delete" => restore_room(call, &zone, &entry)?,
        other => return Err(no_way_back(&entry, other)),
    };
    Ok(Success::new(&json!({ "undone": entry.number })).with_messages(doubts))
}

/// Whether a change can be undone here, as far as its kind tells.
pub(crate) fn has_way_back(entry: &Entry) -> bool {
    let ways = ["list.add", "list.replace", "list.remove", "list.undo", "list.delete", "room.change", "room.delete"];
    ways.contains(&entry.action.as_str())
}

fn entry(call: &Call, zone: &Zone) -> Result<Entry, Failure> {
    let number = call.path("entry");
    let entry = number.parse().ok().map(|number| call.store.entry(&zone.id, number)).transpose()?.flatten();
    entry.ok_or_else(|| Failure::not_found("entry of the audit trail", number))
}

fn no_way_back(entry: &Entry, action: &str) -> Failure {
    let message = match entry.rules_version {
        Some(version) => format!(
            "rules have versions: to undo this, restore version {} of the room's rules",
            version.saturating_sub(1)
        ),
        None => format!("`{action}` cannot be undone"),
    };
    Failure::new(400, Code::Invalid, message)
}

fn changed_since() -> Failure {
    let message = "it has been changed again since: undo the later changes first, or change it as it is now";
    Failure::new(409, Code::Changed, message)
}

fn undo_items(call: &Call, zone: &Zone, entry: &Entry) -> Result<Vec<String>, Failure> {
    let list = list_of(call, zone, entry)?;
    call.expect(list.revision)?;
    if call.store.count_changed_items(entry.number)? == 0 {
        return Err(Failure::new(
            400,
            Code::Invalid,
            "there is nothing to undo: the trail holds no changed items of it",
        ));
    }
    if !call.store.is_last_of_items(entry.number, &list)? {
        return Err(changed_since());
    }
    call.store.undo_items(entry.number, &list)?;
    Ok(Vec::new())
}

fn list_of(call: &Call, zone: &Zone, entry: &Entry) -> Result<ListRow, Failure> {
    let list = call.store.list(&zone.id, &entry.subject)?;
    list.ok_or_else(|| Failure::new(409, Code::Changed, "the list has been deleted since: undo its deletion first"))
}

fn restore_list(call: &Call, zone: &Zone, entry: &Entry) -> Result<Vec<String>, Failure> {
    let name = entry.before["name"].as_str().unwrap_or_default();
    let kind = entry.before["kind"].as_str().and_then(ListKind::named);
    let kind = kind.ok_or_else(|| Failure::new(400, Code::Invalid, "the trail does not say what the list held"))?;
    if call.store.list(&zone.id, &entry.subject)?.is_some() {
        return Err(Failure::new(409, Code::Changed, "the list is back already"));
    }
    if call.store.list_named(&zone.id, name)?.is_some() {
        return Err(Failure::new(409, Code::Duplicate, format!("there is another list `${name}` by now")));
    }
    let kept = call.store.count_changed_items(entry.number)?;
    if entry.before["num_items"] != kept {
        return Err(Failure::new(409, Code::Invalid, "its items were not kept: an earlier version deleted it"));
    }
    let others: i64 = call.store.lists(&zone.id)?.iter().map(|list| list.num_items).sum();
    if usize::try_from(others + kept).unwrap_or(usize::MAX) > MAX_ITEMS {
        let message = format!("the lists of the zone would hold more than {MAX_ITEMS} items together");
        return Err(Failure::new(409, Code::Invalid, message));
    }
    call.store.restore_list(entry, name, kind)?;
    Ok(Vec::new())
}

fn undo_room(call: &Call, zone: &Zone, entry: &Entry) -> Result<Vec<String>, Failure> {
    let room = call.store.room(&zone.id, &entry.subject)?;
    let room =
        room.ok_or_else(|| Failure::new(409, Code::Changed, "the room has been deleted since: undo that first"))?;
    call.expect(room.version)?;
    if room.json() != entry.after {
        return Err(changed_since());
    }
    let (wanted, doubts) = rooms::submitted(call, zone, Some(&room), Body::Said(&entry.before))?;
    call.store.change_room(&room, &wanted)?;
    Ok(doubts)
}

fn restore_room(call: &Call, zone: &Zone, entry: &Entry) -> Result<Vec<String>, Failure> {
    let mut before = entry.before.clone();
    let Some(kept) = before.as_object_mut().and_then(|before| before.remove(KEPT_RULES)) else {
        return Err(Failure::new(409, Code::Invalid, "its rules were not kept: an earlier version deleted it"));
    };
    if call.store.room(&zone.id, &entry.subject)?.is_some() {
        return Err(Failure::new(409, Code::Changed, "the room is back already"));
    }
    let (wanted, mut doubts) = rooms::submitted(call, zone, None, Body::Said(&before))?;
    if let Some(other) = call.store.room_named(&zone.id, &wanted.name)?
        && (other.origin != Origin::Published || !call.store.rules(&other.id)?.is_empty())
    {
        let message = format!("there is another room {:?} with rules of its own by now", wanted.name);
        return Err(Failure::new(409, Code::Duplicate, message));
    }
    let rules = call.store.kept_rules(entry.number)?;
    if kept != rules.len() {
        return Err(Failure::new(500, Code::Internal, "not all of its rules were kept"));
    }
    let ground = Ground::of(call, zone)?;
    let kept = json!(rules);
    let (_, of_rules) = body::read(Body::Said(&kept), "", |file, node| ground.rules(file, node, &wanted.name, &rules))?;
    doubts.extend(of_rules);
    call.store.restore_room(entry, &wanted, &rules)?;
    Ok(doubts)
}
