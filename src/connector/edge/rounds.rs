//! Visitors whose browsers keep no cookies would be sent to the waiting room and back for ever.
//!
//! One who comes back with a token to the same page for the second time in a short while is suspect, and the redirect that
//! takes the token away gets a mark. Whoever then asks for the marked URL without a session has kept no cookie, and is
//! told so; everybody else is sent on to the URL without the mark. So being suspected costs one more redirect, and the
//! first round of everybody nothing. A mark lets nobody pass, and means nothing once it is old, such as in a bookmark.

use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use bumpalo::Bump;

/// How long a mark counts, and an arrival is remembered, in seconds: a round is a few redirects.
const LASTING: i64 = 60;

/// Stands at the end of a URL, with the Unix time in seconds.
const MARK: &str = "velvetrope_arrived=";

/// Who came back from waiting rooms lately, as far as a process (or an isolate) remembers: the last one of each of so many
/// hashes. It takes 32 kB, and never waits.
#[derive(Debug)]
pub struct Arrivals(Box<[AtomicU64; Arrivals::REMEMBERED]>);

impl Arrivals {
    const REMEMBERED: usize = 4_096;

    /// Notes that somebody has come back to a page, at this Unix time in seconds, and says whether that happened a short
    /// while ago, too.
    pub fn note(&self, arrival: &str, now: i64) -> bool {
        // It has 64 bits on every machine, where those that are quicker have fewer on some.
        let mut hasher = DefaultHasher::new();
        hasher.write(arrival.as_bytes());
        let hash = hasher.finish();
        // Half of the number is the time, which is no hash of anybody's at 0.
        let (tag, seconds) = (hash >> 32, u64::from(now as u32));
        let Some(place) = self.0.get(hash as usize % Arrivals::REMEMBERED) else { return false };
        let before = place.swap(tag << 32 | seconds, Ordering::Relaxed);
        before != 0 && before >> 32 == tag && seconds.abs_diff(before & 0xffff_ffff) <= LASTING as u64
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Arrivals(Box::new([const { AtomicU64::new(0) }; Arrivals::REMEMBERED]))
    }
}

/// The URL with a mark; as it is where it has a fragment, of which servers are usually not told.
pub(super) fn marked<'r>(url: &'r str, now: i64, arena: &'r Bump) -> &'r str {
    if url.contains('#') {
        return url;
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    bumpalo::format!(in arena, "{}{}{}{}", url, separator, MARK, now).into_bump_str()
}

/// The URL without its mark.
pub(super) fn without_mark(url: &str) -> &str {
    split(url).map_or(url, |(rest, _)| rest)
}

/// Whether a URL was marked a short while ago.
pub(super) fn is_marked(url: &str, now: i64) -> bool {
    split(url).is_some_and(|(_, then)| now.abs_diff(then) <= LASTING as u64)
}

/// A marked URL's rest, and the time in the mark. Every request is looked at: what most URLs end in settles it.
fn split(url: &str) -> Option<(&str, i64)> {
    let digits = url.bytes().rev().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let (rest, time) = url.split_at_checked(url.len() - digits)?;
    let rest = rest.strip_suffix(MARK)?.strip_suffix(['?', '&'])?;
    Some((rest, time.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    #[test]
    fn marks_come_and_go() {
        let arena = Bump::new();
        for url in ["https://h/p", "https://h/p?a=1", "https://h/p?a=1&b", "/p7"] {
            let url_with_mark = marked(url, NOW, &arena);
            assert_eq!(without_mark(url_with_mark), url);
            for (late, counts) in
                [(0, true), (60, true), (-60, true), (61, false), (-61, false), (i64::MAX - NOW, false)]
            {
                assert_eq!(is_marked(url_with_mark, NOW + late), counts, "{late}");
            }
        }
        assert_eq!(marked("/p#f", NOW, &arena), "/p#f");
        for other in [
            "https://h/p1",
            "",
            "https://h/p?velvetrope_arrived=",
            "https://h/p?velvetrope_arrived=-1",
            "https://h/p?velvetrope_arrived=1x1",
            "https://h/p?velvetrope_arrived=99999999999999999999",
            "https://h/p?xvelvetrope_arrived=1",
            "https://h/velvetrope_arrived=1",
            "https://h/p?velvetrope_arrived=1&a=2",
        ] {
            assert_eq!((without_mark(other), is_marked(other, 1)), (other, false), "{other}");
        }
    }

    #[test]
    fn who_comes_back_soon_is_known_again() {
        let arrivals = Arrivals::default();
        assert!(!arrivals.note("one", NOW));
        assert!(arrivals.note("one", NOW + 60));
        assert!(!arrivals.note("two", NOW + 60));
        assert!(!arrivals.note("one", NOW + 121));
        assert!(arrivals.note("one", NOW + 120), "clocks differ");
    }

    #[test]
    fn it_remembers_no_more_than_it_may() {
        let arrivals = Arrivals::default();
        let known = (0..100_000).filter(|number| arrivals.note(&number.to_string(), NOW)).count();
        assert!(known < 10, "{known} strangers are taken for others");
        assert!(arrivals.note("99999", NOW));
    }
}
