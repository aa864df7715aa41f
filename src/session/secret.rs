//! Secrets, and what is signed with them.

use std::fmt;

use blake2::Blake2sMac256;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What the key of seals is derived from the secret with. No token, session or push can have this text: it would need a
/// zero byte.
const SEAL: &[u8] = b"velvetrope\0session seal\x001";

/// One secret key, prepared for HMACs and seals. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
    key: Hmac<Sha256>,
    sealing: Blake2sMac256,
}

impl Secret {
    /// Prepares a secret; its UTF-8 bytes are the key.
    pub fn new(text: impl Into<String>) -> Secret {
        let text = Zeroizing::new(text.into());
        let key = Hmac::<Sha256>::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length");
        let derived = Zeroizing::new(<[u8; 32]>::from(key.clone().chain_update(SEAL).finalize().into_bytes()));
        let sealing = Blake2sMac256::new_from_slice(&*derived).expect("keys of BLAKE2s have up to 32 bytes");
        Secret { text, key, sealing }
    }

    /// Whether there is none. Such a secret signs nothing that anyone should accept.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// HMAC-SHA-256 over the parts, one after the other, without separators.
    pub fn sign(&self, parts: &[&str]) -> Mac {
        Mac::of(&self.digest(parts))
    }

    /// The bytes of [`Secret::sign`].
    pub(super) fn digest(&self, parts: &[&str]) -> [u8; 32] {
        let mut mac = self.key.clone();
        for part in parts {
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    /// Keyed BLAKE2s (RFC 7693) under a key of its own over `hash` and each of the parts, which cannot trade text with one
    /// another: their lengths come first. A part of 64 KiB or more is as good as any other of that length. It takes a
    /// third of the instructions of an HMAC, and no official connector has to know it.
    pub(super) fn seal(&self, hash: &[u8; 32], parts: &[&str; 6]) -> Mac {
        let mut head = [0; 32 + 2 * 6];
        head[..32].copy_from_slice(hash);
        for (length, part) in head[32..].chunks_exact_mut(2).zip(parts) {
            length.copy_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
        let mut mac = self.sealing.clone().chain_update(head);
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

/// Secrets of a site, current first: signs with the first, accepts both
/// (docs/decisions.md#8-secrets-come-from-outside-two-at-a-time).
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

    /// The same of [`Secret::seal`].
    pub(super) fn verify_seal(&self, hash: &[u8; 32], parts: &[&str; 6], claimed: &str) -> bool {
        self.accepted().any(|secret| secret.seal(hash, parts).is(claimed))
    }

    fn accepted(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// An HMAC-SHA-256 as the protocol writes it, or a seal: 64 lower-case hex digits.
#[derive(Clone, Copy)]
pub struct Mac([u8; 64]);

impl Mac {
    pub(super) fn of(bytes: &[u8; 32]) -> Mac {
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

    /// The bytes behind digits as [`Mac::as_str`] writes them; `None` for any other text.
    pub(super) fn bytes_of(digits: &str) -> Option<[u8; 32]> {
        let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
        let (mut bytes, mut is_good) = ([0; 32], true);
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
            let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
            is_good &= high < 16 && low < 16;
            *byte = high << 4 | low & 15;
        }
        is_good.then_some(bytes)
    }

    /// Whether `claimed` is exactly this, compared in constant time (but for its length).
    pub fn is(&self, claimed: &str) -> bool {
        let Ok(claimed) = claimed.as_bytes().try_into() else { return false };
        words(&self.0).ct_eq(&words(claimed)).into()
    }
}

/// What each byte is worth as a lower-case hex digit; more than 15 where it is none.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

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
    fn seals_tell_parts_apart_and_are_signed_with_nothing_else() {
        let secret = Secret::new("k");
        let seal = |parts| secret.seal(&[7; 32], &parts);
        let one = seal(["ab", "", "c", "", "", ""]);
        assert!(one.is(seal(["ab", "", "c", "", "", ""]).as_str()));
        for other in [["a", "b", "c", "", "", ""], ["ab", "c", "", "", "", ""], ["abc", "", "", "", "", ""]] {
            assert!(!one.is(seal(other).as_str()), "{other:?}");
        }
        assert!(!one.is(secret.seal(&[8; 32], &["ab", "", "c", "", "", ""]).as_str()));
        let both = Secrets::new("new", Some("k".into()));
        assert!(both.verify_seal(&[7; 32], &["ab", "", "c", "", "", ""], one.as_str()));
        assert!(!Secrets::new("new", None).verify_seal(&[7; 32], &["ab", "", "c", "", "", ""], one.as_str()));
    }

    #[test]
    fn digits_are_read_back() {
        let mac = Secret::new("k").sign(&["m"]);
        let bytes = Mac::bytes_of(mac.as_str()).expect("digits");
        assert!(mac.is(&crate::request::hex(&bytes)));
        for other in ["", &mac.as_str()[1..], &mac.as_str().to_uppercase(), &mac.as_str().replace('0', "g")] {
            assert_eq!(Mac::bytes_of(other), None, "{other}");
        }
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
