//! Rules that no index can file under a value: whatever the request holds, all but one of them could be true.

use super::{VISITOR_ASN, Workload, visitor};

/// `count` rules of which none is true for the visitor.
pub fn workload(count: usize) -> Workload {
    Workload::of_rules(format!("unfilable rules/{count}"), &rules(count), visitor(), None)
}

pub fn rules(count: usize) -> Vec<String> {
    (0..count).map(rule).collect()
}

fn rule(number: usize) -> String {
    match number % 4 {
        0 => format!(r#"not http.host eq "h{number}.example" and http.request.uri.path ne "/tickets/2026/seats""#),
        1 => format!(r#"not (http.host eq "h{number}.example" or http.user_agent contains "Chrome")"#),
        2 => format!("len(http.request.uri.path) gt {}", 1_000 + number),
        _ => format!("ip.src.asnum & {} and ip.src.asnum ne {VISITOR_ASN}", (number as u64) << 32 | 1 << 31),
    }
}
