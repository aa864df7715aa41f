//! One HTTP request's way through its stream: what the proxy in front tells → what it shall do. No I/O, no clock.

use super::facts::CalloutFacts;
use super::messages::{self, Message};
use super::proto::envoy::config::core::v3::HeaderValueOption;
use super::proto::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use super::request::Asked;
use crate::connector::edge::{self, FailureClass, Header, Identity, Incoming, Outcome, Reply, Site, VERDICT_HEADER};
use crate::host::serving::Event;
use crate::host::serving::keeper::State;
use crate::program::Scratch;

/// What all exchanges are answered by.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub state: &'c State,
    /// Whose state it is, where there are several.
    pub policy: Option<&'c str>,
    pub identity: &'c Identity,
    pub now_ms: i64,
    /// Fills bytes with randomness, and says whether it could.
    pub random: fn(&mut [u8]) -> bool,
}

/// One HTTP request, from its headers to those of its response.
#[derive(Default)]
pub(super) struct Exchange {
    is_decided: bool,
    /// What the response's headers are to get.
    pending: Vec<HeaderValueOption>,
}

/// A decision: the answer, and what is to be told of it, with status 200 for a request that goes on.
pub(super) struct Step {
    pub response: ProcessingResponse,
    pub event: Event,
}

impl Exchange {
    /// Whether the request has been decided about.
    pub(super) fn is_decided(&self) -> bool {
        self.is_decided
    }

    /// Answers a message that asks for no decision, in its kind and at once; empty where there is nothing to do. `None`
    /// for the one that does: the request's headers, the first time.
    pub(super) fn follow(&mut self, kind: Message) -> Option<ProcessingResponse> {
        match kind {
            Message::RequestHeaders if !self.is_decided => None,
            Message::ResponseHeaders => Some(messages::response_headers(std::mem::take(&mut self.pending))),
            _ => Some(kind.empty()),
        }
    }

    /// Applies the failure policy to the request.
    pub(super) fn fail(&mut self, why: &str, context: Context<'_>, scratch: &mut Scratch) -> Step {
        let reply = failed(context, FailureClass::Internal, why, scratch);
        self.carry_out(context, &reply, None)
    }

    /// Decides about the request.
    pub(super) fn decide(&mut self, message: &ProcessingRequest, context: Context<'_>, scratch: &mut Scratch) -> Step {
        let asked = match Asked::of(message, context.state.settings().map_or(0, |settings| settings.proxy.trusted_hops))
        {
            Ok(asked) => asked,
            Err(malformed) => {
                let reply = edge::refuse(malformed, context.identity, scratch);
                return self.carry_out(context, &reply, None);
            }
        };
        let deployment = match context.state {
            State::InForce(deployment) => deployment,
            State::Absent { class, why, .. } => {
                return self.carry_out(context, &failed(context, *class, why, scratch), Some(&asked));
            }
        };
        let facts = CalloutFacts {
            geo: deployment.geo.of(asked.client_ip),
            settings: &deployment.policy.settings.google_cloud,
            headers: &asked.headers,
            random: context.random,
        };
        let mut headers = asked.headers.clone();
        headers.push(("host", asked.url.authority().as_bytes()));
        let incoming = Incoming {
            method: asked.method,
            url: &asked.url,
            version: asked.version,
            headers: &headers,
            client_ip: asked.client_ip,
            body: "",
            now_ms: context.now_ms,
            facts: &facts,
        };
        let site = Site { policy: &deployment.policy, secrets: &deployment.secrets, identity: context.identity };
        self.carry_out(context, &edge::handle(site, &incoming, scratch), Some(&asked))
    }

    fn carry_out(&mut self, context: Context<'_>, reply: &Reply<'_>, asked: Option<&Asked<'_>>) -> Step {
        self.is_decided = true;
        let is_told = asked.is_some_and(|asked| asked.headers.iter().any(|(name, _)| *name == VERDICT_HEADER));
        let (response, status) = match reply.outcome {
            Outcome::Answer { status, headers, body } => {
                (messages::immediate(status, set(headers), body, reply.label), status)
            }
            Outcome::Forward { request_headers, response_headers } => {
                // A bypassed request passes untouched, so that its response need not come by here.
                let is_untouched = reply.label == "bypass";
                if !is_untouched {
                    self.pending = set(response_headers);
                }
                (messages::go_on(set(request_headers), is_told.then_some(VERDICT_HEADER), is_untouched), 200)
            }
        };
        let mut event = match asked {
            Some(asked) => asked.event(),
            None => Event::new("", "", "", None),
        };
        event.policy = context.policy.map(str::to_owned);
        event.decision = reply.label;
        event.failed = reply.failed.map(str::to_owned);
        event.status = status;
        event.judged(reply.verdict, context.state);
        context.state.count(reply.verdict);
        Step { response, event }
    }
}

fn failed<'r>(context: Context<'r>, class: FailureClass, why: &'r str, scratch: &'r mut Scratch) -> Reply<'r> {
    let policy = context.state.settings().map(|settings| settings.failure).unwrap_or_default();
    edge::handle_failure(class, &policy, context.identity, why, scratch)
}

fn set(headers: &[Header<'_>]) -> Vec<HeaderValueOption> {
    headers.iter().filter_map(|(name, value)| messages::set_header(name, value)).collect()
}

#[cfg(test)]
mod tests;
