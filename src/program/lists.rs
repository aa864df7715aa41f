//! Named sets of addresses, host names or AS numbers (docs/protocol/rules-language.md#lists).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::language::expression::IpRange;

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// Addresses and networks.
    Ip,
    /// Host names.
    Hostname,
    /// AS numbers.
    Asn,
}

impl ListKind {
    /// All of them, by name.
    pub const NAMED: &'static [(&'static str, ListKind)] = &[
        (ListKind::Ip.name(), ListKind::Ip),
        (ListKind::Hostname.name(), ListKind::Hostname),
        (ListKind::Asn.name(), ListKind::Asn),
    ];

    /// The names alone.
    pub const NAMES: &'static [&'static str] = &[ListKind::Ip.name(), ListKind::Hostname.name(), ListKind::Asn.name()];

    /// What policies, the API and the store call it; the key, too, under which items have their value.
    pub const fn name(self) -> &'static str {
        match self {
            ListKind::Ip => "ip",
            ListKind::Hostname => "hostname",
            ListKind::Asn => "asn",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<ListKind> {
        ListKind::NAMED.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

/// The members of one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum List {
    /// Addresses, networks and ranges, in any order.
    Ip(Vec<IpRange>),
    /// Host names.
    Hostname(Vec<Hostname>),
    /// AS numbers.
    Asn(Vec<i64>),
}

/// A member of a host-name list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hostname {
    /// This name only.
    Exact(String),
    /// Names below this one (`*.suffix`; without `*.` here), and the name itself if `apex`.
    Below {
        /// The part after `*.`.
        suffix: String,
        /// Whether the suffix itself belongs to it, too (`exclude_exact_hostname: false`).
        apex: bool,
    },
}

/// Lists by name.
pub type Lists = BTreeMap<String, List>;
