//! Secrets, and what is signed with them.

use std::fmt;

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// One secret key, with its HMAC key schedule prepared. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
    key: Hmac<Sha256>,
}

impl Secret {
    /// Prepares a secret; its UTF-8 bytes are the key.
    pub fn new(text: impl Into<String>) -> Secret {
        let text = Zeroizing::new(text.into());
        let key = Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length");
        Secret { text, key }
    }

    /// Whether there is none. Such a secret signs nothing that anyone should accept.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// HMAC-SHA-256 over the parts, one after the other, without separators.
    pub fn sign(&self, parts: &[&str]) -> Mac {
        let mut mac = self.key.clone();
        for part in parts {
            mac.update(part.as_bytes());
        }
        Mac::of(&mac.finalize().into_bytes().into())
    }

    /// The key itself, for what is not an HMAC (enqueue tokens).
    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Secrets of a site, current first: signs with the first, accepts both (design, decision 8).
#[derive(Clone, Debug)]
pub struct Secrets {
    current: Secret,
    previous: Option<Secret>,
}

impl Secrets {
    /// The current secret and, during rotation, the one before. An empty previous secret is none.
    pub fn new(current: impl Into<String>, previous: Option<String>) -> Secrets {
        let previous = previous.filter(|text| !text.is_empty()).map(Secret::new);
        Secrets { current: Secret::new(current), previous }
    }

    /// Whether one of them could be guessed: whoever has been given one token, or one cookie, can try keys on it as fast
    /// as a machine goes, and nobody notices. 32 characters are 128 bits where they are hexadecimal digits; Queue-it's own
    /// keys have 72.
    pub fn are_short(&self) -> bool {
        const LEAST: usize = 32;
        self.accepted().any(|secret| secret.text.chars().count() < LEAST)
    }

    /// The one to sign with.
    pub fn current(&self) -> &Secret {
        &self.current
    }

    /// Whether `claimed` is the HMAC of `parts` under one of the secrets. Takes the same time wherever they differ.
    pub fn verify(&self, parts: &[&str], claimed: &str) -> bool {
        self.accepted().any(|secret| secret.sign(parts).is(claimed))
    }

    fn accepted(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// An HMAC-SHA-256 as the protocol writes it: 64 lower-case hex digits.
#[derive(Clone, Copy)]
pub struct Mac([u8; 64]);

impl Mac {
    fn of(bytes: &[u8; 32]) -> Mac {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Mac(hex)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are ASCII")
    }

    /// Whether `claimed` is exactly this, compared in constant time (but for its length).
    pub fn is(&self, claimed: &str) -> bool {
        let Ok(claimed) = claimed.as_bytes().try_into() else { return false };
        words(&self.0).ct_eq(&words(claimed)).into()
    }
}

/// Digits eight at a time: bytes, each compared by itself, take eight times as long.
fn words(digits: &[u8; 64]) -> [u64; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(digits.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_signs_with_the_first_and_accepts_both() {
        let old = Secret::new("old");
        let both = Secrets::new("new", Some("old".into()));
        assert!(both.verify(&["a", "b"], old.sign(&["ab"]).as_str()));
        assert!(both.verify(&["ab"], both.current().sign(&["a", "b"]).as_str()));
        assert!(!both.current().sign(&["ab"]).is(old.sign(&["ab"]).as_str()));
        assert!(!Secrets::new("new", None).verify(&["ab"], old.sign(&["ab"]).as_str()));
        assert!(!Secrets::new("new", Some(String::new())).verify(&["ab"], Secret::new("").sign(&["ab"]).as_str()));
    }

    #[test]
    fn comparison_is_exact() {
        let mac = Secret::new("k").sign(&["m"]);
        assert!(mac.is(mac.as_str()));
        assert!(!mac.is(&mac.as_str().to_uppercase()));
        assert!(!mac.is(&mac.as_str()[..63]));
        assert!(!mac.is(""));
    }

    #[test]
    fn debug_hides_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "Secret(…)");
        assert!(!format!("{:?}", Secrets::new("hush", Some("hush".into()))).contains("hush"));
    }
}
