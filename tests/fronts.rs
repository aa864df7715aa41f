//! The proxy behind real ones.
