//! Sets as programs hold them.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use rustc_hash::FxBuildHasher;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};

use super::lists::Hostname;
use crate::language::expression::IpRange;

/// Inclusive ranges in ascending order, none touching another.
///
/// A directory cuts the space between the first and the last of them into about as many steps of one size as there
/// are ranges, and knows where the ranges of each step begin, so that a search looks at a few of them only.
#[derive(Debug)]
pub struct Ranges<T> {
    bounds: Box<[(T, T)]>,
    shift: u32,
    /// For each step, how many ranges begin before it; and how many there are.
    directory: Box<[u32]>,
}

/// What ranges are of.
pub trait Point: Copy + Ord {
    /// How many steps of `1 << shift` it is above `base`, which is not above it.
    fn steps_above(self, base: Self, shift: u32) -> u64;
}

impl Point for u32 {
    fn steps_above(self, base: Self, shift: u32) -> u64 {
        u64::from((self - base) >> shift)
    }
}

impl Point for u128 {
    fn steps_above(self, base: Self, shift: u32) -> u64 {
        u64::try_from((self - base) >> shift).unwrap_or(u64::MAX)
    }
}

impl Point for i64 {
    fn steps_above(self, base: Self, shift: u32) -> u64 {
        self.abs_diff(base).checked_shr(shift).unwrap_or(0)
    }
}

impl<T: Point> Ranges<T> {
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
        Ranges::of_sorted(sorted.into())
    }

    /// Of ranges that are in ascending order and apart from one another.
    pub fn of_sorted(bounds: Box<[(T, T)]>) -> Self {
        let [(base, _), .., (last, _)] = *bounds else {
            return Ranges { bounds, shift: 0, directory: Box::default() };
        };
        let steps = |shift| last.steps_above(base, shift).saturating_add(1);
        let shift = (0..u128::BITS).find(|&shift| steps(shift) <= bounds.len() as u64).unwrap_or(0);
        let mut directory = vec![0; steps(shift) as usize + 1];
        for (first, _) in &bounds {
            directory[first.steps_above(base, shift) as usize + 1] += 1;
        }
        for step in 1..directory.len() {
            directory[step] += directory[step - 1];
        }
        Ranges { bounds, shift, directory: directory.into() }
    }

    /// The ranges, in order.
    pub fn bounds(&self) -> &[(T, T)] {
        &self.bounds
    }

    /// Which range holds `value`.
    #[inline]
    pub fn find(&self, value: T) -> Option<usize> {
        let base = self.bounds.first().filter(|(first, _)| *first <= value)?.0;
        let (from, to) = match self.directory.len() {
            0 => (0, self.bounds.len()),
            places => {
                let step = value.steps_above(base, self.shift).min(places as u64 - 2) as usize;
                (self.directory[step] as usize, self.directory[step + 1] as usize)
            }
        };
        let begun = from + self.bounds[from..to].partition_point(|&(first, _)| first <= value);
        let last_begun = begun.checked_sub(1)?;
        (value <= self.bounds[last_begun].1).then_some(last_begun)
    }

    fn contains(&self, value: T) -> bool {
        self.find(value).is_some()
    }
}

impl<T: Serialize> Serialize for Ranges<T> {
    /// As its bounds.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bounds.serialize(serializer)
    }
}

impl<'de, T: Point + Deserialize<'de>> Deserialize<'de> for Ranges<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bounds = Box::<[(T, T)]>::deserialize(deserializer)?;
        let is_apart = |pair: &[(T, T)]| pair[0].1 < pair[1].0;
        if bounds.iter().all(|(first, last)| first <= last) && bounds.windows(2).all(is_apart) {
            Ok(Ranges::of_sorted(bounds))
        } else {
            Err(D::Error::custom("ranges are in no order"))
        }
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
#[derive(Debug, Serialize, Deserialize)]
pub struct IpSet {
    pub v4: Ranges<u32>,
    pub v6: Ranges<u128>,
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
pub struct ByteSet(HashSet<Box<[u8]>, FxBuildHasher>);

impl ByteSet {
    pub fn new<'b>(strings: impl Iterator<Item = &'b [u8]>) -> Self {
        ByteSet(strings.map(Box::from).collect())
    }

    pub fn has(&self, string: &[u8]) -> bool {
        self.0.contains(string)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Every string, in no order.
    pub fn strings(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl Serialize for ByteSet {
    /// As its strings, sorted: what is the same is saved as the same bytes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut strings: Vec<&Bytes> = self.strings().map(Bytes::new).collect();
        strings.sort_unstable();
        strings.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ByteSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let strings = Vec::<ByteBuf>::deserialize(deserializer)?;
        Ok(ByteSet(strings.into_iter().map(|string| string.into_vec().into()).collect()))
    }
}

/// Host names, compared byte by byte, and names below others.
#[derive(Debug, Serialize, Deserialize)]
pub struct HostnameSet {
    /// Names that are in the set.
    pub exact: ByteSet,
    /// Names below which every name is.
    pub parents: ByteSet,
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
        assert!(Ranges::of_ints(&[7..=7]).has(7) && !Ranges::of_ints(&[7..=7]).has(8));
    }

    #[test]
    fn every_range_is_found_wherever_it_lies() {
        let crowded = (0..1000).map(|number| (number * 3, number * 3 + 1));
        let far = [(1 << 20, 1 << 21), (u32::MAX - 1, u32::MAX)];
        let bounds: Vec<(u32, u32)> = crowded.chain(far).collect();
        let set = Ranges::of_sorted(bounds.clone().into());
        for (index, &(first, last)) in bounds.iter().enumerate() {
            assert_eq!((set.find(first), set.find(last)), (Some(index), Some(index)));
            assert_eq!(set.find(last.wrapping_add(1)).is_some(), last == u32::MAX);
        }
        assert_eq!(set.find(u32::MAX - 2), None);
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
