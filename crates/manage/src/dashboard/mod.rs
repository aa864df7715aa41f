//! The dashboard under `/dashboard`: pages in which rooms, bypass rules and lists are managed. Whatever a form changes
//! it changes through the operation of the API that does it, so that both check the same and mean the same.
//!
//! Every page works without scripts; with them some things are easier.

use http::{HeaderMap, Method, Request, Response};
use maud::Markup;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value as Json;

use super::access::Caller;
use super::api::{Call, Query, Success, etag};
use super::body::Body;
use super::failure::{Code, Failure};
use super::secrets;
use super::store::Store;
use super::store::rooms::RoomRow;
use super::store::tokens::Scope;
use super::store::zones::Zone;
use super::{Answer, Live, Visit};
use form::Form;
use reply::Reply;
use velvetrope::internal::policy::Managed;

mod assets;
mod attempt;
mod audit;
mod form;
mod layout;
mod lists;
mod login;
mod reply;
mod room;
mod rooms;
mod rule;
mod rules;
mod unsent;
mod versions;

/// Where the dashboard begins.
const ROOT: &str = "/dashboard";

/// Whether a path is the dashboard's.
pub(super) fn is_of_it(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A page that tells why something was not done.
pub(super) fn refusal(failure: &Failure) -> Response<Vec<u8>> {
    Reply::failure(failure).response
}

impl Visit<'_> {
    /// Answers a request to the dashboard.
    pub(super) fn dashboard(self) -> Answer {
        let path = self.request.uri().path().strip_prefix(ROOT).unwrap_or_default();
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let Reply { response, keep, trouble } = self.reply(&parts).unwrap_or_else(|failure| Reply::failure(&failure));
        Answer { response, keep, trouble }
    }

    fn reply(self, path: &[&str]) -> Result<Reply, Failure> {
        let is_get = matches!(*self.request.method(), Method::GET | Method::HEAD);
        match path {
            ["assets", name] if is_get && assets::is_one(name) => return Ok(assets::reply(name)),
            ["login"] => return self.login(),
            _ => {}
        }
        let Some((caller, csrf)) = self.session()? else {
            return match is_get || path == ["logout"] {
                true => Ok(Reply::redirect(&format!("{ROOT}/login"))),
                false => self.ended(),
            };
        };
        let form = Form::parse(self.request.body());
        if !is_get {
            self.refuse_other_origins()?;
            if !secrets::is_same(form.text("csrf"), &csrf) {
                return self.of_another_session(&caller, &csrf);
            }
        }
        match path {
            ["logout"] if !is_get => return self.logout(),
            [] if is_get => return zones(&self.store, &caller, &csrf),
            _ => {}
        }
        let [zone, rest @ ..] = path else { return Err(no_page(self.request)) };
        let zone = self.store.zone(zone)?.ok_or_else(|| Failure::not_found("zone", zone))?;
        let store = self.store.used_by(&caller.name);
        let desk = Desk { store: &store, request: self.request, live: self.live, caller, csrf, zone };
        match is_get {
            true => desk.show(rest),
            false => desk.change(rest, &form),
        }
    }
}

/// A person who is logged in, and the zone that she works on.
struct Desk<'a, 's> {
    store: &'a Store<'s>,
    request: &'a Request<Vec<u8>>,
    live: &'a dyn Live,
    caller: Caller,
    csrf: String,
    zone: Zone,
}

impl Desk<'_, '_> {
    fn show(&self, path: &[&str]) -> Result<Reply, Failure> {
        match path {
            [] | ["rooms"] => self.rooms(),
            ["new-room"] => Ok(self.new_room()),
            ["rooms", room] => self.room_page(&self.room(room)?),
            ["rooms", room, "rules"] => self.rules(&self.room(room)?),
            ["rooms", room, "new-rule"] => self.new_rule(&self.room(room)?),
            ["rooms", room, "rules", rule] => self.rule(&self.room(room)?, rule),
            ["rooms", room, "versions", version] => self.version(&self.room(room)?, version),
            ["lists"] => self.lists(),
            ["lists", list] => self.list_page(&self.list(list)?),
            ["lists", _, "operations", operation] => self.operation(operation),
            ["audit"] => self.audit(),
            _ => Err(no_page(self.request)),
        }
    }

    fn change(&self, path: &[&str], form: &Form) -> Result<Reply, Failure> {
        if self.caller.scope < Scope::Write {
            let message = format!("your token {:?} may look, but change nothing", self.caller.name);
            return Err(Failure::new(403, Code::Forbidden, message));
        }
        match path {
            ["new-room"] => self.create_room(form),
            ["rooms", room] => self.write_room(&self.room(room)?, form),
            ["rooms", room, "enable"] => self.suspend_room(&self.room(room)?, false, form),
            ["rooms", room, "disable"] => self.suspend_room(&self.room(room)?, true, form),
            ["rooms", room, "delete"] => self.delete_room(&self.room(room)?, form),
            ["rooms", room, "check"] => self.check_rule(&self.room(room)?, form),
            ["rooms", room, "restore", version] => self.restore_rules(&self.room(room)?, version, form),
            ["rooms", room, "new-rule"] => self.write_rule(&self.room(room)?, None, form),
            ["rooms", room, "new-rule", what @ ("try" | "recording")] => {
                self.try_rule(&self.room(room)?, None, form, attempt(what))
            }
            ["rooms", room, "rules", rule] => self.write_rule(&self.room(room)?, Some(rule), form),
            ["rooms", room, "rules", rule, what @ ("try" | "recording")] => {
                self.try_rule(&self.room(room)?, Some(rule), form, attempt(what))
            }
            ["rooms", room, "rules", rule, "move"] => self.move_rule(&self.room(room)?, rule, form),
            ["rooms", room, "rules", rule, "enable"] => self.switch_rule(&self.room(room)?, rule, true, form),
            ["rooms", room, "rules", rule, "disable"] => self.switch_rule(&self.room(room)?, rule, false, form),
            ["rooms", room, "rules", rule, "delete"] => self.delete_rule(&self.room(room)?, rule, form),
            ["lists"] => self.create_list(form),
            ["lists", list] => self.describe_list(&self.list(list)?, form),
            ["lists", list, "delete"] => self.delete_list(&self.list(list)?, form),
            ["lists", list, "items"] => self.import_items(&self.list(list)?, form),
            ["lists", list, "remove"] => self.remove_items(&self.list(list)?, form),
            ["audit", entry, "undo"] => self.undo_change(entry),
            _ => Err(no_page(self.request)),
        }
    }

    /// Does what an operation of the API does. `version` is what whoever asks has seen.
    fn call(
        &self,
        operation: fn(&Call) -> Result<Success, Failure>,
        path: &[(&'static str, &str)],
        body: &Json,
        version: Option<&str>,
    ) -> Result<Success, Failure> {
        let zone = [("zone_id", self.zone.id.clone())].into_iter();
        let path = zone.chain(path.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect();
        let version = version.map(|version| version.parse().map_or_else(|_| "\"\"".to_owned(), etag));
        operation(&Call {
            store: self.store,
            live: self.live,
            path,
            query: Query::default(),
            body: Body::Said(body),
            if_match: version.as_deref(),
        })
    }

    fn room(&self, id: &str) -> Result<RoomRow, Failure> {
        self.store.room(&self.zone.id, id)?.ok_or_else(|| Failure::not_found("waiting room", id))
    }

    /// Whether whoever is logged in may change anything here.
    fn may_change(&self) -> bool {
        self.caller.scope >= Scope::Write && self.zone.settings().managed == Managed::Store
    }

    /// A page below the zone's.
    fn link(&self, parts: &[&str]) -> String {
        let parts = [self.zone.id.as_str()].into_iter().chain(parts.iter().copied());
        parts.fold(ROOT.to_owned(), |path, part| format!("{path}/{}", encoded(part)))
    }

    /// A parameter behind the `?`.
    fn query(&self, name: &str) -> Option<String> {
        let query = self.request.uri().query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    fn page(&self, status: u16, title: &str, main: &Markup) -> Reply {
        Reply::page(status, &layout::page(title, &layout::navigation(self), main))
    }
}

/// What is tried with a rule.
fn attempt(what: &str) -> fn(&Desk, &Form) -> Result<Markup, Failure> {
    if what == "recording" { attempt::judge } else { attempt::explain }
}

/// Which zone is to be worked on: with one there is no question.
fn zones(store: &Store<'_>, caller: &Caller, csrf: &str) -> Result<Reply, Failure> {
    let zones = store.zones()?;
    let to = |zone: &Zone| format!("{ROOT}/{}/rooms", encoded(&zone.id));
    if let [zone] = zones.as_slice() {
        return Ok(Reply::redirect(&to(zone)));
    }
    let header = layout::header(None, &maud::html! {}, caller, csrf);
    let main = maud::html! {
        h1 { "Zones" }
        @if zones.is_empty() {
            p { "No policy has been loaded with this store yet." }
        }
        ul.plain { @for zone in &zones { li { a href=(to(zone)) { (zone.id) } } } }
    };
    Ok(Reply::page(200, &layout::page("Zones", &header, &main)))
}

fn no_page(request: &Request<Vec<u8>>) -> Failure {
    Failure::not_found("page", request.uri().path())
}

/// One part of a path.
fn encoded(part: &str) -> String {
    const SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(part, SET).to_string()
}

/// The text of a header.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
