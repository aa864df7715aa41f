//! Queue: a visitor needs a session (docs/protocol/queue-it.md#queue).

use super::config::{QueueConfig, each_once};
use super::cookie::{NewSession, Session, SetCookie};
use super::debug::Debug;
use super::decision::{Decision, Exception, Kind, Reason, Stop};
use super::encoding::lower_case;
use super::outside::{Answers, DirectPassCall, DirectPassSettings, Question, QueueIdUse};
use super::redirect;
use super::sessions::{self, Found, with_cookies};
use super::token::{Token, TokenError};
use super::visit::Visit;
use crate::policy::{Number, number_text};

impl<'v> QueueConfig<'v> {
    fn check(&self, visit: &Visit<'_>) -> Result<Checked<'v>, Exception> {
        let required = |value: &'v str, name| match value {
            "" => Err(Exception::Missing(name)),
            value => Ok(value),
        };
        visit.check_credentials()?;
        Ok(Checked {
            event_id: required(self.event_id.unwrap_or_default(), "queueConfig.eventId")?,
            queue_domain: required(self.queue_domain.unwrap_or_default(), "queueConfig.queueDomain")?,
            validity_minutes: match self.cookie_validity_minute {
                Number::Missing => f64::NAN,
                Number::Is(minutes) if minutes > 0.0 || minutes.is_nan() => minutes,
                _ => return Err(Exception::NotPositive("queueConfig.cookieValidityMinute")),
            },
        })
    }
}

/// What a Queue action cannot do without.
struct Checked<'v> {
    event_id: &'v str,
    queue_domain: &'v str,
    validity_minutes: f64,
}

/// One Queue action on its way to a decision.
struct Queue<'a, 'v> {
    visit: &'a Visit<'v>,
    config: &'a QueueConfig<'v>,
    checked: Checked<'v>,
    /// The room and those involved, each once.
    rooms: &'v [&'v str],
    target: &'v str,
    answers: &'a Answers,
}

/// Decides about a visitor who needs a session. `target` is where the waiting room shall send them in the end.
pub(super) fn queue<'v>(
    visit: &Visit<'v>,
    config: &QueueConfig<'v>,
    target: &'v str,
    answers: &Answers,
    debug: &mut Debug<'v>,
) -> Result<Decision<'v>, Stop<'v>> {
    debug.of_queue(visit, Some(config), target);
    let checked = config.check(visit)?;
    let rooms = each_once(checked.event_id, config.involved_rooms, visit.arena);
    Queue { visit, config, checked, rooms, target, answers }.decide(debug)
}

impl<'v> Queue<'_, 'v> {
    fn decide(&self, debug: &mut Debug<'v>) -> Result<Decision<'v>, Stop<'v>> {
        let visit = self.visit;
        let token = Some(&visit.token).filter(|token| token.is_given());
        let found = sessions::first_valid(visit, self.rooms, self.checked.validity_minutes);
        let verdict = token.map(|token| self.validate(token));

        if !self.is_queue_id_allowed(&found, token.filter(|_| verdict == Some(Ok(()))))? {
            let cookies = match found {
                Found::Valid { .. } => self.config.cookies().delete_present(visit, self.rooms),
                _ => &[],
            };
            return Ok(self.error("qidlimit", None, Reason::QueueIdRefused, cookies));
        }
        if let Found::Valid { room, session } = &found {
            return Ok(self.pass_with_session(room, session));
        }
        if let (Some(token), Some(Ok(()))) = (token, verdict) {
            return Ok(self.pass_with_token(token, Reason::TokenValid));
        }

        let cookies = self.config.cookies().delete_present(visit, self.rooms);
        if let (Some(token), Some(Err(error))) = (token, verdict)
            && token.redirect_type.is_none_or(|kind| lower_case(kind) != "debug")
        {
            let icr =
                (error == TokenError::Ip).then(|| redirect::ip_reason(visit, token.hashed_ip.unwrap_or_default()));
            return Ok(self.error(error.code(), icr, Reason::TokenRefused(error), cookies));
        }
        if let Found::Invalid { session, .. } = &found
            && found.is_of_other_ip()
        {
            let icr = redirect::session_reason(visit, session);
            return Ok(self.error("connector/sessionstate", Some(icr), Reason::SessionOfOtherIp, cookies));
        }
        if let Some(mut decision) = self.direct_pass(debug)? {
            decision.cookies = with_cookies(visit, cookies, decision.cookies);
            return Ok(decision);
        }
        self.send_to_queue(Reason::MustQueue(found.fault()), cookies)
    }

    fn validate(&self, token: &Token<'_>) -> Result<(), TokenError> {
        let client_ip = self.visit.client_ip_for(token.hashed_ip.unwrap_or_default());
        token.validate(self.visit.secrets, self.rooms.iter().copied(), client_ip, self.visit.token_deadline())
    }

    /// Verify action (docs/protocol/queue-it.md#verify-action): asked on every request that would pass.
    fn is_queue_id_allowed(&self, found: &Found<'v>, valid_token: Option<&Token<'v>>) -> Result<bool, Stop<'v>> {
        let queue_id = match found {
            Found::Valid { session, .. } => Some(session.queue_id),
            _ => valid_token.and_then(|token| token.queue_id),
        };
        let Some(queue_id) = queue_id.filter(|id| self.config.verify_queue_id && !id.is_empty()) else {
            return Ok(true);
        };
        if !self.visit.services.verify_queue_id {
            return Err(Exception::NoVerifyService.into());
        }
        match &self.answers.queue_id_allowed {
            Some(answer) => Ok(answer.clone().map_err(Exception::Outside)?),
            None => Err(Stop::Ask(Question::VerifyQueueId(self.visit.arena.alloc(QueueIdUse {
                customer_id: self.visit.customer_id,
                event_id: self.checked.event_id,
                queue_id,
                usage_limit: self.config.queue_id_usage_limit,
                action_name: self.config.action_name,
                url: self.visit.url,
                client_ip: self.visit.client_ip(),
                user_agent: self.visit.header("user-agent"),
            })))),
        }
    }

    fn pass_with_session(&self, room: &str, session: &Session<'v>) -> Decision<'v> {
        let is_renewed = self.config.extend_cookie_validity && session.is_extendable();
        let renewed = NewSession {
            event_id: room,
            queue_id: session.queue_id,
            fixed_validity: "",
            redirect_type: session.redirect_type,
            hashed_ip: session.hashed_ip,
        };
        Decision {
            queue_id: Some(session.queue_id),
            redirect_type: Some(session.redirect_type),
            cookies: if is_renewed { self.session_cookie(renewed) } else { &[] },
            ..self.decision(Reason::SessionValid)
        }
    }

    /// The session is for the token's room, which may be one of those involved.
    fn pass_with_token(&self, token: &Token<'v>, reason: Reason) -> Decision<'v> {
        let redirect_type = token.redirect_type.unwrap_or_default();
        let cookie = self.session_cookie(NewSession {
            event_id: token.event_id.unwrap_or_default(),
            queue_id: token.queue_id.unwrap_or_default(),
            fixed_validity: &token.validity_minutes.map_or(String::new(), number_text),
            redirect_type,
            hashed_ip: token.hashed_ip.unwrap_or_default(),
        });
        Decision {
            queue_id: token.queue_id,
            redirect_type: Some(redirect_type),
            cookies: cookie,
            ..self.decision(reason)
        }
    }

    /// Direct pass (docs/protocol/queue-it.md#direct-pass): asked only when neither session nor token settled it.
    /// `None`: the visitor must queue.
    fn direct_pass(&self, debug: &mut Debug<'v>) -> Result<Option<Decision<'v>>, Stop<'v>> {
        let Some(settings) = self.visit.services.direct_pass else { return Ok(None) };
        if settings.disabled {
            debug.set("DirectActionDisabled", "true");
            return Ok(None);
        }
        debug.of_direct_pass(&settings);
        let Some(answer) = &self.answers.direct_pass else {
            return Err(Stop::Ask(self.direct_pass_question(&settings)));
        };
        match answer {
            Err(_) => {
                debug.set("DirectPassResult", "Timeout");
                Ok(Some(self.pass_for_now()))
            }
            Ok(reply) if !reply.has_passed => {
                debug.set("DirectPassResult", "NotPassed");
                Ok(None)
            }
            Ok(reply) => {
                debug.set("DirectPassResult", "HasPassed");
                let text: &'v str = self.visit.arena.alloc_str(reply.token.as_deref().unwrap_or_default());
                let token = Token::parse(text);
                match self.validate(&token) {
                    Ok(()) => Ok(Some(self.pass_with_token(&token, Reason::DirectPass))),
                    Err(_) => Ok(None),
                }
            }
        }
    }

    fn direct_pass_question(&self, settings: &DirectPassSettings<'v>) -> Question<'v> {
        Question::DirectPass(self.visit.arena.alloc(DirectPassCall {
            customer_id: self.visit.customer_id,
            event_id: self.checked.event_id,
            action_name: self.config.action_name,
            protected_url: self.visit.url,
            proxy_key: settings.proxy_key,
            client_ip: self.visit.client_ip(),
            user_agent: self.visit.header("user-agent"),
            referer: self.visit.header("referer"),
            timeout_ms: settings.timeout_used(),
            sdk: self.visit.sdk,
        }))
    }

    /// The direct-pass service gave no answer: the visitor passes for three minutes.
    fn pass_for_now(&self) -> Decision<'v> {
        let session = NewSession {
            event_id: self.checked.event_id,
            fixed_validity: "3",
            redirect_type: "timeout",
            ..Default::default()
        };
        Decision {
            redirect_type: Some("timeout"),
            cookies: self.session_cookie(session),
            ..self.decision(Reason::DirectPassFailed)
        }
    }

    fn send_to_queue(&self, reason: Reason, cookies: &'v [SetCookie<'v>]) -> Result<Decision<'v>, Stop<'v>> {
        let enqueue_token = match &self.answers.enqueue_token {
            _ if !self.visit.services.enqueue_token => None,
            None => return Err(Stop::Ask(Question::EnqueueToken { event_id: self.checked.event_id })),
            Some(answer) => answer.clone().map_err(Exception::Outside)?,
        };
        let url = self.place().queue(self.target, enqueue_token.as_deref().unwrap_or_default());
        Ok(Decision { redirect: Some(url), cookies, ..self.decision(reason) })
    }

    fn error(&self, code: &str, icr: Option<&str>, reason: Reason, cookies: &'v [SetCookie<'v>]) -> Decision<'v> {
        let url = self.place().error(code, icr.unwrap_or_default(), self.target);
        Decision { redirect: Some(url), cookies, ..self.decision(reason) }
    }

    fn place(&self) -> redirect::Place<'_, 'v> {
        redirect::Place {
            visit: self.visit,
            config: self.config,
            event_id: self.checked.event_id,
            queue_domain: self.checked.queue_domain,
        }
    }

    fn session_cookie(&self, session: NewSession<'_>) -> &'v [SetCookie<'v>] {
        let value = session.sign(self.visit.secrets.current(), self.visit.now(), self.visit.arena);
        let cookie = self.config.cookies().session(self.visit, session.event_id, value);
        std::slice::from_ref(self.visit.arena.alloc(cookie))
    }

    fn involved_rooms(&self) -> &'v [&'v str] {
        self.visit.arena.alloc_slice_fill_iter(self.config.involved_rooms.iter().map(String::as_str))
    }

    fn decision(&self, reason: Reason) -> Decision<'v> {
        Decision {
            kind: Some(Kind::Queue),
            reason,
            event_id: Some(self.checked.event_id),
            action_name: self.config.action_name,
            waiting_rooms: Some(self.involved_rooms()),
            ajax: Some(self.visit.is_ajax()),
            ..Decision::nothing()
        }
    }
}
