//! Results in the form of JUnit, which every CI can read.

use std::collections::BTreeMap;
use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{CaseReport, TestReport};
use crate::output::Failure;

/// Writes a report to a file, one suite for each file of cases.
pub fn write(report: &TestReport, file: &Path) -> Result<(), Failure> {
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for case in &report.cases {
        suites.entry(&case.file).or_insert_with(|| TestSuite::new(&case.file)).add_test_case(test_case(case));
    }
    let mut junit = Report::new("velvetrope");
    junit.add_test_suites(suites.into_values());
    let failed = |error: &dyn std::error::Error| Failure::new(format!("cannot write {}: {error}", file.display()));
    let text = junit.to_string().map_err(|error| failed(&error))?;
    std::fs::write(file, text).map_err(|error| failed(&error))
}

fn test_case(case: &CaseReport) -> TestCase {
    if case.passed {
        return TestCase::new(&case.name, TestCaseStatus::success());
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(case.failures.join("; "));
    if let Some(explanation) = &case.explanation {
        status.set_description(anstream::adapter::strip_str(&explanation.to_string()).to_string());
    }
    TestCase::new(&case.name, status)
}
