//! Between a store and the texts of a policy: what the store holds as texts that come into force, what a policy's
//! files hold as rows, and a whole policy directory out of both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use toml_edit::{DocumentMut, InlineTable, Item as TomlItem, Table, value};

use super::failure::{Code, Failure};
use super::items;
use super::store::Store;
use super::store::lists::{ALL_ITEMS, ListRow, NewItem};
use super::store::operations::Change;
use super::store::rooms::{EVERY_ROOM, Origin, RoomRow, body};
use super::store::rules::{Rule, Wanted};
use super::store::zones::Zone;
use velvetrope::internal::policy::{
    ListFile, MANIFEST, Managed, Manifest, Policy, Room, SETTINGS_FILE, STORED, Settings, Sources, settings_of,
};
use velvetrope::internal::program::ListKind;

/// Takes over what the files of a policy say of a zone. Rooms, rules and lists are taken when the zone is new, and
/// whenever it is managed by its files. Nothing is written where nothing differs; nothing is to be kept on failure.
pub fn take_files(store: &Store<'_>, zone: &str, files: &Sources) -> Result<(), Failure> {
    let settings = settings(files)?;
    let is_new = store.register_zone(zone, files)?;
    match is_new || settings.managed == Managed::Files {
        true => Held::read(files, &settings)?.put(store, zone),
        false => Ok(()),
    }
}

/// Puts what the files of a policy say in the place of everything that the store holds of a zone.
pub fn import(store: &Store<'_>, zone: &str, files: &Sources) -> Result<(), Failure> {
    let settings = settings(files)?;
    store.register_zone(zone, files)?;
    Held::read(files, &settings)?.put(store, zone)
}

/// What the store holds of a zone, as texts that stand in for those of the policy's files; none where the policy is
/// managed by its files.
pub fn texts(store: &Store<'_>, zone: &str) -> Result<Sources, Failure> {
    let Some(zone) = store.zone(zone)?.filter(|zone| zone.settings().managed == Managed::Store) else {
        return Ok(Sources::new());
    };
    let name = |file: &str| format!("{STORED}{file}");
    let mut texts = Sources::new();
    let mut manifest = Manifest::default();
    let rooms = store.rooms(&zone.id)?;
    texts.insert(name("rooms.json"), rooms_text(&rooms)?);
    manifest.rooms = Some(name("rooms.json"));
    for room in &rooms {
        let rules = store.rules(&room.id)?;
        if !rules.is_empty() {
            let file = name(&format!("rules/{}.json", room.name));
            texts.insert(file.clone(), json_lines(&rules)?);
            manifest.rules.insert(room.name.clone(), file);
        }
    }
    for list in store.lists(&zone.id)? {
        let file = name(&list_file(&list));
        texts.insert(file.clone(), list_text(store, &list)?);
        manifest.lists.insert(list.name.clone(), ListFile { file, kind: list.kind });
    }
    texts.insert(MANIFEST.to_owned(), json_text(&manifest)?);
    Ok(texts)
}

/// A whole policy directory, by file name: settings and integration as the files last said, rooms, rules and lists as
/// the store has them.
pub fn export(store: &Store<'_>, zone: &Zone) -> Result<Sources, Failure> {
    let settings = zone.settings();
    let mut files = Sources::new();
    let mut toml: DocumentMut = zone.settings_text.parse().map_err(|error| broken(SETTINGS_FILE, error))?;
    for key in ["rooms", "rules", "lists"] {
        toml.remove(key);
    }
    if let (Some(file), Some(text)) = (&settings.integration, &zone.integration) {
        files.insert(file.clone(), text.clone().into_bytes());
    }
    let rooms = store.rooms(&zone.id)?;
    if rooms.iter().any(|room| room.origin == Origin::Placed) {
        let file = settings.rooms.clone().unwrap_or_else(|| "rooms.json".to_owned());
        files.insert(file.clone(), rooms_text(&rooms)?);
        // Before the tables: a key behind them would belong to the last one.
        toml.insert("rooms", value(file));
    }
    let mut rules = Table::new();
    for room in &rooms {
        let of_room = store.rules(&room.id)?;
        if !of_room.is_empty() {
            let file = rules_file(settings, &room.name);
            files.insert(file.clone(), json_text(&of_room)?);
            rules.insert(&room.name, value(file));
        }
    }
    let mut lists = Table::new();
    for list in store.lists(&zone.id)? {
        let file = list_file(&list);
        files.insert(file.clone(), list_text(store, &list)?);
        lists.insert(&list.name, list_entry(file, list.kind));
    }
    for (key, table) in [("rules", rules), ("lists", lists)] {
        if !table.is_empty() {
            toml.insert(key, TomlItem::Table(table));
        }
    }
    files.insert(SETTINGS_FILE.to_owned(), toml.to_string().into_bytes());
    Ok(files)
}

/// The settings of a policy that can have a store: one that has settings at all.
fn settings(files: &Sources) -> Result<Settings, Failure> {
    let settings = files.contains_key(SETTINGS_FILE).then(|| settings_of(files, None)).flatten();
    settings.ok_or_else(|| {
        let message = "a policy that is managed in a store needs a velvetrope.toml";
        Failure::new(400, Code::Invalid, message)
    })
}

/// Rooms, rules and lists as the files of a policy hold them.
struct Held {
    rooms: Vec<Room>,
    /// By what velvetrope.toml calls the room.
    rules: BTreeMap<String, Vec<Wanted>>,
    lists: Vec<(String, ListKind, Vec<NewItem>)>,
}

/// A rule as files have it.
#[derive(Deserialize)]
struct FileRule {
    id: Option<String>,
    description: Option<String>,
    expression: String,
    enabled: Option<bool>,
    status: Option<String>,
    #[serde(default)]
    velvetrope: FileAdditions,
}

/// What a rule in a file says beyond the API.
#[derive(Default, Deserialize)]
struct FileAdditions {
    opens_for_everybody: Option<bool>,
}

impl Held {
    /// Reads them; refuses a policy that does not compile.
    fn read(files: &Sources, settings: &Settings) -> Result<Held, Failure> {
        let compiled = Policy::compile_delivered(files, None).map_err(|findings| {
            let errors: Vec<String> = findings.errors().map(ToString::to_string).collect();
            Failure::new(400, Code::Invalid, format!("the policy has errors: {}", errors.join("; ")))
        })?;
        let mut rules = BTreeMap::new();
        for (room, paths) in &settings.rules {
            let mut of_room = Vec::new();
            for path in paths {
                let found: Vec<FileRule> = elements(files, path, "rules")?;
                of_room.extend(found.into_iter().map(|rule| rule.wanted()));
            }
            for (rule, number) in of_room.iter_mut().zip(1..) {
                rule.id.get_or_insert_with(|| format!("{room}/{number}"));
            }
            rules.insert(room.clone(), of_room);
        }
        let mut lists = Vec::new();
        for (name, ListFile { file, kind }) in &settings.lists {
            lists.push((name.clone(), *kind, list_items(files, file, *kind)?));
        }
        Ok(Held { rooms: compiled.policy.rooms().to_vec(), rules, lists })
    }

    /// Makes the store hold exactly this of a zone.
    fn put(self, store: &Store<'_>, zone: &str) -> Result<(), Failure> {
        let Held { rooms, rules, lists } = self;
        put_lists(store, zone, lists)?;
        put_rooms(store, zone, &rooms)?;
        let mut wanted: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
        for (name, rules) in rules {
            let room = store.room_for_rules(zone, &name)?;
            wanted.entry(room.id).or_default().extend(rules);
        }
        for room in store.rooms(zone)? {
            put_rules(store, &room, wanted.remove(&room.id).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl FileRule {
    fn wanted(self) -> Wanted {
        let enabled = self.enabled.or(self.status.map(|status| status == "enabled")).unwrap_or(true);
        Wanted {
            id: self.id,
            expression: Some(self.expression),
            description: Some(self.description.unwrap_or_default()),
            enabled: Some(enabled),
            opens_for_everybody: Some(self.velvetrope.opens_for_everybody.unwrap_or_default()),
        }
    }
}

fn put_rooms(store: &Store<'_>, zone: &str, rooms: &[Room]) -> Result<(), Failure> {
    for room in rooms {
        match store.room_named(zone, &room.name)? {
            Some(row) if row.origin == Origin::Placed && row.body == body(room) => {}
            Some(row) if row.origin == Origin::Placed => drop(store.change_room(&row, room)?),
            _ => drop(store.create_room(zone, room)?),
        }
    }
    for row in store.rooms(zone)?.iter().filter(|row| row.origin == Origin::Placed) {
        if !rooms.iter().any(|room| room.name.eq_ignore_ascii_case(&row.name)) {
            store.delete_room(row)?;
        }
    }
    Ok(())
}

fn put_rules(store: &Store<'_>, room: &RoomRow, wanted: Vec<Wanted>) -> Result<(), Failure> {
    let said = |rule: Rule| Wanted {
        id: Some(rule.id),
        expression: Some(rule.expression),
        description: Some(rule.description),
        enabled: Some(rule.enabled),
        opens_for_everybody: Some(rule.velvetrope.opens_for_everybody),
    };
    let present: Vec<Wanted> = store.rules(&room.id)?.into_iter().map(said).collect();
    if present != wanted {
        store.replace_rules(room, wanted)?;
    }
    Ok(())
}

fn put_lists(store: &Store<'_>, zone: &str, lists: Vec<(String, ListKind, Vec<NewItem>)>) -> Result<(), Failure> {
    for row in store.lists(zone)? {
        if !lists.iter().any(|(name, kind, _)| *name == row.name && *kind == row.kind) {
            store.delete_list(&row)?;
        }
    }
    for (name, kind, items) in lists {
        let row = match store.list_named(zone, &name)? {
            Some(row) => row,
            None => store.create_list(zone, &name, kind, "")?,
        };
        let mut wanted: BTreeMap<String, (String, String)> = BTreeMap::new();
        for item in &items {
            wanted.insert(item.value.clone(), (item.item.to_string(), item.comment.clone()));
        }
        let present: BTreeMap<String, (String, String)> = store
            .items(&row, None, None, ALL_ITEMS)?
            .into_iter()
            .map(|item| (item.value, (item.item.to_string(), item.comment)))
            .collect();
        if present != wanted {
            store.put_items(&row, Change::Replace, &items)?;
        }
    }
    Ok(())
}

/// The elements of a JSON text: bare, one alone, or under a key as clients send them or as the API answers.
fn elements<T: for<'de> Deserialize<'de>>(files: &Sources, path: &str, member: &str) -> Result<Vec<T>, Failure> {
    let text = files.get(path).map_or(&[][..], Vec::as_slice);
    let mut root: Json = serde_json::from_slice(text).map_err(|error| broken(path, error))?;
    for key in [member, "result"] {
        if let Some(inner) = root.get_mut(key) {
            root = inner.take();
        }
    }
    let elements = if root.is_array() { root } else { Json::Array(vec![root]) };
    serde_json::from_value(elements).map_err(|error| broken(path, error))
}

fn list_items(files: &Sources, path: &str, kind: ListKind) -> Result<Vec<NewItem>, Failure> {
    let text = files.get(path).map_or(&[][..], Vec::as_slice);
    let read = match path.ends_with(".json") {
        true => {
            let items: Vec<Json> = elements(files, path, "items")?;
            items::of_values(&items, kind)
        }
        false => items::of_text(&String::from_utf8_lossy(text), kind),
    };
    // Whoever reads this knows files, not bodies.
    read.map_err(|failure| {
        let errors = failure.errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>();
        broken(path, errors.join("; "))
    })
}

fn broken(path: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(400, Code::Invalid, format!("{path}: {why}"))
}

fn rooms_text(rooms: &[RoomRow]) -> Result<Vec<u8>, Failure> {
    let placed: Vec<Json> = rooms.iter().filter(|room| room.origin == Origin::Placed).map(RoomRow::json).collect();
    json_text(&placed)
}

/// One member a line, as people write it; host names as the API has them, because lines cannot say all of it.
fn list_text(store: &Store<'_>, list: &ListRow) -> Result<Vec<u8>, Failure> {
    let items = store.items(list, None, None, ALL_ITEMS)?;
    if list.kind == ListKind::Hostname {
        let items: Vec<Json> =
            items.iter().map(|item| serde_json::json!({ "hostname": item.item, "comment": item.comment })).collect();
        return json_text(&items);
    }
    let mut text = String::new();
    for item in items {
        text += &item.value;
        if !item.comment.is_empty() {
            // A comment is one line.
            text += " # ";
            text += &item.comment.replace(['\r', '\n'], " ");
        }
        text.push('\n');
    }
    Ok(text.into_bytes())
}

fn list_file(list: &ListRow) -> String {
    let suffix = if list.kind == ListKind::Hostname { "json" } else { "txt" };
    format!("lists/{}.{suffix}", list.name)
}

fn list_entry(file: String, kind: ListKind) -> TomlItem {
    if kind == ListKind::Ip {
        return value(file);
    }
    let mut entry = InlineTable::new();
    entry.insert("file", file.into());
    entry.insert("kind", kind.name().into());
    value(entry)
}

/// The file that the rules of a room were in, if it was one alone, or one called after it.
fn rules_file(settings: &Settings, room: &str) -> String {
    match settings.rules.get(room).map(Vec::as_slice) {
        Some([file]) => file.clone(),
        _ if room == EVERY_ROOM => "rules.json".to_owned(),
        _ => format!("rules/{room}.json"),
    }
}

/// An array with one element a line: quick to write and to read again, and findings still tell the line.
fn json_lines(elements: &[impl Serialize]) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::from(b"[");
    for (element, number) in elements.iter().zip(0..) {
        text.extend_from_slice(if number == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut text, element).map_err(|error| broken("rules", error))?;
    }
    text.extend_from_slice(b"\n]\n");
    Ok(text)
}

fn json_text(json: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut text = serde_json::to_vec_pretty(json).map_err(|error| broken("export", error))?;
    text.push(b'\n');
    Ok(text)
}
