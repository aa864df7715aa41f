//! `export` and `import`: a store out of a policy's files, and files out of a store.

use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::output::{Answer, Exit, Failure, Format, count, printable};
use super::policy;
use velvetrope_manage::store::Store;
use velvetrope_manage::store::zones::Zone;
use velvetrope_manage::{self as manage, snapshot};
use velvetrope_serve::files::policy_name;
use velvetrope_serve::store::StoreFile;

/// Write what a store holds of a policy into a folder
///
/// The folder becomes a policy as `check`, `serve` and `import` read it: the settings and the integration JSON as they
/// were last loaded, and rooms, bypass rules and lists as they are in the store.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope export --store velvetrope.db policy/
  velvetrope export --store velvetrope.db --zone shop policies/shop

JSON: zone, files")]
pub struct Export {
    /// The store
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// The policy's name, if there are several in the store
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    /// Where to write; what is there under the same names is replaced
    folder: PathBuf,
}

/// Take the rooms, bypass rules and lists of a policy into a store
///
/// They replace what the store holds of the policy. A `serve` or `ext-proc` with the same store puts them in force within
/// a second.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope import --store velvetrope.db policy/
  velvetrope import --store velvetrope.db --zone shop checkout/policies/shop

JSON: zone, rooms, rules, lists")]
pub struct Import {
    /// The store; it is created if it does not exist
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// The policy's name in the store [default: the folder's name]
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    /// A folder with a velvetrope.toml, or that file
    policy: PathBuf,
}

#[derive(Serialize)]
struct ExportReport {
    zone: String,
    files: Vec<String>,
}

#[derive(Serialize)]
struct ImportReport {
    zone: String,
    rooms: usize,
    rules: usize,
    lists: usize,
}

impl Export {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let exported = existing(&self.store)?.read(|store| {
            let zone = self.find(store)?;
            snapshot::export(store, &zone).map(|files| (zone.id, files)).map_err(Refused::from)
        });
        let (zone, files) = exported.map_err(|refused| refused.0)?;
        for (name, bytes) in &files {
            let written = below(&self.folder, name).and_then(|path| write(&path, bytes));
            let failed = |error: io::Error| Failure::new(format!("cannot write {}: {error}", printable(name)));
            written.map_err(|error| failed(error).within(self.folder.display()))?;
        }
        Answer::of(&ExportReport { zone, files: files.into_keys().collect() }, format, Exit::Fine)
    }

    /// The zone that is meant.
    fn find(&self, store: &Store<'_>) -> Result<Zone, Refused> {
        let mut zones = store.zones()?;
        let known = zones.iter().map(|zone| format!("`{}`", printable(&zone.id))).collect::<Vec<_>>().join(", ");
        let index = match &self.zone {
            Some(name) => zones.iter().position(|zone| zone.id == *name),
            None => (zones.len() == 1).then_some(0),
        };
        let help = if known.is_empty() { "the store is empty".to_owned() } else { format!("it holds {known}") };
        let missing = || match &self.zone {
            Some(name) => format!("the store holds no policy `{}`", printable(name)),
            None => "name the policy: --zone NAME".to_owned(),
        };
        index.map(|index| zones.swap_remove(index)).ok_or_else(|| Refused(Failure::new(missing()).help(help)))
    }
}

impl Import {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let files = policy::sources(&self.policy)?;
        let policy = policy::load(&self.policy)?;
        let zone = self.zone.unwrap_or_else(|| policy_name(&self.policy));
        let import = |store: &Store<'_>| snapshot::import(store, &zone, &files).map_err(Refused::from);
        open(&self.store)?.change("import", import).map_err(|refused| refused.0)?;
        let (rooms, rules, lists) = (policy.rooms().len(), policy.rules().len(), policy.lists().len());
        Answer::of(&ImportReport { zone, rooms, rules, lists }, format, Exit::Fine)
    }
}

/// Why what was asked cannot be done.
struct Refused(Failure);

impl From<manage::failure::Failure> for Refused {
    fn from(failure: manage::failure::Failure) -> Refused {
        let cause = failure.cause.iter().map(ToString::to_string);
        let objections = failure.errors.into_iter().map(|objection| objection.message);
        Refused(Failure::new(objections.chain(cause).collect::<Vec<_>>().join("; ")))
    }
}

impl From<manage::database::DatabaseError> for Refused {
    fn from(error: manage::database::DatabaseError) -> Refused {
        Refused(unusable(error))
    }
}

/// Opens a store, or creates it.
pub fn open(path: &Path) -> Result<StoreFile, Failure> {
    Ok(StoreFile::open(path)?)
}

/// Opens a store that must be there.
pub fn existing(path: &Path) -> Result<StoreFile, Failure> {
    match path.exists() {
        true => open(path),
        false => Err(Failure::new(format!("there is no store {}", path.display()))),
    }
}

/// The store fails.
pub fn unusable(error: manage::database::DatabaseError) -> Failure {
    Failure::new(format!("the store cannot be used: {error}"))
}

/// A file below a folder. Names in a store may come from anywhere.
fn below(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let stays = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    stays.then(|| folder.join(name)).ok_or_else(|| io::Error::other("it does not name a file below the folder"))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, bytes)
}

impl Display for ExportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|file| writeln!(f, "{}", printable(file)))
    }
}

impl Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.rooms, "room"), (self.rules, "rule"), (self.lists, "list")];
        let parts = parts.map(|(number, what)| count(number, what)).join(", ");
        writeln!(f, "imported {}: {parts}", printable(&self.zone))
    }
}
