//! What an operator writes → a compiled, immutable [`Policy`].
//!
//! A policy is made of named texts ([`Sources`]): `velvetrope.toml`, the integration JSON as Queue-it publishes it,
//! rooms and bypass rules in the shapes of the waiting-room API, and lists. [`Policy::compile`] reads them all,
//! reports every problem with file and line, and yields a policy only where there is no error. Triggers become
//! expressions here.
//!
//! The module reads no file and no environment variable, and knows nothing of sessions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::program::{Entry, Lists, Program, Site, Verdict};

pub mod bundle;
pub(crate) mod check;
mod compile;
mod config_error;
pub(crate) mod document;
pub(crate) mod fields;
pub(crate) mod finding;
mod hosts;
mod integration;
pub(crate) mod lists;
mod load_balancer;
mod manifest;
pub(crate) mod object;
pub(crate) mod place;
mod review;
pub(crate) mod rooms;
pub(crate) mod rules;
#[cfg(feature = "saved")]
mod save;
mod schemas;
pub(crate) mod settings;
mod spelling;
mod trigger;

pub use compile::{Compiled, DELIVERED, SAVED_SUFFIX, SETTINGS_FILE, files_named_by, settings_of};
pub use config_error::ConfigError;
pub use document::number_text;
pub use finding::Findings;
pub use integration::{
    Action, Integration, Integrations, Number, Placed, Published, RedirectLogic, is_older, version_of,
};
pub use lists::{ListSummary, list_of};
pub use manifest::{MANIFEST, Manifest, STORED};
pub use rooms::{Additions, CookieAttributes, Room, Route};
pub use rules::BypassRule;
#[cfg(feature = "saved")]
pub use save::{LoadError, saved_format};
pub use schemas::schemas;
pub use settings::{
    Delivery, FailurePolicy, GeoIp, GoogleCloud, ListFile, Managed, Network, OnFailure, OnOverload, Preflight,
    ProxySettings, Scheme, ScriptRequests, SecretNames, Settings, TokenSettings, UnknownHosts, VisitorTls,
};

/// The texts of a policy by path relative to its folder (`rules/shop.json`); non-UTF-8 files are kept as bytes so
/// that they can be refused with a place.
pub type Sources = BTreeMap<String, Vec<u8>>;

/// Everything an operator decided, compiled.
#[derive(Debug, Serialize, Deserialize)]
pub struct Policy {
    /// `velvetrope.toml`.
    pub settings: Settings,
    /// See [`Policy::integrations()`]. What follows agrees with one another, and is read through accessors.
    pub(crate) integrations: Integrations,
    /// See [`Policy::rules()`].
    pub(crate) rules: Vec<BypassRule>,
    /// See [`Policy::rooms()`].
    pub(crate) rooms: Vec<Room>,
    /// See [`Policy::lists()`].
    pub(crate) lists: BTreeMap<String, ListSummary>,
    /// See [`Policy::program()`].
    pub(crate) program: Program,
}

/// A configuration is older than the one whose place it is to take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its Version {version} is not as high as {known}, which is known; to roll back, set `allow_older`")]
pub struct OlderVersion {
    /// Its `Version`.
    pub version: String,
    /// The `Version` that is known.
    pub known: String,
}

impl Policy {
    /// A policy without rooms, rules and lists of its own.
    pub fn of_integrations(settings: Settings, published: Published) -> Policy {
        Policy::assemble(settings, published, Vec::new(), Vec::new(), Lists::new())
    }

    /// The published integrations followed by the rooms placed by `when` or by host and path; a verdict's `entry` is
    /// an index into this.
    pub fn integrations(&self) -> &Integrations {
        &self.integrations
    }

    /// Every bypass rule, drafts included; a verdict's `rule` is an index into this.
    pub fn rules(&self) -> &[BypassRule] {
        &self.rules
    }

    /// The rooms of the rooms file, suspended ones included.
    pub fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    /// What is in the lists.
    pub fn lists(&self) -> &BTreeMap<String, ListSummary> {
        &self.lists
    }

    /// All of it, compiled.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Whether the integration JSON that `delivery` promises has yet to arrive.
    pub fn awaits_configuration(&self) -> bool {
        self.integrations.version.is_empty()
    }

    /// Says why this must not take the place of a policy whose configuration has the `Version` that is known, if it is
    /// older and `[delivery] allow_older` does not let it.
    pub fn refuse_older(&self, known: &str) -> Result<(), OlderVersion> {
        let version = &self.integrations.version;
        if self.settings.delivery.allow_older || !is_older(version, known) {
            return Ok(());
        }
        Err(OlderVersion { version: version.clone(), known: known.to_owned() })
    }

    /// The integrations that fail for every visitor, by number and title, and why.
    pub fn broken(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let all = self.integrations.all.iter().zip(1..);
        all.filter_map(|(integration, number)| Some((number, integration.title(), integration.broken.as_deref()?)))
    }

    /// Whether there is anything here that is signed: tokens, sessions, or a configuration that is delivered. Where all
    /// that is said is who passes, nobody needs a secret.
    pub fn needs_secret(&self) -> bool {
        let delivery = &self.settings.delivery;
        let is_signed = |integration: &Integration| integration.action != Action::Ignore;
        delivery.push || delivery.pull || self.integrations.all.iter().any(is_signed)
    }

    /// The integration that a verdict is about.
    pub fn matched(&self, verdict: Verdict) -> Option<&Integration> {
        match verdict {
            Verdict::Nothing => None,
            Verdict::Bypassed { entry, .. } | Verdict::Matched { entry } => self.integrations.all.get(entry),
        }
    }

    /// The bypass rule that let a request pass.
    pub fn bypassed_by(&self, verdict: Verdict) -> Option<&BypassRule> {
        match verdict {
            Verdict::Bypassed { rule, .. } => self.rules.get(rule),
            _ => None,
        }
    }

    /// The bypass rules of an integration's room with their indexes, drafts included.
    pub fn rules_of(&self, integration: &Integration) -> impl Iterator<Item = (usize, &BypassRule)> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.is_for(integration))
    }

    fn assemble(
        settings: Settings,
        published: Published,
        rules: Vec<rules::Checked>,
        rooms: Vec<Room>,
        lists: Lists,
    ) -> Policy {
        let summaries = lists.iter().map(|(name, list)| (name.clone(), ListSummary::from(list))).collect();
        let (rules, conditions): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
        let conditions = conditions.into_iter().map(|when| spelling::in_every_spelling(when, false)).collect();
        let (all, whens): (Vec<_>, Vec<_>) = published.all.into_iter().unzip();
        let entries = all.iter().zip(whens).map(|(of, when)| Entry {
            when: spelling::in_every_spelling(when, of.action == Action::Queue),
            bypass: bypass(&rules, of),
        });
        let entries = entries.collect();
        let program = Program::compile(&Site { entries, rules: conditions, lists });
        let integrations = Integrations { version: published.version, all };
        Policy { settings, integrations, rules, rooms, lists: summaries, program }
    }
}

/// The rules in force for an integration.
fn bypass(rules: &[BypassRule], integration: &Integration) -> Vec<usize> {
    let rules = rules.iter().enumerate().filter(|(_, rule)| rule.enabled && rule.is_for(integration));
    rules.map(|(index, _)| index).collect()
}
