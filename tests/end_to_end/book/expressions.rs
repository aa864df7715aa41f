//! The expressions that pages show are expressions.

use velvetrope::internal::language::{Scheme, parse};

use super::{files, read};

#[test]
fn expressions_of_pages_are_expressions() {
    let mut seen = 0;
    for page in files(&[".md"]) {
        for block in read(&page).split("```rules\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            for line in block.lines() {
                let refusal = parse(line, Scheme::standard()).err();
                assert!(refusal.is_none(), "{}: {line}: {refusal:#?}", page.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "the language page shows expressions");
}
