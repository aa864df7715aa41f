//! From filed conditions to tables.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::affixes::Affixes;
use super::grams::Parts;
use super::layers::Layers;
use super::probe::{Probe, Table, Texts};
use super::{Filed, Index, Map, Members, file};
use crate::language::Function;
use crate::language::expression::{Literal, Relation};
use crate::program::code::{Argument, Code, Node, Predicate, Set, Source, SourceId, Test};
use crate::request::FieldId;

/// What a predicate is looked up by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Equal(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Part(Box<[u8]>),
    /// In either case; written in lower case.
    FoldedPart(Box<[u8]>),
    Ints(i64, i64),
    V4(u32, u32),
    V6(u128, u128),
}

/// The keys of which a value has one if it passes the test; `None` where no table tells.
pub fn keys(test: &Test, code: &Code) -> Option<Vec<Key>> {
    let keys = match test {
        Test::Equal(text) => vec![Key::Equal(text.clone())],
        Test::Prefix(text) => vec![Key::Prefix(text.clone())],
        Test::Suffix(text) => vec![Key::Suffix(text.clone())],
        Test::Contains(text) => vec![Key::Part(text.text().into())],
        Test::Wildcard(pattern) if pattern.is_strict() => vec![Key::Part(pattern.longest_segment().into())],
        Test::Wildcard(pattern) => vec![Key::FoldedPart(pattern.longest_segment().into())],
        Test::Matches(matching) if matching.required().is_empty() => return None,
        Test::Matches(matching) => matching.required().iter().cloned().map(Key::Part).collect(),
        Test::Order(Relation::Eq, Literal::Int(number)) => vec![Key::Ints(*number, *number)],
        Test::Order(Relation::Eq, Literal::Ip(IpAddr::V4(address))) => {
            vec![Key::V4(address.to_bits(), address.to_bits())]
        }
        Test::Order(Relation::Eq, Literal::Ip(IpAddr::V6(address))) => {
            vec![Key::V6(address.to_bits(), address.to_bits())]
        }
        Test::In(set) => keys_of_set(code.set(*set)),
        Test::Nothing => Vec::new(),
        Test::Order(..) | Test::OrderWith(..) | Test::Bits(_) => return None,
    };
    let is_empty = |key: &Key| match key {
        Key::Equal(text) | Key::Prefix(text) | Key::Suffix(text) | Key::Part(text) | Key::FoldedPart(text) => {
            text.is_empty()
        }
        Key::Ints(..) | Key::V4(..) | Key::V6(..) => false,
    };
    // Every text has an empty part, and a trigger's map has an empty text wherever a key is missing.
    (!keys.iter().any(is_empty)).then_some(keys)
}

fn keys_of_set(set: &Set) -> Vec<Key> {
    match set {
        Set::Bytes(set) => set.strings().map(|text| Key::Equal(text.into())).collect(),
        Set::Hostnames(set) => {
            let below = |name: &[u8]| Key::Suffix([b".", name].concat().into());
            let exact = set.exact.strings().map(|text| Key::Equal(text.into()));
            exact.chain(set.parents.strings().map(below)).collect()
        }
        Set::Ints(set) => set.bounds().iter().map(|&(first, last)| Key::Ints(first, last)).collect(),
        Set::Ips(set) => {
            let v4 = set.v4.bounds().iter().map(|&(first, last)| Key::V4(first, last));
            v4.chain(set.v6.bounds().iter().map(|&(first, last)| Key::V6(first, last))).collect()
        }
    }
}

impl Index {
    /// Below this number of conditions that can be filed, evaluating them one after the other costs less.
    const WORTH_IT: usize = 16;

    /// From this number of keys of one map on, the keys that a request has are looked up, instead of each in turn.
    const MANY_KEYS: usize = 4;

    /// Files conditions; `None` where it is better to evaluate them one after the other.
    pub fn new(code: &Code, conditions: &[&Node]) -> Option<Index> {
        if conditions.len() < Self::WORTH_IT {
            return None;
        }
        let filed = file(code, conditions);
        let mut builder = Builder { code, cabinets: BTreeMap::new(), members: Vec::new(), unfiled: Vec::new() };
        for (position, filed) in filed.iter().enumerate() {
            builder.file(position as u32, filed);
        }
        if conditions.len() - builder.unfiled.len() < Self::WORTH_IT {
            return None;
        }
        Some(builder.finish(conditions.len()))
    }
}

/// A source, and whether its elements are looked at.
type Place = (u32, bool);

/// Positions by key.
type Cabinet = HashMap<Key, Vec<u32>, FxBuildHasher>;

struct Builder<'c> {
    code: &'c Code,
    cabinets: BTreeMap<Place, Cabinet>,
    members: Vec<u32>,
    unfiled: Vec<u32>,
}

impl Builder<'_> {
    fn file(&mut self, position: u32, filed: &Filed) {
        let Filed::Under(predicates) = filed else {
            self.unfiled.push(position);
            return;
        };
        for predicate in predicates {
            let Predicate::Compare { source, test, each } = self.code.predicate(*predicate) else { continue };
            let cabinet = self.cabinets.entry((source.0, *each)).or_default();
            for key in keys(test, self.code).into_iter().flatten() {
                cabinet.entry(key).or_default().push(position);
            }
        }
    }

    fn finish(mut self, conditions: usize) -> Index {
        let mut by_field: BTreeMap<FieldId, Vec<Keyed>> = BTreeMap::new();
        let mut probes = Vec::new();
        for ((source, each), cabinet) in std::mem::take(&mut self.cabinets) {
            let source = SourceId(source);
            let probe = Probe { source, each, table: self.table(cabinet) };
            match entry_behind(source, self.code) {
                Some((field, key)) => by_field.entry(field).or_default().push((key.into(), probe)),
                None => probes.push(probe),
            }
        }
        let mut maps = Vec::new();
        for (field, keyed) in by_field {
            if keyed.len() < Index::MANY_KEYS {
                probes.extend(keyed.into_iter().map(|(_, probe)| probe));
            } else {
                maps.push(Map::new(field, keyed));
            }
        }
        self.unfiled.sort_unstable();
        self.unfiled.dedup();
        Index {
            conditions,
            probes: probes.into(),
            maps: maps.into(),
            members: self.members.into(),
            unfiled: self.unfiled.into(),
        }
    }

    /// All keys of a source are of one type, because its value is.
    fn table(&mut self, cabinet: Cabinet) -> Table {
        let (mut texts, mut ints, mut v4, mut v6) = (TextKeys::default(), Vec::new(), Vec::new(), Vec::new());
        for (key, positions) in cabinet {
            let members = self.keep(positions);
            match key {
                Key::Equal(text) => texts.equal.push((text, members)),
                Key::Prefix(text) => texts.prefixes.push((text, members)),
                Key::Suffix(text) => texts.suffixes.push((text, members)),
                Key::Part(text) => texts.parts.push((text, members)),
                Key::FoldedPart(text) => texts.folded_parts.push((text, members)),
                Key::Ints(first, last) => ints.push(((first, last), members)),
                Key::V4(first, last) => v4.push(((first, last), members)),
                Key::V6(first, last) => v6.push(((first, last), members)),
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

    fn keep(&mut self, mut positions: Vec<u32>) -> Members {
        // They come in order; one condition may have the same key twice.
        positions.dedup();
        let from = self.members.len() as u32;
        self.members.append(&mut positions);
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
