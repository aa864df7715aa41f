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
