//! Names with values, as they come out of headers, cookies and queries.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::Value;

/// The values of every name, by name; values of one name keep their order.
pub fn by_name<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, arena: &'a Bump) -> Value<'a> {
    let sorted = sorted(pairs, arena);
    let mut rest: &'a [Value<'a>] = arena.alloc_slice_fill_iter(sorted.iter().map(|pair| Value::Bytes(pair.value)));
    let mut entries = BumpVec::new_in(arena);
    for group in sorted.chunk_by(|one, next| one.name == next.name) {
        let (values, others) = rest.split_at(group.len());
        entries.push((group[0].name, Value::Array(values)));
        rest = others;
    }
    Value::Map(entries.into_bump_slice())
}

/// One value for every name: what `choose` makes of its values, of which there is at least one.
pub fn one_by_name<'a>(
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    mut choose: impl FnMut(&mut dyn Iterator<Item = &'a [u8]>) -> &'a [u8],
    arena: &'a Bump,
) -> Value<'a> {
    let sorted = sorted(pairs, arena);
    let mut entries = BumpVec::new_in(arena);
    for group in sorted.chunk_by(|one, next| one.name == next.name) {
        entries.push((group[0].name, Value::Bytes(choose(&mut group.iter().map(|pair| pair.value)))));
    }
    Value::Map(entries.into_bump_slice())
}

/// The values of one name as an array; `None` where the name does not occur.
pub fn of_name<'a>(values: impl Iterator<Item = &'a [u8]>, arena: &'a Bump) -> Option<Value<'a>> {
    let mut found = BumpVec::new_in(arena);
    found.extend(values.map(Value::Bytes));
    if found.is_empty() { None } else { Some(Value::Array(found.into_bump_slice())) }
}

/// An array of byte strings.
pub fn array<'a>(values: impl Iterator<Item = &'a [u8]>, arena: &'a Bump) -> Value<'a> {
    let mut all = BumpVec::new_in(arena);
    all.extend(values.map(Value::Bytes));
    Value::Array(all.into_bump_slice())
}

/// The names in order, each as often as it has values. Hosts give headers in orders of their own.
pub fn names<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, arena: &'a Bump) -> Value<'a> {
    array(sorted(pairs, arena).iter().map(|pair| pair.name), arena)
}

/// The values in the order of their [`names`]; those of one name keep theirs.
pub fn values<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, arena: &'a Bump) -> Value<'a> {
    array(sorted(pairs, arena).iter().map(|pair| pair.value), arena)
}

/// The values with `separator` between them; borrowed where there is only one, `None` where there is none.
pub fn joined<'a>(mut values: impl Iterator<Item = &'a [u8]>, separator: &[u8], arena: &'a Bump) -> Option<&'a [u8]> {
    let first = values.next()?;
    let Some(second) = values.next() else { return Some(first) };
    let mut all = BumpVec::new_in(arena);
    all.extend_from_slice_copy(first);
    for value in std::iter::once(second).chain(values) {
        all.extend_from_slice_copy(separator);
        all.extend_from_slice_copy(value);
    }
    Some(all.into_bump_slice())
}

#[derive(Clone, Copy)]
struct Pair<'a> {
    name: &'a [u8],
    order: usize,
    value: &'a [u8],
}

fn sorted<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, arena: &'a Bump) -> BumpVec<'a, Pair<'a>> {
    let mut sorted = BumpVec::new_in(arena);
    sorted.extend(pairs.enumerate().map(|(order, (name, value))| Pair { name, order, value }));
    // A stable sort would allocate; the order makes every key different.
    sorted.sort_unstable_by_key(|pair| (pair.name, pair.order));
    sorted
}
