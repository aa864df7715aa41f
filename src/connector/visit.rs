//! One visit, and what the site has to say about it.

use std::borrow::Cow;

use bumpalo::Bump;

use super::outside::Services;
use crate::policy::{ConfigError, Integration};
use crate::session::Secrets;
use crate::session::encoding::decode_uri_component;

/// Everything a decision depends on, besides the configuration.
#[derive(Clone, Copy)]
pub struct Visit<'v> {
    /// Queue-it's customer id.
    pub customer_id: &'v str,
    /// The site's secrets.
    pub secrets: &'v Secrets,
    /// `ver` in redirects.
    pub sdk: &'v str,
    /// The absolute URL as the visitor asked for it, token included.
    pub url: &'v str,
    /// The same without the token.
    pub pure_url: &'v str,
    /// The token, "" if there is none.
    pub token: &'v str,
    /// Headers in order, as received.
    pub headers: &'v [(&'v str, &'v [u8])],
    /// The visitor's address as text, "" if unknown.
    pub client_ip: &'v str,
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Scheme and authority of redirects instead of `https://QueueDomain`.
    pub waiting_room_origin: Option<&'v str>,
    /// Whom the host can ask.
    pub services: Services<'v>,
    /// Where the decision's texts are kept.
    pub arena: &'v Bump,
}

impl<'v> Visit<'v> {
    /// Whole Unix seconds.
    pub fn now(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }

    /// The first header of this name, "" if there is none.
    pub fn header(&self, name: &str) -> &'v str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| self.keep(String::from_utf8_lossy(value)))
    }

    /// Whether a script asks in the background, telling which page it is on.
    pub fn is_ajax(&self) -> bool {
        !self.ajax_page().is_empty()
    }

    /// The page the visitor is on: where they ask for, or for an ajax call where the script runs ("" if that is not
    /// validly encoded).
    pub fn page_url(&self) -> &'v str {
        self.target_of(self.pure_url)
    }

    /// `target`, or for an ajax call where the script runs.
    pub fn target_of(&self, target: &'v str) -> &'v str {
        match self.ajax_page() {
            "" => target,
            page => decode_uri_component(page).map_or("", |page| self.keep(page)),
        }
    }

    fn ajax_page(&self) -> &'v str {
        self.header("x-queueit-ajaxpageurl")
    }

    /// Moves text that is not borrowed from the visit into its arena.
    pub fn keep(&self, text: Cow<'v, str>) -> &'v str {
        keep(text, self.arena)
    }
}

/// Moves text that is not borrowed into an arena.
pub(super) fn keep<'v>(text: Cow<'v, str>, arena: &'v Bump) -> &'v str {
    match text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => arena.alloc_str(&text),
    }
}

/// What the published configuration says of a visit.
#[derive(Clone, Copy, Debug)]
pub enum Configuration<'v> {
    /// It could not be read.
    Refused(&'v ConfigError),
    /// It was evaluated.
    InForce {
        /// Its version.
        version: &'v str,
        /// The integration that matched.
        matched: Option<&'v Integration>,
    },
}
