//! One HTTP request's way through its stream: what the proxy in front tells → what it shall do. No I/O, no clock.

use std::borrow::Cow;

use super::facts::CalloutFacts;
use super::messages::{self, Message};
use super::proto::envoy::config::core::v3::HeaderValueOption;
use super::proto::envoy::service::ext_proc::v3::processing_request::Request;
use super::proto::envoy::service::ext_proc::v3::{HttpHeaders, ProcessingRequest, ProcessingResponse};
use super::request::{Asked, forged_trailers, lines_of};
use crate::serving::Event;
use crate::serving::keeper::State;
use velvetrope::internal::edge::{
    self, Arrivals, FailureClass, Header, Identity, Incoming, Outcome, Reply, Site, WayBack,
};
use velvetrope::internal::policy::FailurePolicy;
use velvetrope::internal::program::Scratch;

const CACHE_CONTROL: &str = "cache-control";

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
    /// Who came back lately.
    pub arrivals: &'c Arrivals,
}

/// One HTTP request, from its headers to those of its response.
#[derive(Default)]
pub(super) struct Exchange {
    is_decided: bool,
    /// What the response's headers are to get.
    pending: Vec<HeaderValueOption>,
    /// What else becomes of the response.
    way_back: WayBack,
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
    pub(super) fn follow(&mut self, message: &Request) -> Option<ProcessingResponse> {
        match message {
            Request::RequestHeaders(_) if !self.is_decided => None,
            Request::RequestTrailers(trailers) => Some(messages::request_trailers(forged_trailers(trailers))),
            Request::ResponseHeaders(headers) => Some(self.come_back(headers)),
            other => Some(Message::of(other).empty()),
        }
    }

    /// Says once what is to be done to the response.
    fn come_back(&mut self, headers: &HttpHeaders) -> ProcessingResponse {
        let Exchange { pending, way_back, .. } = std::mem::take(self);
        self.is_decided = true;
        match way_back {
            WayBack::Untouched => messages::response_headers(pending, Vec::new()),
            WayBack::WithoutBody => messages::response_without_body(pending),
            WayBack::Private => {
                let (set, remove) = private(headers, pending);
                messages::response_headers(set, remove)
            }
        }
    }

    /// Applies the failure policy to the request, which `message` tells of if it can be read. What asks for nothing that can
    /// be served is refused all the same.
    pub(super) fn fail(
        &mut self,
        class: FailureClass,
        why: &str,
        message: Option<&ProcessingRequest>,
        context: Context<'_>,
        scratch: &mut Scratch,
    ) -> Step {
        let proxy = context.state.settings().map_or_else(Cow::default, |settings| Cow::Borrowed(&settings.proxy));
        let asked = match message.map(|message| Asked::of(message, &proxy)).transpose() {
            Ok(asked) => asked,
            Err(malformed) => {
                let reply = edge::refuse(malformed, context.identity, scratch);
                return self.carry_out(context, &reply, None);
            }
        };
        let reply = failed(context, class, why, scratch);
        self.carry_out(context, &reply, asked.as_ref())
    }

    /// Answers a request that is longer than can be read, which is its visitor's doing, and no failure.
    pub(super) fn refuse_long(&mut self, context: Context<'_>) -> Step {
        let headers = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")];
        let (status, body) = (431, "the headers are longer than allowed\n");
        let outcome = Outcome::Answer { status, headers: &headers, body };
        self.carry_out(context, &Reply { outcome, verdict: None, failed: None, label: edge::REFUSED }, None)
    }

    /// Decides about the request.
    pub(super) fn decide(&mut self, message: &ProcessingRequest, context: Context<'_>, scratch: &mut Scratch) -> Step {
        let proxy = context.state.settings().map_or_else(Cow::default, |settings| Cow::Borrowed(&settings.proxy));
        let asked = match Asked::of(message, &proxy) {
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
            arrivals: context.arrivals,
        };
        let incoming = Incoming {
            method: asked.method,
            url: &asked.url,
            version: asked.version,
            headers: &asked.headers,
            client_ip: asked.client_ip,
            body: "",
            has_body: asked.has_body,
            now_ms: context.now_ms,
            facts: &facts,
        };
        let site = Site { policy: &deployment.policy, secrets: &deployment.secrets, identity: context.identity };
        self.carry_out(context, &edge::handle(site, &incoming, scratch), Some(&asked))
    }

    fn carry_out(&mut self, context: Context<'_>, reply: &Reply<'_>, asked: Option<&Asked<'_>>) -> Step {
        self.is_decided = true;
        let (response, status) = match reply.outcome {
            Outcome::Answer { status, headers, body } => {
                (messages::immediate(status, set(headers), body, reply.label), status)
            }
            Outcome::Forward { request_headers, response_headers, way_back } => {
                // A bypassed request passes untouched, so that its response need not come by here.
                let is_untouched = reply.label == "bypass";
                if !is_untouched {
                    (self.pending, self.way_back) = (set(response_headers), way_back);
                }
                // Of a request that cannot be read, whatever can be named goes.
                let forged = asked.map_or_else(edge::nameable_forgeries, Asked::forged);
                (messages::go_on(set(request_headers), forged, is_untouched), 200)
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
        context.state.in_force().inspect(|deployment| deployment.count(reply.verdict));
        Step { response, event }
    }
}

fn failed<'r>(context: Context<'r>, class: FailureClass, why: &'r str, scratch: &'r mut Scratch) -> Reply<'r> {
    let policy = context.state.failure(FailurePolicy::default());
    edge::handle_failure(class, &policy, context.identity, why, scratch)
}

/// What is to be set and removed, with what makes a response with these headers private. Cache-Control goes first, so that
/// of several lines none is left.
fn private(headers: &HttpHeaders, mut set: Vec<HeaderValueOption>) -> (Vec<HeaderValueOption>, Vec<String>) {
    let edge::Private { cache_control, unfit } = edge::private(lines_of(headers));
    set.extend(messages::set_header(CACHE_CONTROL, &cache_control));
    (set, unfit.into_iter().chain([CACHE_CONTROL]).map(str::to_owned).collect())
}

fn set(headers: &[Header<'_>]) -> Vec<HeaderValueOption> {
    headers.iter().filter_map(|(name, value)| messages::set_header(name, value)).collect()
}

#[cfg(test)]
mod tests;
