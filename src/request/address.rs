//! Addresses in the one form in which hosts tell them.
//!
//! An IPv4 address may be written as an IPv6 one (IPv4-mapped, `::ffff:192.0.2.1`; RFC 4291, section 2.5.5.2), and
//! sockets that take both families show it so. Rules keep the families apart. So wherever an address comes in, of a
//! visitor or of an operator, it is the IPv4 address that was meant.

use std::net::IpAddr;

use ipnet::IpNet;

/// How many bits of an IPv4-mapped address come before the IPv4 address.
const PREFIX: u8 = 96;

/// The address that a text is.
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The network `address/prefix` that a text is; bits behind the prefix are kept.
pub fn network(text: &str) -> Option<IpNet> {
    let network: IpNet = text.parse().ok()?;
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(PREFIX)) {
        (address @ IpAddr::V4(_), Some(prefix)) if matches!(network, IpNet::V6(_)) => IpNet::new(address, prefix).ok(),
        _ => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_one_form() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("::FFFF:C000:201", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("::192.0.2.1", Some("::c000:201")),
            ("::1", Some("::1")),
            ("192.0.2.1:80", None),
            ("", None),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn networks_are_of_one_form() {
        for (text, expected) in [
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("::ffff:192.0.2.0/120", Some("192.0.2.0/24")),
            ("::ffff:192.0.2.7/120", Some("192.0.2.7/24")),
            ("::ffff:192.0.2.1/128", Some("192.0.2.1/32")),
            ("::ffff:0:0/96", Some("0.0.0.0/0")),
            // More than the IPv4 addresses, so none of them.
            ("::ffff:0:0/95", Some("::ffff:0.0.0.0/95")),
            ("::/0", Some("::/0")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("192.0.2.0/33", None),
            ("192.0.2.0", None),
        ] {
            assert_eq!(network(text).map(|network| network.to_string()).as_deref(), expected, "{text}");
        }
    }
}
