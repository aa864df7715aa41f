//! Visitors whose browsers keep no cookies would be sent to the waiting room and back for ever.
//!
//! One who comes back with a token to the same page for the second time in a short while is suspect, and the redirect that
//! takes the token away gets a mark. Whoever then asks for the marked URL without a session has kept no cookie, and is
//! told so; everybody else is sent on to the URL without the mark. So being suspected costs one more redirect, and the
//! first round of everybody nothing. A mark lets nobody pass, and means nothing once it is old, such as in a bookmark; nor
//! to anybody else, or on another page.

use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bumpalo::Bump;

use crate::queueit::encoding::concat;
use crate::queueit::{Mac, Secrets};

/// How long a mark counts, and an arrival is remembered, in seconds: a round is a few redirects.
const LASTING: i64 = 60;

/// Stands at the end of a URL, with the Unix time in seconds and what it is signed with.
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

/// Who was let in to where: what a mark is good for, and nothing else.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'r> {
    pub room: &'r str,
    pub address: Option<IpAddr>,
    /// Without the mark.
    pub page: &'r str,
}

impl Arrival<'_> {
    /// The page with a mark that is signed at this Unix time in seconds; `None` where it has a fragment, of which servers
    /// are usually not told, or where there is no secret to sign with.
    pub(super) fn marked<'r>(&self, secrets: &Secrets, now: i64, arena: &'r Bump) -> Option<&'r str> {
        if self.page.contains('#') || secrets.current().is_empty() {
            return None;
        }
        let separator = if self.page.contains('?') { '&' } else { '?' };
        let time = bumpalo::format!(in arena, "{}", now).into_bump_str();
        let mac = secrets.current().sign(&self.signed(time, arena));
        Some(
            bumpalo::format!(in arena, "{}{}{}{}-{}", self.page, separator, MARK, time, mac.short().as_str())
                .into_bump_str(),
        )
    }

    /// Whether a URL has a mark of this arrival that was signed a short while ago. Others can write marks, too: a link must
    /// not be able to show the page that they lead to.
    pub(super) fn is_marked_in(&self, url: &str, secrets: &Secrets, now: i64, arena: &Bump) -> bool {
        let is_recent = |time: &str| time.parse().is_ok_and(|then| now.abs_diff(then) <= LASTING as u64);
        split(url).is_some_and(|mark| {
            is_recent(mark.time)
                && !secrets.current().is_empty()
                && secrets.verify_short(&self.signed(mark.time, arena), mark.mac)
        })
    }

    /// No URL, address or header has a zero byte, so that these cannot be taken for others, or for anything else that is
    /// signed with the secret.
    fn signed<'r>(&self, time: &'r str, arena: &'r Bump) -> [&'r str; 1] {
        let address = self.address.map(|address| bumpalo::format!(in arena, "{}", address).into_bump_str());
        let address = address.unwrap_or_default();
        [concat(&["velvetrope\0arrived\0", time, "\0", address, "\0", self.page, "\0", self.room], arena)]
    }
}

/// The URL without its mark, whoever wrote that.
pub(super) fn without_mark(url: &str) -> &str {
    split(url).map_or(url, |mark| mark.rest)
}

struct Mark<'u> {
    rest: &'u str,
    time: &'u str,
    mac: &'u str,
}

/// A marked URL's parts. Every request is looked at: one byte of most URLs settles it.
fn split(url: &str) -> Option<Mark<'_>> {
    let dash = url.len().checked_sub(Mac::SHORT + 1)?;
    if url.as_bytes()[dash] != b'-' {
        return None;
    }
    let (start, mac) = (&url[..dash], &url[dash + 1..]);
    let digits = start.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (rest, time) = start.split_at(start.len() - digits);
    let rest = rest.strip_suffix(MARK)?.strip_suffix(['?', '&'])?;
    let is_mac = mac.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (digits > 0 && is_mac).then_some(Mark { rest, time, mac })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: i64 = 1_790_000_000;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

    fn arrival(page: &str) -> Arrival<'_> {
        Arrival { room: "shop", address: HERE, page }
    }

    #[test]
    fn marks_come_and_go() {
        let (arena, secrets) = (Bump::new(), Secrets::new("k", None));
        for page in
            ["https://h/p", "https://h/p?a=1", "https://h/p?a=1&b", "/p7", "/p-0123456789abcdef0123456789abcdef"]
        {
            let marked = arrival(page).marked(&secrets, NOW, &arena).expect("a mark");
            assert_eq!(without_mark(marked), page);
            for (late, counts) in
                [(0, true), (60, true), (-60, true), (61, false), (-61, false), (i64::MAX - NOW, false)]
            {
                assert_eq!(arrival(page).is_marked_in(marked, &secrets, NOW + late, &arena), counts, "{late}");
            }
        }
        assert_eq!(arrival("/p#f").marked(&secrets, NOW, &arena), None);
        let mac = "0123456789abcdef0123456789abcdef";
        for other in [
            "https://h/p1",
            "",
            mac,
            "https://h/p?velvetrope_arrived=",
            "https://h/p?velvetrope_arrived=1790000000",
            &format!("https://h/p?velvetrope_arrived=-{mac}"),
            &format!("https://h/p?velvetrope_arrived=1x-{mac}"),
            &format!("https://h/p?xvelvetrope_arrived=1-{mac}"),
            &format!("https://h/velvetrope_arrived=1-{mac}"),
            &format!("https://h/p?velvetrope_arrived=1-{mac}&a=2"),
            &format!("https://h/p?velvetrope_arrived=1-{}", mac.to_uppercase()),
            &format!("https://h/p?velvetrope_arrived=1-é{}", &mac[2..]),
            &format!("https://h/p?velvetrope_arrived=1é{mac}"),
        ] {
            assert_eq!(without_mark(other), other);
            assert!(!arrival(other).is_marked_in(other, &secrets, 1, &arena), "{other}");
        }
    }

    #[test]
    fn a_mark_is_good_for_one_arrival_alone() {
        let (arena, secrets) = (Bump::new(), Secrets::new("k", None));
        let page = "/shop?a=1";
        let counts = |arrival: Arrival, url: &str, secrets: &Secrets| arrival.is_marked_in(url, secrets, NOW, &arena);
        let marked = arrival(page).marked(&secrets, NOW, &arena).expect("a mark");
        let rotated = Secrets::new("new", Some("k".into()));
        assert!(counts(arrival(page), marked, &secrets) && counts(arrival(page), marked, &rotated));
        for other in [
            Arrival { room: "other", ..arrival(page) },
            Arrival { address: None, ..arrival(page) },
            Arrival { address: Some(IpAddr::from([192, 0, 2, 2])), ..arrival(page) },
            arrival("/shop?a=2"),
            arrival(marked),
        ] {
            assert!(!counts(other, marked, &secrets));
        }
        assert!(!counts(arrival(page), marked, &Secrets::new("other", None)));
        for at in marked.find(MARK).expect("a mark") + MARK.len()..marked.len() {
            for digit in ["0", "1"].into_iter().filter(|digit| marked[at..=at] != **digit) {
                let altered = [&marked[..at], digit, &marked[at + 1..]].concat();
                assert!(!counts(arrival(page), &altered, &secrets), "{altered}");
            }
        }
        // Whoever has no secret has none that others could not guess.
        let nobody = Secrets::new("", None);
        assert_eq!(arrival(page).marked(&nobody, NOW, &arena), None);
        let guessed = nobody.current().sign(&arrival(page).signed("1790000000", &arena));
        let forged = format!("{page}&{MARK}1790000000-{}", guessed.short().as_str());
        assert_eq!(without_mark(&forged), page);
        assert!(!counts(arrival(page), &forged, &nobody));
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
