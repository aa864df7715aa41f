//! Sets as programs hold them: sorted, without overlaps, searched in logarithmic time.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::lists::Hostname;
use crate::language::expression::IpRange;

/// Inclusive ranges in ascending order, none touching another.
#[derive(Debug, Default)]
pub struct Ranges<T>(Box<[(T, T)]>);

impl<T: Ord + Copy> Ranges<T> {
    /// Sorts and merges ranges; empty ones (first above last) are left out.
    fn merge(ranges: impl Iterator<Item = (T, T)>) -> Self {
        let mut sorted: Vec<(T, T)> = ranges.filter(|(first, last)| first <= last).collect();
        sorted.sort_unstable();
        sorted.dedup_by(|next, kept| {
            let overlaps = next.0 <= kept.1;
            if overlaps {
                kept.1 = kept.1.max(next.1);
            }
            overlaps
        });
        Ranges(sorted.into())
    }

    fn contains(&self, value: T) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= value);
        after > 0 && value <= self.0[after - 1].1
    }
}

impl Ranges<i64> {
    pub fn of_ints(ranges: &[RangeInclusive<i64>]) -> Self {
        Ranges::merge(ranges.iter().map(|range| (*range.start(), *range.end())))
    }

    pub fn of_numbers(numbers: &[i64]) -> Self {
        Ranges::merge(numbers.iter().map(|&number| (number, number)))
    }

    pub fn has(&self, number: i64) -> bool {
        self.contains(number)
    }
}

/// Addresses of both families, which never mix.
#[derive(Debug)]
pub struct IpSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl IpSet {
    pub fn new(ranges: &[IpRange]) -> Self {
        let v4 = ranges.iter().filter_map(|range| match (range.first, range.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Some((first.to_bits(), last.to_bits())),
            _ => None,
        });
        let v6 = ranges.iter().filter_map(|range| match (range.first, range.last) {
            (IpAddr::V6(first), IpAddr::V6(last)) => Some((first.to_bits(), last.to_bits())),
            _ => None,
        });
        IpSet { v4: Ranges::merge(v4), v6: Ranges::merge(v6) }
    }

    pub fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }
}

/// Byte strings.
#[derive(Debug)]
pub struct ByteSet(Box<[Box<[u8]>]>);

impl ByteSet {
    pub fn new<'b>(strings: impl Iterator<Item = &'b [u8]>) -> Self {
        let mut sorted: Vec<Box<[u8]>> = strings.map(Box::from).collect();
        sorted.sort_unstable();
        sorted.dedup();
        ByteSet(sorted.into())
    }

    pub fn has(&self, string: &[u8]) -> bool {
        self.0.binary_search_by(|known| known.as_ref().cmp(string)).is_ok()
    }
}

/// Host names, compared byte by byte, and names below others.
#[derive(Debug)]
pub struct HostnameSet {
    exact: ByteSet,
    parents: ByteSet,
}

impl HostnameSet {
    pub fn new(names: &[Hostname]) -> Self {
        let exact = names.iter().filter_map(|name| match name {
            Hostname::Exact(name) | Hostname::Below { suffix: name, apex: true } => Some(name.as_bytes()),
            Hostname::Below { apex: false, .. } => None,
        });
        let parents = names.iter().filter_map(|name| match name {
            Hostname::Below { suffix, .. } => Some(suffix.as_bytes()),
            Hostname::Exact(_) => None,
        });
        HostnameSet { exact: ByteSet::new(exact), parents: ByteSet::new(parents) }
    }

    pub fn has(&self, name: &[u8]) -> bool {
        self.exact.has(name) || memchr::memchr_iter(b'.', name).any(|dot| dot > 0 && self.parents.has(&name[dot + 1..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_and_find() {
        let set = Ranges::of_ints(&[5..=9, 1..=2, 8..=12, 20..=20, i64::MIN..=-100, i64::MAX..=i64::MAX]);
        for (number, expected) in [
            (0, false),
            (1, true),
            (2, true),
            (3, false),
            (5, true),
            (12, true),
            (13, false),
            (20, true),
            (-100, true),
            (-99, false),
            (i64::MIN, true),
            (i64::MAX, true),
        ] {
            assert_eq!(set.has(number), expected, "{number}");
        }
        assert!(!Ranges::of_ints(&[]).has(0));
        assert!(Ranges::of_ints(&[1..=100, 2..=3]).has(50));
    }

    #[test]
    fn families_never_mix() {
        let range = |first: &str, last: &str| IpRange {
            first: first.parse().expect("an address"),
            last: last.parse().expect("an address"),
        };
        let set = IpSet::new(&[range("10.0.0.0", "10.0.0.255"), range("2001:db8::", "2001:db8::ffff")]);
        let has = |address: &str| set.has(address.parse().expect("an address"));
        assert!(has("10.0.0.0") && has("10.0.0.255") && has("2001:db8::7"));
        assert!(!has("10.0.1.0") && !has("::ffff:10.0.0.1") && !has("2001:db8::1:0"));
    }

    #[test]
    fn host_names_and_those_below() {
        let set = HostnameSet::new(&[
            Hostname::Exact("a.example".to_owned()),
            Hostname::Below { suffix: "b.example".to_owned(), apex: false },
            Hostname::Below { suffix: "c.example".to_owned(), apex: true },
        ]);
        for (name, expected) in [
            ("a.example", true),
            ("x.a.example", false),
            ("b.example", false),
            ("x.b.example", true),
            ("x.y.b.example", true),
            (".b.example", false),
            ("xb.example", false),
            ("c.example", true),
            ("x.c.example", true),
            ("A.example", false),
            ("", false),
        ] {
            assert_eq!(set.has(name.as_bytes()), expected, "{name}");
        }
    }
}
