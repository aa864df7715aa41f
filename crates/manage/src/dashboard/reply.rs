//! What the dashboard answers with: pages, redirects, assets, and the headers that keep them harmless.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use maud::Markup;
use serde_json::Value as Json;

use super::layout;
use crate::failure::Failure;

/// Nothing but what this server sends, no script or style within pages, and nobody frames them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// An answer of the dashboard.
pub(super) struct Reply {
    pub response: Response<Vec<u8>>,
    /// Whether what was changed is to be kept.
    pub keep: bool,
    /// What the log should say.
    pub trouble: Option<String>,
}

impl Reply {
    pub fn page(status: u16, page: &Markup) -> Reply {
        Reply::of(status, "text/html; charset=utf-8", page.0.clone().into_bytes())
    }

    pub fn json(json: &Json) -> Reply {
        Reply::of(200, "application/json", json.to_string().into_bytes())
    }

    /// A page that tells why something was not done.
    pub fn failure(failure: &Failure) -> Reply {
        let main = layout::failure(failure);
        Reply::refusal(failure, &layout::page("Not done", &maud::html! {}, &main))
    }

    /// The same, with a page of one's own.
    pub fn refusal(failure: &Failure, page: &Markup) -> Reply {
        let mut reply = Reply::page(failure.status, page);
        if let Some(seconds) = failure.retry_after {
            reply.response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        Reply { trouble: failure.cause.as_ref().map(ToString::to_string), ..reply }
    }

    /// Leads somewhere else, to be fetched with GET.
    pub fn redirect(to: &str) -> Reply {
        let mut reply = Reply::of(303, "text/plain; charset=utf-8", Vec::new());
        reply.set(LOCATION, to);
        reply
    }

    /// The same, and what was changed is kept.
    pub fn kept(self) -> Reply {
        Reply { keep: true, ..self }
    }

    pub fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
    }

    pub fn of(status: u16, content_type: &'static str, body: Vec<u8>) -> Reply {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in [
            (CONTENT_TYPE, content_type),
            (CACHE_CONTROL, "no-store"),
            (HeaderName::from_static("content-security-policy"), POLICY),
            (HeaderName::from_static("x-content-type-options"), "nosniff"),
            (HeaderName::from_static("x-frame-options"), "DENY"),
            // Not `no-referrer`: browsers would then tell forms' origin as `null`.
            (HeaderName::from_static("referrer-policy"), "same-origin"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Reply { response, keep: false, trouble: None }
    }
}
