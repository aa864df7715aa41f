//! Digests, by which secrets are stored.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use velvetrope::internal::hex;

/// The digest by which a secret is stored.
pub fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Whether two digests are the same; how long it takes does not depend on where they differ.
pub fn is_same(digest: &str, other: &str) -> bool {
    digest.as_bytes().ct_eq(other.as_bytes()).into()
}
