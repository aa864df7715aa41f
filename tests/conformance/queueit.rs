//! The queueit families.

use crate::report::Report;

/// Runs every case.
pub fn run() -> Report {
    Report::default()
}
