//! What passes between the two modules: texts to the compiler, and back what became of them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::connector::edge::FailureClass;
use crate::policy::{Settings, saved_format};
use crate::request::hex;

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

impl Texts<'_> {
    /// Under which key KV holds what this version compiles from these texts. Other texts have another key, and so has a
    /// version that writes otherwise: what one of two versions that run side by side compiles is nothing to the other.
    pub fn key(&self) -> String {
        let mut digest = Sha256::new();
        for text in [self.info, self.policy, self.managed] {
            // A text that is not there is none that is empty, and none can lend another one its end.
            digest.update(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            digest.update(text.unwrap_or_default());
        }
        format!("compiled:{}:{}", saved_format(), hex(&digest.finalize()))
    }
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
#[derive(Debug, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn other_texts_have_other_keys() {
        let texts = [None, Some(""), Some("a"), Some("aa"), Some("\0")];
        let mut keys = BTreeSet::new();
        for info in texts {
            for policy in texts {
                keys.extend(texts.map(|managed| Texts { info, policy, managed }.key()));
            }
        }
        assert_eq!(keys.len(), texts.len().pow(3));
        assert!(keys.iter().all(|key| key.len() < 512 && key.starts_with(&format!("compiled:{}:", saved_format()))));
    }
}
