//! What is filed by pieces of text.

use std::ops::ControlFlow::{self, Break, Continue};

use bumpalo::Bump;
use rustc_hash::FxHashMap;

use super::Members;
use crate::program::bits::Bits;
use crate::program::substring::{Substring, commonness};

/// Pieces of text, each filed by a few of its bytes, its grams. A text is searched for all of them in one pass: whether
/// what stands at a place can be a gram is a look at a bit, which for most places says no. An automaton would go from
/// state to state instead, each step waiting for the one before.
#[derive(Debug)]
pub struct Parts {
    pieces: Box<[Piece]>,
    /// Those that something is filed by.
    grams: Box<[Grams]>,
}

/// What is filed by a piece.
#[derive(Debug)]
struct Piece {
    text: Substring,
    members: Members,
}

/// Grams of pieces of about one length. A piece is filed by as many grams in a row as the stride, so that a text need
/// only be searched at every so many places.
#[derive(Debug)]
struct Grams {
    /// Bytes of a gram.
    length: usize,
    stride: usize,
    /// A set of the grams' hashes; the number of bits is a power of two.
    bits: Box<[u64]>,
    shift: u32,
    by_gram: FxHashMap<u32, Vec<Filed>>,
}

/// A piece by its number, and where in it the gram stands.
type Filed = (u32, u32);

impl Parts {
    /// A text in which grams stand for pieces that are not there, once for each piece and each so many bytes, was made
    /// to be slow: it is searched for one piece after the other, which costs what it does without an index.
    const BYTES_PER_ALARM: usize = 256;

    /// Of texts that are not empty, each once.
    pub fn new(pieces: Vec<(Box<[u8]>, Members)>) -> Self {
        let mut grams =
            [(4, 4), (4, 2), (4, 1), (3, 1), (2, 1), (1, 1)].map(|(length, stride)| Grams::new(length, stride));
        for (number, (text, _)) in pieces.iter().enumerate() {
            if let Some(grams) = grams.iter_mut().find(|grams| grams.fit_into(text)) {
                grams.file(number, text);
            }
        }
        Parts {
            pieces: pieces.into_iter().map(|(text, members)| Piece { text: Substring::new(text), members }).collect(),
            grams: grams.into_iter().filter(|grams| !grams.by_gram.is_empty()).map(Grams::sealed).collect(),
        }
    }

    /// Tells what is filed under the pieces that are in `text`, each once.
    pub fn look(&self, text: &[u8], arena: &Bump, found: &mut impl FnMut(Members)) {
        let mut known = None;
        let mut is_new = |number| known.get_or_insert_with(|| Bits::new(self.pieces.len(), arena)).insert(number);
        let mut alarms = self.pieces.len() * (1 + text.len() / Self::BYTES_PER_ALARM);
        let mut check = |number: usize, start: Option<usize>| {
            let piece = &self.pieces[number];
            if start.is_some_and(|start| text[start..].starts_with(piece.text.text())) && is_new(number) {
                found(piece.members);
                return Continue(());
            }
            alarms -= 1;
            if alarms == 0 { Break(()) } else { Continue(()) }
        };
        if self.grams.iter().try_for_each(|grams| grams.search(text, &mut check)).is_break() {
            let there =
                self.pieces.iter().enumerate().filter(|(number, piece)| piece.text.is_in(text) && is_new(*number));
            there.for_each(|(_, piece)| found(piece.members));
        }
    }
}

impl Grams {
    /// So that few places look like a gram that is none.
    const BITS_PER_GRAM: usize = 32;

    fn new(length: usize, stride: usize) -> Self {
        Grams { length, stride, bits: Box::default(), shift: 0, by_gram: FxHashMap::default() }
    }

    /// Whether a piece has room for grams in a row.
    fn fit_into(&self, text: &[u8]) -> bool {
        text.len() >= self.length + self.stride - 1
    }

    /// Files a piece by the grams that are rare and by which few others are filed.
    fn file(&mut self, number: usize, text: &[u8]) {
        let gram_at = |at: usize| gram(&text[at..at + self.length]);
        let places = |from: usize| from..from + self.stride;
        let crowd = |from: usize| places(from).map(|at| self.by_gram.get(&gram_at(at)).map_or(0, Vec::len)).max();
        let row = self.length + self.stride - 1;
        let common = |from: usize| text[from..from + row].iter().map(|&byte| commonness(byte)).sum::<usize>();
        let from = (0..=text.len() - row).min_by_key(|&from| (crowd(from), common(from))).unwrap_or(0);
        for at in places(from) {
            self.by_gram.entry(gram(&text[at..at + self.length])).or_default().push((number as u32, at as u32));
        }
    }

    /// With the bits, once everything is filed.
    fn sealed(mut self) -> Self {
        let bits = (self.by_gram.len() * Self::BITS_PER_GRAM).next_power_of_two().max(64);
        (self.bits, self.shift) = (vec![0; bits / 64].into(), u32::BITS - bits.trailing_zeros());
        for &gram in self.by_gram.keys() {
            let place = place(gram, self.shift);
            self.bits[place / 64] |= 1 << (place % 64);
        }
        self
    }

    /// Tells which pieces `text` may hold, and where they would begin, until `found` has had enough.
    #[inline]
    fn search(&self, text: &[u8], found: &mut impl FnMut(usize, Option<usize>) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut look = |gram, at: usize| {
            if !self.may_hold(gram) {
                return Continue(());
            }
            let mut filed = self.by_gram.get(&gram).into_iter().flatten();
            filed.try_for_each(|&(number, gram_at)| found(number as usize, at.checked_sub(gram_at as usize)))
        };
        if (self.length, self.stride) == (4, 4) {
            let grams = text.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            return grams.enumerate().try_for_each(|(number, gram)| look(gram, number * 4));
        }
        if self.length == 4 {
            let mut places = (0..text.len().saturating_sub(3)).step_by(self.stride);
            let gram_at = |at| u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]);
            return places.try_for_each(|at| look(gram_at(at), at));
        }
        text.windows(self.length).enumerate().try_for_each(|(at, window)| look(gram(window), at))
    }

    #[inline]
    fn may_hold(&self, gram: u32) -> bool {
        let place = place(gram, self.shift);
        self.bits[place / 64] >> (place % 64) & 1 == 1
    }
}

/// Multiplicative hashing; the upper bits are the good ones.
#[inline]
fn place(gram: u32, shift: u32) -> usize {
    (gram.wrapping_mul(0x9e37_79b1) >> shift) as usize
}

/// Up to four bytes as a number.
#[inline]
fn gram(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |gram, &byte| gram << 8 | u32::from(byte))
}
