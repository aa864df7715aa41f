//! Where the connector runs.
