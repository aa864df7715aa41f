//! What a host must supply for a program to do its work.

use std::collections::BTreeSet;

use super::code::{Code, Source};
use crate::request::{Field, FieldId};

/// What a host must supply for a program to do its work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needs {
    /// Every field that some expression reads, sorted.
    pub fields: Vec<FieldId>,
    /// Names of the headers it reads, lower case, sorted; those behind fields such as `http.user_agent` included.
    pub headers: Vec<String>,
    /// Whether it must see every header (names, values, or the map of headers as a whole).
    pub all_headers: bool,
    /// Whether it reads the request's body.
    pub body: bool,
}

impl Needs {
    pub(super) fn of(code: &Code) -> Self {
        let mut fields = BTreeSet::new();
        let mut headers = BTreeSet::new();
        let mut all_headers = false;
        for source in &code.sources {
            let (field, key) = match source {
                Source::Field(field) => (*field, None),
                Source::Entry(field, key) => (*field, Some(key)),
                _ => continue,
            };
            fields.insert(field);
            match (field.standard(), key) {
                (Some(Field::HttpRequestHeaders | Field::TriggerHeaders), Some(name)) => {
                    headers.insert(String::from_utf8_lossy(name).to_ascii_lowercase());
                }
                (Some(field), _) if needs_all_headers(field) => all_headers = true,
                (Some(field), _) => headers.extend(header_behind(field).map(str::to_owned)),
                (None, _) => {}
            }
        }
        Needs {
            body: fields.contains(&Field::TriggerBody.into()),
            fields: fields.into_iter().collect(),
            headers: headers.into_iter().collect(),
            all_headers,
        }
    }
}

fn needs_all_headers(field: Field) -> bool {
    matches!(
        field,
        Field::HttpRequestHeaders
            | Field::HttpRequestHeadersNames
            | Field::HttpRequestHeadersValues
            | Field::TriggerHeaders
    )
}

/// The header that a field is made of.
fn header_behind(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::HttpHost => "host",
        Field::HttpUserAgent | Field::TriggerUserAgent => "user-agent",
        Field::HttpReferer => "referer",
        Field::HttpXForwardedFor => "x-forwarded-for",
        Field::HttpCookie | Field::HttpRequestCookies | Field::TriggerCookies => "cookie",
        Field::HttpRequestAcceptedLanguages => "accept-language",
        _ => return None,
    })
}
