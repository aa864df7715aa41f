//! What compiled programs keep of memory.

use velvetrope::program::{Program, Site};

mod workload;

use workload::{integrations, mixed, operators};

const MB: i64 = 1_000_000;

/// What stays allocated of a compiled site; bytes.
fn kept(name: &str, site: &Site) -> i64 {
    let mut program = None;
    let measured = allocation_counter::measure(|| program = Some(Program::compile(site)));
    drop(program);
    println!("{name}: {} kB in {} pieces", measured.bytes_current / 1_000, measured.count_current);
    measured.bytes_current
}

#[test]
fn a_thousand_rules_take_a_megabyte_at_most() {
    assert!(kept("1,000 mixed rules", &mixed::none_true(1_000).site) <= MB);
}

/// Each has up to four parts, upper-cased where it ignores case; this figure may only fall.
#[test]
fn a_thousand_integrations_take_two_megabytes_at_most() {
    assert!(kept("1,000 integrations", &integrations::site(1_000)) <= 2 * MB);
}

#[test]
fn a_hundred_thousand_networks_take_two_megabytes_at_most() {
    let site = operators::workload(&("in", "ip.src in $networks")).site;
    assert!(kept("100,000 networks", &site) <= 2 * MB);
}
