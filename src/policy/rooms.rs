//! Waiting rooms in the shape of the waiting-room API (docs/protocol/api.md#waiting-rooms), and how they are placed: by
//! host and path, or by an expression of the operator's own. Either way they become integrations that queue.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::STORED;
use super::check::{Checker, Origin};
use super::document::{Node, Value, parse_json};
use super::fields::Fields;
use super::finding::File;
use super::integration::{Action, Integration, Number, Placed, RedirectLogic};
use super::object::{Rule, Shape, Table, constrain, idle, object};
use super::settings::is_host;
use crate::language::{Code, Diagnostic, Expression};
use crate::request::{Authority, path_in_one_form};

/// The least number of visitors that a room lets in, as the API has it.
pub const MIN_VISITORS: u32 = 200;

/// What the API requires of a room, and a policy's files do not.
pub const REQUIRED_BY_API: [&str; 3] = ["name", "total_active_users", "new_users_per_minute"];

object! {
    /// A waiting room as the API has it, and, kept apart, what velvetrope adds. What only matters to the room itself and
    /// not to a connector is checked and kept.
    #[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
    #[schemars(deny_unknown_fields, rename = "room", transform = constrain::<Room>)]
    pub struct Room {
        /// Set by the API.
        id: Option<String> = Rule::TEXT;
        /// Unique; letters, digits, `-` and `_`. The room's id in the protocol, unless `velvetrope.event_id` says
        /// otherwise.
        #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+$"))]
        name: String = Rule::TEXT.required("give the room a name of letters, digits, `-` and `_`");
        /// For people.
        #[serde(default)]
        description: String = Rule::TEXT;
        /// The host it stands before; no scheme and no wildcard. Required unless `velvetrope.when` places the room.
        host: Option<String> = Rule::TEXT;
        /// The path it stands before, and everything below it. Default `/`. The most specific path wins.
        path: String = Rule::TEXT.or("/");
        /// Further places of the same room.
        #[serde(default)]
        additional_routes: Vec<Route> = Rule::of(Shape::Inner(Route::FIELDS));
        /// A name for the room's cookie; unused here.
        cookie_suffix: Option<String> = Rule::TEXT.idle();
        /// How the room's cookie is set.
        #[serde(default)]
        cookie_attributes: CookieAttributes = Rule::of(Shape::Inner(CookieAttributes::FIELDS));
        /// How many visitors the site holds.
        total_active_users: Option<u32> = Rule::number(MIN_VISITORS, u32::MAX).idle();
        /// How many visitors may enter a minute; at most `total_active_users`.
        new_users_per_minute: Option<u32> = Rule::number(MIN_VISITORS, u32::MAX).idle();
        /// Minutes a session lasts. Default 5.
        session_duration: u32 = Rule::number(1, 30).or_number(5);
        /// Whether a session ends `session_duration` after it began instead of being renewed by each request.
        #[serde(default)]
        disable_session_renewal: bool = Rule::FLAG;
        /// Whether every new visitor waits.
        #[serde(default)]
        queue_all: bool = Rule::FLAG.idle();
        /// In which order visitors enter: `fifo` (default), `random`, `passthrough` or `reject`.
        queueing_method: String = Rule::words(&["fifo", "random", "passthrough", "reject"]).or("fifo").idle();
        /// HTTP status of the waiting page: 200 (default), 202 or 429.
        queueing_status_code: u32 = Rule::of(Shape::Numbers(&[200, 202, 429])).or_number(200).idle();
        /// Whether the room is switched off: it is not placed at all.
        #[serde(default)]
        suspended: bool = Rule::FLAG;
        /// Whether the waiting page also exists as JSON.
        #[serde(default)]
        json_response_enabled: bool = Rule::FLAG.idle();
        /// A waiting page of one's own.
        custom_page_html: Option<String> = Rule::TEXT.idle();
        /// Language of the waiting page, such as `da-DK`; passed on to the waiting room as its culture.
        default_template_language: Option<String> = Rule::TEXT;
        /// Commands the site may give in response headers: `revoke`.
        #[serde(default)]
        enabled_origin_commands: Vec<String> = Rule::TEXT.idle();
        /// `off`, `invisible`, `visible_non_interactive` or `visible_managed`.
        turnstile_mode: Option<String> =
            Rule::words(&["off", "invisible", "visible_non_interactive", "visible_managed"]).idle_but("off");
        /// `log` or `infinite_queue`.
        turnstile_action: Option<String> = Rule::words(&["log", "infinite_queue"]).idle_but("log");
        /// Set by the API.
        created_on: Option<String> = Rule::TEXT;
        /// Set by the API.
        modified_on: Option<String> = Rule::TEXT;
        /// Set by the API.
        next_event_prequeue_start_time: Option<String> = Rule::TEXT;
        /// Set by the API.
        next_event_start_time: Option<String> = Rule::TEXT;
        /// What the API does not know.
        #[serde(default)]
        velvetrope: Additions = Rule::of(Shape::Inner(Additions::FIELDS));
    }
}

object! {
    /// A further place of a room.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
    #[schemars(deny_unknown_fields, transform = constrain::<Route>)]
    pub struct Route {
        /// As the room's `host`.
        host: String = Rule::TEXT.required("name the host of this route");
        /// As the room's `path`.
        path: String = Rule::TEXT.or("/");
    }
}

object! {
    /// How the room's cookie is set.
    #[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
    #[schemars(deny_unknown_fields, transform = constrain::<CookieAttributes>)]
    pub struct CookieAttributes {
        /// `auto`, `lax`, `none` or `strict`; unused here: Queue-it's protocol sets none.
        samesite: Option<String> = Rule::words(&["auto", "lax", "none", "strict"]).idle_but("auto");
        /// `always` marks the cookie Secure; `auto` and `never` do not.
        secure: Option<String> = Rule::words(&["auto", "always", "never"]);
    }
}

object! {
    /// What a room can say beyond the API.
    #[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
    #[schemars(deny_unknown_fields, transform = constrain::<Additions>)]
    pub struct Additions {
        /// Places the room by an expression in the rules language instead of host and path.
        when: Option<String> = Rule::TEXT;
        /// The room's id in the protocol. Default: its name.
        event_id: Option<String> = Rule::TEXT;
        /// Host of the waiting room. Default `CUSTOMER.queue-it.net`.
        queue_domain: Option<String> = Rule::TEXT;
        /// Layout of the waiting page.
        layout: Option<String> = Rule::TEXT;
        /// Domain of the session cookie. Default: the host alone.
        cookie_domain: Option<String> = Rule::TEXT;
        /// Whether scripts are kept from the session cookie. Default true.
        cookie_http_only: Option<bool> = Rule::FLAG;
    }
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
            file.add(error.at..error.at, Diagnostic::error(Code::FileSyntax, error.message));
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
pub fn submitted(file: File, node: &Node, others: &[Room], checker: &Checker) -> Option<Room> {
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
        let name_node = fields.get("name");
        if let Some(name) = name_node.and_then(Node::as_text).filter(|name| !name.is_empty()) {
            fields.subject = format!("room {name}");
        }
        let room = Room::read(&fields);
        if let Some(node) = name_node {
            self.check_name(&fields, node, &room.name, number);
        }
        review(&fields, &room);
        check_event_id(&fields, name_node.unwrap_or(node), &room);
        self.place(&fields, &room);
        fields.finish();
        Some(room)
    }

    fn check_name(&mut self, fields: &Fields, node: &Node, name: &str, number: usize) {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || !name.bytes().all(is_good) {
            fields.bad_value(node, format!("{name:?} cannot name a room"), "use letters, digits, `-` and `_`");
        }
        if let Some(other) = self.names.insert(name.to_lowercase(), format!("room {number}")) {
            fields.problem(node, Diagnostic::error(Code::Duplicate, format!("{other} has the same name")));
        }
    }

    fn place(&mut self, fields: &Fields, room: &Room) {
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
                let routes = fields.get("additional_routes").and_then(Node::as_array).unwrap_or_default().iter();
                let routes = routes.filter(|route| matches!(route.value, Value::Object(_)));
                for (node, route) in routes.zip(&room.additional_routes) {
                    // What is missing has been told.
                    if node.get("host").is_some_and(|host| host.as_text().is_some()) {
                        self.place_route(fields, node, node.get("path"), route, room);
                    }
                }
            }
            (None, None) => {
                let problem = Diagnostic::error(Code::MissingKey, "the room is not placed anywhere");
                let help = "give it a `host` and a `path`, or an expression: `\"velvetrope\": {\"when\": \"…\"}`";
                fields.problem(fields.node, problem.help(help));
            }
        }
    }

    fn place_route(&mut self, fields: &Fields, node: &Node, path_node: Option<&Node>, route: &Route, room: &Room) {
        let (host, path) = place(&route.host, &route.path);
        let authority = Authority::of(&host);
        if !is_host(authority.host()) || authority.port().is_some_and(|port| port.parse::<u16>().is_err()) {
            let message = format!("{:?} is no host", route.host);
            return fields.bad_value(node, message, "write it without scheme, wildcard and path: `tickets.example`");
        }
        if let Some(help) = bad_path(&route.path) {
            let node = path_node.unwrap_or(node);
            return fields.bad_value(node, format!("{:?} is no path a room can stand before", route.path), help);
        }
        if let Some(other) = self.places.insert((host.clone(), path.clone()), room.name.clone()) {
            let problem = Diagnostic::error(Code::Duplicate, format!("room {other} stands before {host}{path}/, too"));
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

/// Reports what no field by itself is wrong about.
fn review(fields: &Fields, room: &Room) {
    if let (Some(total), Some(new), Some(node)) =
        (room.total_active_users, room.new_users_per_minute, fields.get("new_users_per_minute"))
        && new > total
    {
        let help = "let no more enter in a minute than the site holds";
        fields.bad_value(node, "`new_users_per_minute` exceeds `total_active_users`", help);
    }
    let CookieAttributes { samesite, secure } = &room.cookie_attributes;
    if let (Some("none"), Some("never"), Some(node)) =
        (samesite.as_deref(), secure.as_deref(), fields.get("cookie_attributes"))
    {
        fields.bad_value(node, "browsers refuse `samesite` none without Secure", "set `secure` to `always`");
    }
    if let (Some(domain), Some(additions)) = (&room.velvetrope.queue_domain, fields.get("velvetrope"))
        && let Some(node) = additions.get("queue_domain").filter(|_| !is_host(domain))
    {
        fields.bad_value(node, "`queue_domain` must be a host", "write it without scheme, port and path");
    }
    // What a store holds was told of when it was put there.
    if !fields.file.path.starts_with(STORED) {
        warn_of_idle(fields, room);
    }
}

/// Warns of settings that are kept for the room itself, and that nothing here acts on yet.
fn warn_of_idle(fields: &Fields, room: &Room) {
    let value = serde_json::to_value(room).unwrap_or_default();
    for (key, node) in idle(Room::FIELDS, &value, fields.node) {
        let problem = Diagnostic::warning(Code::NotActedOn, format!("`{key}` is kept, and nothing acts on it yet"));
        fields.problem(node, problem.help("visitors wait at Queue-it: set there how they do"));
    }
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

/// Why a room cannot stand before a path.
fn bad_path(path: &str) -> Option<&'static str> {
    let decoded = path_in_one_form(path);
    let has_detour = |path: &str| {
        path.contains("//") || path.contains('\\') || path.split('/').any(|part| matches!(part, "." | ".."))
    };
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'`' | b'{' | b'}');
    if !path.starts_with('/') {
        Some("a path begins with `/`")
    } else if path.contains(['*', '?', '#']) {
        Some("it covers everything below it anyway: no wildcard, query or fragment")
    } else if has_detour(path) || has_detour(&decoded) {
        Some("paths are compared after normalisation: without `//`, `\\`, `.` and `..`, escaped ones included")
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
