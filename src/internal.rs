//! What the packages beside this one build on: all modules with all that is in them, how an operator's texts are read
//! piece by piece, and helpers that every host needs.
//!
//! Nothing here is promised: it may change with any release. Who misses something in [`engine`](crate::engine) or
//! [`host`](crate::host) is welcome to say so.

pub use crate::policy::settings::is_list_name;
pub use crate::request::address::{address, network};
pub use crate::request::ascii::hex;
pub use crate::request::secret::{is_secret_entry, is_secret_field, without_secrets};
pub use crate::request::worker::{header_behind, untold};

/// Checks of expressions by what a policy knows.
pub mod check {
    pub use crate::policy::check::{Checker, Origin, fields_of, lists_of};
}

/// JSON and TOML as trees that know where each value stands.
pub mod document {
    pub use crate::policy::document::{Member, Node, SyntaxError, Value, node_of, parse_json, parse_toml, pointer};
}

/// An object's fields, and complaints about those that are unknown, missing or of the wrong type.
pub mod fields {
    pub use crate::policy::fields::Fields;
}

/// Problems in an operator's files.
pub mod finding {
    pub use crate::policy::finding::{File, Report};
}

/// Items of lists.
pub mod lists {
    pub use crate::policy::lists::{BadMember, asn, bits_behind_prefix, empty, hostname};
}

/// Objects as tables of what their fields may hold.
pub mod object {
    pub use crate::policy::object::{Rule, Shape, Table};
}

/// Lines and columns.
pub mod place {
    pub use crate::policy::place::{Lines, offset, position, snippet};
}

/// Rooms as the API takes them.
pub mod rooms {
    pub use crate::policy::rooms::{MIN_VISITORS, REQUIRED_BY_API, submitted};
}

/// Bypass rules as the API takes them.
pub mod rules {
    pub use crate::policy::rules::{Before, RuleObject, Submitted, submitted};
}

/// What every host does alike around a decision.
pub mod edge {
    pub use crate::edge::*;
}

/// Text → checked expression.
pub mod language {
    pub use crate::language::*;
}

/// What an operator writes → a compiled policy.
pub mod policy {
    pub use crate::policy::*;
}

/// Checked expressions → one program → verdict.
pub mod program {
    pub use crate::program::*;
}

/// What a rule may ask of a request.
pub mod request {
    pub use crate::request::*;
}

/// The embedded waiting room.
pub mod room {
    pub use crate::room::*;
}

/// What is Queue-it's: the visitor's signed state, and policy + session → decision.
pub mod queueit {
    pub use crate::queueit::*;
}
