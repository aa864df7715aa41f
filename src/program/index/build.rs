//! From filed conditions to tables.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::affixes::Affixes;
use super::grams::Parts;
use super::keys::{Key, Keys, keys};
use super::layers::Layers;
use super::probe::{Probe, Table, Texts};
use super::{Filed, Index, Map, Members, Unit, file};
use crate::language::Function;
use crate::program::code::{Argument, Code, Node, Predicate, PredicateId, Source, SourceId};
use crate::request::FieldId;

impl Index {
    /// An index is worth it from so many conditions for each place where it looks: about as many can be evaluated one
    /// after the other in the time of a look.
    const CONDITIONS_PER_LOOK: usize = 2;

    /// From this number of keys of one map on, the keys that a request has are looked up, instead of each in turn.
    const MANY_KEYS: usize = 4;

    /// Sets with more members than this are not filed member by member: a look into one costs some nanoseconds, a copy
    /// of it in each index a lot of memory.
    const LARGE_SET: usize = 1_000;

    /// Files conditions; `None` where it is better to evaluate them one after the other.
    pub fn new(code: &Code, conditions: &[&Node]) -> Option<Index> {
        if conditions.len() < Self::CONDITIONS_PER_LOOK {
            return None;
        }
        let mut builder = Builder::new(code);
        for (position, filed) in file(code, conditions).into_iter().enumerate() {
            match filed {
                Filed::Under(predicates) => {
                    builder.filed.extend(predicates.into_iter().map(|predicate| (predicate, position as u32)));
                }
                Filed::Nowhere => builder.unfiled.push(position as u32),
            }
        }
        let found = conditions.len() - builder.unfiled.len();
        let archive = builder.archive();
        let is_worth_it = found >= Self::CONDITIONS_PER_LOOK * archive.looks().max(1);
        is_worth_it.then(|| builder.finish(archive, conditions.len()))
    }
}

/// A source, and whether its elements are looked at.
type Place = (u32, bool);

/// Keys and the predicates that they are keys of, by their number in [`Builder::drawers`], in any order.
type Cabinet<'c> = Vec<(Key<'c>, u32)>;

/// A cabinet for entries with a key.
type KeyedCabinet<'c> = (&'c [u8], Place, Cabinet<'c>);

/// What is filed where, before there are tables.
struct Archive<'c> {
    /// To be looked at for every request.
    cabinets: Vec<(Place, Cabinet<'c>)>,
    /// To be looked at if a map has the key.
    by_key: BTreeMap<FieldId, Vec<KeyedCabinet<'c>>>,
    /// Large sets.
    units: Vec<Unit>,
}

impl Archive<'_> {
    /// In how many places an index looks.
    fn looks(&self) -> usize {
        self.cabinets.len() + self.by_key.len() + self.units.len()
    }
}

struct Builder<'c> {
    code: &'c Code,
    /// Predicates and the positions of conditions that are filed under them, in any order.
    filed: Vec<(PredicateId, u32)>,
    /// What is filed under each predicate.
    drawers: Vec<Members>,
    members: Vec<u32>,
    /// What is filed under several predicates that have a key in common, by their numbers.
    shared: FxHashMap<Vec<u32>, Members>,
    unfiled: Vec<u32>,
}

impl<'c> Builder<'c> {
    fn new(code: &'c Code) -> Self {
        Builder {
            code,
            filed: Vec::new(),
            drawers: Vec::new(),
            members: Vec::new(),
            shared: FxHashMap::default(),
            unfiled: Vec::new(),
        }
    }

    fn archive(&mut self) -> Archive<'c> {
        let (all, units) = self.cabinets();
        let (mut cabinets, mut by_key) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for (place, cabinet) in all {
            match entry_behind(SourceId(place.0), self.code) {
                Some((field, key)) => by_key.entry(field).or_default().push((key, place, cabinet)),
                None => cabinets.push((place, cabinet)),
            }
        }
        for (_, few) in by_key.extract_if(.., |_, keyed| keyed.len() < Index::MANY_KEYS) {
            cabinets.extend(few.into_iter().map(|(_, place, cabinet)| (place, cabinet)));
        }
        Archive { cabinets, by_key, units }
    }

    /// What is filed by the values of each source; large sets apart.
    fn cabinets(&mut self) -> (BTreeMap<Place, Cabinet<'c>>, Vec<Unit>) {
        self.filed.sort_unstable();
        self.filed.dedup();
        let (mut cabinets, mut units) = (BTreeMap::<Place, Cabinet>::new(), Vec::new());
        for filed in std::mem::take(&mut self.filed).chunk_by(|one, next| one.0 == next.0) {
            let (predicate, members) = (filed[0].0, self.keep(filed.iter().map(|(_, position)| *position)));
            let Predicate::Compare { source, test, each } = self.code.predicate(predicate) else { continue };
            match keys(test, self.code) {
                Some(Keys::Set(set)) if !each && set.count() > Index::LARGE_SET => {
                    units.push(Unit { predicate, source: *source, members });
                }
                Some(keys) => {
                    let cabinet = cabinets.entry((source.0, *each)).or_default();
                    keys.for_each(|key| cabinet.push((key, self.drawers.len() as u32)));
                    self.drawers.push(members);
                }
                None => {}
            }
        }
        (cabinets, units)
    }

    fn finish(mut self, archive: Archive<'c>, conditions: usize) -> Index {
        let Archive { cabinets, by_key, units } = archive;
        let probes = cabinets.into_iter().map(|(place, cabinet)| self.probe(place, cabinet)).collect();
        let maps = by_key.into_iter().map(|(field, keyed)| {
            let keyed = keyed.into_iter().map(|(key, place, cabinet)| (key.into(), self.probe(place, cabinet)));
            Map::new(field, keyed.collect())
        });
        let maps = maps.collect();
        self.unfiled.sort_unstable();
        self.unfiled.dedup();
        Index {
            conditions,
            probes,
            maps,
            units: units.into(),
            members: self.members.into(),
            unfiled: self.unfiled.into(),
        }
    }

    fn probe(&mut self, (source, each): Place, cabinet: Cabinet) -> Probe {
        Probe { source: SourceId(source), each, table: self.table(cabinet) }
    }

    /// All keys of a source are of one type, because its value is.
    fn table(&mut self, mut cabinet: Cabinet) -> Table {
        let (mut texts, mut ints, mut v4, mut v6) = (TextKeys::default(), Vec::new(), Vec::new(), Vec::new());
        cabinet.sort_unstable();
        for filed in cabinet.chunk_by(|one, next| one.0 == next.0) {
            let members = match filed {
                [(_, drawer)] => self.drawers[*drawer as usize],
                several => self.shared(several.iter().map(|(_, drawer)| *drawer).collect()),
            };
            match &filed[0].0 {
                Key::Equal(text) => texts.equal.push(((*text).into(), members)),
                Key::Prefix(text) => texts.prefixes.push(((*text).into(), members)),
                Key::Suffix(text) => texts.suffixes.push((text.as_ref().into(), members)),
                Key::Part(text) => texts.parts.push(((*text).into(), members)),
                Key::FoldedPart(text) => texts.folded_parts.push(((*text).into(), members)),
                Key::Ints(first, last) => ints.push(((*first, *last), members)),
                Key::V4(first, last) => v4.push(((*first, *last), members)),
                Key::V6(first, last) => v6.push(((*first, *last), members)),
            }
        }
        if !ints.is_empty() {
            let (layers, left_over) = Layers::new(ints);
            self.leave_out(left_over);
            return Table::Ints(layers);
        }
        if !v4.is_empty() || !v6.is_empty() {
            let ((v4, left_over), (v6, more)) = (Layers::new(v4), Layers::new(v6));
            self.leave_out(left_over);
            self.leave_out(more);
            return Table::Ips { v4, v6 };
        }
        Table::Bytes(Box::new(Texts {
            equal: texts.equal.into_iter().collect(),
            prefixes: Affixes::starts(texts.prefixes),
            suffixes: Affixes::ends(texts.suffixes),
            parts: (!texts.parts.is_empty()).then(|| Parts::new(texts.parts)),
            folded_parts: (!texts.folded_parts.is_empty()).then(|| Parts::new(texts.folded_parts)),
        }))
    }

    /// What is filed in any of several drawers, in order.
    fn shared(&mut self, drawers: Vec<u32>) -> Members {
        if let Some(&known) = self.shared.get(&drawers) {
            return known;
        }
        let drawn = drawers.iter().map(|&drawer| self.drawers[drawer as usize]);
        let spans = drawn.map(|members| members.from as usize..members.to as usize);
        let mut positions: Vec<u32> = spans.flat_map(|span| self.members[span].iter().copied()).collect();
        positions.sort_unstable();
        positions.dedup();
        let members = self.keep(positions.into_iter());
        self.shared.insert(drawers, members);
        members
    }

    fn keep(&mut self, positions: impl Iterator<Item = u32>) -> Members {
        let from = self.members.len() as u32;
        self.members.extend(positions);
        Members { from, to: self.members.len() as u32 }
    }

    /// What does not fit into a table is evaluated always.
    fn leave_out(&mut self, left_over: Vec<Members>) {
        for members in left_over {
            self.unfiled.extend_from_slice(&self.members[members.from as usize..members.to as usize]);
        }
    }
}

/// A probe of the entries with a key.
type Keyed = (Box<[u8]>, Probe);

#[derive(Default)]
struct TextKeys {
    equal: Vec<FiledText>,
    prefixes: Vec<FiledText>,
    suffixes: Vec<FiledText>,
    parts: Vec<FiledText>,
    folded_parts: Vec<FiledText>,
}

/// A text, and what is filed under it.
type FiledText = (Box<[u8]>, Members);

impl Map {
    fn new(field: FieldId, keyed: Vec<Keyed>) -> Map {
        let mut by_key: FxHashMap<Box<[u8]>, Vec<u32>> = FxHashMap::default();
        let mut probes = Vec::with_capacity(keyed.len());
        for (key, probe) in keyed {
            by_key.entry(key).or_default().push(probes.len() as u32);
            probes.push(probe);
        }
        let by_key = by_key.into_iter().map(|(key, numbers)| (key, numbers.into())).collect();
        Map { field, probes: probes.into(), by_key }
    }
}

/// The entry of a map without which a source has no value, or an empty one.
fn entry_behind(source: SourceId, code: &Code) -> Option<(FieldId, &[u8])> {
    match code.source(source) {
        Source::Entry(field, key) => Some((*field, key)),
        Source::Key(of, _) | Source::At(of, _) | Source::Flatten(of, _) => entry_behind(*of, code),
        Source::Call(call) => match (call.function, call.arguments.first()) {
            (Function::Lower | Function::Upper | Function::UpperUnicode, Some(Argument::Source(of))) => {
                entry_behind(*of, code)
            }
            _ => None,
        },
        Source::Field(_) => None,
    }
}
