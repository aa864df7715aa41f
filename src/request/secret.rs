//! What must not be shown of a request: traces and logs never hold tokens, cookies or secrets.

use super::{Field, FieldId};

/// Whether the whole value of `field` must not be shown: cookies, and values without the names that would tell which of
/// them are secret.
pub fn is_secret_field(field: FieldId) -> bool {
    matches!(
        field.standard(),
        Some(
            Field::HttpCookie
                | Field::HttpRequestCookies
                | Field::TriggerCookies
                | Field::HttpRequestHeaders
                | Field::HttpRequestHeadersValues
                | Field::TriggerHeaders
                | Field::HttpRequestUriArgs
                | Field::HttpRequestUriArgsValues
                | Field::RawHttpRequestUriArgs
                | Field::RawHttpRequestUriArgsValues
        )
    )
}

/// Whether the entry `key` of `field` must not be shown.
pub fn is_secret_entry(field: FieldId, key: &[u8]) -> bool {
    let is_cookie = matches!(field.standard(), Some(Field::HttpRequestCookies | Field::TriggerCookies));
    is_cookie || is_secret_name(key)
}

/// Whether a header, cookie or argument of this name is likely to hold a secret.
fn is_secret_name(name: &[u8]) -> bool {
    const PARTS: [&str; 8] = ["auth", "cookie", "token", "secret", "passw", "session", "api-key", "apikey"];
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

/// A text in which the values of secret arguments (`token=…`) are left out.
pub fn without_secrets(text: &str) -> String {
    text.split_inclusive(['?', '&', '#', ';', ' ']).map(mask).collect()
}

fn mask(piece: &str) -> String {
    match piece.split_once('=') {
        Some((name, value)) if is_secret_name(name.as_bytes()) => {
            let end = value.chars().next_back().filter(|end| matches!(end, '?' | '&' | '#' | ';' | ' '));
            format!("{name}=…{}", end.map(String::from).unwrap_or_default())
        }
        _ => piece.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_arguments_are_left_out() {
        for (text, shown) in [
            ("https://h/p?queueittoken=e_a~h_b&x=1#f", "https://h/p?queueittoken=…&x=1#f"),
            ("/p?x=1&Access_Token=a=b", "/p?x=1&Access_Token=…"),
            ("/token/p?x=1", "/token/p?x=1"),
            ("plain", "plain"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }

    #[test]
    fn cookies_and_credentials_are_secret() {
        let headers = Field::HttpRequestHeaders.into();
        assert!(is_secret_entry(headers, b"authorization") && is_secret_entry(headers, b"x-queueittoken"));
        assert!(!is_secret_entry(headers, b"accept"));
        assert!(is_secret_entry(Field::TriggerCookies.into(), b"a"));
    }
}
