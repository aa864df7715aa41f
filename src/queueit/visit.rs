//! One visit, and what the site has to say about it.

use std::net::IpAddr;

use bumpalo::Bump;

use super::Secrets;
use super::encoding::decode_uri_component;
use super::outside::Services;
use super::token::Token;
use super::url_token::without_token;
use crate::policy::{ConfigError, Integration};
use crate::request::{header, is_no_navigation, split_path};

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
    /// The token; its text is "" if there is none.
    pub token: Token<'v>,
    /// Headers in order, as received.
    pub headers: &'v [(&'v str, &'v [u8])],
    /// The visitor's address.
    pub client_ip: ClientIp<'v>,
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Scheme and authority of redirects instead of `https://QueueDomain`.
    pub waiting_room_origin: Option<&'v str>,
    /// Whether sessions count that other connectors have written (`shared_sessions`).
    pub shared_sessions: bool,
    /// By how many seconds a token may be late (`[token] leeway`).
    pub token_leeway: u32,
    /// Whether scripts whose requests must wait are answered for themselves, so that visitors come back to the page.
    pub answers_scripts: bool,
    /// Whom the host can ask.
    pub services: Services<'v>,
    /// Where the decision's texts are kept.
    pub arena: &'v Bump,
}

/// A visitor's address. Few decisions look at it, so that its text is not written before one does.
#[derive(Clone, Copy, Debug)]
pub enum ClientIp<'v> {
    /// It is not known.
    Unknown,
    /// An address.
    Address(IpAddr),
    /// An address as a platform writes it.
    Text(&'v str),
}

impl<'v> Visit<'v> {
    /// Whole Unix seconds.
    pub fn now(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }

    /// The Unix second that tokens must not have expired before.
    pub(super) fn token_deadline(&self) -> i64 {
        self.now().saturating_sub(i64::from(self.token_leeway))
    }

    /// The first header of this name, "" if there is none.
    pub fn header(&self, name: &str) -> &'v str {
        header(self.headers, name, self.arena)
    }

    /// The visitor's address as text, "" if unknown.
    pub fn client_ip(&self) -> &'v str {
        match self.client_ip {
            ClientIp::Unknown => "",
            ClientIp::Address(address) => bumpalo::format!(in self.arena, "{}", address).into_bump_str(),
            ClientIp::Text(text) => text,
        }
    }

    /// The visitor's address as text, where it matters: something may be bound to one, which `hashed_ip` tells.
    pub(super) fn client_ip_for(&self, hashed_ip: &str) -> &'v str {
        if hashed_ip.is_empty() { "" } else { self.client_ip() }
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
            page => decode_uri_component(page, self.arena).unwrap_or_default(),
        }
    }

    /// Where the visitor shall come back to from the waiting room: as [`Visit::page_url`]; or, for any other request of a
    /// script that is answered for itself, the page it runs on, if that is of the same origin: nobody wants to come back
    /// to an API, but what another site names is nowhere to come back to.
    pub(super) fn return_url(&self) -> &'v str {
        if !self.answers_scripts || !is_no_navigation(self.headers) || self.is_ajax() {
            return self.page_url();
        }
        let page = self.header("referer");
        let (origin, own) = (split_path(page).0, split_path(self.url).0);
        // Programs differ in what they take for the host before a backslash; no browser sends one.
        let is_own = !page.is_empty() && !page.contains('\\') && origin.eq_ignore_ascii_case(own);
        if is_own { without_token(page, self.arena) } else { self.page_url() }
    }

    fn ajax_page(&self) -> &'v str {
        self.header("x-queueit-ajaxpageurl")
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
