//! The description of the API (OpenAPI 3.1), made from its operations and from the types of what they take.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::API;
use super::operations::{OPERATIONS, Operation};
use super::query::{Parameter, ParameterKind};
use crate::body::MAX_TEXT;
use velvetrope::internal::language::MAX_CHARACTERS;
use velvetrope::internal::policy::Room;
use velvetrope::internal::program::ListKind;
use velvetrope::internal::rooms::REQUIRED_BY_API;
use velvetrope::internal::rules::RuleObject;

/// The description of the API as a JSON text.
pub fn openapi() -> String {
    document().to_string()
}

/// The description of the API.
pub(super) fn document() -> Json {
    let mut paths = Map::new();
    for operation in &OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "velvetrope",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Waiting rooms, their bypass rules and lists, in the shapes of the public waiting-room API.",
        },
        "servers": [{ "url": API }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn described(operation: &Operation) -> Json {
    let success = content(&envelope(reference(operation.result)));
    let status = if operation.result == "OperationId" { "201" } else { "200" };
    let refusal = content(&reference("Refusal"));
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters(operation),
        "responses": {
            status: { "description": "Done.", "content": success },
            "4XX": { "description": "Refused; nothing has changed.", "content": refusal },
        },
        "security": [{ "token": [] }],
    });
    if let Some(body) = operation.body {
        described["requestBody"] = json!({ "required": true, "content": content(&reference(body)) });
    }
    described
}

fn content(schema: &Json) -> Json {
    json!({ "application/json": { "schema": schema } })
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn envelope(result: Json) -> Json {
    json!({
        "type": "object",
        "required": ["result", "success", "errors", "messages"],
        "properties": {
            "result": { "anyOf": [result, { "type": "null" }] },
            "success": { "const": true },
            "errors": { "type": "array", "maxItems": 0 },
            "messages": { "type": "array", "items": reference("Message") },
            "result_info": { "type": "object" },
        },
    })
}

fn parameters(operation: &Operation) -> Vec<Json> {
    let names = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(
        |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }),
    );
    let in_query = operation.query.iter().map(|Parameter { name, about, kind }| {
        let schema = match kind {
            ParameterKind::Text => json!({ "type": "string" }),
            ParameterKind::Flag => json!({ "type": "boolean" }),
            ParameterKind::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            ParameterKind::Choice(words) => json!({ "enum": words }),
        };
        json!({ "name": name, "in": "query", "description": about, "schema": schema })
    });
    in_path.chain(in_query).collect()
}

fn schemas() -> Map<String, Json> {
    let id = || json!({ "type": "string" });
    let time = || json!({ "type": "string", "format": "date-time" });
    let several = |name: &str| json!({ "type": "array", "items": reference(name) });
    let object = |required: &[&str], properties: Json| json!({ "type": "object", "required": required, "properties": properties });
    let closed = |required: &[&str], properties: Json| {
        json!({
            "type": "object", "required": required, "properties": properties, "additionalProperties": false,
        })
    };
    let room = inlined::<Room>();
    let properties = room["properties"].clone();
    let mut rule = inlined::<RuleObject>();
    rule["properties"]["expression"]["maxLength"] = json!(MAX_CHARACTERS);
    rule["properties"]["description"]["maxLength"] = json!(MAX_TEXT);
    let mut changes = rule["properties"].clone();
    changes["position"] = json!({
        "description": "Exactly one of them.",
        "type": ["object", "null"],
        "properties": {
            "index": { "type": "integer", "minimum": 0, "maximum": u32::MAX },
            "before": { "type": "string" },
            "after": { "type": "string" },
        },
    });
    let items = json!({
        "id": { "type": "string" }, "comment": { "type": ["string", "null"], "maxLength": MAX_TEXT },
        "created_on": { "type": "string" }, "modified_on": { "type": "string" },
        "ip": { "type": "string" }, "asn": { "type": "integer", "minimum": 0, "maximum": u32::MAX },
        "hostname": {
            "type": "object", "required": ["url_hostname"], "properties": {
                "url_hostname": { "type": "string" }, "exclude_exact_hostname": { "type": "boolean" },
            },
        },
    });
    let text = json!({ "type": "string" });
    let schemas = [
        ("Message", object(&["code", "message"], json!({ "code": { "type": "integer" }, "message": text }))),
        (
            "Refusal",
            object(
                &["result", "success", "errors", "messages"],
                json!({
                    "result": { "type": "null" },
                    "success": { "const": false },
                    "errors": { "type": "array", "minItems": 1, "items": object(&["code", "message"], json!({
                        "code": { "type": "integer", "minimum": 1000 },
                        "message": text,
                        "source": object(&["pointer"], json!({ "pointer": text })),
                    })) },
                    "messages": { "type": "array" },
                }),
            ),
        ),
        ("Id", object(&["id"], json!({ "id": id() }))),
        ("Undone", object(&["undone"], json!({ "undone": { "type": "integer" } }))),
        (
            "ChangedItems",
            json!({ "type": "array", "items": object(&["value", "before", "after"], json!({
                "value": text, "before": { "type": ["object", "null"] }, "after": { "type": ["object", "null"] },
            })) }),
        ),
        ("Status", object(&["status"], json!({ "status": text }))),
        ("Zone", object(&["id", "name"], json!({ "id": id(), "name": text }))),
        ("Zones", several("Zone")),
        ("Accounts", json!({ "type": "array", "items": object(&["id", "name"], json!({ "id": id(), "name": text })) })),
        ("ZoneSettings", closed(&[], json!({ "search_engine_crawler_bypass": { "type": ["boolean", "null"] } }))),
        (
            "Room",
            object(
                &["id", "name", "created_on", "modified_on"],
                json!({
                    "id": id(), "name": text, "created_on": time(), "modified_on": time(),
                }),
            ),
        ),
        ("Rooms", several("Room")),
        (
            "RoomStatus",
            object(
                &[
                    "status",
                    "event_id",
                    "estimated_queued_users",
                    "estimated_total_active_users",
                    "max_estimated_time_minutes",
                ],
                json!({
                    "status": { "enum": ["not_queueing", "queueing", "suspended"] },
                    "event_id": text,
                    "estimated_queued_users": { "type": "integer" },
                    "estimated_total_active_users": { "type": "integer" },
                    "max_estimated_time_minutes": {
                        "description": "null where nobody can tell",
                        "type": ["integer", "null"],
                    },
                }),
            ),
        ),
        ("NewRoom", required(room, &REQUIRED_BY_API)),
        ("RoomChanges", closed(&[], properties)),
        (
            "Rule",
            object(
                &["id", "version", "action", "expression", "description", "enabled", "last_updated"],
                json!({
                    "id": id(), "version": text, "action": { "const": "bypass_waiting_room" }, "expression": text,
                    "description": text, "enabled": { "type": "boolean" }, "last_updated": time(),
                }),
            ),
        ),
        ("Rules", several("Rule")),
        ("NewRule", rule),
        ("NewRules", several("NewRule")),
        ("RuleChanges", closed(&[], changes)),
        (
            "List",
            object(
                &["id", "name", "kind", "num_items"],
                json!({
                    "id": id(), "name": text, "kind": { "enum": ListKind::NAMES }, "description": text,
                    "num_items": { "type": "integer" }, "num_referencing_filters": { "type": "integer" },
                    "created_on": time(), "modified_on": time(),
                }),
            ),
        ),
        ("Lists", several("List")),
        (
            "NewList",
            closed(
                &["name", "kind"],
                json!({
                    "name": { "type": "string", "pattern": "^[a-z0-9_]{1,50}$" }, "kind": { "enum": ListKind::NAMES },
                    "description": { "type": ["string", "null"], "maxLength": MAX_TEXT },
                }),
            ),
        ),
        ("ListChanges", closed(&[], json!({ "description": { "type": ["string", "null"], "maxLength": MAX_TEXT } }))),
        ("Item", object(&["id"], items.clone())),
        ("Items", several("Item")),
        ("NewItems", json!({ "type": "array", "items": closed(&[], items) })),
        (
            "ItemIds",
            closed(
                &["items"],
                json!({
                    "items": { "type": "array", "items": closed(&["id"], json!({ "id": id() })) },
                }),
            ),
        ),
        ("OperationId", object(&["operation_id"], json!({ "operation_id": id() }))),
        (
            "Operation",
            object(
                &["id", "status"],
                json!({
                    "id": id(), "status": { "enum": ["pending", "running", "completed", "failed"] },
                    "completed": time(), "error": text,
                }),
            ),
        ),
        (
            "Audit",
            json!({ "type": "array", "items": object(&["number", "at", "actor", "action", "subject"], json!({
            "number": { "type": "integer" }, "at": time(), "actor": text, "action": text, "subject": text,
        })) }),
        ),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// An object as it is read, with everything that it refers to in place.
fn inlined<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().into()
}

fn required(mut schema: Json, keys: &[&str]) -> Json {
    schema["required"] = json!(keys);
    schema
}
