//! Where KV holds what texts were compiled to.

use sha2::{Digest, Sha256};

use super::outcome::Texts;
use velvetrope::internal::hex;
use velvetrope::internal::policy::saved_format;

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
