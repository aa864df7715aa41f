//! What only the proxy counts.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

pub(super) struct Counters {
    origin_errors: Family<OfKind, Counter>,
    refused: Family<OfKind, Counter>,
    answering: Histogram,
    /// Connections that changed their protocol, such as WebSockets.
    pub tunnels: Gauge,
}

impl Counters {
    pub(super) fn new(registry: &mut Registry) -> Counters {
        let origin_errors = Family::default();
        registry.register("origin_errors", "Requests that the origin did not answer, by why", origin_errors.clone());
        let refused = Family::default();
        registry.register("refused", "Requests refused before a decision, by why", refused.clone());
        let answering = Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
        registry.register_with_unit("response_head", "Time until an answer began", Unit::Seconds, answering.clone());
        let tunnels = Gauge::default();
        registry.register("tunnels", "Connections that changed their protocol", tunnels.clone());
        Counters { origin_errors, refused, answering, tunnels }
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
}
