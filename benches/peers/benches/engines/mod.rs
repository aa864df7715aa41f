//! Engines behind one face.

use std::net::IpAddr;

use velvetrope::internal::request::{Field, OwnedRequest, OwnedValue};

use crate::Visit;

mod atree;
mod baseline;
mod cel;
mod velvetrope_engine;
mod wirefilter;
mod zen;

pub use atree::ATreeEngine;
pub use baseline::{AhoCorasickEngine, IpNetworkTable, OneByOne, PrefixTrie, RegexSetEngine};
pub use cel::CelEngine;
pub use velvetrope_engine::VelvetropeEngine;
pub use wirefilter::WirefilterEngine;
pub use zen::ZenEngine;

/// Something that holds rules in order.
pub trait Engine {
    fn name(&self) -> &'static str;

    /// The first rule that is true. What the engine needs of the request is built anew.
    fn first_true(&mut self, visit: &'static Visit) -> Option<usize>;
}

/// What rules ask of a request, cut ready.
pub struct Asked<'r> {
    pub host: &'r str,
    pub path: &'r str,
    pub query: &'r str,
    pub agent: &'r str,
    pub address: IpAddr,
    pub country: &'r str,
    pub asn: i64,
}

impl<'r> Asked<'r> {
    pub fn new(request: &'r OwnedRequest) -> Self {
        let rest = request.url.split_once("://").map_or("", |(_, rest)| rest);
        let (host, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let agent = request.headers.iter().find(|(name, _)| name == "User-Agent").map(|(_, value)| value.as_slice());
        let country = match request.facts.get(&Field::IpSrcCountry) {
            Some(OwnedValue::Bytes(country)) => country.as_slice(),
            _ => b"",
        };
        let asn = match request.facts.get(&Field::IpSrcAsnum) {
            Some(OwnedValue::Int(asn)) => *asn,
            _ => 0,
        };
        let text = |bytes: &'r [u8]| std::str::from_utf8(bytes).expect("requests are text");
        Asked {
            host,
            path,
            query,
            agent: text(agent.unwrap_or_default()),
            address: request.client_ip.expect("requests have an address"),
            country: text(country),
            asn,
        }
    }

    /// The address as a number, for engines that know no addresses.
    pub fn address_number(&self) -> i64 {
        match self.address {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(_) => -1,
        }
    }
}
