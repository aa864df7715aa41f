//! Long lists of networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use velvetrope::internal::language::expression::IpRange;
use velvetrope::internal::policy::Sources;
use velvetrope::internal::program::List;

use super::integrations;

/// The first address of a network, and how many bits of it are the network's.
pub type Network = (IpAddr, u8);

/// `count` networks that neither touch nor hold one another: /20 to /32, and every tenth a /64 of IPv6. The visitor's
/// address is in none of the first 200,000.
pub fn networks(count: u32) -> Vec<Network> {
    (0..count).map(network).collect()
}

fn network(number: u32) -> Network {
    if number % 10 == 9 {
        let first = 0x2001_0db8 << 96 | u128::from(number) << 65;
        return (IpAddr::V6(Ipv6Addr::from_bits(first)), 64);
    }
    (IpAddr::V4(Ipv4Addr::from_bits(number << 14)), 20 + (number % 13) as u8)
}

/// An address within the network of that number.
pub fn address_in(number: u32) -> IpAddr {
    match network(number).0 {
        IpAddr::V4(first) => IpAddr::V4(first),
        IpAddr::V6(first) => IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() | 0xbeef)),
    }
}

/// The sources of a policy that lets `count` networks pass.
pub fn policy(count: u32) -> Sources {
    const SETTINGS: &str = r#"
        customer_id = "bench"
        integration = "integration.json"
        [rules]
        room0 = "rules.json"
        [lists]
        networks = "networks.txt"
    "#;
    const RULES: &str = r#"[{"action": "bypass_waiting_room", "expression": "ip.src in $networks"}]"#;
    let networks: String = networks(count).iter().map(|(first, bits)| format!("{first}/{bits}\n")).collect();
    let files = [
        ("velvetrope.toml", SETTINGS),
        ("integration.json", &integrations::document(1)),
        ("rules.json", RULES),
        ("networks.txt", &networks),
    ];
    files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into_iter().collect()
}

/// As a list of a site.
pub fn list(networks: &[Network]) -> List {
    List::Ip(networks.iter().map(range).collect())
}

fn range(&(first, bits): &Network) -> IpRange {
    let last = match first {
        IpAddr::V4(first) => {
            IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() | u32::MAX.checked_shr(bits.into()).unwrap_or(0)))
        }
        IpAddr::V6(first) => {
            IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() | u128::MAX.checked_shr(bits.into()).unwrap_or(0)))
        }
    };
    IpRange { first, last }
}
