//! What the generator of workloads promises: each of them has the verdict that it says.

use bumpalo::Bump;
use velvetrope::internal::policy::Policy;
use velvetrope::internal::program::{Approach, Program, Verdict};
use velvetrope::internal::request::OwnedRequest;

use crate::workload::{self, Received, Workload, hostile, integrations, mixed, networks, operators, unfilable};

fn check(workload: &Workload) {
    let verdict = evaluate(&Program::compile(&workload.site), &workload.request);
    assert_eq!(verdict, workload.verdict, "{}", workload.name);
}

fn evaluate(program: &Program, request: &OwnedRequest) -> Verdict {
    let arena = Bump::new();
    program.evaluate(&Received::new(request).view(&arena), &arena)
}

#[test]
fn workloads_have_the_verdicts_that_they_say() {
    for count in [10, 100, 1_000] {
        check(&mixed::none_true(count));
        check(&mixed::one_true(count));
        check(&integrations::none_true(count));
        check(&integrations::one_true(count));
        check(&unfilable::workload(count));
    }
    operators::OPERATORS.iter().for_each(|operator| check(&operators::workload(operator)));
    hostile::WORKLOADS.iter().for_each(|(_, workload)| check(&workload()));
}

/// Exactly one of them is true: tried in the opposite order, they give the same.
#[test]
fn each_request_is_for_one_rule_only() {
    const COUNT: usize = 120;
    let (mut rules, mut integrations) = (mixed::none_true(COUNT).site, integrations::site(COUNT));
    let in_order = (Program::compile(&rules), Program::compile(&integrations));
    rules.entries[0].bypass.reverse();
    integrations.entries.reverse();
    let reversed = (Program::compile(&rules), Program::compile(&integrations));
    for number in 0..COUNT {
        let (bypassed, matched) = (mixed::request_for(number), integrations::request_for(number));
        for (programs, entry) in [(&in_order, number), (&reversed, COUNT - 1 - number)] {
            assert_eq!(evaluate(&programs.0, &bypassed), Verdict::Bypassed { entry: 0, rule: number });
            assert_eq!(evaluate(&programs.1, &matched), Verdict::Matched { entry });
        }
    }
}

#[test]
fn networks_hold_their_addresses_and_nobody_elses() {
    let all = networks::networks(100_000);
    let program = Program::compile(&operators::workload(&("in", "ip.src in $networks")).site);
    let is_in = |address| evaluate(&program, &workload::visitor().client_ip(address)) != Verdict::Nothing;
    for number in (0..all.len() as u32).step_by(997) {
        assert!(is_in(networks::address_in(number)), "{:?}", all[number as usize]);
    }
    assert!(!workload::visitor().client_ip.is_some_and(is_in));
}

#[test]
fn the_policy_of_networks_compiles() {
    let compiled = Policy::compile(&networks::policy(1_000), None);
    let policy = compiled.unwrap_or_else(|findings| panic!("{findings:#?}")).policy;
    let at = |address| evaluate(policy.program(), &integrations::request_for(0).client_ip(address));
    assert_eq!(at(networks::address_in(999)), Verdict::Bypassed { entry: 0, rule: 0 });
    assert_eq!(at(networks::address_in(1_000)), Verdict::Matched { entry: 0 });
}

/// A large list is looked into as it is, however many rules name it.
#[test]
fn many_rules_share_a_large_list() {
    let rule = |number| format!(r#"ip.src in $networks and not http.request.uri.path eq "/{number}""#);
    let rules: Vec<String> = (0..40).map(rule).collect();
    let mut site = workload::site(&workload::expressions(&rules));
    site.lists.insert("networks".to_owned(), networks::list(&networks::networks(100_000)));
    let program = Program::compile(&site);
    assert!(matches!(program.plan().expect("it was compiled").bypasses[0].approach, Approach::Indexed(_)));
    for (path, rule) in [("/0", 1), ("/1", 0), ("/none", 0)] {
        let visitor = workload::visit(&format!("https://shop.example.com{path}"));
        assert_eq!(evaluate(&program, &visitor), Verdict::Matched { entry: 0 });
        let inside = visitor.client_ip(networks::address_in(99_999));
        assert_eq!(evaluate(&program, &inside), Verdict::Bypassed { entry: 0, rule });
    }
}
