//! URLs of the waiting room, byte for byte as the official engine writes them (docs/protocol/queue-it.md#redirect-url).

use bumpalo::collections::String as ArenaString;

use super::config::{CancelConfig, QueueConfig};
use super::cookie::Session;
use super::encoding::Enc;
use super::visit::Visit;

/// Where a Queue action sends visitors.
pub(super) struct Place<'a, 'v> {
    pub visit: &'a Visit<'v>,
    pub config: &'a QueueConfig<'v>,
    pub event_id: &'v str,
    pub queue_domain: &'v str,
}

impl<'v> Place<'_, 'v> {
    /// The queue.
    pub fn queue(&self, target: &str, enqueue_token: &str) -> &'v str {
        self.url(&[], |url| {
            url.raw("&enqueuetoken=", enqueue_token);
            url.encoded("&t=", target);
        })
    }

    /// A page that explains what is wrong.
    pub fn error(&self, code: &str, icr: &str, target: &str) -> &'v str {
        self.url(&["error/", code, "/"], |url| {
            url.encoded("&icr=", icr);
            url.raw("&queueittoken=", self.visit.token.text);
            url.raw("&ts=", &bumpalo::format!(in self.visit.arena, "{}", self.visit.now()));
            url.encoded("&t=", target);
        })
    }

    fn url(&self, path: &[&str], more: impl FnOnce(&mut Url<'v>)) -> &'v str {
        let QueueConfig { version, action_name, culture, layout, .. } = *self.config;
        write(self.visit, |url| {
            url.base(self.visit, self.queue_domain, self.config.queue_path_prefix);
            path.iter().for_each(|part| url.text.push_str(part));
            url.text.push_str("?c=");
            url.enc(self.visit.customer_id);
            url.text.push_str("&e=");
            url.enc(self.event_id);
            for part in ["&ver=", self.visit.sdk, "&cver=", version, "&man="] {
                url.text.push_str(part);
            }
            url.enc(action_name.unwrap_or_default());
            url.encoded("&cid=", culture.unwrap_or_default());
            url.encoded("&l=", layout.unwrap_or_default());
            more(url);
        })
    }
}

/// Where a Cancel action sends visitors.
pub(super) fn cancel<'v>(
    visit: &Visit<'v>,
    config: &CancelConfig<'v>,
    queue_domain: &str,
    sessions: &[(&str, Option<Session<'v>>)],
    target: &str,
) -> &'v str {
    write(visit, |url| {
        url.base(visit, queue_domain, config.queue_path_prefix);
        for part in ["cancel/multiple/", visit.customer_id, "?wrl="] {
            url.text.push_str(part);
        }
        for (index, (room, session)) in sessions.iter().enumerate() {
            url.text.push_str(if index > 0 { "_" } else { "" });
            url.text.push_str(room);
            if let Some(session) = session.filter(|session| !session.queue_id.is_empty()) {
                url.raw("~", session.queue_id);
            }
        }
        url.encoded("&r=", target);
    })
}

/// `icr` of a token that is bound to another address.
pub(super) fn ip_reason<'v>(visit: &Visit<'v>, hashed_ip: &str) -> &'v str {
    write(visit, |url| url.ip_reason(visit, hashed_ip))
}

/// `icr` of a session that is bound to another address.
pub(super) fn session_reason<'v>(visit: &Visit<'v>, session: &Session<'_>) -> &'v str {
    write(visit, |url| {
        url.ip_reason(visit, session.hashed_ip);
        url.raw(",r:", session.redirect_type);
        url.raw(",q:", session.queue_id);
        url.raw(",st:", &bumpalo::format!(in visit.arena, "{}", visit.now_ms));
    })
}

struct Url<'v> {
    text: ArenaString<'v>,
}

/// Writes text into the visit's arena.
fn write<'v>(visit: &Visit<'v>, write: impl FnOnce(&mut Url<'v>)) -> &'v str {
    const USUAL_LENGTH: usize = 512;
    let mut url = Url { text: ArenaString::with_capacity_in(USUAL_LENGTH, visit.arena) };
    write(&mut url);
    url.text.into_bump_str()
}

impl Url<'_> {
    fn base(&mut self, visit: &Visit<'_>, queue_domain: &str, path_prefix: Option<&str>) {
        match visit.waiting_room_origin {
            Some(origin) => self.text.push_str(origin),
            None => self.raw("https://", queue_domain),
        }
        self.close_segment();
        let prefix = path_prefix.unwrap_or_default();
        self.text.push_str(prefix.strip_prefix('/').unwrap_or(prefix));
        self.close_segment();
    }

    fn close_segment(&mut self) {
        if !self.text.ends_with('/') {
            self.text.push('/');
        }
    }

    /// A value and what comes before it; nothing where there is no value.
    fn raw(&mut self, before: &str, value: &str) {
        if !value.is_empty() {
            self.text.push_str(before);
            self.text.push_str(value);
        }
    }

    /// As [`Url::raw`], encoded.
    fn encoded(&mut self, before: &str, value: &str) {
        if !value.is_empty() {
            self.text.push_str(before);
            self.enc(value);
        }
    }

    fn enc(&mut self, value: &str) {
        // Writing into an arena cannot fail.
        let _ = Enc(value).write_to(&mut self.text);
    }

    fn ip_reason(&mut self, visit: &Visit<'_>, hashed_ip: &str) {
        self.text.push_str("ip,cip:");
        for unit in visit.client_ip().encode_utf16() {
            self.text.push_str(&bumpalo::format!(in visit.arena, "{:02x}", unit));
        }
        self.text.push_str(",hip:");
        self.text.push_str(hashed_ip);
    }
}
