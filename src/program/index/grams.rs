//! What is filed by pieces of text.

use rustc_hash::FxHashMap;

use super::Members;
use crate::program::bits::Bits;
use crate::program::substring::commonness;
use bumpalo::Bump;

/// Pieces of text, each filed by a few of its bytes, its grams. A text is searched for all of them in one pass: whether
/// what stands at a place can be a gram is a look at a bit, which for most places says no. An automaton would go from
/// state to state instead, each step waiting for the one before.
#[derive(Debug, Default)]
pub struct Parts {
    pieces: Box<[Piece]>,
    /// Of long pieces, each filed by [`STRIDE`] grams in a row, so that every fourth place of a text is enough.
    long: Grams,
    /// Of pieces that are too short for that, by the length of their gram.
    short: [Grams; GRAM],
}

/// Bytes of a gram, where the piece has as many.
const GRAM: usize = 4;

/// How far apart the places are where a text is searched for long pieces.
const STRIDE: usize = 4;

/// What is filed by a piece.
#[derive(Debug)]
struct Piece {
    text: Box<[u8]>,
    members: Members,
}

/// Grams of one length.
#[derive(Debug, Default)]
struct Grams {
    /// A set of the grams' hashes; the number of bits is a power of two, or 0 where there is none.
    bits: Box<[u64]>,
    shift: u32,
    by_gram: FxHashMap<u32, Vec<Filed>>,
}

/// A piece by its number, and where in it the gram stands.
type Filed = (u32, u32);

impl Parts {
    /// Of texts that are not empty, each once.
    pub fn new(pieces: Vec<(Box<[u8]>, Members)>) -> Self {
        let mut parts = Parts::default();
        for (number, (text, _)) in pieces.iter().enumerate() {
            match text.len() {
                length if length >= GRAM + STRIDE - 1 => parts.long.file(number, text, GRAM, STRIDE),
                length => parts.short[length.min(GRAM) - 1].file(number, text, length.min(GRAM), 1),
            }
        }
        std::iter::once(&mut parts.long).chain(&mut parts.short).for_each(Grams::seal);
        parts.pieces = pieces.into_iter().map(|(text, members)| Piece { text, members }).collect();
        parts
    }

    /// Tells what is filed under the pieces that are in `text`, each once.
    pub fn look(&self, text: &[u8], arena: &Bump, found: &mut impl FnMut(Members)) {
        let mut known = None;
        let mut check = |grams: &Grams, gram: u32, at: usize| {
            for &(number, gram_at) in grams.by_gram.get(&gram).into_iter().flatten() {
                let piece = &self.pieces[number as usize];
                let start = at.checked_sub(gram_at as usize);
                if start.is_some_and(|start| text[start..].starts_with(&piece.text))
                    && known.get_or_insert_with(|| Bits::new(self.pieces.len(), arena)).insert(number as usize)
                {
                    found(piece.members);
                }
            }
        };
        if !self.long.bits.is_empty() {
            for (place, chunk) in text.chunks_exact(STRIDE).enumerate() {
                let gram = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
                if self.long.may_hold(gram) {
                    check(&self.long, gram, place * STRIDE);
                }
            }
        }
        for (length, grams) in (1..).zip(&self.short).filter(|(_, grams)| !grams.bits.is_empty()) {
            for (at, window) in text.windows(length).enumerate() {
                let gram = gram(window);
                if grams.may_hold(gram) {
                    check(grams, gram, at);
                }
            }
        }
    }
}

impl Grams {
    /// So that few places look like a gram that is none.
    const BITS_PER_GRAM: usize = 32;

    /// Files a piece by `count` grams in a row, where they are rare and few others are filed.
    fn file(&mut self, number: usize, text: &[u8], length: usize, count: usize) {
        let gram_at = |at: usize| gram(&text[at..at + length]);
        let crowd =
            |from: usize| (from..from + count).map(|at| self.by_gram.get(&gram_at(at)).map_or(0, Vec::len)).max();
        let common =
            |from: usize| text[from..from + length + count - 1].iter().map(|&byte| commonness(byte)).sum::<usize>();
        let from = (0..=text.len() + 1 - length - count).min_by_key(|&from| (crowd(from), common(from))).unwrap_or(0);
        for at in from..from + count {
            self.by_gram.entry(gram_at(at)).or_default().push((number as u32, at as u32));
        }
    }

    /// Makes the bits, once everything is filed.
    fn seal(&mut self) {
        if self.by_gram.is_empty() {
            return;
        }
        let bits = (self.by_gram.len() * Self::BITS_PER_GRAM).next_power_of_two().max(64);
        (self.bits, self.shift) = (vec![0; bits / 64].into(), u32::BITS - bits.trailing_zeros());
        for &gram in self.by_gram.keys() {
            let place = place(gram, self.shift);
            self.bits[place / 64] |= 1 << (place % 64);
        }
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
