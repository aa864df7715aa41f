//! Finding the first true condition of many without evaluating them all.
//!
//! Each condition is *filed* under predicates of which at least one is true whenever it is true ([`access`]). For a
//! request, [`probe`]s look values up in tables of those predicates, and only the conditions found there are
//! evaluated, besides those that cannot be filed. What that costs depends on the tables' kinds, hardly on their sizes.

mod access;
mod affixes;
mod build;
mod grams;
mod keys;
mod layers;
mod probe;
#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;

pub use access::{Filed, file};
use probe::Probe;

use super::bits::Bits;
use super::code::{Node, PredicateId, SourceId};
use super::evaluate::Evaluation;
use crate::request::{FieldId, Subject};

/// Conditions in order, filed.
#[derive(Debug)]
pub struct Index {
    /// How many conditions there are.
    conditions: usize,
    /// Every request is looked at with these.
    probes: Box<[Probe]>,
    /// With these only as far as it has the keys.
    maps: Box<[Map]>,
    /// Large sets, each looked into as it is: their members are not filed one by one.
    units: Box<[Unit]>,
    /// Positions of conditions, as [`Members`] refer to them.
    members: Box<[u32]>,
    /// Positions of the conditions that cannot be filed, in order.
    unfiled: Box<[u32]>,
}

/// Probes of entries of one map, by key.
#[derive(Debug)]
struct Map {
    field: FieldId,
    probes: Box<[Probe]>,
    by_key: FxHashMap<Box<[u8]>, Box<[u32]>>,
}

/// A predicate that is evaluated for every request, and what is filed under it.
#[derive(Debug)]
struct Unit {
    predicate: PredicateId,
    source: SourceId,
    members: Members,
}

/// Conditions that are filed under the same predicate: a part of [`Index::members`], in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Members {
    from: u32,
    to: u32,
}

impl Index {
    /// The position of the first condition that is true; `condition` gives those that were filed.
    pub fn first<'a, S: Subject>(
        &'a self,
        evaluation: &Evaluation<'a, S>,
        condition: impl Fn(usize) -> &'a Node,
    ) -> Option<usize> {
        let mut search = Search { index: self, evaluation, condition, tried: None, best: self.conditions };
        for probe in &self.probes {
            if search.best == 0 {
                return Some(0);
            }
            probe.look(evaluation, &mut |members| search.offer(members));
        }
        for map in &self.maps {
            map.look(evaluation, &mut |members| search.offer(members));
        }
        for unit in &self.units {
            if evaluation.holds(unit.predicate) {
                search.offer(unit.members);
            }
        }
        search.rest();
        (search.best < self.conditions).then_some(search.best)
    }

    /// Whether a condition is always evaluated.
    pub fn is_unfiled(&self, position: usize) -> bool {
        self.unfiled.binary_search(&(position as u32)).is_ok()
    }

    /// The sources of which an evaluation will ask for the values, each once more than the conditions do.
    pub fn sources(&self) -> impl Iterator<Item = SourceId> {
        let maps = self.maps.iter().flat_map(|map| &map.probes);
        let probes = self.probes.iter().chain(maps).map(|probe| probe.source);
        probes.chain(self.units.iter().map(|unit| unit.source))
    }
}

/// A search for the first true condition.
struct Search<'s, 'a, S, C> {
    index: &'a Index,
    evaluation: &'s Evaluation<'a, S>,
    condition: C,
    /// Conditions that were evaluated; made when the first one is.
    tried: Option<Bits<'a>>,
    /// The first one found true so far: those behind it no longer matter.
    best: usize,
}

impl<'a, S: Subject, C: Fn(usize) -> &'a Node> Search<'_, 'a, S, C> {
    fn offer(&mut self, members: Members) {
        let Search { index, evaluation, .. } = *self;
        for position in index.members[members.from as usize..members.to as usize].iter().map(|&one| one as usize) {
            if position >= self.best {
                return;
            }
            let tried = self.tried.get_or_insert_with(|| Bits::new(index.conditions, evaluation.arena));
            if tried.insert(position) && evaluation.truth((self.condition)(position)) {
                self.best = position;
            }
        }
    }

    fn rest(&mut self) {
        let unfiled = self.index.unfiled.iter().map(|&position| position as usize);
        let mut before = unfiled.take_while(|&position| position < self.best);
        if let Some(first) = before.find(|&position| self.evaluation.truth((self.condition)(position))) {
            self.best = first;
        }
    }
}

impl Map {
    fn look<'a, S: Subject>(&'a self, evaluation: &Evaluation<'a, S>, found: &mut impl FnMut(Members)) {
        let mut looked: Option<Bits<'_>> = None;
        evaluation.subject.keys(self.field, evaluation.arena, &mut |key| {
            for &number in self.by_key.get(key).into_iter().flatten() {
                let looked = looked.get_or_insert_with(|| Bits::new(self.probes.len(), evaluation.arena));
                if looked.insert(number as usize) {
                    self.probes[number as usize].look(evaluation, found);
                }
            }
        });
    }
}
