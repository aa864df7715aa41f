//! Debug mode: a signed token asks for a cookie that tells what the connector saw
//! (docs/protocol/queue-it.md#debug-mode).

use std::fmt::Write;

use super::config::{CancelConfig, QueueConfig};
use super::cookie::SetCookie;
use super::decision::{Decision, Exception, Failure, Kind, Reason, Step, Stop};
use super::encoding::instant;
use super::outside::DirectPassSettings;
use super::sessions::with_cookies;
use super::visit::Visit;
use crate::policy::{ConfigError, Integration, Number, number_text};

/// How long a browser keeps the debug cookie, in seconds.
const KEPT_FOR: i64 = 1200;

/// What is told, in order; nothing is collected where nobody asked for it.
pub(super) struct Debug<'v> {
    entries: Option<Vec<(&'static str, String)>>,
    sdk: &'v str,
}

/// Runs a flow in debug mode if the visit asks for that, and adds the debug cookie to what comes of it.
pub(super) fn run<'v>(
    visit: &Visit<'v>,
    flow: impl FnOnce(&mut Debug<'v>) -> Result<Decision<'v>, Stop<'v>>,
) -> Step<'v> {
    let mut debug = match is_asked_for(visit) {
        Ok(asked) => Debug { entries: asked.then(Vec::new), sdk: visit.sdk },
        Err(code) => return Step::Decided(refusal(visit, code)),
    };
    match flow(&mut debug) {
        Ok(mut decision) => {
            decision.cookies = debug.cookies(visit, decision.cookies);
            Step::Decided(decision)
        }
        Err(Stop::Ask(question)) => Step::Ask(question),
        Err(Stop::Failed(exception)) => {
            debug.set("Exception", &exception);
            Step::Failed(Failure { exception, cookies: debug.cookies(visit, &[]) })
        }
    }
}

fn is_asked_for(visit: &Visit<'_>) -> Result<bool, &'static str> {
    let token = &visit.token;
    if !token.is_debug() {
        return Ok(false);
    }
    if visit.check_credentials().is_err() {
        return Err("setup");
    }
    if !token.is_signed_by(visit.secrets) || !token.is_canonical {
        return Err("hash");
    }
    if token.is_expired(visit.token_deadline()) {
        return Err("timestamp");
    }
    Ok(true)
}

fn refusal<'v>(visit: &Visit<'v>, code: &'static str) -> Decision<'v> {
    let customer = visit.customer_id;
    let (host, path) = match code {
        "setup" => (String::new(), String::new()),
        _ => (format!("{customer}."), format!("/{customer}")),
    };
    let url = format!("https://{host}api2.queue-it.net{path}/diagnostics/connector/error/?code={code}");
    Decision {
        kind: Some(Kind::Diagnostics),
        reason: Reason::DebugRefused(code),
        redirect: Some(visit.arena.alloc_str(&url)),
        ..Decision::nothing()
    }
}

impl Visit<'_> {
    /// Refuses to go on without customer id and secret.
    pub(super) fn check_credentials(&self) -> Result<(), Exception> {
        if self.customer_id.is_empty() {
            return Err(Exception::Missing("customerId"));
        }
        if self.secrets.current().is_empty() {
            return Err(Exception::Missing("secretKey"));
        }
        Ok(())
    }
}

impl<'v> Debug<'v> {
    /// Tells something. What is told twice keeps its first place.
    pub fn set(&mut self, name: &'static str, value: impl ToString) {
        let Some(entries) = &mut self.entries else { return };
        match entries.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value.to_string(),
            None => entries.push((name, value.to_string())),
        }
    }

    fn is_on(&self) -> bool {
        self.entries.is_some()
    }

    pub fn of_configuration(&mut self, visit: &Visit<'v>) {
        self.set("SdkVersion", self.sdk);
        self.set("PureUrl", visit.pure_url);
        self.of_request(visit);
        self.of_connection(visit);
    }

    pub fn of_refused(&mut self, error: &ConfigError) {
        if *error == ConfigError::Empty {
            self.set("ConfigVersion", "NULL");
        }
    }

    pub fn of_match(&mut self, version: &str, matched: Option<&Integration>) {
        self.set("ConfigVersion", version);
        self.set("MatchedConfig", matched.map_or("NULL", |integration| integration.name.as_deref().unwrap_or("null")));
    }

    pub fn of_queue(&mut self, visit: &Visit<'v>, config: Option<&QueueConfig<'v>>, target: &str) {
        if !self.is_on() {
            return;
        }
        self.set("SdkVersion", self.sdk);
        self.set("TargetUrl", target);
        self.of_request(visit);
        self.set("QueueConfig", config.map_or("NULL".into(), describe_queue));
        self.of_connection(visit);
    }

    pub fn of_cancel(&mut self, visit: &Visit<'v>, config: Option<&CancelConfig<'v>>, target: &str) {
        if !self.is_on() {
            return;
        }
        self.set("SdkVersion", self.sdk);
        self.set("TargetUrl", target);
        self.set("QueueitToken", visit.token.text);
        self.set("CancelConfig", config.map_or("NULL".into(), describe_cancel));
        self.of_request(visit);
        self.of_connection(visit);
    }

    pub fn of_direct_pass(&mut self, settings: &DirectPassSettings<'_>) {
        self.set("DirectPassTimeoutSetting", settings.timeout_ms.map_or("null".into(), number_text));
        self.set("DirectPassTimeoutUsed", settings.timeout_used());
    }

    fn of_request(&mut self, visit: &Visit<'v>) {
        self.set("QueueitToken", visit.token.text);
        self.set("OriginalUrl", visit.url);
    }

    fn of_connection(&mut self, visit: &Visit<'v>) {
        if !self.is_on() {
            return;
        }
        self.set("ServerUtcTime", humantime::format_rfc3339_seconds(instant(visit.now())));
        self.set("RequestIP", visit.client_ip());
        for (name, header) in [
            ("RequestHttpHeader_Via", "via"),
            ("RequestHttpHeader_Forwarded", "forwarded"),
            ("RequestHttpHeader_XForwardedFor", "x-forwarded-for"),
            ("RequestHttpHeader_XForwardedHost", "x-forwarded-host"),
            ("RequestHttpHeader_XForwardedProto", "x-forwarded-proto"),
        ] {
            self.set(name, visit.header(header));
        }
    }

    /// The cookies of a decision, and the debug cookie if it was asked for.
    fn cookies(self, visit: &Visit<'v>, decided: &'v [SetCookie<'v>]) -> &'v [SetCookie<'v>] {
        let Some(entries) = self.entries else { return decided };
        let pairs: Vec<String> = entries.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let debug = SetCookie {
            name: "queueitdebug",
            value: visit.arena.alloc_str(&pairs.join("|")),
            domain: None,
            expires: visit.now() + KEPT_FOR,
            http_only: false,
            secure: false,
        };
        with_cookies(visit, decided, &[debug])
    }
}

fn describe_queue(config: &QueueConfig<'_>) -> String {
    let limit = match config.queue_id_usage_limit {
        Number::Is(limit) if limit != 0.0 => number_text(limit),
        _ => String::new(),
    };
    describe(&[
        ("EventId", text(config.event_id)),
        ("AllowedWaitingRoomIds", config.involved_rooms.join(",")),
        ("Version", config.version.into()),
        ("ActionName", text(config.action_name)),
        ("QueueDomain", text(config.queue_domain)),
        ("QueuePathPrefix", config.queue_path_prefix.unwrap_or_default().into()),
        ("CookieDomain", text(config.cookie_domain)),
        ("IsCookieHttpOnly", config.cookie_http_only.to_string()),
        ("IsCookieSecure", config.cookie_secure.to_string()),
        ("ExtendCookieValidity", config.extend_cookie_validity.to_string()),
        ("CookieValidityMinute", number(config.cookie_validity_minute)),
        ("LayoutName", text(config.layout)),
        ("Culture", text(config.culture)),
        ("VerifyActionEnabled", config.verify_queue_id.to_string()),
        ("QueueIdUsageLimit", limit),
    ])
}

fn describe_cancel(config: &CancelConfig<'_>) -> String {
    let mut parts = vec![
        ("WaitingRoomIds", config.waiting_rooms.join(",")),
        ("Version", config.version.into()),
        ("QueueDomain", text(config.queue_domain)),
    ];
    if let Some(prefix) = config.queue_path_prefix.filter(|prefix| !prefix.is_empty()) {
        parts.push(("QueuePathPrefix", prefix.into()));
    }
    parts.extend([
        ("CookieDomain", text(config.cookie_domain)),
        ("IsCookieHttpOnly", config.cookie_http_only.to_string()),
        ("IsCookieSecure", config.cookie_secure.to_string()),
        ("ActionName", text(config.action_name)),
    ]);
    describe(&parts)
}

fn describe(parts: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in parts {
        let separator = if text.is_empty() { "" } else { "&" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{name}:{value}");
    }
    text
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or("null").into()
}

fn number(value: Number) -> String {
    match value {
        Number::Missing => "undefined".into(),
        Number::Null => "null".into(),
        Number::Is(number) => number_text(number),
    }
}
