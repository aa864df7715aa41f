//! Letters of either case, hexadecimal digits and percent escapes.

use bumpalo::Bump;

/// ASCII letters in lower case; borrowed where they are already.
pub fn lower<'a>(text: &'a [u8], arena: &'a Bump) -> &'a [u8] {
    if !text.iter().any(u8::is_ascii_uppercase) {
        return text;
    }
    let copy = arena.alloc_slice_copy(text);
    copy.make_ascii_lowercase();
    copy
}

/// ASCII letters in upper case; borrowed where they are already.
pub fn upper<'a>(text: &'a [u8], arena: &'a Bump) -> &'a [u8] {
    if !text.iter().any(u8::is_ascii_lowercase) {
        return text;
    }
    let copy = arena.alloc_slice_copy(text);
    copy.make_ascii_uppercase();
    copy
}

/// Two hexadecimal digits for each byte, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The byte that the percent escape at the beginning of a text stands for (RFC 3986, section 2.1).
pub fn escaped_byte(text: &[u8]) -> Option<u8> {
    match *text {
        [b'%', high, low, ..] => Some(hex_digit(high)? << 4 | hex_digit(low)?),
        _ => None,
    }
}

/// The value of a hexadecimal digit.
pub fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
