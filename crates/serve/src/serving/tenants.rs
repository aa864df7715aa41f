//! Several policies in one process, each for hosts of its own. What happens to one does not touch the others.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::keeper::{Keeper, PolicySource, SecretSource, State};
use super::keepers::Keepers;
use super::management::Management;
use super::metrics::Metrics;
use super::waiting::OwnRooms;
use crate::files::policy_name;
use velvetrope::internal::edge::FailureClass;
use velvetrope::internal::policy::{FailurePolicy, OnFailure, SAVED_SUFFIX, SETTINGS_FILE, Settings};
use velvetrope::internal::request::Authority;

/// Who is responsible for a request.
pub(crate) struct Tenants {
    keepers: Arc<Keepers>,
    hosts: Arc<Hosts>,
    /// What requests are decided by that are nobody's.
    nobodys: Arc<State>,
    /// Where their rooms, rules and lists are managed.
    pub management: Option<Arc<Management>>,
}

/// What the policies of a process have in common.
pub(crate) struct Common {
    pub secrets: SecretSource,
    /// A file for one policy, a folder for several.
    pub state_file: Option<PathBuf>,
    pub metrics: Arc<Metrics>,
    /// What becomes of requests that are nobody's.
    pub unknown: OnFailure,
    /// Where visitors wait, if that is in this process.
    pub rooms: Option<Arc<OwnRooms>>,
    pub management: Option<Arc<Management>>,
}

impl Common {
    fn keeper(&self, name: &str, source: PolicySource, state_file: Option<PathBuf>) -> Keeper {
        let keeper = Keeper::new(source, self.secrets.clone(), state_file, Arc::clone(&self.metrics));
        let keeper = match &self.rooms {
            Some(rooms) => keeper.with_rooms(Arc::clone(rooms)),
            None => keeper,
        };
        if let Some(management) = &self.management {
            return keeper.with_store(management.zone(name));
        }
        keeper
    }
}

impl Tenants {
    /// Policies by name, none of them loaded yet. One alone is responsible for everything.
    pub(crate) fn new(policies: Vec<(String, PolicySource)>, common: Common) -> Tenants {
        let is_alone = policies.len() == 1;
        let hosts = Arc::new(Hosts::new(policies.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()));
        let keeper = |(index, (name, source)): (usize, (String, PolicySource))| {
            let state_file = common.state_file.as_ref().map(|path| match is_alone {
                true => path.clone(),
                false => path.join(format!("{name}.json")),
            });
            let keeper = common.keeper(&name, source, state_file);
            let hosts = Arc::clone(&hosts);
            let heed = move |settings: &Settings| hosts.claim(index, &settings.hosts);
            (name.clone(), Arc::new(if is_alone { keeper } else { keeper.named(name, Box::new(heed)) }))
        };
        let keepers = Arc::new(policies.into_iter().enumerate().map(keeper).collect());
        Tenants { keepers, hosts, nobodys: Arc::new(nobodys(common.unknown)), management: common.management }
    }

    /// One alone, which is responsible for everything.
    pub(crate) fn one(source: PolicySource, common: Common) -> (Tenants, Arc<Keeper>) {
        let name = source.name();
        let keeper = Arc::new(common.keeper(&name, source, common.state_file.clone()));
        let tenants = Tenants {
            keepers: Arc::new(Keepers::from_iter([(name, Arc::clone(&keeper))])),
            hosts: Arc::new(Hosts::new(Vec::new())),
            nobodys: Arc::new(nobodys(common.unknown)),
            management: common.management,
        };
        (tenants, keeper)
    }

    /// All of them.
    pub(crate) fn keepers(&self) -> &Arc<Keepers> {
        &self.keepers
    }

    /// The one with this name, if a name is given, and else the one for this host, written as in `:authority`.
    pub(crate) fn responsible(&self, name: Option<&str>, host: Option<&str>) -> Option<&Arc<Keeper>> {
        if let [alone] = self.keepers.all() {
            return Some(alone);
        }
        match name {
            Some(name) => self.keepers.named(name),
            None => self.keepers.all().get(self.hosts.owner(host?)?),
        }
    }

    /// What decides for that one, or for nobody.
    pub(crate) fn state(&self, keeper: Option<&Arc<Keeper>>) -> Arc<State> {
        keeper.map_or_else(|| Arc::clone(&self.nobodys), |keeper| keeper.state())
    }

    /// The first settings that there are: what is not about requests is taken from them.
    pub(crate) fn settings(&self) -> Option<Settings> {
        self.keepers.all().iter().find_map(|keeper| keeper.settings())
    }
}

fn nobodys(unknown: OnFailure) -> State {
    let failure = FailurePolicy { no_configuration: unknown, internal: unknown, ..FailurePolicy::default() };
    State::Absent {
        class: FailureClass::NoConfiguration,
        why: "there is no policy for this host".into(),
        settings: Some(Settings { failure, ..Settings::new("") }),
    }
}

/// Whose a host is. Whoever has one keeps it for as long as it claims it; then the first one gets it that wants it.
struct Hosts {
    /// Each has the host that it is named after.
    names: Vec<String>,
    claims: Mutex<Vec<Vec<String>>>,
    owners: ArcSwap<BTreeMap<String, usize>>,
}

impl Hosts {
    fn new(names: Vec<String>) -> Hosts {
        let owners = names.iter().cloned().zip(0..).collect();
        Hosts { claims: Mutex::new(vec![Vec::new(); names.len()]), names, owners: ArcSwap::from_pointee(owners) }
    }

    /// Takes what a policy says in place of what it said before.
    fn claim(&self, index: usize, hosts: &[String]) {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(claim) = claims.get_mut(index) else { return };
        *claim = hosts.to_vec();
        let wanted = || self.names.iter().zip(claims.iter()).map(|(name, claim)| claim.iter().chain([name])).zip(0..);
        let mut owners = (**self.owners.load()).clone();
        owners.retain(|host, owner| wanted().any(|(mut hosts, index)| index == *owner && hosts.any(|own| own == host)));
        for (hosts, index) in wanted() {
            hosts.for_each(|host| _ = owners.entry(host.clone()).or_insert(index));
        }
        for host in hosts.iter().filter(|host| owners.get(*host) != Some(&index)) {
            tracing::error!(policy = self.names[index], host, "another policy has this host already and keeps it");
        }
        self.owners.store(Arc::new(owners));
    }

    fn owner(&self, host: &str) -> Option<usize> {
        let owners = self.owners.load();
        let authority = Authority::of(host).canonical(true).ok()?;
        owners.get(&*authority).or_else(|| owners.get(Authority::of(&authority).host())).copied()
    }
}

impl PolicySource {
    /// What the policy is called where it is the only one.
    pub(crate) fn name(&self) -> String {
        match self {
            PolicySource::Path(path) => policy_name(path),
            PolicySource::Fixed(_) => "policy".to_owned(),
        }
    }
}

/// Why there are no policies at some paths.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// A path cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// Nobody could tell two of them apart.
    #[error("two policies have the name {name:?}, the second one is {}", path.display())]
    SameName {
        /// What both are called.
        name: String,
        /// Where the second one is.
        path: PathBuf,
    },
}

/// The policies at these paths, with their names. A folder that is none itself is one of policies: of folders with a
/// `velvetrope.toml`, and of saved ones.
pub fn policies_at(paths: &[PathBuf]) -> Result<Vec<(String, PolicySource)>, PoliciesError> {
    let mut policies = BTreeMap::new();
    for path in paths {
        let found = policies_in(path).map_err(|error| PoliciesError::Unreadable { path: path.clone(), error })?;
        for path in found {
            let name = policy_name(&path);
            if policies.contains_key(&name) {
                return Err(PoliciesError::SameName { name, path });
            }
            policies.insert(name, PolicySource::Path(path));
        }
    }
    Ok(policies.into_iter().collect())
}

fn policies_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() || path.join(SETTINGS_FILE).exists() {
        return Ok(vec![path.to_owned()]);
    }
    let mut policies = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?.path();
        let is_saved = entry.to_str().is_some_and(|name| name.ends_with(SAVED_SUFFIX));
        if is_saved || entry.join(SETTINGS_FILE).exists() {
            policies.push(entry);
        }
    }
    // It may become one: that nothing is in it yet is said where it is loaded.
    Ok(if policies.is_empty() { vec![path.to_owned()] } else { policies })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_stays_with_who_has_it() {
        let hosts = Hosts::new(vec!["a.example".into(), "b.example".into()]);
        let claim = |index, claims: &[&str]| {
            hosts.claim(index, &claims.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>());
        };
        claim(1, &["shared.example", "www.b.example:8443"]);
        claim(0, &["shared.example", "b.example"]);
        for (host, owner) in [
            ("a.example", Some(0)),
            ("A.example:8080", Some(0)),
            ("a.example.:80", Some(0)),
            ("a@a.example", None),
            ("b.example", Some(1)),
            ("shared.example", Some(1)),
            ("www.b.example:8443", Some(1)),
            ("www.b.example", None),
            ("c.example", None),
        ] {
            assert_eq!(hosts.owner(host), owner, "{host}");
        }
        claim(1, &[]);
        assert_eq!([hosts.owner("shared.example"), hosts.owner("b.example")], [Some(0), Some(1)]);
    }
}
