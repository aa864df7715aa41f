//! From the texts of a policy to the policy, with everything that is wrong with them.

use std::collections::{BTreeMap, HashSet};

use super::check::Checker;
use super::config_error::ConfigError;
use super::document::{Member, Node, parse_json, parse_toml};
use super::finding::{File, Report, did_you_mean};
use super::integration::Published;
use super::manifest::{self, MANIFEST, STORED};
use super::rooms::Rooms;
use super::rules::Checked;
use super::settings::{Managed, Settings};
use super::{Findings, Policy, Room, Sources, lists, review, rooms, rules, settings};
use crate::language::{Code, Diagnostic};
use crate::program::Lists;
use crate::request::Target;

/// The file that names all others.
pub const SETTINGS_FILE: &str = "velvetrope.toml";

/// The name, among the texts of a policy, of an integration JSON that a store holds. It stands in for the file that
/// `integration` names, or for none. No file of a policy can be called so.
pub const DELIVERED: &str = "kv:info";

/// How the names of files with saved policies end.
pub const SAVED_SUFFIX: &str = ".vrp";

/// The files of the policy that a `velvetrope.toml` names, as far as it can be read.
pub fn files_named_by(settings: &str) -> Vec<String> {
    let report = Report::default();
    let settings = settings::read(File { path: SETTINGS_FILE, text: settings, report: &report }, None);
    let rules = settings.rules.into_values().flatten();
    let lists = settings.lists.into_values().map(|list| list.file);
    settings.integration.into_iter().chain(settings.rooms).chain(rules).chain(lists).collect()
}

/// The settings of a policy, as far as they can be read; for what has to be known of a policy that does not compile.
pub fn settings_of(sources: &Sources, target: Option<Target>) -> Option<Settings> {
    Compiler { sources, report: &Report::default(), target, is_delivered: false }.settings()
}

/// A policy, and what it would be well to know all the same.
#[derive(Debug)]
pub struct Compiled {
    /// The policy.
    pub policy: Policy,
    /// What is doubtful about it.
    pub warnings: Vec<Diagnostic>,
}

impl Policy {
    /// Reads and compiles everything; every problem is found in one run. Sources without a `velvetrope.toml` are one saved policy (`*.vrp`), which is loaded, or one integration
    /// JSON and defaults for everything else.
    pub fn compile(sources: &Sources, target: Option<Target>) -> Result<Compiled, Findings> {
        Policy::compile_as(sources, target, false)
    }

    /// The same of a policy whose integration JSON Queue-it has delivered, so that nobody can mend it here: an
    /// integration that is broken is so for its own visitors only, as long as another one works (see
    /// [`Policy::broken`]).
    pub fn compile_delivered(sources: &Sources, target: Option<Target>) -> Result<Compiled, Findings> {
        Policy::compile_as(sources, target, true)
    }

    fn compile_as(sources: &Sources, target: Option<Target>, is_delivered: bool) -> Result<Compiled, Findings> {
        let report = Report::default();
        let policy = match sources.iter().next() {
            Some((path, bytes)) if path.ends_with(SAVED_SUFFIX) && sources.len() == 1 => {
                load(path, bytes, target, &report)
            }
            _ => Compiler { sources, report: &report, target, is_delivered }.policy(),
        };
        let policy = policy.filter(|_| !report.has_errors());
        let findings = report.into_findings();
        match policy {
            Some(policy) => Ok(Compiled { policy, warnings: findings }),
            None => Err(Findings(findings)),
        }
    }
}

#[cfg(feature = "saved")]
fn load(path: &str, bytes: &[u8], target: Option<Target>, report: &Report) -> Option<Policy> {
    let problem = match Policy::load(bytes) {
        Ok(policy) if target.is_none_or(|target| target == policy.settings.target) => return Some(policy),
        Ok(policy) => {
            let problem = Diagnostic::error(Code::BadValue, format!("it was compiled for {}", policy.settings.target));
            problem.help("compile the policy again, for where it is to run")
        }
        Err(error) => Diagnostic::error(Code::Unreadable, error.to_string()),
    };
    report.add(path, problem);
    None
}

#[cfg(not(feature = "saved"))]
fn load(path: &str, _: &[u8], _: Option<Target>, report: &Report) -> Option<Policy> {
    let problem = Problem::error(Kind::Unreadable, "saved policies cannot be loaded by what is built without `saved`");
    report.add(path, problem.help("enable that feature of the crate, or compile the policy from its texts"));
    None
}

struct Compiler<'a> {
    sources: &'a Sources,
    report: &'a Report,
    /// Where the policy is to run, if that is not for the policy to say.
    target: Option<Target>,
    /// Whether the integration JSON has been delivered.
    is_delivered: bool,
}

impl<'a> Compiler<'a> {
    fn policy(&self) -> Option<Policy> {
        let settings = self.settings()?;
        let lists = self.lists(&settings);
        let published = self.published(&settings);
        let checker = Checker { settings: &settings, lists: &lists };
        let rooms = self.rooms(&settings, &checker);
        if settings.integration.is_none() && settings.rooms.is_none() && !self.report.has_errors() {
            let problem = Diagnostic::error(Code::MissingKey, "the policy protects nothing");
            let help = "name the published configuration: `integration = \"integration.json\"`, or a file of `rooms`";
            self.report.add(SETTINGS_FILE, problem.help(help));
        }
        // Where a file of rooms cannot be read, or has yet to arrive, nobody knows which rooms there are.
        let arrived = published.as_ref().filter(|published| !published.version.is_empty());
        let known = arrived.zip(rooms.as_ref()).map(|(published, rooms)| KnownRooms::new(published, &rooms.rooms));
        let rules = self.rules(&settings, known.as_ref(), &checker);
        let (mut published, rooms) = (published?, rooms?);
        published.all.extend(rooms.integrations);
        (!self.report.has_errors()).then(|| Policy::assemble(settings, published, rules, rooms.rooms, lists))
    }

    fn settings(&self) -> Option<Settings> {
        let mut settings = match self.sources.get(SETTINGS_FILE) {
            Some(_) => settings::read(self.file(SETTINGS_FILE)?, self.target),
            None => self.defaults()?,
        };
        if self.sources.contains_key(DELIVERED) {
            settings.integration = Some(DELIVERED.to_owned());
        }
        if self.is_stored(&settings) {
            manifest::stand_in(self.file(MANIFEST)?, &mut settings);
        }
        Some(settings)
    }

    /// The settings of a policy that is nothing but an integration JSON: the customer is who published it.
    fn defaults(&self) -> Option<Settings> {
        let mut own = self.sources.keys().filter(|path| !path.starts_with(STORED));
        let (Some(path), None) = (own.next().filter(|path| path.ends_with(".json")), own.next()) else {
            self.report.add(SETTINGS_FILE, Diagnostic::error(Code::Unreadable, "there is no velvetrope.toml"));
            return None;
        };
        let file = self.file(path)?;
        let customer = parse_json(file.text).ok().and_then(|root| publisher(&root)).unwrap_or_default();
        if customer.is_empty() {
            let problem = Diagnostic::error(Code::MissingKey, "the configuration does not say whose it is");
            let help = "write a velvetrope.toml beside it, with `customer_id` and `integration`";
            self.report.add(path, problem.help(help));
        }
        let settings = Settings::new(customer);
        Some(Settings { target: self.target.unwrap_or(settings.target), integration: Some(path.clone()), ..settings })
    }

    fn lists(&self, settings: &Settings) -> Lists {
        let lists = settings.lists.iter().filter_map(|(name, entry)| {
            let file = self.file(&entry.file)?;
            Some((name.clone(), lists::read(file, name, entry.kind)))
        });
        lists.collect()
    }

    /// `None` if they cannot be read.
    fn published(&self, settings: &Settings) -> Option<Published> {
        let none = |version: &str| Some(Published { version: version.to_owned(), all: Vec::new() });
        let Some(path) = &settings.integration else { return none("1") };
        let will_arrive = settings.delivery.push || settings.delivery.pull;
        if will_arrive && !self.sources.contains_key(path) {
            return none("");
        }
        let file = self.file(path)?;
        self.parse(file, settings).inspect_err(|error| review::refusal(file, error)).ok()
    }

    fn parse(&self, file: File, settings: &Settings) -> Result<Published, ConfigError> {
        // Parsed once more than needed, so that the place of a syntax error is worked out in one place only.
        let parse = if self.is_delivered { Published::parse_delivered } else { Published::parse };
        let mut published = parse(file.text, settings.normalize_urls)?;
        if let Ok(root) = parse_json(file.text) {
            review::review(file, &root, &mut published, &settings.hosts, self.is_delivered);
            review::customer(file, &root, &settings.customer_id);
        }
        Ok(published)
    }

    /// `None` if they cannot be read.
    fn rooms(&self, settings: &Settings, checker: &Checker) -> Option<Rooms> {
        match &settings.rooms {
            Some(path) => rooms::read(self.file(path)?, checker),
            None => Some(Rooms::default()),
        }
    }

    fn rules(&self, settings: &Settings, known: Option<&KnownRooms>, checker: &Checker) -> Vec<Checked> {
        let mut all = Vec::new();
        for (name, paths) in &settings.rules {
            let room = known.map_or(Some(name.as_str()), |known| known.id_of(name)).unwrap_or_else(|| {
                self.unknown_room(name, known, settings);
                name
            });
            let start = all.len();
            for file in paths.iter().filter_map(|path| self.file(path)) {
                let already = all.len() - start;
                all.extend(rules::read(file, room, already, checker));
            }
            self.duplicates(&all[start..]);
        }
        all
    }

    /// Whether a store holds the rooms, rules and lists.
    fn is_stored(&self, settings: &Settings) -> bool {
        settings.managed == Managed::Store && self.sources.contains_key(MANIFEST)
    }

    /// Rooms come and go with the configurations that are delivered, or that stand in files while the rules are in a
    /// store. Rules must not hold that up.
    fn unknown_room(&self, name: &str, known: Option<&KnownRooms>, settings: &Settings) {
        let is_delivered = settings.delivery.push || settings.delivery.pull;
        let is_stored = self.is_stored(settings);
        let problem = if is_delivered || is_stored { Diagnostic::warning } else { Diagnostic::error };
        let problem = problem(Code::UnknownRoom, format!("there is no room `{name}`"));
        let help = did_you_mean(name, known.into_iter().flat_map(KnownRooms::names));
        let help = help.unwrap_or("rules belong to the `EventId` of an integration or the name of a room".to_owned());
        match is_stored {
            true => self.report.add(MANIFEST, problem.help(help)),
            false => self.add_to_settings(|member| member.key == name, problem.help(help)),
        }
    }

    fn duplicates(&self, rules: &[Checked]) {
        let mut seen = HashSet::new();
        for (rule, _) in rules {
            if !seen.insert(&rule.id) {
                let problem = Diagnostic::error(Code::Duplicate, format!("two rules have the id `{}`", rule.id));
                self.report.add_line(&rule.file, rule.line, problem.about(&rule.subject()));
            }
        }
    }

    /// A problem of the first entry of velvetrope.toml that is the one.
    fn add_to_settings(&self, is_it: impl Fn(&Member) -> bool, problem: Diagnostic) {
        let text =
            self.sources.get(SETTINGS_FILE).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
        let (root, _) = parse_toml(text);
        match find(&root, &is_it) {
            Some(member) => File { path: SETTINGS_FILE, text, report: self.report }.add(member.span.clone(), problem),
            None => self.report.add(SETTINGS_FILE, problem),
        }
    }

    /// The text of a file that the policy names.
    fn file(&self, path: &str) -> Option<File<'a>> {
        let Some((path, bytes)) = self.sources.get_key_value(path) else {
            let problem = Diagnostic::error(Code::Unreadable, format!("`{path}` is not there, or cannot be read"));
            match path.starts_with(STORED) {
                true => self.report.add(MANIFEST, problem),
                false => self.add_to_settings(
                    |member| names_file(&member.value, path),
                    problem.help("names are relative to velvetrope.toml"),
                ),
            }
            return None;
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(File { path, text, report: self.report }),
            Err(error) => {
                let message = format!("the file is not UTF-8: byte {} is out of place", error.valid_up_to() + 1);
                self.report.add(path, Diagnostic::error(Code::Unreadable, message));
                None
            }
        }
    }
}

/// Whether a value of the settings names a file, alone or among others.
fn names_file(value: &Node, path: &str) -> bool {
    value.as_text() == Some(path)
        || value.as_array().is_some_and(|files| files.iter().any(|file| file.as_text() == Some(path)))
        || value.get("file").and_then(Node::as_text) == Some(path)
}

/// The first member of a tree that is the one.
fn find<'n, 't>(node: &'n Node<'t>, is_it: &dyn Fn(&Member) -> bool) -> Option<&'n Member<'t>> {
    let members = node.members();
    members.iter().find(|member| is_it(member)).or_else(|| members.iter().find_map(|member| find(&member.value, is_it)))
}

/// Whose configuration it is: as it says itself, or by the first label of a `QueueDomain`.
fn publisher(root: &Node) -> Option<String> {
    let said = root.get("CustomerId").and_then(Node::as_text);
    let domains = root.get("Integrations").and_then(Node::as_array).unwrap_or_default().iter();
    let mut labels = domains.filter_map(|integration| integration.get("QueueDomain")?.as_text()?.split('.').next());
    said.filter(|said| !said.is_empty()).or_else(|| labels.next()).map(str::to_owned)
}

/// The rooms that rules can belong to: their spellings in lower case, and their ids.
struct KnownRooms<'a> {
    ids: BTreeMap<String, &'a str>,
}

impl<'a> KnownRooms<'a> {
    fn new(published: &'a Published, rooms: &'a [Room]) -> Self {
        let ids = published.all.iter().filter_map(|(integration, _)| integration.event_id.as_deref());
        let mut ids: BTreeMap<_, _> = ids.map(|id| (id.to_lowercase(), id)).collect();
        for room in rooms {
            let names = [Some(room.name.as_str()), room.id.as_deref(), Some(room.event_id())];
            ids.extend(names.into_iter().flatten().map(|name| (name.to_lowercase(), room.event_id())));
        }
        ids.insert("*".to_owned(), "*");
        KnownRooms { ids }
    }

    fn id_of(&self, name: &str) -> Option<&'a str> {
        self.ids.get(&name.to_lowercase()).copied()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(String::as_str)
    }
}
