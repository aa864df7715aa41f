//! What an operator writes → a compiled, immutable [`Policy`].
//!
//! A policy is made of named texts ([`Sources`]): `velvetrope.toml`, the integration JSON as Queue-it publishes it,
//! rooms and bypass rules in the shapes of the waiting-room API, and lists. [`Policy::compile`] reads them all,
//! reports every problem with file and line, and yields a policy only where there is no error. Triggers become
//! expressions here.
//!
//! The module reads no file and no environment variable, and knows nothing of sessions.

use std::collections::BTreeMap;

use crate::language::Severity;
use crate::program::{Program, Verdict};
use crate::request::Target;

mod integration;
mod json;
mod place;
mod settings;
mod trigger;

pub use integration::{Action, ConfigError, Integration, Integrations, Number, RedirectLogic, number_text};
pub use settings::{
    Delivery, FailurePolicy, GeoIp, GoogleCloud, ListFile, OnFailure, ProxySettings, SecretNames, Settings,
};

/// The texts of a policy by path relative to its folder (`rules/shop.json`); non-UTF-8 files are kept as bytes so
/// that they can be refused with a place.
pub type Sources = BTreeMap<String, Vec<u8>>;

/// A problem in a policy's sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Error or warning.
    pub severity: Severity,
    /// Stable code, such as `E0102` for expressions and `P0003` for files.
    pub code: String,
    /// Path as in [`Sources`].
    pub file: String,
    /// 1-based; 0 where the whole file is meant.
    pub line: usize,
    /// 1-based, in bytes; 0 where the whole line is meant.
    pub column: usize,
    /// What it is about: `rule "admins" of room shop`, `integration 3 (Checkout)`, …; empty for a file.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The source line and carets, if there are any.
    pub snippet: Option<String>,
}

/// A bypass rule, in force.
#[derive(Clone, Debug)]
pub struct BypassRule {
    /// Its id, given or made from its place.
    pub id: String,
    /// The room's id, or `*` for every room.
    pub room: String,
    /// What the operator calls it.
    pub description: String,
    /// Its expression as canonical text.
    pub expression: String,
    /// Drafts are kept, and never in force.
    pub enabled: bool,
}

/// Everything an operator decided, compiled.
#[derive(Debug)]
pub struct Policy {
    /// `velvetrope.toml`.
    pub settings: Settings,
    /// The published integrations followed by the rooms placed by host and path or by `when`; a verdict's `entry` is
    /// an index into this.
    pub integrations: Integrations,
    /// Every bypass rule, drafts included; a verdict's `rule` is an index into this.
    pub rules: Vec<BypassRule>,
    /// All of it, compiled.
    pub program: Program,
}

impl Policy {
    /// Reads and compiles everything. The findings hold every problem; there is a policy exactly if none of them is an
    /// error.
    pub fn compile(_sources: &Sources, _target: Option<Target>) -> (Option<Policy>, Vec<Finding>) {
        todo!()
    }

    /// The integration that a verdict is about.
    pub fn matched(&self, verdict: Verdict) -> Option<&Integration> {
        match verdict {
            Verdict::Nothing => None,
            Verdict::Bypassed { entry, .. } | Verdict::Matched { entry } => self.integrations.all.get(entry),
        }
    }
}
