//! What functions compute, in the plainest way.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::DecodePaddingMode::Indifferent;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use velvetrope::internal::language::Function;
use velvetrope::internal::language::expression::{Argument, Call, Wildcard};
use velvetrope::internal::request::OwnedValue;

/// Applies a function.
pub fn call(call: &Call, arguments: &[Option<OwnedValue>]) -> Option<OwnedValue> {
    use OwnedValue::{Array, Bool, Bytes, Int, Ip};
    let present: Vec<OwnedValue> = arguments.iter().flatten().cloned().collect();
    match call.function {
        Function::Coalesce => return present.first().cloned(),
        Function::Concat => {
            return present.into_iter().reduce(|left, right| match (left, right) {
                (Bytes(left), Bytes(right)) => Bytes([left, right].concat()),
                (Array(left), Array(right)) => Array([left, right].concat()),
                other => panic!("{other:?}"),
            });
        }
        _ if present.len() < arguments.len() => return None,
        _ => {}
    }
    let bytes = |index: usize| match present.get(index) {
        Some(Bytes(bytes)) => bytes.clone(),
        None => Vec::new(),
        other => panic!("{other:?}"),
    };
    let int = |index: usize| match present.get(index) {
        Some(Int(number)) => Some(*number),
        None => None,
        other => panic!("{other:?}"),
    };
    let number = |index: usize| int(index).expect("a number");
    let address = || match present[0] {
        Ip(address) => address,
        ref other => panic!("{other:?}"),
    };
    Some(match call.function {
        Function::Coalesce | Function::Concat => unreachable!("above"),
        Function::Cidr => Ip(network(address(), number(1), number(2))?),
        Function::Cidr6 => Ip(network(address(), 32, number(1))?),
        Function::DecodeBase64 => Bytes(standard_base64().decode(bytes(0)).ok()?),
        Function::EncodeBase64 => Bytes(encode_base64(&bytes(0), &bytes(1))),
        Function::StartsWith => Bool(bytes(0).starts_with(&bytes(1))),
        Function::EndsWith => Bool(bytes(0).ends_with(&bytes(1))),
        Function::HasKey => match &present[0] {
            OwnedValue::Map(entries) => Bool(entries.contains_key(&bytes(1))),
            other => panic!("{other:?}"),
        },
        Function::HasValue => match &present[0] {
            OwnedValue::Map(entries) => Bool(entries.values().any(|value| *value == present[1])),
            Array(values) => Bool(values.contains(&present[1])),
            other => panic!("{other:?}"),
        },
        Function::HashInRange => Int(hash_in_range(number(0), number(1), &present[2..])?),
        Function::IsTimedHmacValidV0 => Bool(
            is_timed_hmac_valid(&bytes(0), &bytes(1), number(2), number(3), int(4).unwrap_or(0), &bytes(5))
                .unwrap_or(false),
        ),
        Function::Join => match &present[0] {
            Array(values) => {
                let texts: Vec<Vec<u8>> = values
                    .iter()
                    .map(|value| match value {
                        Bytes(text) => text.clone(),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                Bytes(texts.join(&bytes(1)[..]))
            }
            other => panic!("{other:?}"),
        },
        Function::Len => Int(match &present[0] {
            Bytes(bytes) => bytes.len(),
            Array(values) => values.len(),
            OwnedValue::Map(entries) => entries.len(),
            other => panic!("{other:?}"),
        } as i64),
        Function::LookupJsonInteger => Int(look_up(&bytes(0), &present[1..])?.as_i64()?),
        Function::LookupJsonString => OwnedValue::from(look_up(&bytes(0), &present[1..])?.as_str()?),
        Function::Lower => Bytes(bytes(0).to_ascii_lowercase()),
        Function::Upper => Bytes(bytes(0).to_ascii_uppercase()),
        Function::UpperUnicode => match String::from_utf8(bytes(0)) {
            Ok(text) => OwnedValue::from(text.to_uppercase().as_str()),
            Err(_) => return None,
        },
        Function::RegexReplace => {
            let Argument::Pattern(pattern) = &call.arguments[1] else { panic!("a pattern") };
            Bytes(replace(&bytes(0), &pattern.regex, &bytes(2)))
        }
        Function::WildcardReplace => {
            let wildcard = Wildcard { pattern: bytes(1).into(), strict: bytes(3).contains(&b's') };
            Bytes(replace(&bytes(0), &super::wildcard_regex(&wildcard), &bytes(2)))
        }
        Function::RemoveBytes => {
            let removed = bytes(1);
            Bytes(bytes(0).into_iter().filter(|byte| !removed.contains(byte)).collect())
        }
        Function::RemoveQueryArgs => {
            let query = bytes(0);
            let names: Vec<Vec<u8>> = (1..present.len()).map(bytes).collect();
            let kept = query.split(|&byte| byte == b'&').filter(|argument| {
                let name = argument.splitn(2, |&byte| byte == b'=').next().expect("at least one").to_vec();
                !names.contains(&name)
            });
            Bytes(kept.collect::<Vec<_>>().join(&b'&'))
        }
        Function::Sha256 => Bytes(Sha256::digest(bytes(0)).to_vec()),
        Function::Split => Array(split(&bytes(0), &bytes(1), int(2).unwrap_or(128) as usize)),
        Function::Substring => Bytes(substring(&bytes(0), number(1), int(2))),
        Function::ToString => OwnedValue::from(
            match &present[0] {
                Bool(value) => value.to_string(),
                Int(value) => value.to_string(),
                Ip(value) => value.to_string(),
                other => panic!("{other:?}"),
            }
            .as_str(),
        ),
        Function::UrlDecode => Bytes(url_decode(bytes(0), &bytes(1))),
    })
}

fn network(address: IpAddr, v4_bits: i64, v6_bits: i64) -> Option<IpAddr> {
    match address {
        IpAddr::V4(_) if !(0..=32).contains(&v4_bits) => None,
        IpAddr::V6(_) if !(0..=128).contains(&v6_bits) => None,
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - v4_bits as u32).unwrap_or(0);
            Some(IpAddr::V4((address.to_bits() & mask).into()))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - v6_bits as u32).unwrap_or(0);
            Some(IpAddr::V6((address.to_bits() & mask).into()))
        }
    }
}

fn standard_base64() -> GeneralPurpose {
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(Indifferent))
}

fn encode_base64(bytes: &[u8], flags: &[u8]) -> Vec<u8> {
    let mut text = GeneralPurpose::new(&base64::alphabet::STANDARD, PAD).encode(bytes);
    if flags.contains(&b'u') {
        text = text.replace('+', "-").replace('/', "_");
    }
    if !flags.contains(&b'p') {
        text = text.trim_end_matches('=').to_owned();
    }
    text.into_bytes()
}

fn hash_in_range(min: i64, max: i64, values: &[OwnedValue]) -> Option<i64> {
    let mut fed = Vec::new();
    for value in values {
        let (kind, bytes) = match value {
            OwnedValue::Bool(value) => (0, vec![u8::from(*value)]),
            OwnedValue::Int(value) => (1, value.to_be_bytes().to_vec()),
            OwnedValue::Ip(IpAddr::V4(value)) => (2, value.octets().to_vec()),
            OwnedValue::Ip(IpAddr::V6(value)) => (3, value.octets().to_vec()),
            OwnedValue::Bytes(value) => (4, value.clone()),
            other => panic!("{other:?}"),
        };
        fed.push(kind);
        fed.extend((bytes.len() as u64).to_be_bytes());
        fed.extend(bytes);
    }
    let first = u64::from_be_bytes(Sha256::digest(&fed)[..8].try_into().expect("eight bytes"));
    let size = i128::from(max) - i128::from(min) + 1;
    (size > 0).then(|| (i128::from(min) + ((u128::from(first) * size as u128) >> 64) as i128) as i64)
}

fn is_timed_hmac_valid(key: &[u8], text: &[u8], ttl: i64, now: i64, separator: i64, flags: &[u8]) -> Option<bool> {
    let is_url_safe = flags.contains(&b's');
    let dash = if is_url_safe { text.len().checked_sub(44)? } else { text.iter().rposition(|&byte| byte == b'-')? };
    let (signed, mac) = (text.get(..dash)?, text.get(dash + 1..)?);
    let mac = match is_url_safe {
        true if text[dash] == b'-' => base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(mac).ok()?,
        true => return None,
        false => standard_base64().decode(percent_encoding::percent_decode(mac).collect::<Vec<u8>>()).ok()?,
    };
    let digits = signed.get(signed.len().checked_sub(10)?..)?;
    let message = signed.get(..signed.len().checked_sub(10)?.checked_sub(usize::try_from(separator).ok()?)?)?;
    let time: i64 =
        digits.iter().try_fold(0, |time, digit| Some(time * 10 + i64::from(char::from(*digit).to_digit(10)?)))?;
    let mut expected = Hmac::<Sha256>::new_from_slice(key).ok()?;
    expected.update(&[message, digits].concat());
    Some(expected.verify_slice(&mac).is_ok() && now <= time.saturating_add(ttl))
}

fn look_up(text: &[u8], path: &[OwnedValue]) -> Option<serde_json::Value> {
    let mut value: serde_json::Value = serde_json::from_slice(text).ok()?;
    for step in path {
        value = match step {
            OwnedValue::Bytes(key) => value.get(std::str::from_utf8(key).ok()?)?.clone(),
            OwnedValue::Int(index) => value.get(usize::try_from(*index).ok()?)?.clone(),
            other => panic!("{other:?}"),
        };
    }
    Some(value)
}

fn replace(text: &[u8], regex: &regex::bytes::Regex, replacement: &[u8]) -> Vec<u8> {
    let Some(groups) = regex.captures(text) else { return text.to_vec() };
    let whole = groups.get(0).expect("the match");
    let mut out = text[..whole.start()].to_vec();
    let mut rest = replacement;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'$' && after.first() == Some(&b'$') {
            out.push(b'$');
            rest = &after[1..];
        } else if first == b'$'
            && after.len() >= 3
            && after[0] == b'{'
            && matches!(after[1], b'1'..=b'8')
            && after[2] == b'}'
        {
            out.extend(groups.get(usize::from(after[1] - b'0')).map_or(&b""[..], |group| group.as_bytes()));
            rest = &after[3..];
        } else {
            out.push(first);
        }
    }
    out.extend(&text[whole.end()..]);
    out
}

fn split(text: &[u8], separator: &[u8], limit: usize) -> Vec<OwnedValue> {
    let mut pieces = vec![Vec::new()];
    let mut at = 0;
    while at < text.len() {
        if pieces.len() < limit && text[at..].starts_with(separator) {
            pieces.push(Vec::new());
            at += separator.len();
        } else {
            pieces.last_mut().expect("a piece").push(text[at]);
            at += 1;
        }
    }
    pieces.into_iter().map(OwnedValue::Bytes).collect()
}

fn substring(text: &[u8], start: i64, end: Option<i64>) -> Vec<u8> {
    let length = text.len() as i128;
    let place = |at: i64| if at < 0 { (length + i128::from(at)).max(0) } else { i128::from(at).min(length) };
    let (start, end) = (place(start), end.map_or(length, place));
    if start < end { text[start as usize..end as usize].to_vec() } else { Vec::new() }
}

fn url_decode(mut text: Vec<u8>, options: &[u8]) -> Vec<u8> {
    loop {
        let decoded = decode_once(&text, options.contains(&b'u'));
        if decoded == text || !options.contains(&b'r') {
            return decoded;
        }
        text = decoded;
    }
}

fn decode_once(text: &[u8], unicode: bool) -> Vec<u8> {
    let hex = |from: usize, digits: usize| {
        let digits = text.get(from..from + digits)?;
        digits
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then(|| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
    };
    let unit = |at: usize| if unicode && text.get(at..at + 2) == Some(b"%u") { hex(at + 2, 4) } else { None };
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let pair = unit(at).zip(unit(at + 6)).and_then(|(high, low)| {
            char::decode_utf16([high as u16, low as u16]).next()?.ok().filter(|character| *character > '\u{ffff}')
        });
        if let Some(character) = pair {
            out.extend(character.to_string().bytes());
            at += 12;
        } else if let Some(character) = unit(at).and_then(char::from_u32) {
            out.extend(character.to_string().bytes());
            at += 6;
        } else if text[at] == b'%'
            && let Some(byte) = hex(at + 1, 2)
        {
            out.push(byte as u8);
            at += 3;
        } else {
            out.push(if text[at] == b'+' { b' ' } else { text[at] });
            at += 1;
        }
    }
    out
}
