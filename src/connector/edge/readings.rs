//! One verdict for a request whose path origins may read in several ways.
//!
//! Which of its readings the origin takes, nobody here can know. So the program is asked about each, and the strictest
//! verdict counts: whoever must queue for one reading must queue.

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use super::{Examined, Incoming};
use crate::policy::{Action, Policy};
use crate::program::Verdict;
use crate::request::{Malformed, RequestView, authority_in, canonical_authority, host_of, readings};

/// A request in one of its readings.
pub(in crate::connector) struct Judged<'v> {
    /// What the program sees.
    pub view: RequestView<'v>,
    /// What it says.
    pub verdict: Verdict,
}

/// A request in all its readings.
pub(in crate::connector) struct Judgement<'v> {
    /// As received, and first of all.
    pub first: Judged<'v>,
    /// The other readings; none for nearly every request.
    pub others: ArenaVec<'v, Judged<'v>>,
}

/// Asks the program about each reading of a request; an error where there are too many.
pub(in crate::connector) fn judge<'v>(
    policy: &Policy,
    incoming: &Incoming<'v>,
    pure_url: &'v str,
    arena: &'v Bump,
) -> Result<Judgement<'v>, Malformed> {
    let judged = |view: RequestView<'v>| Judged { verdict: policy.program.evaluate(&view, arena), view };
    let first = judged(incoming.view(pure_url, arena));
    let mut others = ArenaVec::new_in(arena);
    let authorities = authorities(policy, incoming, arena);
    if incoming.url.is_plain() {
        let path: &'v str = incoming.url.path();
        others.extend(authorities.iter().skip(1).map(|authority| judged(first.view.reading(authority, path))));
        return Ok(Judgement { first, others });
    }
    for path in readings(incoming.url.path(), arena)? {
        others.extend(authorities.iter().map(|authority| judged(first.view.reading(authority, path))));
    }
    Ok(Judgement { first, others })
}

/// What origins may take for the authority: what is asked for; without the port, for they tell sites apart by names alone,
/// unless the operator names the port; and what some find in a path that begins with two slashes.
fn authorities<'v>(policy: &Policy, incoming: &Incoming<'v>, arena: &'v Bump) -> ArenaVec<'v, &'v str> {
    let mut all = ArenaVec::new_in(arena);
    let authority: &'v str = incoming.url.authority();
    let host = host_of(authority);
    all.push(authority);
    if host.len() < authority.len() && !policy.settings.hosts.iter().any(|named| named == authority) {
        all.push(host);
    }
    let in_path = authority_in(incoming.url.path()).filter(|_| !incoming.url.is_plain());
    let in_path = in_path.and_then(|authority| canonical_authority(authority, incoming.url.scheme() == "https").ok());
    all.extend(in_path.map(|authority| host_of(arena.alloc_str(&authority))));
    all
}

impl<'v> Judgement<'v> {
    /// All readings, the one as received first.
    pub(in crate::connector) fn all(&self) -> impl Iterator<Item = &Judged<'v>> {
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
