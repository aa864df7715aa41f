//! What is filed by pieces of text.

use rustc_hash::FxHashMap;

use super::Members;
use crate::program::bits::Bits;
use crate::program::substring::commonness;
use bumpalo::Bump;

/// Pieces of text, each filed by a few of its bytes, its gram. A text is searched for all of them in one pass: whether
/// what stands at a place can be a gram is a look at a bit, which for most places says no. An automaton would go from
/// state to state instead, each step waiting for the one before.
#[derive(Debug, Default)]
pub struct Parts {
    pieces: Box<[Piece]>,
    /// For grams of one, two, three and four bytes; a gram is as long as it can be.
    grams: [Option<Grams>; Grams::LONGEST],
}

#[derive(Debug)]
struct Piece {
    text: Box<[u8]>,
    /// Where in it its gram stands.
    gram_at: usize,
    members: Members,
}

/// Grams of one length.
#[derive(Debug)]
struct Grams {
    /// A set of the grams' hashes; the number of bits is a power of two.
    bits: Box<[u64]>,
    shift: u32,
    /// Numbers of pieces, by gram.
    pieces: FxHashMap<u32, Box<[u32]>>,
}

impl Parts {
    /// Of texts that are not empty, each once.
    pub fn new(pieces: Vec<(Box<[u8]>, Members)>) -> Self {
        let mut by_gram: [FxHashMap<u32, Vec<u32>>; Grams::LONGEST] = Default::default();
        let place = |(number, (text, members)): (usize, (Box<[u8]>, Members))| {
            let length = text.len().min(Grams::LONGEST);
            let taken = &mut by_gram[length - 1];
            let crowd = |at: &usize| taken.get(&gram(&text[*at..*at + length])).map_or(0, Vec::len);
            let common = |at: &usize| text[*at..*at + length].iter().map(|&byte| commonness(byte)).sum::<usize>();
            let gram_at = (0..=text.len() - length).min_by_key(|at| (crowd(at), common(at))).unwrap_or(0);
            taken.entry(gram(&text[gram_at..gram_at + length])).or_default().push(number as u32);
            Piece { text, gram_at, members }
        };
        let pieces = pieces.into_iter().enumerate().map(place).collect();
        Parts { pieces, grams: by_gram.map(|grams| (!grams.is_empty()).then(|| Grams::new(grams))) }
    }

    /// Tells what is filed under the pieces that are in `text`, each once.
    pub fn look(&self, text: &[u8], arena: &Bump, found: &mut impl FnMut(Members)) {
        let mut known = None;
        let [one, two, three, four] = &self.grams;
        self.pass::<4>(four, text, arena, &mut known, found);
        self.pass::<3>(three, text, arena, &mut known, found);
        self.pass::<2>(two, text, arena, &mut known, found);
        self.pass::<1>(one, text, arena, &mut known, found);
    }

    #[inline]
    fn pass<'a, const LENGTH: usize>(
        &self,
        grams: &Option<Grams>,
        text: &[u8],
        arena: &'a Bump,
        known: &mut Option<Bits<'a>>,
        found: &mut impl FnMut(Members),
    ) {
        let Some(grams) = grams else { return };
        for (at, window) in text.windows(LENGTH).enumerate() {
            let gram = gram(window);
            if !grams.may_hold(gram) {
                continue;
            }
            for &number in grams.pieces.get(&gram).into_iter().flatten() {
                let piece = &self.pieces[number as usize];
                if piece.is_around(at, text)
                    && known.get_or_insert_with(|| Bits::new(self.pieces.len(), arena)).insert(number as usize)
                {
                    found(piece.members);
                }
            }
        }
    }
}

impl Piece {
    fn is_around(&self, gram_at: usize, text: &[u8]) -> bool {
        gram_at.checked_sub(self.gram_at).is_some_and(|start| text[start..].starts_with(&self.text))
    }
}

impl Grams {
    const LONGEST: usize = 4;

    /// So that few places look like a gram that is none.
    const BITS_PER_GRAM: usize = 16;

    fn new(pieces: FxHashMap<u32, Vec<u32>>) -> Self {
        let bits = (pieces.len() * Self::BITS_PER_GRAM).next_power_of_two().max(64);
        let mut grams = Grams {
            bits: vec![0; bits / 64].into(),
            shift: u32::BITS - bits.trailing_zeros(),
            pieces: pieces.into_iter().map(|(gram, numbers)| (gram, numbers.into())).collect(),
        };
        for &gram in grams.pieces.keys() {
            let place = grams.place(gram);
            grams.bits[place / 64] |= 1 << (place % 64);
        }
        grams
    }

    #[inline]
    fn may_hold(&self, gram: u32) -> bool {
        let place = self.place(gram);
        self.bits[place / 64] >> (place % 64) & 1 == 1
    }

    /// Multiplicative hashing; the upper bits are the good ones.
    #[inline]
    fn place(&self, gram: u32) -> usize {
        (gram.wrapping_mul(0x9e37_79b1) >> self.shift) as usize
    }
}

/// Up to four bytes as a number.
#[inline]
fn gram(bytes: &[u8]) -> u32 {
    match *bytes {
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
        _ => bytes.iter().fold(0, |gram, &byte| gram << 8 | u32::from(byte)),
    }
}
