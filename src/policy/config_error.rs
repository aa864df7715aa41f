//! Why a published configuration is refused.

use super::document::Node;

/// Why a configuration is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
        /// What the JSON parser says.
        message: String,
    },
    /// Null, not an object, or a missing or zero `Version`.
    #[error("integrationsConfigString can not be null or empty.")]
    Empty,
    /// Something in it has the wrong shape (where the engine would throw a TypeError).
    #[error("{place}: {message}")]
    Shape {
        /// Path to it, such as `Integrations[2].Triggers[0]`.
        place: String,
        /// What is wrong with it.
        message: String,
        /// Byte offset in the text.
        offset: usize,
    },
}

impl ConfigError {
    /// `node` lacks an array.
    pub(super) fn missing(node: &Node, place: &str) -> ConfigError {
        ConfigError::Shape { place: place.to_owned(), message: "this array is missing".to_owned(), offset: node.at }
    }

    /// `node` should have been something else.
    pub(super) fn shape(node: &Node, place: &str, expected: &str) -> ConfigError {
        let message = format!("expected {expected}, found {}", node.kind());
        ConfigError::Shape { place: place.to_owned(), message, offset: node.at }
    }
}
