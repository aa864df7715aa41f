//! What compiled programs keep of memory.

use velvetrope::program::{Program, Site};

mod workload;

use workload::{integrations, mixed, operators};

const MB: i64 = 1_000_000;

/// What stays allocated once a site is compiled and dropped, the expressions that the program shares with it included;
/// bytes.
fn kept(name: &str, site: impl Fn() -> Site) -> i64 {
    // What is set up once in the life of a process is no program's.
    drop(Program::compile(&site()));
    let mut program = None;
    let measured = allocation_counter::measure(|| program = Some(Program::compile(&site())));
    drop(program);
    println!("{name}: {} kB in {} pieces", measured.bytes_current / 1_000, measured.count_current);
    measured.bytes_current
}

#[test]
fn a_thousand_rules_take_a_megabyte_at_most() {
    assert!(kept("1,000 mixed rules", || mixed::none_true(1_000).site) <= MB);
}

/// Each has up to four parts, upper-cased where it ignores case; this figure may only fall.
#[test]
fn a_thousand_integrations_take_two_megabytes_at_most() {
    assert!(kept("1,000 integrations", || integrations::site(1_000)) <= 2 * MB);
}

#[test]
fn a_hundred_thousand_networks_take_two_megabytes_at_most() {
    assert!(kept("100,000 networks", || operators::workload(&("in", "ip.src in $networks")).site) <= 2 * MB);
}
