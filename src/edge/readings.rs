//! One verdict for a request whose path origins may read in several ways.
//!
//! Which of its readings the origin takes, nobody here can know. So the program is asked about each, and the strictest
//! verdict counts: whoever must queue for one reading must queue.

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use super::{Examined, Incoming};
use crate::policy::{Action, Policy};
use crate::program::Verdict;
use crate::queueit::TriggerView;
use crate::request::{Authority, CanonicalUrl, Malformed, readings};

/// How many readings are decided about.
const MOST: usize = 512;

/// A request in one of its readings.
pub(super) struct Judged<'v> {
    /// What the program sees.
    pub view: TriggerView<'v>,
    /// What it says.
    pub verdict: Verdict,
}

/// A request in all its readings.
pub(super) struct Judgement<'v> {
    /// As received, and first of all.
    pub first: Judged<'v>,
    /// The other readings; none for nearly every request.
    pub others: ArenaVec<'v, Judged<'v>>,
}

/// Asks the program about each reading of a request; an error where there are too many.
pub(super) fn judge<'v>(
    policy: &Policy,
    incoming: &Incoming<'v>,
    pure_url: &'v str,
    arena: &'v Bump,
) -> Result<Judgement<'v>, Malformed> {
    let judged = |view: TriggerView<'v>| Judged { verdict: policy.program.evaluate(&view, arena), view };
    let first = judged(incoming.view(pure_url, arena));
    let mut others = ArenaVec::new_in(arena);
    let authorities = authorities(policy, incoming, arena);
    if incoming.url.is_plain() {
        let path: &'v str = incoming.url.path();
        others.extend(authorities.iter().skip(1).map(|authority| judged(first.view.reading(authority, path))));
        return Ok(Judgement { first, others });
    }
    let mut sites = None;
    for reading in readings(incoming.url.path(), arena)? {
        others.extend(authorities.iter().map(|authority| judged(first.view.reading(authority, reading.path))));
        if let Some(named) = reading.authority {
            let named = Authority::of(named).canonical(incoming.url.scheme() == "https").ok();
            let named = named.map(|named| &*arena.alloc_str(Authority::of(&named).host()));
            let all = sites.get_or_insert_with(|| names_of_sites(policy, arena)).iter().copied().chain(named);
            others.extend(all.map(|site| judged(first.view.reading(site, reading.path))));
        }
        if others.len() > MOST {
            return Err(Malformed::Ambiguous);
        }
    }
    Ok(Judgement { first, others })
}

/// An authority that no origin knows is the first of its sites to many.
fn names_of_sites<'v>(policy: &Policy, arena: &'v Bump) -> ArenaVec<'v, &'v str> {
    let hosts = policy.settings.hosts.iter();
    ArenaVec::from_iter_in(hosts.map(|host| &*arena.alloc_str(Authority::of(host).host())), arena)
}

/// Whether every origin reads a request in the same way, so that there is nothing to [`judge`] but itself.
pub(super) fn are_one(policy: &Policy, url: &CanonicalUrl<'_>) -> bool {
    url.is_plain() && !is_read_without_port(policy, url)
}

/// Origins tell sites apart by names alone, whatever port is written behind them; unless the operator names it, too.
fn is_read_without_port(policy: &Policy, url: &CanonicalUrl<'_>) -> bool {
    url.has_port() && !policy.settings.hosts.iter().any(|named| named == url.authority())
}

/// What origins may take for the authority: what is asked for, and that without the port.
fn authorities<'v>(policy: &Policy, incoming: &Incoming<'v>, arena: &'v Bump) -> ArenaVec<'v, &'v str> {
    let mut all = ArenaVec::new_in(arena);
    let url: &'v CanonicalUrl<'v> = incoming.url;
    all.push(url.authority());
    if is_read_without_port(policy, url) {
        all.push(url.host());
    }
    all
}

impl<'v> Judgement<'v> {
    /// All readings, the one as received first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Judged<'v>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What follows from the strictest of the readings, and which one that is. Where several want the visitor to queue,
    /// each for a room of its own, a session for one of them is not enough.
    pub(super) fn strictest(&self, policy: &Policy, decide: impl Fn(Verdict) -> Examined<'v>) -> (usize, Examined<'v>) {
        let rank = |judged: &Judged<'v>| Rank::of(policy, judged.verdict);
        let strictest = self.all().map(rank).min().unwrap_or(Rank::Queues);
        let mut chosen = None;
        let mut known: ArenaVec<Verdict> = ArenaVec::new_in(self.others.bump());
        for (index, judged) in self.all().enumerate().filter(|(_, judged)| rank(judged) == strictest) {
            if chosen.is_some() && (strictest != Rank::Queues || known.contains(&judged.verdict)) {
                continue;
            }
            known.push(judged.verdict);
            let outcome = decide(judged.verdict);
            if outcome.keeps_out() {
                return (index, outcome);
            }
            chosen.get_or_insert((index, outcome));
        }
        chosen.unwrap_or_else(|| (0, decide(self.first.verdict)))
    }
}

/// How strict a verdict is, the strictest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Queues,
    Cancels,
    Ignores,
    Nothing,
    Bypassed,
}

impl Rank {
    fn of(policy: &Policy, verdict: Verdict) -> Rank {
        match (verdict, policy.matched(verdict).map(|integration| integration.action)) {
            (Verdict::Bypassed { .. }, _) => Rank::Bypassed,
            (_, Some(Action::Queue)) => Rank::Queues,
            (_, Some(Action::Cancel)) => Rank::Cancels,
            (_, Some(Action::Ignore)) => Rank::Ignores,
            (_, None) => Rank::Nothing,
        }
    }
}
