//! What the callout knows of a request besides the request.

use bumpalo::Bump;

use crate::geo::GeoFacts;
use velvetrope::internal::edge::Arrivals;
use velvetrope::internal::policy::GoogleCloud;
use velvetrope::internal::request::{Facts, Field, Value};

/// What the load balancer says comes first, databases second.
pub(super) struct CalloutFacts<'c> {
    pub geo: GeoFacts<'c>,
    /// Which headers are the load balancer's.
    pub settings: &'c GoogleCloud,
    pub headers: &'c [(&'c str, &'c [u8])],
    /// See [`super::exchange::Context`].
    pub random: fn(&mut [u8]) -> bool,
    pub arrivals: &'c Arrivals,
}

impl Facts for CalloutFacts<'_> {
    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        self.settings.said(field, self.headers).unwrap_or_else(|| self.elsewhere(field, arena))
    }

    fn note_arrival(&self, arrival: &str, now: i64) -> bool {
        self.arrivals.note(arrival, now)
    }
}

impl CalloutFacts<'_> {
    fn elsewhere<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        if field == Field::CfRandomSeed {
            let seed = arena.alloc([0; 16]);
            return (self.random)(seed).then_some(Value::Bytes(seed));
        }
        self.geo.fact(field, arena)
    }
}
