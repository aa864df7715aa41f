//! Who may do what: tokens with a scope, stored as digests, and patience with wrong ones.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::failure::{Code, Failure};
use super::store::Store;
use super::store::tokens::Scope;
use crate::request::hex;

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

/// The digest by which a secret is stored.
pub fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Whether two digests are the same; how long it takes does not depend on where they differ.
pub fn is_same(digest: &str, other: &str) -> bool {
    digest.as_bytes().ct_eq(other.as_bytes()).into()
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

/// How many wrong secrets an address may bring before it has to wait.
const FREE: u32 = 5;
/// The longest wait, in seconds; each wrong secret doubles it up to this.
const LONGEST: u32 = 300;
/// How many addresses are remembered.
const REMEMBERED: usize = 10_000;

/// Remembers from where wrong secrets came.
#[derive(Default)]
pub struct Patience {
    attempts: Mutex<HashMap<IpAddr, Attempts>>,
}

#[derive(Clone, Copy)]
struct Attempts {
    wrong: u32,
    /// Milliseconds since the Unix epoch.
    not_before: i64,
}

impl Patience {
    /// Refuses an address that has to wait.
    pub fn check(&self, peer: IpAddr, now: i64) -> Result<(), Failure> {
        let wait = self.attempts().get(&network(peer)).map_or(0, |attempts| attempts.not_before - now);
        if wait <= 0 {
            return Ok(());
        }
        let seconds = u32::try_from(wait / 1000 + 1).unwrap_or(LONGEST);
        let message = format!("too many wrong tokens came from your address: try again in {seconds} seconds");
        Err(Failure { retry_after: Some(seconds), ..Failure::new(429, Code::TooManyAttempts, message) })
    }

    /// A wrong secret came from there.
    pub fn failed(&self, peer: IpAddr, now: i64) {
        let mut all = self.attempts();
        if all.len() >= REMEMBERED {
            all.retain(|_, attempts| attempts.not_before > now);
        }
        if all.len() >= REMEMBERED {
            all.clear();
        }
        let attempts = all.entry(network(peer)).or_insert(Attempts { wrong: 0, not_before: now });
        attempts.wrong = attempts.wrong.saturating_add(1);
        let doublings = attempts.wrong.saturating_sub(FREE);
        if doublings > 0 {
            let seconds = 1_u32.checked_shl(doublings - 1).unwrap_or(LONGEST).min(LONGEST);
            attempts.not_before = now + i64::from(seconds) * 1000;
        }
    }

    /// A right secret came from there.
    pub fn succeeded(&self, peer: IpAddr) {
        self.attempts().remove(&network(peer));
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<IpAddr, Attempts>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address, or the /64 that it is in: nobody has only one IPv6 address.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_brings_wrong_secrets_waits_longer_and_longer() {
        let patience = Patience::default();
        let [bad, neighbour, good] =
            ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|address| address.parse().unwrap());
        for _ in 0..FREE {
            assert_eq!(patience.check(bad, 0), Ok(()));
            patience.failed(bad, 0);
        }
        patience.failed(bad, 0);
        let refused = patience.check(neighbour, 0).unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (429, Some(2)));
        assert_eq!(patience.check(good, 0), Ok(()));
        assert_eq!(patience.check(bad, 1000), Ok(()));
        for _ in 0..100 {
            patience.failed(bad, 1000);
        }
        assert_eq!(patience.check(bad, 1000).unwrap_err().retry_after, Some(LONGEST + 1));
        patience.succeeded(bad);
        assert_eq!(patience.check(bad, 1000), Ok(()));
    }
}
