//! What compiled programs keep of memory.

use velvetrope::internal::policy::Policy;
use velvetrope::internal::program::{Program, Site};

use crate::workload::{integrations, mixed, networks, operators};

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

/// Whole policies, with what is known of each rule besides its condition.
#[test]
fn loaded_policies_take_no_more() {
    for (name, sources, most) in [
        ("a loaded policy of 1,000 mixed rules", mixed::policy(1_000), MB),
        ("a loaded policy of 100,000 networks", networks::policy(100_000), 2 * MB),
    ] {
        let policy = Policy::compile(&sources, None).expect("it compiles").policy;
        let saved = policy.save();
        let mut loaded = None;
        let measured = allocation_counter::measure(|| loaded = Policy::load(&saved).ok());
        assert!(loaded.is_some());
        println!("{name}: {} kB of {} kB saved", measured.bytes_current / 1_000, saved.len() / 1_000);
        assert!(measured.bytes_current <= most);
    }
}

#[test]
fn a_compiled_policy_of_a_thousand_rules_takes_a_megabyte_at_most() {
    let sources = mixed::policy(1_000);
    let compile = || Policy::compile(&sources, None).expect("it compiles").policy;
    drop(compile());
    let mut policy = None;
    let measured = allocation_counter::measure(|| policy = Some(compile()));
    drop(policy);
    println!("a policy of 1,000 mixed rules: {} kB", measured.bytes_current / 1_000);
    assert!(measured.bytes_current <= MB);
}
