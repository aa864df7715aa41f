//! Base64 and percent encoding.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD};
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use crate::request::hex_digit;

/// The standard alphabet, with or without padding.
pub const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub fn decode_base64<'a>(text: &[u8], arena: &'a Bump) -> Option<&'a [u8]> {
    let buffer = arena.alloc_slice_fill_copy(base64::decoded_len_estimate(text.len()), 0);
    let length = LENIENT.decode_slice(text, buffer).ok()?;
    buffer.get(..length)
}

/// Flags: `u` for the URL-safe alphabet, `p` for padding.
pub fn encode_base64<'a>(bytes: &[u8], flags: &[u8], arena: &'a Bump) -> Option<&'a [u8]> {
    let engine = match (flags.contains(&b'u'), flags.contains(&b'p')) {
        (false, false) => STANDARD_NO_PAD,
        (false, true) => STANDARD,
        (true, false) => URL_SAFE_NO_PAD,
        (true, true) => URL_SAFE,
    };
    let buffer = arena.alloc_slice_fill_copy(base64::encoded_len(bytes.len(), true)?, 0);
    let length = engine.encode_slice(bytes, buffer).ok()?;
    buffer.get(..length)
}

/// `%XX` and `+` decoded. Options: `r` until nothing is left to decode, `u` also `%uXXXX` (UTF-16, surrogates in pairs).
/// An escape that is none stays.
pub fn url_decode<'a>(text: &'a [u8], options: &[u8], arena: &'a Bump) -> &'a [u8] {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return text;
    }
    let mut decoded = Decoded {
        text: BumpVec::with_capacity_in(text.len(), arena),
        start: 0,
        repeated: options.contains(&b'r'),
        unicode: options.contains(&b'u'),
    };
    text.iter().for_each(|&byte| decoded.push(byte));
    decoded.text.into_bump_slice()
}

/// Text whose escapes are decoded as soon as they are complete at its end. Escapes never overlap, so the order in which
/// they are decoded makes no difference, and decoding what a decoded byte completes is the same as starting over.
struct Decoded<'a> {
    text: BumpVec<'a, u8>,
    /// Where text begins that was not decoded before.
    start: usize,
    repeated: bool,
    unicode: bool,
}

impl Decoded<'_> {
    fn push(&mut self, byte: u8) {
        self.text.push(if byte == b'+' { b' ' } else { byte });
        while self.decode_end() && self.repeated {}
    }

    /// Decodes the escape at the end, if there is one.
    fn decode_end(&mut self) -> bool {
        let fresh = &self.text[self.start..];
        let mut buffer = [0; 4];
        let (length, decoded): (usize, &[u8]) = if let Some(byte) = byte_escape(fresh) {
            buffer[0] = if byte == b'+' && self.repeated { b' ' } else { byte };
            (3, &buffer[..1])
        } else if self.unicode
            && let Some((length, character)) = utf16_escape(fresh)
        {
            (length, character.encode_utf8(&mut buffer).as_bytes())
        } else {
            return false;
        };
        self.text.truncate(self.text.len() - length);
        self.text.extend_from_slice_copy(decoded);
        if !self.repeated {
            self.start = self.text.len();
        }
        true
    }
}

/// The byte that a `%XX` at the end stands for.
fn byte_escape(text: &[u8]) -> Option<u8> {
    match *text {
        [.., b'%', high, low] => hexadecimal(&[high, low]).map(|value| value as u8),
        _ => None,
    }
}

/// The character that a `%uXXXX` or a pair of them at the end stands for, and how long the escape is.
fn utf16_escape(text: &[u8]) -> Option<(usize, char)> {
    let unit = utf16_unit(text)?;
    match char::from_u32(unit) {
        Some(character) => Some((6, character)),
        None => {
            let high = utf16_unit(&text[..text.len() - 6])?;
            let pair = char::decode_utf16([high as u16, unit as u16]).next()?.ok()?;
            Some((12, pair))
        }
    }
}

fn utf16_unit(text: &[u8]) -> Option<u32> {
    match text {
        [.., b'%', b'u', a, b, c, d] => hexadecimal(&[*a, *b, *c, *d]),
        _ => None,
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | u32::from(hex_digit(digit)?)))
}
