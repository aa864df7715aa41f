//! What is filed by ranges, which may overlap.

use super::Members;
use crate::program::sets::{Point, Ranges};

/// Ranges in layers, in each of which they are apart from one another.
#[derive(Debug)]
pub struct Layers<T>(Box<[Layer<T>]>);

#[derive(Debug)]
struct Layer<T> {
    ranges: Ranges<T>,
    /// By range.
    members: Box<[Members]>,
}

/// The bounds of a range, and what is filed under it.
pub type Filed<T> = ((T, T), Members);

impl<T: Point> Layers<T> {
    /// Each layer costs a search.
    const MOST: usize = 8;

    /// Lays ranges out, and gives back the members of those that are nested too deep.
    pub fn new(mut ranges: Vec<Filed<T>>) -> (Self, Vec<Members>) {
        ranges.sort_unstable_by_key(|&(bounds, _)| bounds);
        let mut layers: Vec<Vec<Filed<T>>> = Vec::new();
        let mut left_over = Vec::new();
        for range in ranges {
            let is_free = |layer: &Vec<Filed<T>>| layer.last().is_none_or(|(last, _)| last.1 < range.0.0);
            match layers.iter().position(is_free) {
                Some(layer) => layers[layer].push(range),
                None if layers.len() < Self::MOST => layers.push(vec![range]),
                None => left_over.push(range.1),
            }
        }
        let layers = layers.into_iter().map(|layer| {
            let (bounds, members): (Vec<_>, Vec<_>) = layer.into_iter().unzip();
            Layer { ranges: Ranges::of_sorted(bounds.into()), members: members.into() }
        });
        (Layers(layers.collect()), left_over)
    }

    /// Tells what is filed under the ranges that hold `value`.
    pub fn look(&self, value: T, found: &mut impl FnMut(Members)) {
        for layer in &self.0 {
            if let Some(range) = layer.ranges.find(value) {
                found(layer.members[range]);
            }
        }
    }
}
