//! Functions that hash: `sha256`, `hash_in_range` and `is_timed_hmac_valid_v0`.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bumpalo::Bump;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::encoding::LENIENT;
use crate::request::Value;

pub fn sha256<'a>(bytes: &[u8], arena: &'a Bump) -> &'a [u8] {
    arena.alloc_slice_copy(&Sha256::digest(bytes))
}

/// A number from `min` to `max`, both included, that depends on `values` alone and is spread evenly: the first 64 bits
/// of the SHA-256 of the values, each preceded by its kind and length, scaled to the range. It stays the same in every
/// version and on every host. Missing where `min` is above `max`.
pub fn in_range<'a>(min: i64, max: i64, values: impl Iterator<Item = Value<'a>>) -> Option<i64> {
    let size = i128::from(max) - i128::from(min) + 1;
    if size <= 0 {
        return None;
    }
    let mut hash = Sha256::new();
    values.for_each(|value| feed(&mut hash, value));
    let hash = hash.finalize();
    let first = u64::from_be_bytes(*hash.first_chunk()?);
    let scaled = (u128::from(first) * size.unsigned_abs()) >> 64;
    i64::try_from(i128::from(min) + scaled as i128).ok()
}

fn feed(hash: &mut Sha256, value: Value<'_>) {
    match value {
        Value::Bool(value) => feed_bytes(hash, 0, &[value.into()]),
        Value::Int(value) => feed_bytes(hash, 1, &value.to_be_bytes()),
        Value::Ip(IpAddr::V4(value)) => feed_bytes(hash, 2, &value.octets()),
        Value::Ip(IpAddr::V6(value)) => feed_bytes(hash, 3, &value.octets()),
        Value::Bytes(value) => feed_bytes(hash, 4, value),
        Value::Array(values) => {
            feed_start(hash, 5, values.len());
            values.iter().for_each(|value| feed(hash, *value));
        }
        Value::Map(entries) => {
            feed_start(hash, 6, entries.len());
            for (key, value) in entries {
                feed_bytes(hash, 4, key);
                feed(hash, *value);
            }
        }
    }
}

fn feed_bytes(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    feed_start(hash, kind, bytes.len());
    hash.update(bytes);
}

fn feed_start(hash: &mut Sha256, kind: u8, length: usize) {
    hash.update([kind]);
    hash.update((length as u64).to_be_bytes());
}

/// When a timed MAC is accepted.
pub struct Allowance {
    /// Unix seconds.
    pub now: i64,
    /// How long after its time stamp a MAC is valid.
    pub seconds: i64,
    /// How many bytes stand between the message and the time stamp.
    pub separator_length: i64,
    /// Whether the MAC is in the URL-safe alphabet without padding, rather than in the standard one, URL-encoded.
    pub is_url_safe: bool,
}

/// Whether `signed` is a message, a separator, ten digits of Unix time, `-` and the base64 of HMAC-SHA-256 over message
/// and digits, and not older than allowed.
pub fn is_timed_hmac_valid(key: &[u8], signed: &[u8], allowance: &Allowance) -> bool {
    check(key, signed, allowance).unwrap_or(false)
}

/// `None` for what has not that shape.
fn check(key: &[u8], signed: &[u8], allowance: &Allowance) -> Option<bool> {
    let (signed, mac) = cut_mac(signed, allowance.is_url_safe)?;
    let (before, digits) = signed.split_at_checked(signed.len().checked_sub(10)?)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let time: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let separator = usize::try_from(allowance.separator_length).ok()?;
    let message = before.get(..before.len().checked_sub(separator)?)?;
    let mut expected = Hmac::<Sha256>::new_from_slice(key).ok()?;
    expected.update(message);
    expected.update(digits);
    let is_genuine: bool = expected.finalize().into_bytes().ct_eq(&mac).into();
    Some(is_genuine && allowance.now <= time.saturating_add(allowance.seconds))
}

/// What stands before the `-` of the MAC, and the MAC decoded.
fn cut_mac(signed: &[u8], is_url_safe: bool) -> Option<(&[u8], [u8; 32])> {
    // 32 bytes in base64 without padding.
    const URL_SAFE_LENGTH: usize = 43;
    let dash = match is_url_safe {
        true => signed.len().checked_sub(URL_SAFE_LENGTH + 1)?,
        false => memchr::memrchr(b'-', signed)?,
    };
    let (before, mac) = (&signed[..dash], signed[dash..].strip_prefix(b"-")?);
    // One byte more than needed, because decoders want room for what the padding might have been.
    let mut decoded = [0; 36];
    let length = if is_url_safe {
        URL_SAFE_NO_PAD.decode_slice(mac, &mut decoded).ok()?
    } else {
        let mut encoded = [0; 44];
        let mut length = 0;
        for (place, byte) in encoded.iter_mut().zip(percent_encoding::percent_decode(mac)) {
            *place = byte;
            length += 1;
        }
        LENIENT.decode_slice(&encoded[..length], &mut decoded).ok()?
    };
    let mac = decoded.get(..length)?.try_into().ok()?;
    Some((before, mac))
}
