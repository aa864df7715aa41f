//! The embedded waiting room: first in, first out, with an admission rate and a cap on active sessions.
//!
//! It understands the URLs that the connector sends visitors to (docs/protocol/queue-it.md#redirect-url), shows a page
//! that refreshes itself without a script, and sends visitors back with a signed token when it is their turn. Clients
//! that send `Accept: application/json` get the same as JSON, and may name their place with the parameter `place`
//! instead of the cookie.
//!
//! **Its state is in memory**: it is gone with the process, and two processes know nothing of each other. It is made
//! for trying things out, for tests and for small sites with one process; it is not a service for millions.
//!
//! It knows nothing of hosts: a host hands it a request's URL, cookies, time and randomness, and sends what it answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::queueit::token::{self, TokenFields};
use crate::queueit::{Secret, encoding::Enc};
use crate::request::hex;

mod line;
mod page;
mod target;

pub use line::Pace;
use line::{Line, PlaceId, Standing};
use page::Page;
pub use page::escape as escape_html;
pub use target::AllowedHosts;
use target::Target;

/// What a room is told once.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// The customer whose visitors wait here; others are turned away.
    pub customer_id: String,
    /// Where visitors may be sent.
    pub hosts: AllowedHosts,
    /// Where those go who come without a target (`RedirectLogic` `EventTargetUrl`).
    pub default_target: Option<String>,
    /// Signs the tokens; the connector has the same.
    pub secret: Secret,
    /// How long a token is good for, in seconds. It only has to last one redirect.
    pub token_seconds: u32,
    /// Seconds between two looks at the page.
    pub refresh_seconds: u32,
}

/// A request to the room.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'r> {
    /// The method.
    pub method: &'r str,
    /// Path and query.
    pub path_and_query: &'r str,
    /// The Cookie header, "" if there is none.
    pub cookie: &'r str,
    /// The Accept header, "" if there is none.
    pub accept: &'r str,
    /// Whether the visitor came by https, so that the cookie may say so.
    pub secure: bool,
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Fresh bytes from a cryptographic generator, for the place of a new visitor.
    pub random: [u8; 32],
}

/// What the room answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// In order.
    pub headers: Vec<(&'static str, String)>,
    /// HTML or JSON; a host leaves it out for HEAD.
    pub body: String,
}

/// How many wait in a room, and how many were let in and have a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// In line.
    pub waiting: usize,
    /// Inside.
    pub active: usize,
    /// Seconds until the last in line is let in; `None` where nobody can tell.
    pub longest_wait: Option<u64>,
}

/// The waiting rooms of a customer.
pub struct Room {
    config: RoomConfig,
    lines: Mutex<BTreeMap<String, Line>>,
}

const COOKIE: &str = "velvetrope_place";

impl Room {
    /// Opens rooms by id; all are empty, and others do not exist.
    pub fn new(config: RoomConfig, rooms: BTreeMap<String, Pace>) -> Room {
        let room = Room { config, lines: Mutex::default() };
        room.open(rooms);
        room
    }

    /// From now on there are these rooms. Who is in one that there was before keeps the place.
    pub fn open(&self, rooms: BTreeMap<String, Pace>) {
        let mut lines = self.lines();
        let mut before = std::mem::take(&mut *lines);
        let mut line = |id: &String, pace| match before.remove(id) {
            Some(line) => line.at(pace),
            None => Line::new(pace),
        };
        *lines = rooms.into_iter().map(|(id, pace)| (id.clone(), line(&id, pace))).collect();
    }

    /// Answers one request.
    pub fn answer(&self, visit: &Visit<'_>) -> Answer {
        if !matches!(visit.method, "GET" | "HEAD") {
            let page = message("Not here", "This page can only be read.", "Send a GET request.");
            return Answer { headers: with(headers(HTML), "Allow", "GET, HEAD".into()), ..page.answer(405) };
        }
        let (path, query) = visit.path_and_query.split_once('?').unwrap_or((visit.path_and_query, ""));
        let parameters = Parameters::parse(query);
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if let Some(at) = segments.iter().position(|segment| *segment == "cancel") {
            return self.cancel(&segments[at + 1..], &parameters, visit);
        }
        if let Some(at) = segments.iter().position(|segment| *segment == "error") {
            return self.error(&segments[at + 1..].join("/"), &parameters);
        }
        match parameters.get("e") {
            Some(room) => self.queue(room, &parameters, visit),
            None => message("Nothing here", "There is no such page.", "The address is not that of a waiting room.")
                .answer(404),
        }
    }

    /// How many wait and how many are inside; `None` for a room that does not exist.
    pub fn occupancy(&self, room: &str, now_ms: i64) -> Option<Occupancy> {
        let mut lines = self.lines();
        let line = lines.get_mut(room)?;
        line.advance(now_ms);
        let (waiting, active) = line.counts();
        Some(Occupancy { waiting, active, longest_wait: line.longest_wait(now_ms) })
    }

    fn queue(&self, room: &str, parameters: &Parameters, visit: &Visit<'_>) -> Answer {
        if parameters.get("c").is_some_and(|customer| customer != self.config.customer_id) {
            return message(
                "Nothing here",
                "This waiting room belongs to somebody else.",
                "The customer id is unknown.",
            )
            .answer(404);
        }
        let target = match parameters.get("t").or(self.config.default_target.as_deref()) {
            None => None,
            Some(url) => match self.config.hosts.target(url) {
                Some(target) => Some(target),
                None => return wrong_target(),
            },
        };
        let Some((id, standing)) = self.stand(room, place_of(visit.cookie, parameters), visit) else {
            return message("Nothing here", "There is no such waiting room.", "It may be over.").answer(404);
        };
        match standing {
            None => self.full(),
            Some(Standing::Admitted(queue_id)) => self.admit(room, queue_id, target, visit),
            Some(Standing::Waiting { position, wait_seconds }) => self.wait(room, id, position, wait_seconds, visit),
        }
    }

    /// The visitor's place and standing (`None` where the line is full), if there is such a room. Who has no place
    /// that exists gets a new one, of the room's own making.
    fn stand(&self, room: &str, id: Option<PlaceId>, visit: &Visit<'_>) -> Option<(PlaceId, Option<Standing>)> {
        let mut lines = self.lines();
        let line = lines.get_mut(room)?;
        line.advance(visit.now_ms);
        if let Some(known) = id.and_then(|id| Some((id, line.visit(&id, visit.now_ms)?))) {
            return Some((known.0, Some(known.1)));
        }
        let id = first_half(&visit.random);
        let has_arrived = line.arrive(id, queue_id(&visit.random), visit.now_ms);
        Some((id, if has_arrived { line.visit(&id, visit.now_ms) } else { None }))
    }

    fn admit(&self, room: &str, queue_id: String, target: Option<Target>, visit: &Visit<'_>) -> Answer {
        let Some(target) = target else {
            return message("Your turn", "You may go in now.", "Go back to the page you came from.").answer(200);
        };
        let fields = TokenFields {
            event_id: room.to_owned(),
            queue_id,
            expires: visit.now_ms.div_euclid(1000) + i64::from(self.config.token_seconds),
            redirect_type: "queue".to_owned(),
            ..TokenFields::default()
        };
        let location = target.with_token(&token::sign(&fields, &self.config.secret));
        if wants_json(visit.accept) {
            let body = json!({"waitingRoom": {"inWaitingRoom": false, "room": room, "redirectUrl": location}});
            return Answer { status: 200, headers: headers(JSON), body: body.to_string() };
        }
        let page = message("Your turn", "You are being let in.", "One moment, please.");
        Answer { headers: with(headers(HTML), "Location", location), ..page.answer(302) }
    }

    fn wait(&self, room: &str, id: PlaceId, position: usize, wait: Option<u64>, visit: &Visit<'_>) -> Answer {
        let formatted = wait.map_or("unavailable".to_owned(), page::duration);
        let refresh = self.config.refresh_seconds;
        let secure = if visit.secure { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Lax{secure}", hex(&id));
        if wants_json(visit.accept) {
            let body = json!({"waitingRoom": {
                "inWaitingRoom": true,
                "room": room,
                "place": hex(&id),
                "position": position,
                "waitTimeKnown": wait.is_some(),
                "waitTime": wait.map_or(0, |seconds| seconds.div_ceil(60)),
                "waitTimeSeconds": wait,
                "waitTimeFormatted": formatted,
                "queueIsFull": false,
                "queueingMethod": "fifo",
                "isFIFOQueue": true,
                "refreshIntervalSeconds": refresh,
            }});
            return Answer { status: 200, headers: with(headers(JSON), "Set-Cookie", cookie), body: body.to_string() };
        }
        let title = format!("You are number {position} in line");
        let status = match wait {
            Some(_) => format!("Estimated wait: {formatted}"),
            None => "Nobody is let in at the moment".to_owned(),
        };
        let page = Page {
            title: &title,
            status: &status,
            text: "This page refreshes by itself and takes you on when it is your turn. Leave it open: a place that \
                   nobody comes back to is given up.",
            link: None,
            refresh: Some(refresh),
        };
        Answer { headers: with(headers(HTML), "Set-Cookie", cookie), ..page.answer(200) }
    }

    fn full(&self) -> Answer {
        let page = Page {
            title: "The line is full",
            status: "Too many visitors are waiting.",
            text: "This page tries again by itself.",
            link: None,
            refresh: Some(self.config.refresh_seconds.max(20)),
        };
        Answer { headers: with(headers(HTML), "Retry-After", "60".into()), ..page.answer(503) }
    }

    /// `error/CODE/`: the connector refused the token or the session.
    fn error(&self, code: &str, parameters: &Parameters) -> Answer {
        let status = match code {
            "hash" => "The link you followed was changed on its way.",
            "timestamp" => "The link you followed is too old.",
            "eventid" => "The link you followed is for another waiting room.",
            "ip" | "connector/sessionstate" => "Your place in line belongs to another connection.",
            "qidlimit" => "Your place in line has been used too often.",
            _ => "Your place in line could not be confirmed.",
        };
        let queue = parameters.back_to_queue();
        let known = parameters.get("t").is_none_or(|url| self.config.hosts.target(url).is_some());
        let page = Page {
            title: "You need to line up again",
            status,
            text: "Nothing is lost but your place: line up again, and leave the page open.",
            link: queue.as_deref().filter(|_| known).map(|url| (url, "Line up again")),
            refresh: None,
        };
        page.answer(200)
    }

    /// `cancel/multiple/CUSTOMER?wrl=…&r=…`, or `cancel/CUSTOMER/EVENT[/QUEUEID]?…&r=…` as older connectors write it.
    fn cancel(&self, segments: &[&str], parameters: &Parameters, visit: &Visit<'_>) -> Answer {
        let mut lines = self.lines();
        let sessions: Vec<(String, String)> = match segments {
            ["multiple", ..] => sessions_of(parameters.get("wrl").unwrap_or_default(), &lines),
            [_, room, queue_id] => vec![((*room).to_owned(), (*queue_id).to_owned())],
            _ => Vec::new(),
        };
        for (room, queue_id) in &sessions {
            if let Some(line) = lines.get_mut(room) {
                line.leave(queue_id);
                line.advance(visit.now_ms);
            }
        }
        drop(lines);
        let page = message("You have left", "Your session has ended.", "Thank you for your visit.");
        match parameters.get("r").map(|url| self.config.hosts.target(url)) {
            None => page.answer(200),
            Some(None) => wrong_target(),
            Some(Some(target)) => Answer { headers: with(headers(HTML), "Location", target.url()), ..page.answer(302) },
        }
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        // A line is consistent after every statement that can panic, of which there are none known.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes apart `room~queueId_room~queueId`. Ids of rooms may hold `_`, too: the longest that exists is meant.
fn sessions_of(mut text: &str, lines: &BTreeMap<String, Line>) -> Vec<(String, String)> {
    let mut sessions = Vec::new();
    while !text.is_empty() {
        let fits = |id: &&String| {
            text.strip_prefix(id.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['~', '_']))
        };
        let room = lines.keys().filter(fits).max_by_key(|id| id.len());
        let rest = room.map_or(text, |room| &text[room.len()..]);
        let (item, next) = rest.split_once('_').unwrap_or((rest, ""));
        if let (Some(room), Some(queue_id)) = (room, item.strip_prefix('~')) {
            sessions.push((room.clone(), queue_id.to_owned()));
        }
        text = next;
    }
    sessions
}

/// The query, decoded; the first of several wins.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(query: &str) -> Parameters {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Parameters(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    /// The value, unless it is empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The queue that an error page was sent from: the same parameters without the bad token and what it says of it.
    fn back_to_queue(&self) -> Option<String> {
        self.get("e")?;
        let kept = self.0.iter().filter(|(key, _)| !matches!(key.as_str(), "queueittoken" | "ts" | "icr" | "kupver"));
        let query: Vec<String> = kept.map(|(key, value)| format!("{}={}", Enc(key), Enc(value))).collect();
        Some(format!("/?{}", query.join("&")))
    }
}

fn place_of(cookie: &str, parameters: &Parameters) -> Option<PlaceId> {
    let of_cookie = cookie.split(';').find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    parse_hex(of_cookie.or_else(|| parameters.get("place"))?)
}

fn parse_hex(text: &str) -> Option<PlaceId> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

fn first_half(random: &[u8; 32]) -> PlaceId {
    let mut id = [0; 16];
    id.copy_from_slice(&random[..16]);
    id
}

/// A random UUID (RFC 9562, version 4). Other bytes than the place's: tokens travel in URLs, places must not.
fn queue_id(random: &[u8; 32]) -> String {
    let mut id = [0; 16];
    id.copy_from_slice(&random[16..]);
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let digits = hex(&id);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn wants_json(accept: &str) -> bool {
    let first = accept.split(',').next().unwrap_or_default();
    first.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn wrong_target() -> Answer {
    let text = "Go back to the page you came from and try again.";
    message("This link leads astray", "It leads to a site that this waiting room does not know.", text).answer(400)
}

fn message<'a>(title: &'a str, status: &'a str, text: &'a str) -> Page<'a> {
    Page { title, status, text, link: None, refresh: None }
}

impl Page<'_> {
    fn answer(&self, status: u16) -> Answer {
        Answer { status, headers: headers(HTML), body: self.render() }
    }
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

fn headers(content_type: &str) -> Vec<(&'static str, String)> {
    vec![
        ("Content-Type", content_type.to_owned()),
        ("Cache-Control", "no-store".to_owned()),
        ("Vary", "Accept, Cookie".to_owned()),
        ("Content-Security-Policy", page::CONTENT_SECURITY_POLICY.clone()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("Referrer-Policy", "no-referrer".to_owned()),
    ]
}

fn with(mut headers: Vec<(&'static str, String)>, name: &'static str, value: String) -> Vec<(&'static str, String)> {
    headers.push((name, value));
    headers
}

#[cfg(test)]
mod tests;
