//! JSON Schemas of everything an operator writes or Queue-it publishes.
//!
//! Settings, rooms and rules have theirs made from the types they are read into. What is only read value by value has
//! a type of its own here.
#![allow(dead_code, reason = "read by the schemas only")]

use schemars::{JsonSchema, schema_for};

use super::rooms::RoomsFile;
use super::rules::RulesFile;
use super::settings::Settings;

/// The schemas by file name, such as `rules.json`, as indented JSON with a final newline.
pub fn schemas() -> Vec<(&'static str, String)> {
    let schemas = [
        ("velvetrope.json", schema_for!(Settings)),
        ("integration.json", schema_for!(Published)),
        ("rooms.json", schema_for!(RoomsFile)),
        ("rules.json", schema_for!(RulesFile)),
        ("list.json", schema_for!(ListItems)),
    ];
    schemas.into_iter().map(|(name, schema)| (name, format!("{:#}\n", schema.as_value()))).collect()
}

/// The configuration as Queue-it publishes it. Unknown keys are ignored.
#[derive(JsonSchema)]
#[schemars(rename = "integration", rename_all = "PascalCase")]
struct Published {
    /// Of this configuration; not 0.
    version: f64,
    /// In order: the first that has a true trigger wins.
    integrations: Option<Vec<PublishedIntegration>>,
}

/// What to do where a trigger is true.
#[derive(JsonSchema)]
#[schemars(rename = "integration entry", rename_all = "PascalCase")]
struct PublishedIntegration {
    /// For people, and for the waiting room's statistics.
    name: Option<String>,
    /// What happens. Anything else is treated as `Ignore`.
    #[schemars(extend("enum" = ["Queue", "Cancel", "Ignore"]))]
    action_type: String,
    /// The waiting room's id.
    event_id: Option<String>,
    /// Further rooms whose sessions count (`Queue`) or end (`Cancel`).
    involved_waiting_room_ids: Option<Vec<String>>,
    /// Domain of the session cookie.
    cookie_domain: Option<String>,
    /// Whether scripts are kept from the session cookie.
    is_cookie_http_only: Option<bool>,
    /// Whether the session cookie needs TLS.
    is_cookie_secure: Option<bool>,
    /// Layout of the waiting page.
    layout_name: Option<String>,
    /// Language of the waiting page.
    culture: Option<String>,
    /// Whether each request renews the session.
    extend_cookie_validity: Option<bool>,
    /// Minutes a session lasts; more than 0 where visitors queue.
    cookie_validity_minute: Option<f64>,
    /// Host of the waiting room.
    queue_domain: Option<String>,
    /// Path before everything in redirects to the waiting room.
    queue_path_prefix: Option<String>,
    /// Where visitors go after the waiting room. Anything else behaves as `AllowTParameter`.
    #[schemars(extend("enum" = ["AllowTParameter", "EventTargetUrl", "ForcedTargetUrl", null]))]
    redirect_logic: Option<String>,
    /// Where they go with `ForcedTargetUrl`.
    forced_target_url: Option<String>,
    /// Any of them suffices.
    triggers: Vec<PublishedTrigger>,
    /// Whether every use of a queue id is verified.
    verify_queue_id_enabled: Option<bool>,
    /// How often a queue id may be used.
    queue_id_usage_limit: Option<f64>,
    /// Whether triggers see the URL normalised.
    is_normalization_enabled: Option<bool>,
}

/// A condition.
#[derive(JsonSchema)]
#[schemars(rename = "trigger", rename_all = "PascalCase")]
struct PublishedTrigger {
    /// How the parts are joined. Anything but `Or` is and.
    #[schemars(extend("enum" = ["And", "Or", null]))]
    logical_operator: Option<String>,
    /// The parts.
    trigger_parts: Vec<PublishedPart>,
}

/// One comparison of a trigger.
#[derive(JsonSchema)]
#[schemars(rename = "trigger part", rename_all = "PascalCase")]
struct PublishedPart {
    /// What is looked at.
    #[schemars(extend("enum" = [
        "UrlValidator", "CookieValidator", "UserAgentValidator", "HttpHeaderValidator", "RequestBodyValidator"
    ]))]
    validator_type: String,
    /// How it is compared.
    #[schemars(extend("enum" = ["Equals", "Contains", "EqualsAny", "ContainsAny"]))]
    operator: String,
    /// For `Equals` and `Contains`; `*` is contained in every text but the empty one.
    value_to_compare: Option<String>,
    /// For `EqualsAny` and `ContainsAny`.
    values_to_compare: Option<Vec<String>>,
    /// Whether the comparison must fail.
    is_negative: Option<bool>,
    /// Whether upper and lower case are the same.
    is_ignore_case: Option<bool>,
    /// For `UrlValidator`.
    #[schemars(extend("enum" = ["HostName", "PagePath", "PageUrl", null]))]
    url_part: Option<String>,
    /// For `CookieValidator`.
    cookie_name: Option<String>,
    /// For `HttpHeaderValidator`.
    http_header_name: Option<String>,
}

/// A list as items of the lists API.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "list")]
enum ListItems {
    /// As the API wants it.
    Bare(Vec<ListItem>),
    /// As the API answers.
    Answer {
        /// The items.
        result: Vec<ListItem>,
    },
}

/// One member of a list; all members of a list are of its kind.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "list item")]
enum ListItem {
    /// An address or network.
    Ip {
        /// Such as `192.0.2.0/24`.
        ip: String,
        /// For people.
        comment: Option<String>,
    },
    /// An AS number.
    Asn {
        /// Such as 64496.
        asn: u32,
        /// For people.
        comment: Option<String>,
    },
    /// A host name.
    Hostname {
        /// The name.
        hostname: HostnameItem,
        /// For people.
        comment: Option<String>,
    },
}

/// A host name, or all below one.
#[derive(JsonSchema)]
#[schemars(rename = "host name")]
struct HostnameItem {
    /// `tickets.example` or `*.tickets.example`.
    url_hostname: String,
    /// Whether `*.` leaves out the name itself. Default true.
    exclude_exact_hostname: Option<bool>,
}
