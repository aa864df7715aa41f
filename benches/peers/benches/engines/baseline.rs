//! What one would write by hand, or take from a library for this one purpose.

use std::net::IpAddr;

use aho_corasick::AhoCorasick;
use ip_network::IpNetwork;
use ip_network_table::IpNetworkTable as Table;
use ipnet::{Ipv4Net, Ipv6Net};
use prefix_trie::PrefixSet;
use regex::RegexSet;

use super::Engine;
use crate::Visit;
use crate::workload::networks::Network;

/// One automaton of all substrings.
pub struct AhoCorasickEngine(AhoCorasick);

impl AhoCorasickEngine {
    pub fn new(parts: &[String]) -> Self {
        AhoCorasickEngine(AhoCorasick::new(parts).expect("it can be built"))
    }
}

impl Engine for AhoCorasickEngine {
    fn name(&self) -> &'static str {
        "aho-corasick 1.1"
    }

    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        let found = self.0.find_overlapping_iter(visit.asked.agent).map(|found| found.pattern().as_usize());
        found.min()
    }
}

/// One automaton of all substrings as regular expressions.
pub struct RegexSetEngine(RegexSet);

impl RegexSetEngine {
    pub fn new(parts: &[String]) -> Self {
        RegexSetEngine(RegexSet::new(parts.iter().map(|part| regex::escape(part))).expect("it can be built"))
    }
}

impl Engine for RegexSetEngine {
    fn name(&self) -> &'static str {
        "regex 1.13, RegexSet"
    }

    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        self.0.matches(visit.asked.agent).iter().next()
    }
}

/// The standard library's search, substring after substring.
pub struct OneByOne(Vec<String>);

impl OneByOne {
    pub fn new(parts: &[String]) -> Self {
        OneByOne(parts.to_vec())
    }
}

impl Engine for OneByOne {
    fn name(&self) -> &'static str {
        "str::contains, one by one"
    }

    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        self.0.iter().position(|part| visit.asked.agent.contains(part.as_str()))
    }
}

/// A trie for each version of IP.
pub struct PrefixTrie {
    v4: PrefixSet<Ipv4Net>,
    v6: PrefixSet<Ipv6Net>,
}

impl PrefixTrie {
    pub fn new(networks: &[Network]) -> Self {
        let mut tries = PrefixTrie { v4: PrefixSet::new(), v6: PrefixSet::new() };
        for &(first, bits) in networks {
            match first {
                IpAddr::V4(first) => tries.v4.insert(Ipv4Net::new_assert(first, bits)),
                IpAddr::V6(first) => tries.v6.insert(Ipv6Net::new_assert(first, bits)),
            };
        }
        tries
    }
}

impl Engine for PrefixTrie {
    fn name(&self) -> &'static str {
        "prefix-trie 0.10"
    }

    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        let is_in = match visit.asked.address {
            IpAddr::V4(address) => self.v4.get_spm(&address.into()).is_some(),
            IpAddr::V6(address) => self.v6.get_spm(&address.into()).is_some(),
        };
        is_in.then_some(0)
    }
}

pub struct IpNetworkTable(Table<()>);

impl IpNetworkTable {
    pub fn new(networks: &[Network]) -> Self {
        let mut table = Table::new();
        for &(first, bits) in networks {
            table.insert(IpNetwork::new(first, bits).expect("it is a network"), ());
        }
        IpNetworkTable(table)
    }
}

impl Engine for IpNetworkTable {
    fn name(&self) -> &'static str {
        "ip_network_table 0.2"
    }

    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        self.0.longest_match(visit.asked.address).map(|_| 0)
    }
}
