//! What an evaluation remembers.

use super::code::{Argument, Code, Node, Predicate, PredicateId, Source, SourceId, Test};

/// The places of values and truths that may be asked for more than once; the others are not worth remembering.
#[derive(Debug)]
pub struct Memory {
    values: Places,
    truths: Places,
}

/// Numbers things that have a place.
#[derive(Debug)]
struct Places {
    of: Box<[u32]>,
    count: usize,
}

impl Memory {
    /// For a program with these conditions, in which `looked_at` are looked at besides.
    pub fn new<'n>(
        code: &Code,
        conditions: impl Iterator<Item = &'n Node>,
        looked_at: impl Iterator<Item = SourceId>,
    ) -> Memory {
        let mut uses = Uses::of(code);
        conditions.for_each(|node| uses.node(code, node, 1));
        looked_at.for_each(|source| uses.sources[source.0 as usize] += 1);
        Memory { values: Places::of(&uses.sources), truths: Places::of(&uses.predicates) }
    }

    /// Remembers everything.
    pub fn of_everything(code: &Code) -> Memory {
        let all = |count| Places { of: (0..count as u32).collect(), count };
        Memory { values: all(code.sources.len()), truths: all(code.predicates.len()) }
    }

    /// How many places there are for values.
    pub fn values(&self) -> usize {
        self.values.count
    }

    /// How many places there are for truths.
    pub fn truths(&self) -> usize {
        self.truths.count
    }

    #[inline]
    pub fn place_of_value(&self, id: SourceId) -> Option<usize> {
        self.values.place(id.0)
    }

    #[inline]
    pub fn place_of_truth(&self, id: PredicateId) -> Option<usize> {
        self.truths.place(id.0)
    }
}

impl Places {
    const NONE: u32 = u32::MAX;

    fn of(uses: &[u32]) -> Places {
        let mut count = 0;
        let of = uses.iter().map(|&uses| {
            if uses < 2 {
                return Places::NONE;
            }
            count += 1;
            count - 1
        });
        Places { of: of.collect(), count: count as usize }
    }

    #[inline]
    fn place(&self, id: u32) -> Option<usize> {
        let place = self.of[id as usize];
        (place != Places::NONE).then_some(place as usize)
    }
}

/// How often each source and predicate may be asked for.
struct Uses {
    sources: Vec<u32>,
    predicates: Vec<u32>,
}

/// What is asked for once for each element is asked for often.
const OFTEN: u32 = 2;

impl Uses {
    /// Those by other sources and predicates.
    fn of(code: &Code) -> Uses {
        let mut uses = Uses { sources: vec![0; code.sources.len()], predicates: vec![0; code.predicates.len()] };
        code.sources.iter().for_each(|source| uses.source(code, source));
        code.predicates.iter().for_each(|predicate| uses.predicate(code, predicate));
        uses
    }

    fn source(&mut self, code: &Code, source: &Source) {
        match source {
            Source::Field(_) | Source::Entry(..) => {}
            Source::Key(of, _) | Source::At(of, _) | Source::Flatten(of, _) => self.add(*of, 1),
            Source::Call(call) => {
                for argument in &call.arguments {
                    match argument {
                        Argument::Literal(_) => {}
                        Argument::Source(of) => self.add(*of, 1),
                        Argument::Condition(node) => self.node(code, node, OFTEN),
                    }
                }
            }
        }
    }

    fn predicate(&mut self, code: &Code, predicate: &Predicate) {
        match predicate {
            // One test of each element looks at the value once; see `Evaluation::quantified`.
            Predicate::Quantified(_, Node::Test(id)) => match code.predicate(*id) {
                Predicate::Compare { source, test, each: true } => self.look(*source, test, 1, OFTEN),
                _ => self.node(code, &Node::Test(*id), OFTEN),
            },
            Predicate::Quantified(_, node) => self.node(code, node, OFTEN),
            Predicate::Truth { source, each: false } => self.add(*source, 1),
            Predicate::Compare { source, test, each: false } => self.look(*source, test, 1, 1),
            // Counted where they are used.
            Predicate::Truth { each: true, .. } | Predicate::Compare { each: true, .. } => {}
        }
    }

    fn look(&mut self, source: SourceId, test: &Test, left: u32, right: u32) {
        self.add(source, left);
        if let Test::OrderWith(_, other) = test {
            self.add(*other, right);
        }
    }

    fn node(&mut self, code: &Code, node: &Node, times: u32) {
        match node {
            Node::Constant(_) => {}
            Node::Test(id) => {
                self.predicates[id.0 as usize] += times;
                match code.predicate(*id) {
                    Predicate::Truth { source, each: true } => self.add(*source, OFTEN),
                    Predicate::Compare { source, test, each: true } => self.look(*source, test, OFTEN, OFTEN),
                    _ => {}
                }
            }
            Node::Not(inner) => self.node(code, inner, times),
            Node::Chain(_, parts) => parts.iter().for_each(|part| self.node(code, part, times)),
        }
    }

    fn add(&mut self, source: SourceId, times: u32) {
        self.sources[source.0 as usize] += times;
    }
}
