//! One decision and what came of it, for logs and for those who want to be told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::keeper::State;
use velvetrope::internal::edge;
use velvetrope::internal::program::Verdict;

/// Is told of every decision.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// One decision and what came of it. It holds no query, token or cookie.
#[derive(Clone, Debug)]
pub struct Event {
    /// The method.
    pub method: String,
    /// The host asked for.
    pub host: String,
    /// The path asked for, as received.
    pub path: String,
    /// The visitor.
    pub client_ip: Option<IpAddr>,
    /// What was decided; the words of [`velvetrope::internal::edge::Reply::label`].
    pub decision: &'static str,
    /// The policy that decided, where there are several.
    pub policy: Option<String>,
    /// The waiting room it was about.
    pub room: Option<String>,
    /// The bypass rule that was true.
    pub rule: Option<String>,
    /// Why the failure policy was applied, if it was.
    pub failed: Option<String>,
    /// What the request belongs to: its `traceparent`, as [W3C Trace Context](https://www.w3.org/TR/trace-context/)
    /// has it.
    pub trace: Option<String>,
    /// Status of the answer.
    pub status: u16,
    /// Until the answer began.
    pub took: Duration,
}

impl Event {
    /// Something was asked.
    pub(crate) fn new(method: &str, host: &str, path: &str, client_ip: Option<IpAddr>) -> Event {
        Event {
            method: method.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            client_ip,
            decision: "",
            policy: None,
            room: None,
            rule: None,
            failed: None,
            trace: None,
            status: 0,
            took: Duration::default(),
        }
    }

    /// What the request says that it belongs to, unless that is no `traceparent` at all: it goes into logs.
    pub(crate) fn traced(&mut self, traceparent: Option<&[u8]>) {
        let is_one = |text: &&[u8]| {
            let parts = text.split(|byte| *byte == b'-').map(|part| part.len());
            parts.eq([2, 32, 16, 2]) && text.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f'))
        };
        self.trace = traceparent.filter(is_one).map(|text| String::from_utf8_lossy(text).into_owned());
    }

    /// Whether the host that was asked for is not the site's.
    pub(crate) fn is_misdirected(&self) -> bool {
        self.decision == edge::REFUSED && self.status == edge::MISDIRECTED
    }

    /// What the program said becomes a room's and a rule's name.
    pub(crate) fn judged(&mut self, verdict: Option<Verdict>, state: &State) {
        if let (State::InForce(deployment), Some(verdict)) = (state, verdict) {
            let policy = &deployment.policy;
            self.room = policy.matched(verdict).and_then(|integration| integration.event_id.clone());
            if let Verdict::Bypassed { rule, .. } = verdict {
                self.rule = policy.rules().get(rule).map(|rule| rule.id.clone());
            }
        }
    }

    pub(crate) fn log(&self) {
        let Event { method, host, path, decision, status, .. } = self;
        let client = self.client_ip.map(tracing::field::display);
        let (policy, trace) = (self.policy.as_deref(), self.trace.as_deref());
        let (room, rule, failed) = (self.room.as_deref(), self.rule.as_deref(), self.failed.as_deref());
        let ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(method, host, path, client, policy, decision, room, rule, failed, status, ms, trace, "request");
    }
}
