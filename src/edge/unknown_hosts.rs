//! Hosts that are refused: whoever asks is told no more than that, and whoever runs the site must learn which setting it was.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Which hosts have been refused, as far as a process (or an isolate) remembers. Anybody can make up names, so that only the
/// first few are told apart.
#[derive(Debug, Default)]
pub struct UnknownHosts(Mutex<BTreeSet<String>>);

/// What is known of a host that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing so far: it is worth a line in the log.
    First,
    /// It was refused before.
    Known,
    /// It came after more names than are told apart.
    OneOfMany,
}

impl UnknownHosts {
    const TOLD_APART: usize = 32;

    /// Notes that a request for a host was refused.
    pub fn note(&self, host: &str) -> Refusal {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.len() {
            _ if known.contains(host) => Refusal::Known,
            UnknownHosts::TOLD_APART.. => Refusal::OneOfMany,
            _ => {
                known.insert(host.to_owned());
                Refusal::First
            }
        }
    }
}

/// Why a host is refused, and which setting says so; for operators, not for visitors.
pub fn unknown_host(host: &str) -> String {
    format!(
        "`{host}` is not among `hosts` in velvetrope.toml: if it is the site's, add it there; `unknown_hosts = \"pass\"` lets \
         requests for any host be decided about"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_told_apart() {
        let hosts = UnknownHosts::default();
        assert_eq!(
            [hosts.note("a"), hosts.note("a"), hosts.note("b")],
            [Refusal::First, Refusal::Known, Refusal::First]
        );
        let made_up: Vec<_> = (0..1_000).map(|number| hosts.note(&number.to_string())).collect();
        assert_eq!(made_up.iter().filter(|refusal| **refusal == Refusal::First).count(), 30);
        assert_eq!(hosts.note("999"), Refusal::OneOfMany);
        assert_eq!(hosts.note("a"), Refusal::Known);
    }
}
