//! What the operator can count (`/metrics`, OpenMetrics text).

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labelled {
    decision: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WithOutcome {
    source: &'static str,
    outcome: &'static str,
}

/// Counters of one proxy.
pub(super) struct Metrics {
    registry: Registry,
    decisions: Family<Labelled, Counter>,
    origin_errors: Family<OfKind, Counter>,
    refused: Family<OfKind, Counter>,
    loads: Family<WithOutcome, Counter>,
    deciding: Histogram,
    answering: Histogram,
    /// Connections of visitors that are open.
    pub connections: Gauge,
    /// Connections that changed their protocol, such as WebSockets.
    pub tunnels: Gauge,
    /// 1 while a policy is in force.
    pub policy_in_force: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("velvetrope");
        let decisions = Family::default();
        registry.register("decisions", "Requests decided about, by what was decided", decisions.clone());
        let origin_errors = Family::default();
        registry.register("origin_errors", "Requests that the origin did not answer, by why", origin_errors.clone());
        let refused = Family::default();
        registry.register("refused", "Requests refused before a decision, by why", refused.clone());
        let loads = Family::default();
        registry.register("policy_loads", "Attempts to put a policy in force", loads.clone());
        let deciding = Histogram::new([1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2]);
        registry.register_with_unit("decision", "Time it took to decide", Unit::Seconds, deciding.clone());
        let answering = Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
        registry.register_with_unit("response_head", "Time until an answer began", Unit::Seconds, answering.clone());
        let [connections, tunnels, policy_in_force] = [Gauge::default(), Gauge::default(), Gauge::default()];
        registry.register("connections", "Connections of visitors that are open", connections.clone());
        registry.register("tunnels", "Connections that changed their protocol", tunnels.clone());
        registry.register("policy_in_force", "1 while a policy is in force", policy_in_force.clone());
        Metrics {
            registry,
            decisions,
            origin_errors,
            refused,
            loads,
            deciding,
            answering,
            connections,
            tunnels,
            policy_in_force,
        }
    }

    pub(super) fn decided(&self, decision: &'static str, took: Duration) {
        self.decisions.get_or_create(&Labelled { decision }).inc();
        self.deciding.observe(took.as_secs_f64());
    }

    pub(super) fn answered(&self, took: Duration) {
        self.answering.observe(took.as_secs_f64());
    }

    pub(super) fn origin_failed(&self, kind: &'static str) {
        self.origin_errors.get_or_create(&OfKind { kind }).inc();
    }

    pub(super) fn refused(&self, kind: &'static str) {
        self.refused.get_or_create(&OfKind { kind }).inc();
    }

    pub(super) fn loaded(&self, source: &'static str, outcome: &'static str) {
        self.loads.get_or_create(&WithOutcome { source, outcome }).inc();
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        encode(&mut text, &self.registry).unwrap_or_default();
        text
    }
}

/// Counts something for as long as it lives.
pub(super) struct Counted(Gauge);

impl Counted {
    pub(super) fn new(gauge: &Gauge) -> Counted {
        gauge.inc();
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
