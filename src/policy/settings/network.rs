//! Networks in settings.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

/// An address or a network, such as `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`. One of IPv4 addresses that is written in
/// IPv6's form (`::ffff:10.0.0.0/104`) is the one of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

/// Why a text is not a [`Network`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It is something else.
    #[error("`{0}` is not an address or network")]
    Malformed(String),
    /// It names an address in the network, not the network.
    #[error("`{text}` has bits set behind its prefix; write `{meant}`")]
    BitsBehindPrefix {
        /// What was written.
        text: String,
        /// The network that the address is in.
        meant: IpNet,
    },
}

impl Network {
    /// Whether an address is in it, in whichever form it is written.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse::<IpNet>());
        let network = network.map_err(|_| NetworkError::Malformed(text.to_owned()))?;
        if network.addr() != network.network() {
            return Err(NetworkError::BitsBehindPrefix { text: text.to_owned(), meant: network.trunc() });
        }
        Ok(Network(canonical(network)))
    }
}

fn canonical(network: IpNet) -> IpNet {
    let prefix = network.prefix_len().checked_sub(96);
    match (network.network().to_canonical(), prefix) {
        (IpAddr::V4(address), Some(prefix)) if network.network().is_ipv6() => {
            Ipv4Net::new(address, prefix).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_however_both_are_written() {
        let is_in = |address: &str, network: &str| {
            let network: Network = network.parse().expect("a network");
            network.contains(address.parse().expect("an address"))
        };
        for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104", "10.1.2.3", "::ffff:10.1.2.3", "0.0.0.0/0"] {
            assert!(is_in("10.1.2.3", network), "{network}");
            assert!(is_in("::ffff:10.1.2.3", network), "{network}");
            assert!(!is_in("2001:db8::1", network), "{network}");
        }
        assert!(is_in("2001:db8::1", "2001:db8::/32") && !is_in("2001:db9::1", "2001:db8::/32"));
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "front.example", "", "10.0.0.0/8 "] {
            assert!(bad.parse::<Network>().is_err(), "{bad:?}");
        }
    }
}
