//! The policies of a process, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keeper::Keeper;

/// Those who keep policies, in order.
pub(crate) struct Keepers {
    all: Vec<Arc<Keeper>>,
    by_name: BTreeMap<String, usize>,
}

impl FromIterator<(String, Arc<Keeper>)> for Keepers {
    fn from_iter<I: IntoIterator<Item = (String, Arc<Keeper>)>>(named: I) -> Keepers {
        let (names, all): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        Keepers { all, by_name: names.into_iter().zip(0..).collect() }
    }
}

impl Keepers {
    /// The one with this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Keeper>> {
        self.all.get(*self.by_name.get(name)?)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Arc<Keeper>] {
        &self.all
    }
}
