//! Addresses as proxies write them into headers (design, decision 10).

use std::net::{IpAddr, SocketAddr};

/// The entry that the outermost of `trusted_hops` wrote, counted from the right over all lines of a header; the first
/// one where there are fewer. `None` where nobody is trusted, or there is no such header.
pub(in crate::host) fn from_the_right<'h>(lines: impl Iterator<Item = &'h str>, trusted_hops: u32) -> Option<&'h str> {
    if trusted_hops == 0 {
        return None;
    }
    let entries: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let hops = usize::try_from(trusted_hops).unwrap_or(usize::MAX);
    entries.get(entries.len().saturating_sub(hops)).copied()
}

/// An address, possibly with a port (`192.0.2.1:80`, `[2001:db8::1]:80`).
pub(in crate::host) fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches('"');
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let with_port = || entry.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse::<IpAddr>().or_else(|_| with_port()).ok().map(|address| address.to_canonical())
}
