//! The tables, each against a walk through everything that is filed in it.

use bumpalo::Bump;

use super::Members;
use super::affixes::Affixes;
use super::grams::Parts;
use super::layers::Layers;

fn members(number: usize) -> Members {
    Members { from: number as u32, to: number as u32 + 1 }
}

fn all_found(look: impl FnOnce(&mut dyn FnMut(Members))) -> Vec<usize> {
    let mut found = Vec::new();
    look(&mut |members: Members| found.push(members.from as usize));
    found.sort_unstable();
    found
}

#[test]
fn every_affix_of_a_text_is_found() {
    let affixes = ["/", "/a", "/ab", "/abc", "/b", "a", "ba", "aba", "x/ab", "b/a", "é"];
    let filed = || affixes.iter().enumerate().map(|(number, text)| (text.as_bytes().into(), members(number))).collect();
    let (starts, ends) = (Affixes::starts(filed()), Affixes::ends(filed()));
    for text in ["", "/", "/a", "/ab", "/abcd", "/c", "aba", "xaba", "/x/ab", "éé", "x", "/abé"] {
        let which = |is_affix: &dyn Fn(&str) -> bool| -> Vec<usize> {
            (0..affixes.len()).filter(|&number| is_affix(affixes[number])).collect()
        };
        let found = all_found(|found| starts.starts_of(text.as_bytes(), &mut |one| found(one)));
        assert_eq!(found, which(&|affix| text.starts_with(affix)), "starts of {text}");
        let found = all_found(|found| ends.ends_of(text.as_bytes(), &mut |one| found(one)));
        assert_eq!(found, which(&|affix| text.ends_with(affix)), "ends of {text}");
    }
}

#[test]
fn every_piece_of_a_text_is_found_once() {
    let pieces = ["a", "b", "ab", "abc", "abcd", "abcde", "bcde", "agent-1", "agent-10", "aaaaaa", "aaaa", "é", "xyz"];
    let filed = pieces.iter().enumerate().map(|(number, text)| (text.as_bytes().into(), members(number))).collect();
    let (parts, arena) = (Parts::new(filed), Bump::new());
    // Full of grams that belong to no piece, so that the search is given up.
    let hostile = "agent-".repeat(5_000) + "10 wxyz";
    for text in
        ["", "a", "abcdef", "xabcdx", "agent-100 agent-1", "aaaaaaaaaaaa", "éé", "xy", "wxyz", "AGENT-1", &hostile]
    {
        let found = all_found(|found| parts.look(text.as_bytes(), &arena, &mut |one| found(one)));
        let expected = (0..pieces.len()).filter(|&number| text.contains(pieces[number])).collect::<Vec<_>>();
        assert_eq!(found, expected, "{text:.20}");
    }
}

#[test]
fn every_range_around_a_number_is_found_or_given_back() {
    let nested: Vec<(i64, i64)> = (0..20).map(|depth| (depth - 50, 50 - depth)).collect();
    let apart = (0..100).map(|number| (number * 10 - 500, number * 10 - 495));
    let ranges: Vec<(i64, i64)> = nested.into_iter().chain(apart).chain([(i64::MIN, i64::MAX), (7, 7)]).collect();
    let filed = ranges.iter().enumerate().map(|(number, &range)| (range, members(number))).collect();
    let (layers, left_over) = Layers::new(filed);
    let left_over: Vec<usize> = left_over.iter().map(|members| members.from as usize).collect();
    assert!(!left_over.is_empty() && left_over.len() < 40);
    for number in (-600..600).chain([i64::MIN, i64::MAX]) {
        let found = all_found(|found| layers.look(number, &mut |one| found(one)));
        let holds =
            |&range: &usize| (ranges[range].0..=ranges[range].1).contains(&number) && !left_over.contains(&range);
        assert_eq!(found, (0..ranges.len()).filter(holds).collect::<Vec<_>>(), "{number}");
    }
}
