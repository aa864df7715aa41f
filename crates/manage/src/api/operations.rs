//! Every operation of the API: where it is, who may call it, what it takes and yields, and what does it.

use http::Method;
use percent_encoding::percent_decode_str;

use super::super::failure::Failure;
use super::super::store::tokens::Scope;
use super::query::{Parameter, ParameterKind};
use super::{Call, Success, lists, rooms, rules, undo, zones};
use velvetrope::internal::program::ListKind;

/// An operation of the API.
pub(super) struct Operation {
    /// Its name in the description.
    pub id: &'static str,
    pub method: Method,
    /// Below [`super::API`]; names in braces stand for one part of the path.
    pub path: &'static str,
    /// What a token must allow.
    pub scope: Scope,
    pub summary: &'static str,
    pub query: &'static [Parameter],
    /// The schema of its body, by name.
    pub body: Option<&'static str>,
    /// The schema of its result, by name.
    pub result: &'static str,
    pub handler: fn(&Call) -> Result<Success, Failure>,
}

const DRY_RUN: Parameter = Parameter {
    name: "dry_run",
    about: "Check everything, save nothing: the result is null.",
    kind: ParameterKind::Flag,
};
const PAGE: Parameter =
    Parameter { name: "page", about: "Which page, from 1.", kind: ParameterKind::Number(1, 1_000_000) };
const PER_PAGE: Parameter =
    Parameter { name: "per_page", about: "How many on a page.", kind: ParameterKind::Number(1, 1000) };
const CURSOR: Parameter = Parameter {
    name: "cursor",
    about: "Where to go on: `result_info.cursors.after` of the page before.",
    kind: ParameterKind::Text,
};
const SEARCH: Parameter = Parameter {
    name: "search",
    about: "Only these: addresses that begin so, host names that contain it, this AS number.",
    kind: ParameterKind::Text,
};

const BEFORE: Parameter = Parameter {
    name: "before",
    about: "Only entries with a smaller number.",
    kind: ParameterKind::Number(1, u32::MAX),
};

const NAME: Parameter = Parameter {
    name: "name",
    about: "Only those of this name; or, behind an operator, those whose name fits: `contains:shop`.",
    kind: ParameterKind::Text,
};
const ACCOUNT_ID: Parameter =
    Parameter { name: "account.id", about: "Only those of this account.", kind: ParameterKind::Text };
const ACCOUNT_NAME: Parameter = Parameter {
    name: "account.name",
    about: "Only those of accounts of this name; see `name`.",
    kind: ParameterKind::Text,
};
const STATUS: Parameter = Parameter {
    name: "status",
    about: "Only zones in this state; all are `active`.",
    kind: ParameterKind::Choice(&["initializing", "pending", "active", "moved"]),
};
const ORDER: Parameter = Parameter {
    name: "order",
    about: "By what they are ordered; it makes no difference here, where all of these are the same.",
    kind: ParameterKind::Choice(&["name", "status", "account.id", "account.name", "plan.name"]),
};
const DIRECTION: Parameter =
    Parameter { name: "direction", about: "Which end is first.", kind: ParameterKind::Choice(&["asc", "desc"]) };
const MATCH: Parameter = Parameter {
    name: "match",
    about: "Whether all filters must fit, as by default, or any.",
    kind: ParameterKind::Choice(&["all", "any"]),
};
const KIND: Parameter =
    Parameter { name: "kind", about: "Only lists that hold this.", kind: ParameterKind::Choice(ListKind::NAMES) };

const NONE: &[Parameter] = &[];
const DRY: &[Parameter] = &[DRY_RUN];
const PAGED: &[Parameter] = &[PAGE, PER_PAGE];
const ZONES: &[Parameter] = &[NAME, STATUS, ACCOUNT_ID, ACCOUNT_NAME, MATCH, ORDER, DIRECTION, PAGE, PER_PAGE];
const NAMED: &[Parameter] = &[NAME, DIRECTION, PAGE, PER_PAGE];
const OF_KIND: &[Parameter] = &[NAME, KIND];
const TRAIL: &[Parameter] = &[BEFORE, PER_PAGE];
const CURSORED: &[Parameter] = &[CURSOR, PER_PAGE, SEARCH];

const ROOMS: &str = "/zones/{zone_id}/waiting_rooms";
const ROOM: &str = "/zones/{zone_id}/waiting_rooms/{room_id}";
const SETTINGS: &str = "/zones/{zone_id}/waiting_rooms/settings";
const RULES: &str = "/zones/{zone_id}/waiting_rooms/{room_id}/rules";
const RULE: &str = "/zones/{zone_id}/waiting_rooms/{room_id}/rules/{rule_id}";
const LISTS: &str = "/accounts/{account_id}/rules/lists";
const LIST: &str = "/accounts/{account_id}/rules/lists/{list_id}";
const ITEMS: &str = "/accounts/{account_id}/rules/lists/{list_id}/items";

type Handler = fn(&Call) -> Result<Success, Failure>;

const fn reads(
    (id, summary): (&'static str, &'static str),
    path: &'static str,
    query: &'static [Parameter],
    result: &'static str,
    handler: Handler,
) -> Operation {
    Operation { id, method: Method::GET, path, scope: Scope::Read, summary, query, body: None, result, handler }
}

const fn writes(
    (id, summary): (&'static str, &'static str),
    method: Method,
    path: &'static str,
    body: Option<&'static str>,
    result: &'static str,
    handler: Handler,
) -> Operation {
    Operation { id, method, path, scope: Scope::Write, summary, query: DRY, body, result, handler }
}

/// All of them. Of paths that fit, the first one counts.
pub(super) static OPERATIONS: [Operation; 36] = [
    reads(("verifyToken", "Whether the token is valid"), "/user/tokens/verify", NONE, "Status", zones::verify_token),
    reads(("listZones", "Zones: one for each policy"), "/zones", ZONES, "Zones", zones::list),
    reads(("getZone", "One zone"), "/zones/{zone_id}", NONE, "Zone", zones::get),
    reads(
        ("listAccounts", "Accounts: one for each zone, of the same name"),
        "/accounts",
        NAMED,
        "Accounts",
        zones::accounts,
    ),
    reads(("getZoneSettings", "Settings of a zone"), SETTINGS, NONE, "ZoneSettings", zones::settings),
    writes(
        ("replaceZoneSettings", "Replace the settings of a zone"),
        Method::PUT,
        SETTINGS,
        Some("ZoneSettings"),
        "ZoneSettings",
        zones::replace_settings,
    ),
    writes(
        ("changeZoneSettings", "Change settings of a zone"),
        Method::PATCH,
        SETTINGS,
        Some("ZoneSettings"),
        "ZoneSettings",
        zones::change_settings,
    ),
    reads(
        ("getAudit", "Who changed what, newest first"),
        "/zones/{zone_id}/waiting_rooms/audit",
        TRAIL,
        "Audit",
        zones::audit,
    ),
    reads(
        ("getChangedItems", "Which items of a list a change has changed"),
        "/zones/{zone_id}/waiting_rooms/audit/{entry}/items",
        PAGED,
        "ChangedItems",
        undo::changed_items,
    ),
    writes(
        ("undoChange", "Undo a change of a room or a list, if nothing of it has changed since"),
        Method::POST,
        "/zones/{zone_id}/waiting_rooms/audit/{entry}/undo",
        None,
        "Undone",
        undo::undo,
    ),
    reads(
        ("listRoomsOfAccount", "Waiting rooms of an account"),
        "/accounts/{account_id}/waiting_rooms",
        NAMED,
        "Rooms",
        rooms::list,
    ),
    reads(("listRooms", "Waiting rooms of a zone"), ROOMS, NAMED, "Rooms", rooms::list),
    writes(("createRoom", "Create a waiting room"), Method::POST, ROOMS, Some("NewRoom"), "Room", rooms::create),
    reads(("getRoom", "One waiting room"), ROOM, NONE, "Room", rooms::get),
    writes(("replaceRoom", "Replace a waiting room"), Method::PUT, ROOM, Some("NewRoom"), "Room", rooms::replace),
    writes(
        ("changeRoom", "Change some fields of a waiting room"),
        Method::PATCH,
        ROOM,
        Some("RoomChanges"),
        "Room",
        rooms::change,
    ),
    writes(("deleteRoom", "Delete a waiting room and its rules"), Method::DELETE, ROOM, None, "Id", rooms::delete),
    reads(
        ("getRoomStatus", "What a waiting room does, where it runs here"),
        "/zones/{zone_id}/waiting_rooms/{room_id}/status",
        NONE,
        "RoomStatus",
        rooms::status,
    ),
    reads(("listRules", "Bypass rules of a waiting room, in order"), RULES, NONE, "Rules", rules::list),
    writes(
        ("createRule", "Add a bypass rule behind the others"),
        Method::POST,
        RULES,
        Some("NewRule"),
        "Rules",
        rules::create,
    ),
    writes(
        ("replaceRules", "Replace all bypass rules of a waiting room"),
        Method::PUT,
        RULES,
        Some("NewRules"),
        "Rules",
        rules::replace,
    ),
    writes(
        ("changeRule", "Change or move a bypass rule"),
        Method::PATCH,
        RULE,
        Some("RuleChanges"),
        "Rules",
        rules::change,
    ),
    writes(("deleteRule", "Delete a bypass rule"), Method::DELETE, RULE, None, "Rules", rules::delete),
    reads(("listLists", "Lists that expressions use as `$name`"), LISTS, OF_KIND, "Lists", lists::all),
    writes(("createList", "Create an empty list"), Method::POST, LISTS, Some("NewList"), "List", lists::create),
    reads(
        ("getOperation", "What has become of a change of a list's items"),
        "/accounts/{account_id}/rules/lists/bulk_operations/{operation_id}",
        NONE,
        "Operation",
        lists::operation,
    ),
    reads(("getList", "One list"), LIST, NONE, "List", lists::get),
    writes(
        ("describeList", "Change the description of a list"),
        Method::PUT,
        LIST,
        Some("ListChanges"),
        "List",
        lists::describe,
    ),
    writes(("deleteList", "Delete a list that nothing uses"), Method::DELETE, LIST, None, "Id", lists::delete),
    reads(("listItems", "Items of a list, in ascending order"), ITEMS, CURSORED, "Items", lists::items),
    writes(
        ("addItems", "Add items, or overwrite their comments"),
        Method::POST,
        ITEMS,
        Some("NewItems"),
        "OperationId",
        lists::add_items,
    ),
    writes(
        ("replaceItems", "Replace all items"),
        Method::PUT,
        ITEMS,
        Some("NewItems"),
        "OperationId",
        lists::replace_items,
    ),
    writes(("removeItems", "Remove items"), Method::DELETE, ITEMS, Some("ItemIds"), "OperationId", lists::remove_items),
    reads(
        ("getItem", "One item of a list"),
        "/accounts/{account_id}/rules/lists/{list_id}/items/{item_id}",
        NONE,
        "Item",
        lists::item,
    ),
    reads(
        ("getRulesVersion", "Bypass rules as they were at an earlier version"),
        "/zones/{zone_id}/waiting_rooms/{room_id}/rules/versions/{version}",
        NONE,
        "Rules",
        rules::version,
    ),
    writes(
        ("restoreRules", "Put the bypass rules of an earlier version in place of the present ones"),
        Method::POST,
        "/zones/{zone_id}/waiting_rooms/{room_id}/rules/versions/{version}/restore",
        None,
        "Rules",
        rules::restore,
    ),
];

/// What there is at a path.
pub(super) enum Found {
    Nothing,
    /// Something for these methods.
    OtherMethods(String),
    /// With what stands for the names in its path.
    Operation(&'static Operation, Vec<(&'static str, String)>),
}

/// The operation that a method and a path, below [`super::API`], mean.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let mut others: Vec<&str> = Vec::new();
    let mut fitting: Option<&str> = None;
    for operation in &OPERATIONS {
        let Some(parameters) = captures(operation.path, path) else { continue };
        // `waiting_rooms/settings` is no room: what is there for one path does not count for another.
        if *fitting.get_or_insert(operation.path) != operation.path {
            continue;
        }
        if operation.method == *method {
            return Found::Operation(operation, parameters);
        }
        others.push(operation.method.as_str());
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others.join(", ")) }
}

/// What stands in a path for the names of a template, if it fits.
fn captures(template: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut parts = path.split('/');
    let mut captures = Vec::new();
    for expected in template.split('/') {
        let part = parts.next()?;
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(_) if part.is_empty() => return None,
            Some(name) => captures.push((name, percent_decode_str(part).decode_utf8_lossy().into_owned())),
            None if part != expected => return None,
            None => {}
        }
    }
    parts.next().is_none().then_some(captures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> String {
        match find(&method.parse().unwrap(), path) {
            Found::Nothing => "nothing".into(),
            Found::OtherMethods(methods) => methods,
            Found::Operation(operation, captures) => {
                captures.iter().fold(operation.id.to_owned(), |all, (name, value)| format!("{all} {name}={value}"))
            }
        }
    }

    #[test]
    fn a_path_leads_to_one_operation() {
        for (method, path, expected) in [
            ("GET", "/zones/z/waiting_rooms", "listRooms zone_id=z"),
            ("GET", "/zones/z/waiting_rooms/settings", "getZoneSettings zone_id=z"),
            ("DELETE", "/zones/z/waiting_rooms/settings", "GET, PUT, PATCH"),
            ("PUT", "/zones/z/waiting_rooms/%2A/rules", "replaceRules zone_id=z room_id=*"),
            ("PATCH", "/zones/z/waiting_rooms/r/rules/a%2Fb", "changeRule zone_id=z room_id=r rule_id=a/b"),
            ("PATCH", "/zones/z/waiting_rooms/r/rules", "GET, POST, PUT"),
            ("GET", "/accounts/a/rules/lists/bulk_operations/o", "getOperation account_id=a operation_id=o"),
            ("GET", "/zones//waiting_rooms", "nothing"),
            ("GET", "/zones/z/waiting_rooms/", "nothing"),
            ("GET", "", "nothing"),
        ] {
            assert_eq!(found(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn no_operation_hides_another() {
        for operation in &OPERATIONS {
            let path = operation.path.replace(['{', '}'], "");
            let found = found(operation.method.as_str(), &path);
            assert_eq!(found.split(' ').next(), Some(operation.id), "{path}");
        }
    }
}
