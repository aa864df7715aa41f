//! What the operator can count (`/metrics`, OpenMetrics text).

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use velvetrope::internal::edge::{Refusal, UnknownHosts, unknown_host};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labelled {
    decision: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WithOutcome {
    source: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ForHost {
    host: String,
}

/// Counters of one host, and those that it has registered besides.
pub(crate) struct Metrics {
    registry: Registry,
    decisions: Family<Labelled, Counter>,
    loads: Family<WithOutcome, Counter>,
    deciding: Histogram,
    misdirected: Family<ForHost, Counter>,
    unknown_hosts: UnknownHosts,
    /// Requests that came while there was too much to do.
    pub overloaded: Counter,
    /// Connections that are open.
    pub connections: Gauge,
    /// How many policies are in force.
    pub policies_in_force: Gauge,
    /// How many integrations are broken in them.
    pub broken_integrations: Gauge,
}

impl Metrics {
    /// For what a host counts besides.
    pub(crate) fn registry() -> Registry {
        Registry::with_prefix("velvetrope")
    }

    pub(crate) fn new(mut registry: Registry) -> Metrics {
        let decisions = Family::default();
        registry.register("decisions", "Requests decided about, by what was decided", decisions.clone());
        let loads = Family::default();
        registry.register("policy_loads", "Attempts to put a policy in force", loads.clone());
        let deciding = Histogram::new([1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2]);
        registry.register_with_unit("decision", "Time it took to decide", Unit::Seconds, deciding.clone());
        let misdirected = Family::default();
        let help = "Requests refused with 421, by the host that they were for, which is not among `hosts`, unless \
                    `unknown_hosts` is `pass`; the first hosts by name";
        registry.register("misdirected", help, misdirected.clone());
        let overloaded = Counter::default();
        registry.register("overloaded", "Requests that came while there was too much to do", overloaded.clone());
        let [connections, policies_in_force, broken_integrations] = [(); 3].map(|()| Gauge::default());
        registry.register("connections", "Connections that are open", connections.clone());
        registry.register("policy_in_force", "Policies that are in force", policies_in_force.clone());
        let help = "Integrations in force that are broken, so that the failure policy decides about their visitors";
        registry.register("broken_integrations", help, broken_integrations.clone());
        Metrics {
            registry,
            decisions,
            loads,
            deciding,
            misdirected,
            unknown_hosts: UnknownHosts::default(),
            overloaded,
            connections,
            policies_in_force,
            broken_integrations,
        }
    }

    pub(crate) fn decided(&self, decision: &'static str, took: Duration) {
        self.decisions.get_or_create(&Labelled { decision }).inc();
        self.deciding.observe(took.as_secs_f64());
    }

    /// A request for a host that is not the site's: counts it, and says so once for each host, for as many as are told apart.
    pub(crate) fn misdirected(&self, host: &str) {
        let refusal = self.unknown_hosts.note(host);
        if refusal == Refusal::First {
            tracing::warn!(host, "requests are answered with 421: {}", unknown_host(host));
        }
        let host = if refusal == Refusal::OneOfMany { "other" } else { host };
        self.misdirected.get_or_create(&ForHost { host: host.to_owned() }).inc();
    }

    pub(crate) fn loaded(&self, source: &'static str, outcome: &'static str) {
        self.loads.get_or_create(&WithOutcome { source, outcome }).inc();
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        encode(&mut text, &self.registry).unwrap_or_default();
        text
    }
}

/// Counts something for as long as it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn new(gauge: &Gauge) -> Counted {
        gauge.inc();
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
