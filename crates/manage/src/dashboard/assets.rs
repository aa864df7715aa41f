//! What pages load: one style sheet, one script, and the names that expressions may use.

use std::sync::LazyLock;

use serde_json::json;

use super::Reply;
use velvetrope::internal::language::function::Function;
use velvetrope::internal::request::Field;

const STYLE: &str = include_str!("dashboard.css");
const SCRIPT: &str = include_str!("dashboard.js");
/// A rope between two posts.
const ICON: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="none" stroke="#b8356f" stroke-width="4" stroke-linecap="round" d="M5 6v21M27 6v21M5 10q11 16 22 0"/></svg>"##;

/// Fields and functions, for completion.
static NAMES: LazyLock<String> = LazyLock::new(|| {
    let fields = Field::ALL.iter().filter(|field| !field.is_of_triggers() && !field.is_barred_from_bypass_rules());
    let fields: Vec<_> = fields
        .map(|field| json!({ "name": field.info().name, "about": field.info().value_type().to_string() }))
        .collect();
    let functions = Function::ALL.iter().filter(|function| !function.is_of_triggers());
    let functions: Vec<_> =
        functions.map(|function| json!({ "name": function.name(), "about": function.usage() })).collect();
    json!({ "fields": fields, "functions": functions }).to_string()
});

/// Whether there is such an asset.
pub(super) fn is_one(name: &str) -> bool {
    matches!(name, "dashboard.css" | "dashboard.js" | "icon.svg" | "names.json")
}

pub(super) fn reply(name: &str) -> Reply {
    match name {
        "dashboard.css" => Reply::of(200, "text/css; charset=utf-8", STYLE.into()),
        "dashboard.js" => Reply::of(200, "text/javascript; charset=utf-8", SCRIPT.into()),
        "icon.svg" => Reply::of(200, "image/svg+xml", ICON.into()),
        _ => Reply::of(200, "application/json", NAMES.clone().into_bytes()),
    }
}
