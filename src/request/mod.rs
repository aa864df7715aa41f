//! What a rule may ask of a request.
//!
//! A host first makes a [`CanonicalUrl`] of what is asked for, by which everything else goes. A [`RequestView`] borrows
//! everything from the host and parses nothing until it is asked. The module knows the
//! fields a request has ([`Field`]) and their values ([`Value`]); it knows nothing of rules.

pub(crate) mod address;
pub(crate) mod ascii;
mod canonical;
mod cookies;
pub(crate) mod country;
mod field;
mod head;
mod malformed;
pub(crate) mod multimap;
pub(crate) mod normalize;
mod owned;
mod readings;
pub(crate) mod secret;
#[cfg(test)]
mod tests;
mod url;
mod value;
mod view;
pub(crate) mod worker;

pub(crate) use address::{address, network};
pub(crate) use ascii::{escaped_byte, hex, hex_digit, lower, upper};
pub use canonical::{Authority, CanonicalUrl};
pub use field::{Field, FieldId, FieldInfo, Supply, Target};
pub(crate) use head::{header, is_no_navigation};
pub use malformed::Malformed;
pub(crate) use normalize::unescape_percents;
pub use owned::{OwnedRequest, OwnedValue};
pub(crate) use readings::path_in_one_form;
pub use readings::{Reading, readings};
pub(crate) use secret::{is_secret_entry, is_secret_field, without_secrets};
pub use url::UrlParts;
pub(crate) use url::split_path;
pub use value::{Type, Value};
pub use view::{Facts, NoFacts, RequestParts, RequestView, Subject};
