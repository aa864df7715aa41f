//! What is filed by how texts start, or by how they end.

use std::collections::VecDeque;
use std::ops::Range;

use super::Members;

/// A compressed trie. A walk along a text passes every affix that it has, and stops where it leaves the trie.
#[derive(Debug, Default)]
pub struct Affixes {
    nodes: Box<[Node]>,
    /// By node: the byte of its label that is met first.
    firsts: Box<[u8]>,
    labels: Box<[u8]>,
}

/// What is reached by a label. The first node is the root, and has none.
#[derive(Debug, Default)]
struct Node {
    label: Range<u32>,
    children: Range<u32>,
    members: Members,
}

/// An affix in the order in which it is met, and what is filed under it.
type Affix = (Box<[u8]>, Members);

impl Affixes {
    /// Of ends of texts that are not empty, each once.
    pub fn ends(mut suffixes: Vec<Affix>) -> Self {
        suffixes.iter_mut().for_each(|(suffix, _)| suffix.reverse());
        let mut affixes = Affixes::starts(suffixes);
        // Labels are compared from left to right.
        for node in &affixes.nodes {
            affixes.labels[span(&node.label)].reverse();
        }
        affixes
    }

    /// Of starts of texts that are not empty, each once.
    pub fn starts(mut sorted: Vec<Affix>) -> Self {
        if sorted.is_empty() {
            return Affixes::default();
        }
        sorted.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let (mut nodes, mut firsts, mut labels) = (vec![Node::default()], vec![0], Vec::new());
        let mut to_do: VecDeque<(usize, &[Affix], usize)> = VecDeque::from([(0, sorted.as_slice(), 0)]);
        while let Some((parent, below, depth)) = to_do.pop_front() {
            let first_child = nodes.len();
            for group in below.chunk_by(|one, next| one.0[depth] == next.0[depth]) {
                let shared = shared(&group[0].0, &group[group.len() - 1].0);
                let is_affix = group[0].0.len() == shared;
                let label = labels.len() as u32;
                labels.extend_from_slice(&group[0].0[depth..shared]);
                let members = if is_affix { group[0].1 } else { Members::default() };
                nodes.push(Node { label: label..labels.len() as u32, children: 0..0, members });
                firsts.push(group[0].0[depth]);
                to_do.push_back((nodes.len() - 1, &group[usize::from(is_affix)..], shared));
            }
            nodes[parent].children = first_child as u32..nodes.len() as u32;
        }
        Affixes { nodes: nodes.into(), firsts: firsts.into(), labels: labels.into() }
    }

    /// Tells what is filed under the starts of `text`.
    pub fn starts_of(&self, text: &[u8], found: &mut impl FnMut(Members)) {
        self.walk(text, |rest| rest.first(), |rest, label| rest.strip_prefix(label), found);
    }

    /// Tells what is filed under the ends of `text`.
    pub fn ends_of(&self, text: &[u8], found: &mut impl FnMut(Members)) {
        self.walk(text, |rest| rest.last(), |rest, label| rest.strip_suffix(label), found);
    }

    #[inline]
    fn walk<'t>(
        &self,
        text: &'t [u8],
        next: impl Fn(&'t [u8]) -> Option<&'t u8>,
        strip: impl Fn(&'t [u8], &[u8]) -> Option<&'t [u8]>,
        found: &mut impl FnMut(Members),
    ) {
        let (mut node, mut rest) = (self.nodes.first(), text);
        while let (Some(parent), Some(&byte)) = (node, next(rest)) {
            let children = span(&parent.children);
            let Some(child) = memchr::memchr(byte, &self.firsts[children.clone()]) else { return };
            let child = &self.nodes[children.start + child];
            let Some(stripped) = strip(rest, &self.labels[span(&child.label)]) else { return };
            if child.members != Members::default() {
                found(child.members);
            }
            (node, rest) = (Some(child), stripped);
        }
    }
}

fn span(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// How many bytes two texts have in common at their start.
fn shared(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
