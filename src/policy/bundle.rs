//! A policy's texts as one text, for stores that keep values by key: a JSON object of texts by file name.

use std::collections::BTreeMap;

use super::Sources;

/// Why texts cannot be bundled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is no UTF-8 text")]
pub struct NotText {
    /// The file.
    pub file: String,
}

/// All texts of a policy as one. The same texts make the same bundle.
pub fn bundle(sources: &Sources) -> Result<String, NotText> {
    let text = |(file, bytes): (&'_ String, &'_ Vec<u8>)| match str::from_utf8(bytes) {
        Ok(text) => Ok((file.clone(), text.to_owned())),
        Err(_) => Err(NotText { file: file.clone() }),
    };
    let texts: BTreeMap<String, String> = sources.iter().map(text).collect::<Result<_, _>>()?;
    Ok(serde_json::to_string(&texts).expect("texts by name are JSON"))
}

/// The texts in a bundle.
pub fn unbundle(bundle: &str) -> Result<Sources, serde_json::Error> {
    let texts: BTreeMap<String, String> = serde_json::from_str(bundle)?;
    Ok(texts.into_iter().map(|(file, text)| (file, text.into_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_bundled_comes_back() {
        let sources: Sources = [("velvetrope.toml", "a = \"é\"\n"), ("lists/a.txt", "")]
            .map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec()))
            .into();
        assert_eq!(unbundle(&bundle(&sources).unwrap()).unwrap(), sources);
    }

    #[test]
    fn only_texts_are_bundled() {
        let sources = Sources::from([("a".to_owned(), vec![0xff])]);
        assert_eq!(bundle(&sources).unwrap_err().to_string(), "a is no UTF-8 text");
        for text in ["", "[]", "{\"a\":1}", "{\"a\":\"b\""] {
            assert!(unbundle(text).is_err(), "{text}");
        }
    }
}
