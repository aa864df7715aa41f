//! Who sits at the dashboard: a token is shown once, and a cookie stands for it from then on.

use http::Method;
use http::header::SET_COOKIE;
use maud::{Markup, html};

use super::form::Form;
use super::{ROOT, Reply, header, layout};
use crate::manage::Visit;
use crate::manage::access::{self, Caller};
use crate::manage::failure::{Code, Failure};
use crate::manage::store::tokens::{SESSION_MS, Scope, Token};

const COOKIE: &str = "velvetrope_session";

impl Visit<'_> {
    pub(super) fn login(self) -> Result<Reply, Failure> {
        if *self.request.method() != Method::POST {
            return Ok(Reply::page(200, &login_page(None)));
        }
        self.refuse_other_origins()?;
        let form = Form::parse(self.request.body());
        let caller = match self.holder(form.text("token").trim()) {
            Ok(caller) => caller,
            Err(failure) => return Ok(Reply::refusal(&failure, &login_page(Some(&failure)))),
        };
        // The host's own token has no id, but a digest: when the host is given another one, sessions end.
        let own = || self.manager.own_token.clone().unwrap_or_default();
        let token = if caller.token.is_empty() { own() } else { caller.token };
        let secret = self.store.begin_session(&token)?;
        let mut reply = Reply::redirect(ROOT).kept();
        reply.set(SET_COOKIE, &self.cookie(&secret, SESSION_MS / 1000));
        Ok(reply)
    }

    pub(super) fn logout(self) -> Result<Reply, Failure> {
        if let Some(secret) = self.session_secret() {
            self.store.end_session(secret)?;
        }
        let mut reply = Reply::redirect(&format!("{ROOT}/login")).kept();
        reply.set(SET_COOKIE, &self.cookie("", 0));
        Ok(reply)
    }

    /// Who is logged in, and what her forms must carry.
    pub(super) fn session(&self) -> Result<Option<(Caller, String)>, Failure> {
        let Some(secret) = self.session_secret() else { return Ok(None) };
        let Some(session) = self.store.session(secret)? else { return Ok(None) };
        let own = self.manager.own_token.as_deref();
        if own.is_some_and(|own| access::is_same(own, &session.token)) {
            let caller = Caller { name: "host".into(), scope: Scope::Write, token: String::new() };
            return Ok(Some((caller, session.csrf)));
        }
        let is_it = |token: &Token| token.id == session.token && token.revoked_on.is_none();
        let token = self.store.tokens()?.into_iter().find(is_it);
        Ok(token.map(|token| (Caller { name: token.name, scope: token.scope, token: token.id }, session.csrf)))
    }

    /// Refuses forms that are not from pages of this session.
    pub(super) fn refuse_forged(&self, form: &Form, csrf: &str) -> Result<(), Failure> {
        self.refuse_other_origins()?;
        match access::is_same(form.text("csrf"), csrf) {
            true => Ok(()),
            false => {
                let message = "the form is not from a page of your session: load the page again, and repeat it";
                Err(Failure::new(403, Code::Forbidden, message))
            }
        }
    }

    /// Refuses what another site's page sends.
    fn refuse_other_origins(&self) -> Result<(), Failure> {
        let headers = self.request.headers();
        let Some(origin) = header(headers, "origin") else { return Ok(()) };
        let named = origin.split_once("://").map(|(_, host)| host);
        let own = [header(headers, "host"), header(headers, "x-forwarded-host")];
        let own = own.into_iter().chain([self.request.uri().authority().map(http::uri::Authority::as_str)]);
        match own.flatten().any(|own| named.is_some_and(|named| named.eq_ignore_ascii_case(own))) {
            true => Ok(()),
            false => {
                let message = format!("the form is from another site ({origin}), and is refused");
                Err(Failure::new(403, Code::Forbidden, message))
            }
        }
    }

    fn session_secret(&self) -> Option<&str> {
        let cookies = header(self.request.headers(), "cookie")?;
        let mut named = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        named.find(|(name, _)| *name == COOKIE).map(|(_, secret)| secret)
    }

    fn cookie(&self, secret: &str, seconds: i64) -> String {
        let forwarded = header(self.request.headers(), "x-forwarded-proto");
        let is_secure = forwarded.or_else(|| self.request.uri().scheme_str()) == Some("https");
        let secure = if is_secure { "; Secure" } else { "" };
        format!("{COOKIE}={secret}; Path={ROOT}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
    }
}

fn login_page(failure: Option<&Failure>) -> Markup {
    let main = html! {
        h1 { "Log in" }
        @if let Some(failure) = failure { (layout::objections(failure)) }
        form.card method="post" action=(format!("{ROOT}/login")) {
            div.field {
                label for="token" { "Token" }
                input #token type="password" name="token" autocomplete="current-password" required autofocus
                    aria-describedby="token-help";
                p.help #token-help { "One that " code { "velvetrope admin token create" } " has printed." }
            }
            button.primary { "Log in" }
        }
    };
    layout::page("Log in", &html! {}, &main)
}
