//! Who sits at the dashboard: a token is shown once, and a cookie stands for it from then on.

use http::Method;
use http::header::SET_COOKIE;
use maud::{Markup, html};

use super::form::Form;
use super::unsent::Unsent;
use super::{ROOT, Reply, header, layout};
use crate::Visit;
use crate::access::Caller;
use crate::failure::{Code, Failure};
use crate::secrets;
use crate::store::tokens::{SESSION_MS, Scope, Token};

const COOKIE: &str = "velvetrope_session";

impl Visit<'_> {
    pub(super) fn login(self) -> Result<Reply, Failure> {
        if *self.request.method() != Method::POST {
            return Ok(Reply::page(200, &login_page(None, None)));
        }
        self.refuse_other_origins()?;
        let form = Form::parse(self.request.body());
        let unsent = Unsent::kept(&form);
        let caller = match self.holder(form.text("token").trim()) {
            Ok(caller) => caller,
            Err(failure) => return Ok(Reply::refusal(&failure, &login_page(Some(&failure), unsent.as_ref()))),
        };
        // The host's own token has no id, but a digest: when the host is given another one, sessions end.
        let own = || self.manager.own_token.clone().unwrap_or_default();
        let token = if caller.token.is_empty() { own() } else { caller.token.clone() };
        let secret = self.store.begin_session(&token)?;
        let csrf = self.store.session(&secret)?.map(|session| session.csrf).unwrap_or_default();
        let reply = unsent.map_or_else(|| Reply::redirect(ROOT), |unsent| offer(200, &unsent, &caller, &csrf));
        let mut reply = reply.kept();
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
    pub(crate) fn session(&self) -> Result<Option<(Caller, String)>, Failure> {
        let Some(secret) = self.session_secret() else { return Ok(None) };
        let Some(session) = self.store.session(secret)? else { return Ok(None) };
        let own = self.manager.own_token.as_deref();
        if own.is_some_and(|own| secrets::is_same(own, &session.token)) {
            let caller = Caller { name: "host".into(), scope: Scope::Write, token: String::new() };
            return Ok(Some((caller, session.csrf)));
        }
        let is_it = |token: &Token| token.id == session.token && token.revoked_on.is_none();
        let token = self.store.tokens()?.into_iter().find(is_it);
        Ok(token.map(|token| (Caller { name: token.name, scope: token.scope, token: token.id }, session.csrf)))
    }

    /// Somebody sends a form, and is not logged in any more.
    pub(super) fn ended(&self) -> Result<Reply, Failure> {
        self.refuse_other_origins()?;
        let unsent = Unsent::of(self.request);
        let message = match unsent {
            Some(_) => "your session has ended, and nothing was changed; log in, and you can send what you entered",
            None => {
                "your session has ended, and nothing was changed; log in and send it again: it is too long to be kept"
            }
        };
        let failure = Failure::new(401, Code::Authentication, message);
        Ok(Reply::refusal(&failure, &login_page(Some(&failure), unsent.as_ref())))
    }

    /// A form that is not from a page of this session. Whoever has logged in anew meanwhile may send it after all, if the
    /// browser vouches for it that it is from a page of this server.
    pub(super) fn of_another_session(&self, caller: &Caller, csrf: &str) -> Result<Reply, Failure> {
        let is_vouched_for = header(self.request.headers(), "origin").is_some();
        match Unsent::of(self.request).filter(|_| is_vouched_for) {
            Some(unsent) => Ok(offer(403, &unsent, caller, csrf)),
            None => {
                let message = "the form is not from a page of your session: load the page again, and repeat it";
                Err(Failure::new(403, Code::Forbidden, message))
            }
        }
    }

    /// Refuses what another site's page sends.
    pub(super) fn refuse_other_origins(&self) -> Result<(), Failure> {
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

fn offer(status: u16, unsent: &Unsent, caller: &Caller, csrf: &str) -> Reply {
    let header = layout::header(None, &html! {}, caller, csrf);
    Reply::page(status, &layout::page("Not sent yet", &header, &unsent.offer(csrf)))
}

fn login_page(failure: Option<&Failure>, unsent: Option<&Unsent>) -> Markup {
    let main = html! {
        h1 { "Log in" }
        @if let Some(failure) = failure { (layout::objections(failure)) }
        form.card method="post" action=(format!("{ROOT}/login")) {
            @if let Some(unsent) = unsent { (unsent.hidden()) }
            div.field {
                label for="token" { "Token" }
                input #token type="password" name="token" autocomplete="current-password" required autofocus
                    aria-describedby="token-help";
                p.help #token-help {
                    "One that " code { "velvetrope admin token create" } " has printed; at a Worker, its "
                    code { "VELVETROPE_ADMIN_TOKEN" } "."
                }
            }
            button.primary { "Log in" }
        }
    };
    layout::page("Log in", &html! {}, &main)
}
