//! Sets of small numbers for the time of one evaluation.

use bumpalo::Bump;

/// A set of numbers below a limit.
pub struct Bits<'a>(&'a mut [u64]);

impl<'a> Bits<'a> {
    /// An empty set for numbers below `limit`.
    pub fn new(limit: usize, arena: &'a Bump) -> Self {
        Bits(arena.alloc_slice_fill_copy(limit.div_ceil(64), 0))
    }

    /// Adds a number; whether it was not there before.
    pub fn insert(&mut self, number: usize) -> bool {
        let (word, bit) = (&mut self.0[number / 64], 1 << (number % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
