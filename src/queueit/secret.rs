//! Secrets, and what is signed with them.

use std::fmt;

use blake2::Blake2sMac;
use hmac::digest::KeyInit;
use hmac::digest::consts::U16;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// What the key of seals is derived from the secret with. No token, session or push can have this text: it would need a
/// zero byte.
const SEAL: &[u8] = b"velvetrope\0session seal\x001";

/// What every seal begins to be over. BLAKE2s works its key in when the first byte follows, so that with this one it is
/// done once for a secret instead of once for a seal.
const FORM: [u8; 1] = [1];

/// How many bytes a seal has. 128 bits are enough: nobody can find out more about one than by asking whether it fits, so
/// that each guess is right once in 2^128, and two messages of one seal are of no use to who cannot have one made.
const SEAL_BYTES: usize = 16;

/// A seal, see [`Secret::seal`].
pub(super) type Seal = Mac<SEAL_BYTES>;

/// One secret key, prepared for HMACs and seals. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
    key: Hmac<Sha256>,
    sealing: Blake2sMac<U16>,
}

impl Secret {
    /// Prepares a secret; its UTF-8 bytes are the key.
    pub fn new(text: impl Into<String>) -> Secret {
        let text = Zeroizing::new(text.into());
        let key = Hmac::<Sha256>::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length");
        let derived = Zeroizing::new(<[u8; 32]>::from(key.clone().chain_update(SEAL).finalize().into_bytes()));
        let sealing = Blake2sMac::new_from_slice(&*derived).expect("keys of BLAKE2s have up to 32 bytes");
        let sealing = sealing.chain_update(FORM);
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
        for part in parts.iter().filter(|part| !part.is_empty()) {
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    /// Keyed BLAKE2s (RFC 7693) with 16 bytes, under a key of its own, over a byte of 1, `hash` and each of the parts,
    /// which cannot trade text with one another: their lengths come first. A part of 64 KiB or more is as good as any
    /// other of that length. It takes a third of the instructions of an HMAC, and no official connector has to know it.
    pub(super) fn seal(&self, hash: &[u8; 32], parts: &[&str; 6]) -> Seal {
        let mut head = [0; 32 + 2 * 6];
        head[..32].copy_from_slice(hash);
        for (length, part) in head[32..].chunks_exact_mut(2).zip(parts) {
            length.copy_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
        let mut mac = self.sealing.clone();
        mac.update(&head);
        for part in parts.iter().filter(|part| !part.is_empty()) {
            mac.update(part.as_bytes());
        }
        Mac::of(&mac.finalize().into_bytes().into())
    }

    /// The key itself, for what is not an HMAC (enqueue tokens).
    #[cfg(feature = "enqueue-tokens")]
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

    /// The same, where `claimed` is [`Mac::short`].
    pub(crate) fn verify_short(&self, parts: &[&str], claimed: &str) -> bool {
        self.accepted().any(|secret| secret.sign(parts).short().is(claimed))
    }

    /// The same of [`Secret::seal`].
    pub(super) fn verify_seal(&self, hash: &[u8; 32], parts: &[&str; 6], claimed: &str) -> bool {
        self.accepted().any(|secret| secret.seal(hash, parts).is(claimed))
    }

    fn accepted(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// An HMAC-SHA-256 as the protocol writes it, or a shorter MAC: two lower-case hex digits for each byte.
#[derive(Clone, Copy)]
pub struct Mac<const BYTES: usize = 32>([[u8; 2]; BYTES]);

impl Mac {
    /// How many digits [`Mac::short`] has.
    pub(crate) const SHORT: usize = 32;

    /// Its first 128 bits, for what is good for a short while only.
    pub(crate) fn short(&self) -> Mac<16> {
        Mac(std::array::from_fn(|byte| self.0[byte]))
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
}

impl<const BYTES: usize> Mac<BYTES> {
    pub(super) fn of(bytes: &[u8; BYTES]) -> Mac<BYTES> {
        Mac(bytes.map(|byte| [digit(byte >> 4), digit(byte & 15)]))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.0.as_flattened()).expect("hex digits are ASCII")
    }

    /// Whether `claimed` is exactly this, compared in constant time (but for its length).
    pub fn is(&self, claimed: &str) -> bool {
        let (digits, claimed) = (self.0.as_flattened(), claimed.as_bytes());
        claimed.len() == digits.len() && bool::from(is_same(digits, claimed))
    }
}

/// Worked out and not looked up, so that many are worked out at once.
fn digit(value: u8) -> u8 {
    value + if value < 10 { b'0' } else { b'a' - 10 }
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

/// Whether texts of one length are the same, eight bytes at a time: each by itself takes eight times as long.
fn is_same(one: &[u8], other: &[u8]) -> Choice {
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks(), other.as_chunks());
    let pairs = words.iter().zip(other_words);
    let words = pairs.map(|(word, other)| u64::from_ne_bytes(*word).ct_eq(&u64::from_ne_bytes(*other)));
    words.fold(rest.ct_eq(other_rest), |all, same| all & same)
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
        let odd = Mac::of(&[0x0f, 0x9a, 0xb0, 1, 2]);
        assert!(odd.as_str() == "0f9ab00102" && odd.is("0f9ab00102"));
        for other in ["0f9ab00103", "1f9ab00102", "0f9ab001", "0f9ab0010200"] {
            assert!(!odd.is(other), "{other}");
        }
        let short = mac.short();
        assert!(short.is(short.as_str()));
        for other in [mac.as_str(), &short.as_str()[1..], &short.as_str().to_uppercase(), ""] {
            assert!(!short.is(other), "{other}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "Secret(…)");
        assert!(!format!("{:?}", Secrets::new("hush", Some("hush".into()))).contains("hush"));
    }
}
