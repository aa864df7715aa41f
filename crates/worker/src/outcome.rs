//! What passes between the two modules: texts to the compiler, and back what became of them.

use serde::{Deserialize, Serialize};

use velvetrope::internal::edge::FailureClass;
use velvetrope::internal::policy::Settings;

/// The texts that a policy is made from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Texts<'t> {
    /// The integration JSON, as Queue-it published it.
    pub info: Option<&'t str>,
    /// Everything else, as `velvetrope publish` bundles it.
    pub policy: Option<&'t str>,
    /// Rooms, rules and lists that are managed in a store, in place of the policy's own; a bundle, too.
    pub managed: Option<&'t str>,
}

/// What the compiler makes of texts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    Compiled {
        /// As `Policy::save` writes it.
        policy: Vec<u8>,
        /// What it would be well to know all the same.
        warnings: Vec<String>,
    },
    Refused(Refused),
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{why}")]
pub(super) struct Refused {
    pub class: FailureClass,
    pub why: String,
    /// What the policy says of failures, as far as it can be read.
    pub settings: Option<Box<Settings>>,
}

impl Refused {
    /// Where nobody has said what is to be done about it.
    pub fn new(class: FailureClass, why: impl Into<String>) -> Refused {
        Refused { class, why: why.into(), settings: None }
    }
}
