//! URLs of the waiting room, byte for byte as the official engine writes them (protocol, section 4).

use std::fmt::{self, Write};

use bumpalo::collections::String as ArenaString;

use super::cancel::CancelConfig;
use super::queue::QueueConfig;
use super::visit::Visit;
use crate::session::cookie::Session;
use crate::session::encoding::Enc;

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
        self.url(format_args!(""), |url| {
            url.raw("enqueuetoken", enqueue_token)?;
            url.encoded("t", target)
        })
    }

    /// A page that explains what is wrong.
    pub fn error(&self, code: &str, icr: &str, target: &str) -> &'v str {
        self.url(format_args!("error/{code}/"), |url| {
            url.encoded("icr", icr)?;
            url.raw("queueittoken", self.visit.token.text)?;
            write!(url.text, "&ts={}", self.visit.now())?;
            url.encoded("t", target)
        })
    }

    fn url(&self, path: fmt::Arguments<'_>, more: impl FnOnce(&mut Url<'v>) -> fmt::Result) -> &'v str {
        let QueueConfig { version, action_name, culture, layout, .. } = *self.config;
        write(self.visit, |url| {
            url.base(self.visit, self.queue_domain, self.config.queue_path_prefix)?;
            let (customer, event, sdk, name) =
                (Enc(self.visit.customer_id), Enc(self.event_id), self.visit.sdk, Enc(action_name.unwrap_or_default()));
            write!(url.text, "{path}?c={customer}&e={event}&ver={sdk}&cver={version}&man={name}")?;
            url.encoded("cid", culture.unwrap_or_default())?;
            url.encoded("l", layout.unwrap_or_default())?;
            more(url)
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
        url.base(visit, queue_domain, config.queue_path_prefix)?;
        write!(url.text, "cancel/multiple/{}?wrl=", visit.customer_id)?;
        for (index, (room, session)) in sessions.iter().enumerate() {
            url.text.push_str(if index > 0 { "_" } else { "" });
            url.text.push_str(room);
            if let Some(session) = session.filter(|session| !session.queue_id.is_empty()) {
                write!(url.text, "~{}", session.queue_id)?;
            }
        }
        url.encoded("r", target)
    })
}

/// `icr` of a token that is bound to another address.
pub(super) fn ip_reason<'v>(visit: &Visit<'v>, hashed_ip: &str) -> &'v str {
    write(visit, |url| url.ip_reason(visit, hashed_ip))
}

/// `icr` of a session that is bound to another address.
pub(super) fn session_reason<'v>(visit: &Visit<'v>, session: &Session<'_>) -> &'v str {
    write(visit, |url| {
        url.ip_reason(visit, session.hashed_ip)?;
        for (key, value) in [("r", session.redirect_type), ("q", session.queue_id)] {
            if !value.is_empty() {
                write!(url.text, ",{key}:{value}")?;
            }
        }
        write!(url.text, ",st:{}", visit.now_ms)
    })
}

struct Url<'v> {
    text: ArenaString<'v>,
}

/// Writes text into the visit's arena, which cannot fail.
fn write<'v>(visit: &Visit<'v>, write: impl FnOnce(&mut Url<'v>) -> fmt::Result) -> &'v str {
    let mut url = Url { text: ArenaString::new_in(visit.arena) };
    let _ = write(&mut url);
    url.text.into_bump_str()
}

impl Url<'_> {
    fn base(&mut self, visit: &Visit<'_>, queue_domain: &str, path_prefix: Option<&str>) -> fmt::Result {
        match visit.waiting_room_origin {
            Some(origin) => self.text.push_str(origin),
            None => write!(self.text, "https://{queue_domain}")?,
        }
        self.close_segment();
        let prefix = path_prefix.unwrap_or_default();
        self.text.push_str(prefix.strip_prefix('/').unwrap_or(prefix));
        self.close_segment();
        Ok(())
    }

    fn close_segment(&mut self) {
        if !self.text.ends_with('/') {
            self.text.push('/');
        }
    }

    fn encoded(&mut self, name: &str, value: &str) -> fmt::Result {
        if value.is_empty() { Ok(()) } else { write!(self.text, "&{name}={}", Enc(value)) }
    }

    fn raw(&mut self, name: &str, value: &str) -> fmt::Result {
        if value.is_empty() { Ok(()) } else { write!(self.text, "&{name}={value}") }
    }

    fn ip_reason(&mut self, visit: &Visit<'_>, hashed_ip: &str) -> fmt::Result {
        self.text.push_str("ip,cip:");
        for unit in visit.client_ip().encode_utf16() {
            write!(self.text, "{unit:02x}")?;
        }
        write!(self.text, ",hip:{hashed_ip}")
    }
}
