//! Reads an integration JSON for people: what the engine would silently work around, and what would fail for every
//! visitor.

use std::cell::RefCell;

use super::config_error::ConfigError;
use super::document::{Node, Value};
use super::finding::{File, did_you_mean, nearest};
use super::hosts::{can_match, can_set_cookie, is_among, is_loopback};
use super::integration::{Action, Integration, Number, Published, RedirectLogic};
use super::settings::is_host;
use super::spelling::unmet;
use crate::language::expression::Condition;
use crate::language::{Code, Diagnostic, Expression, certainty};
use crate::request::CanonicalUrl;

const INTEGRATION_KEYS: &[&str] = &[
    "Name",
    "ActionType",
    "EventId",
    "InvolvedWaitingRoomIds",
    "CookieDomain",
    "IsCookieHttpOnly",
    "IsCookieSecure",
    "LayoutName",
    "Culture",
    "ExtendCookieValidity",
    "CookieValidityMinute",
    "QueueDomain",
    "QueuePathPrefix",
    "RedirectLogic",
    "ForcedTargetUrl",
    "Triggers",
    "VerifyQueueIdEnabled",
    "QueueIdUsageLimit",
    "IsNormalizationEnabled",
];
const TRIGGER_KEYS: &[&str] = &["LogicalOperator", "TriggerParts"];
const PART_KEYS: &[&str] = &[
    "ValidatorType",
    "Operator",
    "ValueToCompare",
    "ValuesToCompare",
    "IsNegative",
    "IsIgnoreCase",
    "UrlPart",
    "CookieName",
    "HttpHeaderName",
];
const VALIDATORS: &[&str] =
    &["UrlValidator", "CookieValidator", "UserAgentValidator", "HttpHeaderValidator", "RequestBodyValidator"];

/// Reports why a configuration is refused.
pub(super) fn refusal(file: File, error: &ConfigError) {
    match error {
        ConfigError::Syntax { line, column, message } => {
            let at = super::place::offset(file.text, *line, *column);
            file.add(at..at, Diagnostic::error(Code::FileSyntax, message.clone()));
        }
        ConfigError::Empty => {
            let message = "this is no published configuration: an object with a `Version` other than 0 is expected";
            file.add(0..1, Diagnostic::error(Code::BrokenIntegration, message));
        }
        ConfigError::Shape { place, message, offset } => {
            let problem = Diagnostic::error(Code::BrokenIntegration, format!("{place}: {message}"));
            file.add(*offset..*offset + 1, problem.help("one broken trigger makes the engine give up on all of them"));
        }
    }
}

/// Reports what is wrong with each integration of a configuration that is accepted, for a site with these hosts. Where it
/// was delivered, what is broken is noted and not refused, unless there is nothing else.
pub(super) fn review(file: File, root: &Node, published: &mut Published, hosts: &[String], is_delivered: bool) {
    let nodes = root.get("Integrations").and_then(Node::as_array).unwrap_or_default();
    let mut catch_all = None;
    for ((node, (integration, when)), number) in nodes.iter().zip(&mut published.all).zip(1..) {
        let subject = format!("integration {number} ({})", integration.title());
        let broken = RefCell::new(integration.broken.take());
        let reviewer = Reviewer { file, node, integration, subject, is_delivered, broken };
        reviewer.review_whole(hosts, when);
        if let Some(earlier) = catch_all {
            let message = format!("it is never reached: integration {earlier} matches every request");
            reviewer.add(node, Diagnostic::warning(Code::Constant, message));
        } else if certainty(when) == Some(true) {
            catch_all = Some(number);
        }
        integration.broken = reviewer.broken.into_inner().filter(|_| is_delivered);
    }
    if !published.all.is_empty() && published.all.iter().all(|(integration, _)| integration.broken.is_some()) {
        let message = "no integration of the configuration works";
        file.add(0..1, Diagnostic::error(Code::BrokenIntegration, message));
    }
}

/// Reports a configuration of somebody else.
pub(super) fn customer(file: File, root: &Node, customer_id: &str) {
    let Some(node) = root.get("CustomerId") else { return };
    let published_for = node.as_text().unwrap_or_default();
    if !published_for.is_empty() && !published_for.eq_ignore_ascii_case(customer_id) {
        let message = format!("the configuration is of customer {published_for:?}, and the policy of {customer_id:?}");
        file.add(node.at..node.end, Diagnostic::warning(Code::Surprise, message));
    }
}

struct Reviewer<'a> {
    file: File<'a>,
    node: &'a Node<'a>,
    integration: &'a Integration,
    subject: String,
    is_delivered: bool,
    /// What was found to be broken first.
    broken: RefCell<Option<String>>,
}

impl Reviewer<'_> {
    /// `when` is what its triggers come to.
    fn review_whole(&self, hosts: &[String], when: &Expression) {
        let unreadable = self.broken.borrow().clone();
        if let Some(why) = unreadable {
            return self.add(self.node, Diagnostic::warning(Code::BrokenIntegration, why));
        }
        self.review();
        self.at_hosts(hosts, &when.root);
        for unmet in unmet(when, self.integration.action == Action::Queue) {
            self.add(self.node, Diagnostic::warning(Code::Surprise, unmet.message).help(unmet.help));
        }
        self.triggers(certainty(when));
    }

    fn review(&self) {
        self.keys(self.node, INTEGRATION_KEYS);
        self.word(
            self.node,
            "ActionType",
            &["Queue", "Cancel", "Ignore"],
            "the integration does nothing, like `Ignore`",
        );
        if self.integration.action != Action::Ignore {
            self.room();
            self.queue_domain();
            self.session();
            self.verification();
            self.redirect();
        }
    }

    fn room(&self) {
        let id = self.integration.event_id.as_deref().unwrap_or_default();
        let needed = self.integration.action == Action::Queue || self.integration.involved_rooms.is_empty();
        if id.is_empty() && needed {
            self.broken("EventId", "`EventId` is missing, so it fails for every visitor", "name the waiting room");
        }
        if id.contains('_') {
            let message = format!("tokens cannot carry {id:?}: visitors would queue again and again");
            self.broken("EventId", &message, "a waiting room's id must not hold `_`");
        }
        if id.chars().any(char::is_uppercase) {
            let message = format!("{id:?} is not lower-case");
            let help = "other connectors refuse the session they wrote for such a room; velvetrope does not";
            self.surprise("EventId", &message, help);
        }
    }

    fn queue_domain(&self) {
        let domain = self.integration.queue_domain.as_deref().unwrap_or_default();
        if domain.is_empty() {
            let message = "`QueueDomain` is missing, so it fails for every visitor";
            self.broken("QueueDomain", message, "name the host of the waiting room, such as `example.queue-it.net`");
        } else if !is_host(domain.strip_suffix('/').unwrap_or(domain)) {
            let message = format!("{domain:?} is no host, so visitors would be sent to a broken address");
            self.broken("QueueDomain", &message, "write it without scheme, port and path");
        }
    }

    fn session(&self) {
        if self.integration.action != Action::Queue {
            return;
        }
        match self.integration.cookie_validity_minute {
            Number::Is(minutes) if minutes > 0.0 => {}
            Number::Missing => self.surprise(
                "CookieValidityMinute",
                "`CookieValidityMinute` is missing, so sessions never expire",
                "say how many minutes a session lasts",
            ),
            Number::Null | Number::Is(_) => self.broken(
                "CookieValidityMinute",
                "`CookieValidityMinute` is not above 0, so it fails for every visitor",
                "say how many minutes a session lasts",
            ),
        }
    }

    fn verification(&self) {
        if self.integration.action == Action::Queue && self.integration.verify_queue_id {
            let message = "`VerifyQueueIdEnabled` needs a service that verifies queue ids, and no host here has one";
            let help = "requests that bring a session or a token fail, and pass or not as [failure] says";
            self.surprise("VerifyQueueIdEnabled", message, help);
        }
    }

    fn redirect(&self) {
        let words = ["AllowTParameter", "EventTargetUrl", "ForcedTargetUrl"];
        self.word(self.node, "RedirectLogic", &words, "visitors come back to the page they asked for");
        let target = self.integration.forced_target_url.as_deref().unwrap_or_default();
        if self.integration.redirect_logic == RedirectLogic::ForcedTargetUrl && target.is_empty() {
            let message = "`RedirectLogic` is `ForcedTargetUrl`, and `ForcedTargetUrl` is missing";
            self.surprise("ForcedTargetUrl", message, "say where visitors go after the waiting room");
        }
    }

    /// What visitors meet at the site's hosts.
    fn at_hosts(&self, hosts: &[String], when: &Condition) {
        if self.integration.action != Action::Ignore {
            self.cookie_domain(hosts, when);
        }
        let target = self.integration.forced_target_url.as_deref().unwrap_or_default();
        let is_forced = self.integration.redirect_logic == RedirectLogic::ForcedTargetUrl;
        if self.integration.action == Action::Queue && is_forced && !target.is_empty() {
            self.target(target, hosts);
        }
    }

    fn cookie_domain(&self, hosts: &[String], when: &Condition) {
        let written = self.integration.cookie_domain.as_deref().unwrap_or_default();
        let domain = written.strip_prefix('.').unwrap_or(written);
        if written.is_empty() {
            return;
        }
        let (message, help) = if !is_host(domain) {
            let message =
                format!("{written:?} is no domain, so browsers keep no session: visitors queue again and again");
            (message, "write it without scheme, port and path, such as `.tickets.example`, or leave it out")
        } else {
            let refused = hosts.iter().filter(|host| can_match(when, host) && !can_set_cookie(host, domain));
            let refused: Vec<&str> = refused.map(String::as_str).collect();
            if refused.is_empty() {
                return;
            }
            let at = refused.join(", ");
            let message =
                format!("browsers keep no session for {written:?} at {at}: visitors queue there again and again");
            (message, "write a domain that each of these hosts ends in, leave it out, or take them out of `hosts`")
        };
        self.add(self.at("CookieDomain"), Diagnostic::warning(Code::CookieDomain, message).help(help));
    }

    fn target(&self, target: &str, hosts: &[String]) {
        let (message, help) = if let Ok(url) = CanonicalUrl::of(target) {
            let host = url.authority();
            if !hosts.is_empty() && !is_among(hosts, host) {
                let message =
                    format!("visitors are sent to {host}, which is not in `hosts`: they get no session there");
                (message, "write a page of the site, or add the host to `hosts` in velvetrope.toml")
            } else if url.scheme() == "http" && !is_loopback(host) {
                let message = "visitors are sent to `http://`, where anybody on the way can read and use their token";
                (message.to_owned(), "write `https://`")
            } else {
                return;
            }
        } else {
            let message = format!("{target:?} is no address that a visitor can be sent to from the waiting room");
            (message, "write it with scheme and host, such as `https://tickets.example/shop`")
        };
        self.add(self.at("ForcedTargetUrl"), Diagnostic::warning(Code::TargetUrl, message).help(help));
    }

    /// `truth` is what they come to, if that is the same for every request.
    fn triggers(&self, truth: Option<bool>) {
        let Some(node) = self.node.get("Triggers") else { return };
        for trigger in node.as_array().unwrap_or_default() {
            self.keys(trigger, TRIGGER_KEYS);
            self.word(trigger, "LogicalOperator", &["And", "Or"], "all parts must be true, as with `And`");
            trigger.get("TriggerParts").and_then(Node::as_array).unwrap_or_default().iter().for_each(|part| {
                self.part(part);
            });
        }
        if truth == Some(false) {
            let message = "the integration never matches: no trigger of it can be true";
            self.add(node, Diagnostic::warning(Code::Constant, message));
        }
    }

    fn part(&self, part: &Node) {
        self.keys(part, PART_KEYS);
        self.word(part, "ValidatorType", VALIDATORS, "the part is never true, not even negated");
        let operators = ["Equals", "Contains", "EqualsAny", "ContainsAny"];
        self.word(part, "Operator", &operators, "the part is never true, not even negated");
        let key = match part.get("ValidatorType").and_then(Node::as_text) {
            Some("UrlValidator") => {
                let parts = ["HostName", "PagePath", "PageUrl"];
                return self.word(part, "UrlPart", &parts, "the part looks at an empty text");
            }
            Some("CookieValidator") => "CookieName",
            Some("HttpHeaderValidator") => "HttpHeaderName",
            _ => return,
        };
        if part.get(key).and_then(Node::as_text).is_none_or(str::is_empty) {
            let message = format!("`{key}` is missing, so the part looks at an empty text");
            self.add(part, Diagnostic::warning(Code::IgnoredValue, message));
        }
    }

    /// Reports a word that the engine does not know; `so` is what it makes of that.
    fn word(&self, node: &Node, key: &str, known: &[&'static str], so: &str) {
        let Some(value) = node.get(key).filter(|value| value.value != Value::Null) else {
            if !matches!(key, "RedirectLogic" | "LogicalOperator") {
                let message = format!("`{key}` is missing, so {so}");
                self.add(node, Diagnostic::warning(Code::IgnoredValue, message));
            }
            return;
        };
        let word = value.as_text().unwrap_or_default();
        if !known.contains(&word) {
            let found = value.as_text().map_or(value.kind().to_owned(), |text| format!("`{text}`"));
            let problem = Diagnostic::warning(Code::IgnoredValue, format!("`{key}` cannot be {found}, so {so}"));
            let all = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let help = did_you_mean(word, known.iter().copied()).unwrap_or(format!("it is one of {all}"));
            self.add(value, problem.help(help));
        }
    }

    /// Reports unknown keys that look like misspelt ones; the engine ignores all unknown keys, and so do we.
    fn keys(&self, node: &Node, known: &[&'static str]) {
        for member in node.members() {
            if known.contains(&member.key.as_ref()) {
                continue;
            }
            if let Some(meant) = nearest(&member.key, known.iter().copied()).filter(|meant| node.get(meant).is_none()) {
                let message = format!("there is no key `{}`, so it is ignored", member.key);
                let problem = Diagnostic::warning(Code::UnknownKey, message).help(format!("did you mean `{meant}`?"));
                self.file.add(member.span.clone(), problem.about(&self.subject));
            }
        }
    }

    fn broken(&self, key: &str, message: &str, help: &str) {
        let problem = if self.is_delivered { Diagnostic::warning } else { Diagnostic::error };
        self.add(self.at(key), problem(Code::BrokenIntegration, message.to_owned()).help(help));
        self.broken.borrow_mut().get_or_insert_with(|| message.to_owned());
    }

    fn surprise(&self, key: &str, message: &str, help: &str) {
        self.add(self.at(key), Diagnostic::warning(Code::Surprise, message).help(help));
    }

    /// The value of a key, or the integration where there is none.
    fn at(&self, key: &str) -> &Node<'_> {
        self.node.get(key).unwrap_or(self.node)
    }

    fn add(&self, node: &Node, problem: Diagnostic) {
        let end = if matches!(node.value, Value::Object(_) | Value::Array(_)) { node.at + 1 } else { node.end };
        self.file.add(node.at..end, problem.about(&self.subject));
    }
}
