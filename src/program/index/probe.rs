//! One look at one value.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::Members;
use super::affixes::Affixes;
use super::grams::Parts;
use super::layers::Layers;
use crate::program::code::SourceId;
use crate::program::evaluate::{Evaluation, elements};
use crate::request::{Subject, Value, lower};

/// Looks a source's value up, or each of its elements.
#[derive(Debug)]
pub struct Probe {
    pub source: SourceId,
    pub each: bool,
    pub table: Table,
}

/// What is filed by the values of one source.
#[derive(Debug)]
pub enum Table {
    Bytes(Box<Texts>),
    Ints(Layers<i64>),
    Ips { v4: Layers<u32>, v6: Layers<u128> },
}

/// What is filed by text.
#[derive(Debug, Default)]
pub struct Texts {
    pub equal: FxHashMap<Box<[u8]>, Members>,
    pub prefixes: Affixes,
    pub suffixes: Affixes,
    pub parts: Option<Parts>,
    /// Found in text in lower case.
    pub folded_parts: Option<Parts>,
}

impl Probe {
    pub fn look<'a, S: Subject>(&'a self, evaluation: &Evaluation<'a, S>, found: &mut impl FnMut(Members)) {
        let Some(value) = evaluation.value(self.source) else { return };
        if self.each {
            elements(value).for_each(|element| self.table.look(element, evaluation, found));
        } else {
            self.table.look(value, evaluation, found);
        }
    }
}

impl Table {
    fn look<'a, S>(&'a self, value: Value<'a>, evaluation: &Evaluation<'a, S>, found: &mut impl FnMut(Members)) {
        match (self, value) {
            (Table::Bytes(texts), Value::Bytes(bytes)) => texts.look(bytes, evaluation, found),
            (Table::Ints(layers), Value::Int(number)) => layers.look(number, found),
            (Table::Ips { v4, .. }, Value::Ip(IpAddr::V4(address))) => v4.look(address.to_bits(), found),
            (Table::Ips { v6, .. }, Value::Ip(IpAddr::V6(address))) => v6.look(address.to_bits(), found),
            _ => {}
        }
    }
}

impl Texts {
    fn look<'a, S>(&'a self, text: &'a [u8], evaluation: &Evaluation<'a, S>, found: &mut impl FnMut(Members)) {
        if !self.equal.is_empty()
            && let Some(&members) = self.equal.get(text)
        {
            found(members);
        }
        self.prefixes.starts_of(text, found);
        self.suffixes.ends_of(text, found);
        if let Some(parts) = &self.parts {
            parts.look(text, evaluation.arena, found);
        }
        if let Some(parts) = &self.folded_parts {
            parts.look(lower(text, evaluation.arena), evaluation.arena, found);
        }
    }
}
