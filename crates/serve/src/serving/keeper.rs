//! Keeps the policy in force: loads it, replaces it by a better one, never by a worse one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bumpalo::Bump;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hits::Hits;
use super::metrics::Metrics;
use super::waiting::OwnRooms;
use crate::files::{self, PolicyFiles, ReadError};
use crate::geo::{GeoDatabases, GeoError};
use velvetrope::internal::edge::{
    BoxError, FailureClass, Identity, LastGood, PolicyState, Reply, Secrets, Tried, push,
};
use velvetrope::internal::hex;
use velvetrope::internal::language::{Diagnostic, Place, Severity};
use velvetrope::internal::policy::{
    Compiled, Findings, Managed, OlderVersion, Policy, STORED, Settings, Sources, settings_of,
};
use velvetrope::internal::program::Verdict;
use velvetrope::internal::room::Occupancy;

/// Where the policy comes from.
#[derive(Clone, Debug)]
pub enum PolicySource {
    /// A folder with a `velvetrope.toml`, or one file; watched for changes.
    Path(PathBuf),
    /// Texts that never change.
    Fixed(Sources),
}

/// Where the secrets come from.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one in a process")]
pub enum SecretSource {
    /// The environment variables that the policy names; read again with each reload.
    Environment,
    /// From here.
    Given {
        /// What tokens, sessions and pushes are signed with.
        secrets: Secrets,
        /// For fetching the configuration.
        api_key: Option<String>,
    },
}

/// A policy and what belongs to it.
pub(crate) struct Deployment {
    pub policy: Policy,
    pub secrets: Secrets,
    pub geo: GeoDatabases,
    pub hits: Hits,
}

/// What requests are decided by.
pub(crate) type State = PolicyState<Deployment>;

impl AsRef<Policy> for Deployment {
    fn as_ref(&self) -> &Policy {
        &self.policy
    }
}

impl Deployment {
    /// Counts what was decided by it.
    pub(crate) fn count(&self, verdict: Option<Verdict>) {
        if let Some(Verdict::Bypassed { rule, .. }) = verdict {
            self.hits.count(rule);
        }
    }
}

/// Why a policy was not put in force. What was in force before still is.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no policy where it should be.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Files that the policy names cannot be read.
    #[error("{}", first_of(.0))]
    Files(Vec<Diagnostic>),
    /// The store that holds rooms, rules and lists cannot be read.
    #[error("the store cannot be read: {0}")]
    Store(#[source] BoxError),
    /// The policy has errors.
    #[error("the policy has {0}")]
    Invalid(#[from] Findings),
    /// Nothing that a policy says may end a process.
    #[error("compiling the policy panicked")]
    Panicked,
    /// The policy waits for its integration JSON.
    #[error("the integration JSON has not been delivered yet")]
    NotDelivered(Vec<Diagnostic>),
    /// An integration JSON was delivered, and the policy has no place for it.
    #[error("the policy names no `integration` file that it could stand in for")]
    NoPlace,
    /// An integration JSON was delivered that is older than the one in force.
    #[error(transparent)]
    Older(#[from] OlderVersion),
    /// There is no secret: nobody could be let in by a token, or known by a session.
    #[error("no secret: set the environment variable {0} to the customer's secret key")]
    NoSecret(String),
    /// A database of addresses cannot be used.
    #[error(transparent)]
    Geo(#[from] GeoError),
}

impl LoadError {
    /// The class of failure that it is.
    pub fn class(&self) -> FailureClass {
        match self {
            LoadError::Read(ReadError::Unreadable { source, .. }) if source.kind() != io::ErrorKind::NotFound => {
                FailureClass::StoreUnreachable
            }
            LoadError::Files(_) | LoadError::Store(_) => FailureClass::StoreUnreachable,
            LoadError::Read(_) | LoadError::NotDelivered(_) => FailureClass::NoConfiguration,
            _ => FailureClass::InvalidConfiguration,
        }
    }

    /// What is wrong with the policy, if that is it.
    pub fn findings(&self) -> &[Diagnostic] {
        match self {
            LoadError::Files(findings) | LoadError::NotDelivered(findings) => findings,
            LoadError::Invalid(findings) => findings.all(),
            _ => &[],
        }
    }
}

fn first_of(findings: &[Diagnostic]) -> String {
    findings.first().map(|first| format!("{}: {}", first.place.file, first.message)).unwrap_or_default()
}

/// Is told of the settings that have come into force, or that would have if they had no errors.
pub(crate) type Heed = Box<dyn Fn(&Settings) + Send + Sync>;

/// What a store holds of a policy. Errors are for the log.
pub(crate) trait Stored: Send + Sync {
    /// Texts that stand beside the policy's files (see [`velvetrope::internal::policy::MANIFEST`]); none where the store does not know
    /// the policy.
    fn texts(&self) -> Result<Sources, BoxError>;

    /// Takes over what the files say. They have come into force, so there is no mistake in them.
    fn take(&self, files: &Sources) -> Result<(), BoxError>;
}

pub(crate) struct Keeper {
    source: PolicySource,
    stored: Option<Box<dyn Stored>>,
    rooms: Option<Arc<OwnRooms>>,
    secrets: SecretSource,
    state_file: Option<PathBuf>,
    metrics: Arc<Metrics>,
    /// Among several, for logs.
    name: Option<String>,
    heed: Option<Heed>,
    /// What `work` says, for requests, which do not wait for it.
    state: ArcSwap<State>,
    /// Held while loading, so that loads come one after the other.
    work: Mutex<Work>,
}

struct Work {
    policy: LastGood<Deployment, Sources>,
    /// The files that were looked for last.
    files: Vec<PathBuf>,
    published: Option<Published>,
}

/// An integration JSON that Queue-it delivered. It stands in for the file until the file changes: the newer wins.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Published {
    integration: String,
    /// SHA-256 of the file's text that it stands in for.
    replaces: String,
}

impl Keeper {
    /// A keeper with nothing in force yet.
    pub(crate) fn new(
        source: PolicySource,
        secrets: SecretSource,
        state_file: Option<PathBuf>,
        metrics: Arc<Metrics>,
    ) -> Keeper {
        let published = state_file.as_deref().and_then(read_state);
        let policy = LastGood::none(FailureClass::NoConfiguration, "no policy has been loaded yet");
        let state = ArcSwap::new(Arc::clone(policy.state()));
        let work = Mutex::new(Work { policy, files: Vec::new(), published });
        let (stored, rooms, name, heed) = (None, None, None, None);
        Keeper { source, stored, rooms, secrets, state_file, metrics, name, heed, state, work }
    }

    /// One among several.
    pub(crate) fn named(self, name: String, heed: Heed) -> Keeper {
        Keeper { name: Some(name), heed: Some(heed), ..self }
    }

    /// One that also takes what a store holds.
    pub(crate) fn with_store(self, stored: Box<dyn Stored>) -> Keeper {
        Keeper { stored: Some(stored), ..self }
    }

    /// One whose visitors wait in this process.
    pub(crate) fn with_rooms(self, rooms: Arc<OwnRooms>) -> Keeper {
        Keeper { rooms: Some(rooms), ..self }
    }

    /// What it is called, if it is one among several.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What requests are decided by now.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// How full a room is, if it is in this process.
    pub(crate) fn occupancy(&self, room: &str) -> Option<Occupancy> {
        self.rooms.as_ref()?.occupancy(room)
    }

    /// Reads the policy anew and puts it in force if it is good. Blocks.
    pub(crate) fn load(&self, occasion: &'static str) -> Result<(), LoadError> {
        let mut work = self.work();
        let read = self.read(&mut work);
        self.take(read, &mut work, occasion)
    }

    /// The same, unless what is read is in force, or was refused already; whether it was not. Blocks.
    pub(crate) fn load_if_changed(&self, occasion: &'static str) -> Result<bool, LoadError> {
        let mut work = self.work();
        let read = self.read(&mut work);
        let is_known = read.as_ref().is_ok_and(|read| match work.policy.tried(read) {
            Some(Tried::Refused) => true,
            Some(Tried::InForce) => self.has_current_databases(),
            None => false,
        });
        if is_known {
            return Ok(false);
        }
        self.take(read, &mut work, occasion).map(|()| true)
    }

    /// Puts in force what was read if it is good.
    fn take(&self, read: Result<Sources, LoadError>, work: &mut Work, occasion: &'static str) -> Result<(), LoadError> {
        let sources = read.map_err(|error| self.refuse(error, None, work, occasion))?;
        match self.deploy(&sources, work.published.as_ref()) {
            Ok(deployment) => {
                self.put_in_force(deployment, sources, work, occasion);
                Ok(())
            }
            Err(error) => {
                let to_blame = (!error.findings().is_empty()).then_some(sources);
                Err(self.refuse(error, to_blame, work, occasion))
            }
        }
    }

    fn has_current_databases(&self) -> bool {
        self.state().in_force().is_some_and(|deployment| deployment.geo.is_current())
    }

    /// Puts an integration JSON in force that Queue-it delivered, beside everything else that is; says what is wrong
    /// with it, if anything. Blocks.
    pub(crate) fn publish(&self, text: &str, occasion: &'static str) -> Result<(), LoadError> {
        let mut work = self.work();
        match self.try_publish(text, &mut work) {
            Ok((deployment, sources)) => {
                self.put_in_force(deployment, sources, &mut work, occasion);
                if let (Some(path), Some(published)) = (&self.state_file, &work.published)
                    && let Err(error) = write_state(path, published)
                {
                    let hint = "it is in force until the next start: make room, or mend what is in the way";
                    tracing::error!(path = %path.display(), %error, hint, "the delivered configuration is not kept");
                }
                Ok(())
            }
            Err(error) => {
                self.report(&error, &mut work, occasion);
                Err(error)
            }
        }
    }

    /// Whether pushes are taken here, and there is a secret to check them with.
    pub(crate) fn can_take_pushes(&self) -> bool {
        let settings = self.settings().filter(|settings| settings.delivery.push);
        let secrets = settings.and_then(|settings| self.secrets(&settings).ok());
        secrets.is_some_and(|secrets| !secrets.current().is_empty())
    }

    /// Puts a pushed integration JSON in force if it is signed and good, and answers; `None` where it takes none or has
    /// no secret to check one with. Blocks.
    pub(crate) fn take_push<T>(
        &self,
        body: &[u8],
        identity: &Identity,
        told: impl FnOnce(Reply<'_>) -> T,
    ) -> Option<T> {
        let settings = self.settings().filter(|settings| settings.delivery.push)?;
        let secrets = self.secrets(&settings).ok()?;
        let compiles = |text: &str| self.publish(text, "push");
        Some(told(push::accept(body, &secrets, identity, &Bump::new(), compiles).reply))
    }

    fn try_publish(&self, text: &str, work: &mut Work) -> Result<(Deployment, Sources), LoadError> {
        let sources = match work.policy.texts() {
            Some(sources) => sources.clone(),
            None => self.read(work)?,
        };
        let Some(file) = integration_file(&sources) else {
            return Err(LoadError::NoPlace);
        };
        let replaces = digest(sources.get(&file).map_or(&[], Vec::as_slice));
        let published = Published { integration: text.to_owned(), replaces };
        let deployment = self.deploy(&sources, Some(&published))?;
        let stood_in = work.published.as_ref().and_then(|published| stand_in(&sources, published));
        let kept = stood_in.as_ref().unwrap_or(&sources).get(&file);
        let kept = kept.and_then(|text| std::str::from_utf8(text).ok());
        work.policy.state().refuse_older(&deployment.policy, kept)?;
        work.published = Some(published);
        Ok((deployment, sources))
    }

    /// Where the policy's files are, if they can change; `geoip` names are relative to it.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match &self.source {
            PolicySource::Fixed(_) => None,
            PolicySource::Path(path) if path.is_dir() => Some(path.clone()),
            PolicySource::Path(path) => Some(path.parent().unwrap_or(Path::new("")).to_owned()),
        }
    }

    /// The folders in which something can happen that concerns the policy.
    pub(crate) fn watched_folders(&self) -> BTreeSet<PathBuf> {
        let Some(folder) = self.folder() else { return BTreeSet::new() };
        let mut files = self.work().files.clone();
        if let Some(settings) = self.state().settings() {
            files.extend(GeoDatabases::files(&settings.geoip, &folder));
        }
        let parents = files.iter().filter_map(|file| file.parent().map(Path::to_owned));
        parents.chain([folder]).map(|path| if path == Path::new("") { ".".into() } else { path }).collect()
    }

    /// The key for fetching the configuration.
    pub(crate) fn api_key(&self, settings: &Settings) -> Option<String> {
        match &self.secrets {
            SecretSource::Environment => std::env::var(&settings.secrets.api_key).ok(),
            SecretSource::Given { api_key, .. } => api_key.clone(),
        }
    }

    /// See [`State::settings`].
    pub(crate) fn settings(&self) -> Option<Settings> {
        self.state().settings().cloned()
    }

    /// The secrets that pushes are signed with, even while no policy is in force.
    pub(crate) fn secrets(&self, settings: &Settings) -> Result<Secrets, LoadError> {
        match &self.secrets {
            SecretSource::Given { secrets, .. } => Ok(secrets.clone()),
            SecretSource::Environment => {
                let name = &settings.secrets.current;
                let current = std::env::var(name).unwrap_or_default();
                if current.is_empty() {
                    return Err(LoadError::NoSecret(name.clone()));
                }
                Ok(Secrets::new(current, std::env::var(&settings.secrets.previous).ok()))
            }
        }
    }

    /// The texts as they are now.
    fn read(&self, work: &mut Work) -> Result<Sources, LoadError> {
        let mut sources = self.read_files(&mut work.files)?;
        match self.stored.as_ref().map(|stored| stored.texts()) {
            None => {}
            Some(Ok(texts)) => sources.extend(texts),
            Some(Err(error)) => self.without_store(&sources, error, work)?,
        }
        Ok(sources)
    }

    /// The store cannot be read, which is no matter where it holds nothing that would count.
    fn without_store(&self, files: &Sources, error: BoxError, work: &mut Work) -> Result<(), LoadError> {
        if settings_of(files, None).is_none_or(|settings| settings.managed == Managed::Store) {
            return Err(LoadError::Store(error));
        }
        if work.policy.is_news(&error.to_string()) {
            tracing::error!(policy = self.name(), %error, "the store cannot be read; the files are in force");
        }
        Ok(())
    }

    /// `looked_for` becomes the files that the texts are in, whether they exist or not.
    fn read_files(&self, looked_for: &mut Vec<PathBuf>) -> Result<Sources, LoadError> {
        let path = match &self.source {
            PolicySource::Fixed(sources) => return Ok(sources.clone()),
            PolicySource::Path(path) => path,
        };
        let PolicyFiles { sources, findings, watch, .. } = files::read(path)?;
        *looked_for = watch;
        if findings.is_empty() { Ok(sources) } else { Err(LoadError::Files(findings)) }
    }

    fn deploy(&self, sources: &Sources, published: Option<&Published>) -> Result<Deployment, LoadError> {
        let stood_in = published.and_then(|published| stand_in(sources, published));
        let compile = if stood_in.is_some() { Policy::compile_delivered } else { Policy::compile };
        let sources = stood_in.as_ref().unwrap_or(sources);
        // The last net: nothing that a policy says may end a process that others are served by.
        let compiled = catch_unwind(AssertUnwindSafe(|| compile(sources, None)));
        let Compiled { policy, warnings } = compiled.map_err(|_| LoadError::Panicked)??;
        if policy.awaits_configuration() {
            return Err(LoadError::NotDelivered(warnings));
        }
        warnings.iter().for_each(log_finding);
        let secrets = match self.secrets(&policy.settings) {
            Err(LoadError::NoSecret(_)) if !policy.needs_secret() => Secrets::new("", None),
            secrets => secrets?,
        };
        let folder = self.folder().unwrap_or_default();
        let geo = GeoDatabases::open(&policy.settings.geoip, &folder)?;
        let hits = Hits::of(policy.rules(), self.state().in_force().map(|before| &before.hits));
        Ok(Deployment { policy, secrets, geo, hits })
    }

    fn put_in_force(&self, deployment: Deployment, sources: Sources, work: &mut Work, occasion: &'static str) {
        let version = deployment.policy.integrations().version.clone();
        if occasion == "start" {
            warn_of_secrets(&deployment);
        }
        if let Some(before) = self.state().in_force()
            && before.policy.settings.proxy != deployment.policy.settings.proxy
        {
            tracing::warn!(
                policy = self.name(),
                occasion,
                "what [proxy] says has changed and is not heeded before the next start"
            );
        }
        if let Some(rooms) = &self.rooms {
            rooms.follow(&deployment.policy);
        }
        for (number, name, why) in deployment.policy.broken() {
            tracing::error!(policy = self.name(), occasion, number, name, "an integration is broken: {why}");
        }
        let broken = deployment.policy.broken().count();
        let before = work.policy.put_in_force(deployment, sources);
        self.expose(&work.policy);
        let before = match before.in_force() {
            Some(before) => before.policy.broken().count(),
            None => {
                self.metrics.policies_in_force.inc();
                0
            }
        };
        self.metrics.broken_integrations.inc_by(broken as i64 - before as i64);
        self.metrics.loaded(occasion, "good");
        tracing::info!(policy = self.name(), occasion, version, "policy in force");
        self.tell_store(work);
    }

    /// Gives the error back.
    fn refuse(
        &self,
        error: LoadError,
        to_blame: Option<Sources>,
        work: &mut Work,
        occasion: &'static str,
    ) -> LoadError {
        self.report(&error, work, occasion);
        let settings = || settings_of(&self.read_files(&mut Vec::new()).ok()?, None);
        if work.policy.refuse(error.class(), error.to_string(), to_blame, settings) {
            self.expose(&work.policy);
        }
        error
    }

    /// What has come into force of the policy's own files is for the store to know.
    fn tell_store(&self, work: &Work) {
        let (Some(stored), Some(sources)) = (&self.stored, work.policy.texts()) else { return };
        let stood_in = work.published.as_ref().and_then(|published| stand_in(sources, published));
        let mut files = stood_in.unwrap_or_else(|| sources.clone());
        files.retain(|name, _| !name.starts_with(STORED));
        if let Err(error) = stored.take(&files) {
            tracing::error!(policy = self.name(), %error, "the store does not know what the policy's files say");
        }
    }

    /// Lets requests be decided by what has changed.
    fn expose(&self, policy: &LastGood<Deployment, Sources>) {
        let state = policy.state();
        if let (Some(heed), Some(settings)) = (&self.heed, state.settings()) {
            heed(settings);
        }
        self.state.store(Arc::clone(state));
    }

    fn report(&self, error: &LoadError, work: &mut Work, occasion: &'static str) {
        self.metrics.loaded(occasion, "bad");
        // What is looked at again and again is complained of once; who asks for it wants to hear.
        if !work.policy.is_news(&error.to_string()) && matches!(occasion, "file" | "store") {
            return;
        }
        error.findings().iter().for_each(log_finding);
        let kept = work.policy.state().in_force().is_some();
        tracing::error!(policy = self.name(), occasion, last_good_kept = kept, "policy not put in force: {error}");
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of secrets that protect little, before anybody is served.
fn warn_of_secrets(deployment: &Deployment) {
    let Deployment { policy, secrets, .. } = deployment;
    let variable = &policy.settings.secrets.current;
    if secrets.current().is_empty() {
        tracing::warn!(
            variable,
            "there is no secret: nothing here is signed yet, and what is to be cannot come into force"
        );
    } else if policy.needs_secret() && secrets.are_short() {
        tracing::warn!(
            variable,
            "the secret is shorter than 32 characters: whoever has one token can try keys on it until one fits, and \
             then let anybody in; use the key of the account, or a longer one"
        );
    }
}

fn log_finding(finding: &Diagnostic) {
    let Diagnostic { code, message, place: Place { file, line, subject, .. }, .. } = finding;
    let code = code.as_str();
    let help = finding.help.as_deref().unwrap_or_default();
    match finding.severity {
        Severity::Error => tracing::error!(code, file, line, subject, help, "{message}"),
        Severity::Warning => tracing::warn!(code, file, line, subject, help, "{message}"),
    }
}

fn integration_file(sources: &Sources) -> Option<String> {
    settings_of(sources, None)?.integration
}

/// The sources with the delivered configuration in place of its file, unless the file has changed since.
fn stand_in(sources: &Sources, published: &Published) -> Option<Sources> {
    let file = integration_file(sources)?;
    if digest(sources.get(&file).map_or(&[], Vec::as_slice)) != published.replaces {
        return None;
    }
    let mut sources = sources.clone();
    sources.insert(file, published.integration.clone().into_bytes());
    Some(sources)
}

fn digest(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

/// What was kept from before; nothing, if that cannot be read.
fn read_state(path: &Path) -> Option<Published> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the kept configuration cannot be read");
            return None;
        }
    };
    let read = serde_json::from_slice(&text);
    read.inspect_err(|error| tracing::error!(path = %path.display(), %error, "the kept configuration is broken")).ok()
}

/// Writes beside and renames, so that a crash, or a disk that is full, leaves the old one.
fn write_state(path: &Path, published: &Published) -> io::Result<()> {
    let beside = path.with_extension("new");
    let text = serde_json::to_vec(published)?;
    let written = File::create(&beside).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
    let renamed = written.and_then(|()| std::fs::rename(&beside, path));
    renamed.inspect_err(|_| _ = std::fs::remove_file(&beside))
}
