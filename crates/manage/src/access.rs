//! Who may do what: tokens with a scope, stored as digests. They have 256 random bits, so that nobody finds one by trying,
//! and whoever has one is never kept waiting because of others who do try.

use super::failure::Failure;
use super::secrets::{digest, is_same};
use super::store::Store;
use super::store::tokens::Scope;

/// Whoever asks, once it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What the token is called, for the audit trail.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// The token's id; that of the host's own token is empty.
    pub token: String,
}

/// Whose secret it is, if it is anybody's. `own` is the digest of a token that the host itself was given.
pub fn caller(store: &Store<'_>, own: Option<&str>, secret: &str) -> Result<Option<Caller>, Failure> {
    let digest = digest(secret);
    let mut found = own.filter(|own| is_same(own, &digest)).map(|_| Caller {
        name: "host".into(),
        scope: Scope::Write,
        token: String::new(),
    });
    // All of them are looked at, whichever it is.
    for token in store.tokens()?.into_iter().filter(|token| token.revoked_on.is_none()) {
        if is_same(&token.digest, &digest) {
            found = Some(Caller { name: token.name, scope: token.scope, token: token.id });
        }
    }
    Ok(found)
}
