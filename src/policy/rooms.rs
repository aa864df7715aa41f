//! Waiting rooms in the shape of the waiting-room API (API, section 3), and how they are placed: by host and path, or
//! by an expression of the operator's own. Either way they become integrations that queue.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::STORED;
use super::check::{Checker, Origin};
use super::document::{Node, Value, parse_json};
use super::fields::Fields;
use super::finding::{File, Kind, Problem};
use super::integration::{Action, Integration, Number, Placed, RedirectLogic};
use super::settings::is_host;
use crate::language::Expression;

/// A waiting room as the API has it, and, kept apart, what velvetrope adds. What only matters to the room itself and
/// not to a connector is checked and kept.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields, rename = "room")]
pub struct Room {
    /// Set by the API.
    pub id: Option<String>,
    /// Unique; letters, digits, `-` and `_`. The room's id in the protocol, unless `velvetrope.event_id` says
    /// otherwise.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The host it stands before; no scheme and no wildcard. Required unless `velvetrope.when` places the room.
    pub host: Option<String>,
    /// The path it stands before, and everything below it. Default `/`. The most specific path wins.
    #[schemars(default = "root")]
    pub path: String,
    /// Further places of the same room.
    #[serde(default)]
    pub additional_routes: Vec<Route>,
    /// A name for the room's cookie; unused here.
    pub cookie_suffix: Option<String>,
    /// How the room's cookie is set.
    #[serde(default)]
    pub cookie_attributes: CookieAttributes,
    /// How many visitors the site holds.
    #[schemars(range(min = 200))]
    pub total_active_users: Option<u32>,
    /// How many visitors may enter a minute; at most `total_active_users`.
    #[schemars(range(min = 200))]
    pub new_users_per_minute: Option<u32>,
    /// Minutes a session lasts. Default 5.
    #[schemars(default = "five", range(min = 1, max = 30))]
    pub session_duration: u32,
    /// Whether a session ends `session_duration` after it began instead of being renewed by each request.
    #[serde(default)]
    pub disable_session_renewal: bool,
    /// Whether every new visitor waits.
    #[serde(default)]
    pub queue_all: bool,
    /// In which order visitors enter: `fifo` (default), `random`, `passthrough` or `reject`.
    #[schemars(default = "fifo", extend("enum" = ["fifo", "random", "passthrough", "reject"]))]
    pub queueing_method: String,
    /// HTTP status of the waiting page: 200 (default), 202 or 429.
    #[schemars(default = "ok", extend("enum" = [200, 202, 429]))]
    pub queueing_status_code: u32,
    /// Whether the room is switched off: it is not placed at all.
    #[serde(default)]
    pub suspended: bool,
    /// Whether the waiting page also exists as JSON.
    #[serde(default)]
    pub json_response_enabled: bool,
    /// A waiting page of one's own.
    pub custom_page_html: Option<String>,
    /// Language of the waiting page, such as `da-DK`; passed on to the waiting room as its culture.
    pub default_template_language: Option<String>,
    /// Commands the site may give in response headers: `revoke`.
    #[serde(default)]
    pub enabled_origin_commands: Vec<String>,
    /// `off`, `invisible`, `visible_non_interactive` or `visible_managed`.
    #[schemars(extend("enum" = ["off", "invisible", "visible_non_interactive", "visible_managed", null]))]
    pub turnstile_mode: Option<String>,
    /// `log` or `infinite_queue`.
    #[schemars(extend("enum" = ["log", "infinite_queue", null]))]
    pub turnstile_action: Option<String>,
    /// Set by the API.
    pub created_on: Option<String>,
    /// Set by the API.
    pub modified_on: Option<String>,
    /// Set by the API.
    pub next_event_prequeue_start_time: Option<String>,
    /// Set by the API.
    pub next_event_start_time: Option<String>,
    /// What the API does not know.
    #[serde(default)]
    pub velvetrope: Additions,
}

/// A further place of a room.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
pub struct Route {
    /// As the room's `host`.
    pub host: String,
    /// As the room's `path`.
    #[schemars(default = "root")]
    pub path: String,
}

/// How the room's cookie is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
pub struct CookieAttributes {
    /// `auto`, `lax`, `none` or `strict`; unused here: Queue-it's protocol sets none.
    #[schemars(extend("enum" = ["auto", "lax", "none", "strict", null]))]
    pub samesite: Option<String>,
    /// `always` marks the cookie Secure; `auto` and `never` do not.
    #[schemars(extend("enum" = ["auto", "always", "never", null]))]
    pub secure: Option<String>,
}

/// What a room can say beyond the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(deny_unknown_fields)]
pub struct Additions {
    /// Places the room by an expression in the rules language instead of host and path.
    pub when: Option<String>,
    /// The room's id in the protocol. Default: its name.
    pub event_id: Option<String>,
    /// Host of the waiting room. Default `CUSTOMER.queue-it.net`.
    pub queue_domain: Option<String>,
    /// Layout of the waiting page.
    pub layout: Option<String>,
    /// Domain of the session cookie. Default: the host alone.
    pub cookie_domain: Option<String>,
    /// Whether scripts are kept from the session cookie. Default true.
    pub cookie_http_only: Option<bool>,
}

/// A file of rooms.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "rooms")]
#[allow(dead_code, reason = "read by the schema only")]
pub(super) enum RoomsFile {
    /// The rooms.
    Bare(Vec<Room>),
    /// One room.
    One(Box<Room>),
    /// As some clients send it.
    Wrapped {
        /// The rooms.
        rooms: Vec<Room>,
    },
    /// As the API answers.
    Answer {
        /// The rooms.
        result: Vec<Room>,
    },
}

/// Rooms, and the integrations they become: those placed by an expression in the order of the file, then those placed
/// by path, the longest first.
#[derive(Default)]
pub(super) struct Rooms {
    pub rooms: Vec<Room>,
    pub integrations: Vec<Placed>,
}

/// Reads a file of rooms; `None` if it is no JSON.
pub(super) fn read(file: File, checker: &Checker) -> Option<Rooms> {
    let root = match parse_json(file.text) {
        Ok(root) => root,
        Err(error) => {
            file.add(error.at..error.at, Problem::error(Kind::Syntax, error.message));
            return None;
        }
    };
    let rooms = match (&root.value, root.get("rooms").or_else(|| root.get("result"))) {
        (Value::Object(_), Some(wrapped)) => wrapped,
        _ => &root,
    };
    let rooms = rooms.as_array().unwrap_or(std::slice::from_ref(rooms)).iter().zip(1..);
    let mut reader = Reader::among(&[], file, checker);
    let rooms: Vec<Room> = rooms.filter_map(|(node, number)| reader.room(node, number)).collect();

    reader.placements.sort_by_key(|placement| std::cmp::Reverse(placement.specificity));
    let customer = &checker.settings.customer_id;
    let integrations = reader.placements.into_iter().map(|placement| placement.integration(customer)).collect();
    Some(Rooms { rooms, integrations })
}

/// Reads one room that is to stand among others; everything wrong with it is reported.
pub(crate) fn submitted(file: File, node: &Node, others: &[Room], checker: &Checker) -> Option<Room> {
    Reader::among(others, file, checker).room(node, others.len() + 1)
}

/// One place of one room.
struct Placement {
    room: Room,
    /// Length of the path; an expression comes before every path.
    specificity: usize,
    when: Expression,
}

struct Reader<'a> {
    file: File<'a>,
    checker: &'a Checker<'a>,
    /// Names in lower case, and what messages call their room.
    names: HashMap<String, String>,
    /// Host and path, and the name of their room.
    places: HashMap<(String, String), String>,
    placements: Vec<Placement>,
}

impl<'a> Reader<'a> {
    fn among(others: &[Room], file: File<'a>, checker: &'a Checker<'a>) -> Self {
        let names = others.iter().map(|room| (room.name.to_lowercase(), format!("room {}", room.name))).collect();
        let place = |host: &str, path: &str, room: &Room| (place(host, path), room.name.clone());
        let places = others.iter().flat_map(|room| {
            let first = room.host.iter().map(move |host| place(host, &room.path, room));
            first.chain(room.additional_routes.iter().map(move |route| place(&route.host, &route.path, room)))
        });
        Reader { file, checker, names, places: places.collect(), placements: Vec::new() }
    }

    fn room(&mut self, node: &Node, number: usize) -> Option<Room> {
        let mut fields = Fields::new(self.file, node, format!("room {number}"))?;
        let name_node = fields.required("name", "give the room a name of letters, digits, `-` and `_`");
        let name = fields.text("name").unwrap_or_default();
        if !name.is_empty() {
            fields.subject = format!("room {name}");
        }
        if let Some(node) = name_node {
            self.check_name(&fields, node, &name, number);
        }
        let (routes, route_nodes): (Vec<_>, Vec<_>) = read_routes(&fields).into_iter().unzip();
        let room = read_room(&fields, name, routes);
        check_event_id(&fields, name_node.unwrap_or(node), &room);
        self.place(&fields, &room, &route_nodes);
        fields.finish();
        Some(room)
    }

    fn check_name(&mut self, fields: &Fields, node: &Node, name: &str, number: usize) {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || !name.bytes().all(is_good) {
            fields.bad_value(node, format!("{name:?} cannot name a room"), "use letters, digits, `-` and `_`");
        }
        if let Some(other) = self.names.insert(name.to_lowercase(), format!("room {number}")) {
            fields.problem(node, Problem::error(Kind::Duplicate, format!("{other} has the same name")));
        }
    }

    fn place(&mut self, fields: &Fields, room: &Room, routes: &[&Node]) {
        let additions = fields.get("velvetrope");
        let when = additions.and_then(|additions| additions.get("when")).filter(|node| node.as_text().is_some());
        match (when, fields.get("host")) {
            (Some(when), Some(_)) => {
                fields.bad_value(when, "the room is placed twice", "keep either `when` or `host` and `path`")
            }
            (Some(when), None) => {
                self.place_by(fields, when, when.as_text().unwrap_or_default(), usize::MAX, room);
            }
            (None, Some(host)) => {
                let first = Route { host: room.host.clone().unwrap_or_default(), path: room.path.clone() };
                self.place_route(fields, host, fields.get("path"), &first, room);
                for (node, route) in routes.iter().zip(&room.additional_routes) {
                    self.place_route(fields, node, node.get("path"), route, room);
                }
            }
            (None, None) => {
                let problem = Problem::error(Kind::MissingKey, "the room is not placed anywhere");
                let help = "give it a `host` and a `path`, or an expression: `\"velvetrope\": {\"when\": \"…\"}`";
                fields.problem(fields.node, problem.help(help));
            }
        }
    }

    fn place_route(&mut self, fields: &Fields, node: &Node, path_node: Option<&Node>, route: &Route, room: &Room) {
        let (host, path) = place(&route.host, &route.path);
        let (name, port) = host.rsplit_once(':').unwrap_or((&host, "0"));
        if !is_host(name) || port.parse::<u16>().is_err() {
            let message = format!("{:?} is no host", route.host);
            return fields.bad_value(node, message, "write it without scheme, wildcard and path: `tickets.example`");
        }
        if let Some(help) = bad_path(&route.path) {
            let node = path_node.unwrap_or(node);
            return fields.bad_value(node, format!("{:?} is no path a room can stand before", route.path), help);
        }
        if let Some(other) = self.places.insert((host.clone(), path.clone()), room.name.clone()) {
            let problem = Problem::error(Kind::Duplicate, format!("room {other} stands before {host}{path}/, too"));
            fields.problem(node, problem);
        }
        self.place_by(fields, node, &condition(&host, &path), path.len(), room);
    }

    fn place_by(&mut self, fields: &Fields, node: &Node, text: &str, specificity: usize, room: &Room) {
        let origin = Origin { file: self.file, node, subject: &fields.subject };
        let Some(when) = self.checker.expression(origin, text) else { return };
        if !room.suspended {
            self.placements.push(Placement { room: room.clone(), specificity, when });
        }
    }
}

impl Placement {
    fn integration(self, customer: &str) -> Placed {
        let Placement { room, when, .. } = self;
        let event_id = room.event_id().to_owned();
        let Room { velvetrope, .. } = room;
        let integration = Integration {
            name: Some(room.name),
            action: Action::Queue,
            event_id: Some(event_id),
            involved_rooms: Vec::new(),
            cookie_domain: velvetrope.cookie_domain,
            cookie_http_only: velvetrope.cookie_http_only.unwrap_or(true),
            cookie_secure: room.cookie_attributes.secure.as_deref() == Some("always"),
            layout: velvetrope.layout,
            culture: room.default_template_language,
            extend_cookie_validity: !room.disable_session_renewal,
            cookie_validity_minute: Number::Is(f64::from(room.session_duration)),
            queue_domain: Some(velvetrope.queue_domain.unwrap_or_else(|| format!("{customer}.queue-it.net"))),
            queue_path_prefix: None,
            redirect_logic: RedirectLogic::AllowTParameter,
            forced_target_url: None,
            verify_queue_id: false,
            queue_id_usage_limit: Number::Missing,
            normalization: false,
            broken: None,
        };
        (integration, Arc::new(when))
    }
}

impl Room {
    /// The room's id in the protocol.
    pub fn event_id(&self) -> &str {
        self.velvetrope.event_id.as_deref().unwrap_or(&self.name)
    }
}

/// A host and a path as they are compared.
fn place(host: &str, path: &str) -> (String, String) {
    (host.to_ascii_lowercase(), path.trim_end_matches('/').to_owned())
}

fn read_room(fields: &Fields, name: String, additional_routes: Vec<Route>) -> Room {
    let text = |key| fields.text(key);
    let flag = |key| fields.flag(key).unwrap_or_default();
    let word = |key, words: &[&'static str]| choice(fields, key, words);
    let room = Room {
        id: text("id"),
        name,
        description: text("description").unwrap_or_default(),
        host: text("host"),
        path: text("path").unwrap_or_else(root),
        additional_routes,
        cookie_suffix: text("cookie_suffix"),
        cookie_attributes: fields.table("cookie_attributes").map(read_cookie_attributes).unwrap_or_default(),
        total_active_users: fields.number("total_active_users", 200..=u32::MAX),
        new_users_per_minute: fields.number("new_users_per_minute", 200..=u32::MAX),
        session_duration: fields.number("session_duration", 1..=30).unwrap_or_else(five),
        disable_session_renewal: flag("disable_session_renewal"),
        queue_all: flag("queue_all"),
        queueing_method: word("queueing_method", &["fifo", "random", "passthrough", "reject"]).unwrap_or_else(fifo),
        queueing_status_code: read_status(fields),
        suspended: flag("suspended"),
        json_response_enabled: flag("json_response_enabled"),
        custom_page_html: text("custom_page_html"),
        default_template_language: text("default_template_language"),
        enabled_origin_commands: fields.texts("enabled_origin_commands").into_iter().map(|(text, _)| text).collect(),
        turnstile_mode: word("turnstile_mode", &["off", "invisible", "visible_non_interactive", "visible_managed"]),
        turnstile_action: word("turnstile_action", &["log", "infinite_queue"]),
        created_on: text("created_on"),
        modified_on: text("modified_on"),
        next_event_prequeue_start_time: text("next_event_prequeue_start_time"),
        next_event_start_time: text("next_event_start_time"),
        velvetrope: fields.table("velvetrope").map(read_additions).unwrap_or_default(),
    };
    if let (Some(total), Some(new), Some(node)) =
        (room.total_active_users, room.new_users_per_minute, fields.get("new_users_per_minute"))
        && new > total
    {
        let help = "let no more enter in a minute than the site holds";
        fields.bad_value(node, "`new_users_per_minute` exceeds `total_active_users`", help);
    }
    // What a store holds was told of when it was put there.
    if !fields.file.path.starts_with(STORED) {
        warn_of_idle(fields, &room);
    }
    room
}

/// Warns of settings that are kept for the room itself, and that nothing here acts on yet.
fn warn_of_idle(fields: &Fields, room: &Room) {
    let is_said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let is_other = |text: &Option<String>, usual: &str| text.as_ref().is_some_and(|text| text != usual);
    let idle = [
        ("total_active_users", room.total_active_users.is_some()),
        ("new_users_per_minute", room.new_users_per_minute.is_some()),
        ("queue_all", room.queue_all),
        ("queueing_method", room.queueing_method != fifo()),
        ("queueing_status_code", room.queueing_status_code != ok()),
        ("json_response_enabled", room.json_response_enabled),
        ("custom_page_html", is_said(&room.custom_page_html)),
        ("cookie_suffix", is_said(&room.cookie_suffix)),
        ("enabled_origin_commands", !room.enabled_origin_commands.is_empty()),
        ("turnstile_mode", is_other(&room.turnstile_mode, "off")),
        ("turnstile_action", is_other(&room.turnstile_action, "log")),
    ];
    let idle = idle.into_iter().filter(|(_, is_set)| *is_set).filter_map(|(key, _)| Some((key, fields.get(key)?)));
    let samesite = fields.get("cookie_attributes").and_then(|attributes| attributes.get("samesite"));
    let samesite = samesite.filter(|_| is_other(&room.cookie_attributes.samesite, "auto"));
    for (key, node) in idle.chain(samesite.map(|node| ("cookie_attributes.samesite", node))) {
        let problem = Problem::warning(Kind::NotActedOn, format!("`{key}` is kept, and nothing acts on it yet"));
        fields.problem(node, problem.help("visitors wait at Queue-it: set there how they do"));
    }
}

fn choice(fields: &Fields, key: &'static str, words: &[&'static str]) -> Option<String> {
    let words: Vec<(&'static str, &'static str)> = words.iter().map(|word| (*word, *word)).collect();
    fields.choice(key, &words).map(str::to_owned)
}

fn read_status(fields: &Fields) -> u32 {
    let Some(status) = fields.number("queueing_status_code", 200..=429) else { return ok() };
    if let (false, Some(node)) = (matches!(status, 200 | 202 | 429), fields.get("queueing_status_code")) {
        fields.bad_value(node, format!("`queueing_status_code` cannot be {status}"), "it is 200, 202 or 429");
    }
    status
}

/// The routes that can be read, each with its place in the text.
fn read_routes<'n>(fields: &Fields<'n, '_, '_>) -> Vec<(Route, &'n Node<'n>)> {
    let routes = fields.get("additional_routes").and_then(|node| fields.elements_of(node)).unwrap_or_default();
    let read = |node| {
        let route = Fields::new(fields.file, node, fields.subject.clone())?;
        route.required("host", "name the host of this route");
        let host = route.text("host");
        let path = route.text("path").unwrap_or_else(root);
        route.finish();
        Some((Route { host: host?, path }, node))
    };
    routes.iter().filter_map(read).collect()
}

fn read_cookie_attributes(fields: Fields) -> CookieAttributes {
    let attributes = CookieAttributes {
        samesite: choice(&fields, "samesite", &["auto", "lax", "none", "strict"]),
        secure: choice(&fields, "secure", &["auto", "always", "never"]),
    };
    if attributes.samesite.as_deref() == Some("none") && attributes.secure.as_deref() == Some("never") {
        fields.bad_value(fields.node, "browsers refuse `samesite` none without Secure", "set `secure` to `always`");
    }
    fields.finish();
    attributes
}

fn read_additions(fields: Fields) -> Additions {
    let additions = Additions {
        when: fields.text("when"),
        event_id: fields.text("event_id"),
        queue_domain: fields.text("queue_domain"),
        layout: fields.text("layout"),
        cookie_domain: fields.text("cookie_domain"),
        cookie_http_only: fields.flag("cookie_http_only"),
    };
    if let (Some(node), Some(domain)) = (fields.get("queue_domain"), &additions.queue_domain)
        && !is_host(domain)
    {
        fields.bad_value(node, "`queue_domain` must be a host", "write it without scheme, port and path");
    }
    fields.finish();
    additions
}

/// Tokens hold ids between underscores, and take a piece with one more for no piece at all.
fn check_event_id(fields: &Fields, node: &Node, room: &Room) {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_bad = match &room.velvetrope.event_id {
        Some(id) => id.is_empty() || !id.bytes().all(is_good),
        None => room.name.contains('_'),
    };
    if is_bad {
        let message = format!("tokens cannot carry {:?} as the id of a room", room.event_id());
        fields.bad_value(node, message, "give an id of letters, digits and `-` in `velvetrope.event_id`");
    }
}

fn root() -> String {
    "/".to_owned()
}

fn fifo() -> String {
    "fifo".to_owned()
}

const fn five() -> u32 {
    5
}

const fn ok() -> u32 {
    200
}

/// Why a room cannot stand before a path.
fn bad_path(path: &str) -> Option<&'static str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'`' | b'{' | b'}');
    if !path.starts_with('/') {
        Some("a path begins with `/`")
    } else if path.contains(['*', '?', '#']) {
        Some("it covers everything below it anyway: no wildcard, query or fragment")
    } else if path.contains("//") || path.contains('\\') || path.split('/').any(|part| matches!(part, "." | "..")) {
        Some("paths are compared after normalisation: without `//`, `\\`, `.` and `..`")
    } else if !path.bytes().all(is_plain) {
        Some("write other characters percent-encoded, as they are sent: `/caf%C3%A9`")
    } else {
        None
    }
}

/// The place as an expression. A port or a final dot that a visitor adds to the host changes nothing.
fn condition(host: &str, path: &str) -> String {
    let escaped = host.replace('.', r"\.");
    let port = if host.contains(':') { "" } else { "(:[0-9]*)?" };
    let dot = if host.contains(':') { "" } else { r"\.?" };
    let host = format!(r#"lower(http.host) matches r"^{escaped}{dot}{port}$""#);
    match path {
        "" => host,
        path => format!(
            r#"{host} and (http.request.uri.path eq "{path}" or starts_with(http.request.uri.path, "{path}/"))"#
        ),
    }
}
