//! Points in time and spans of time, as they are given on the command line and in cases.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::{SignedDuration, Timestamp};

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Nobody can write down when that was.
    #[error("`{0}` seconds are out of range")]
    OutOfRange(String),
    /// It is no point in time.
    #[error("`{0}` is no point in time; write it as 2026-11-22T20:00:00Z (RFC 3339) or in Unix seconds")]
    NotAnInstant(String),
    /// It is no span of time.
    #[error("`{0}` is no span of time; write 90s, 5m or 1h30m")]
    NotASpan(String),
}

/// A point in time, in milliseconds since the Unix epoch: `2026-11-22T20:00:00Z`, or Unix seconds.
pub fn instant(text: &str) -> Result<i64, TimeError> {
    if let Ok(seconds) = text.parse::<i64>() {
        let known = Timestamp::from_second(seconds).map_err(|_| TimeError::OutOfRange(text.to_owned()))?;
        return Ok(known.as_millisecond());
    }
    let known: Result<Timestamp, _> = text.parse();
    known.map(|time| time.as_millisecond()).map_err(|_| TimeError::NotAnInstant(text.to_owned()))
}

/// A span of time, in whole seconds: `90s`, `5m`, `1h30m`.
pub fn span(text: &str) -> Result<i64, TimeError> {
    let known: Result<SignedDuration, _> = text.parse();
    known.map(|span| span.as_secs()).map_err(|_| TimeError::NotASpan(text.to_owned()))
}

/// The present, in milliseconds since the Unix epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A point in time for people, to the second.
pub fn shown(milliseconds: i64) -> String {
    let seconds = milliseconds.div_euclid(1000);
    Timestamp::from_second(seconds).map_or_else(|_| format!("second {seconds}"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_both_ways() {
        assert_eq!(instant("1763841600"), Ok(1_763_841_600_000));
        assert_eq!(instant("2025-11-22T20:00:00Z"), Ok(1_763_841_600_000));
        assert_eq!(instant("2025-11-22T21:00:00.250+01:00"), Ok(1_763_841_600_250));
        assert!(instant("tomorrow").is_err());
        assert!(instant("2025-11-22T20:00:00").is_err(), "no zone is no point in time");
        assert!(instant(&i64::MAX.to_string()).is_err());
    }

    #[test]
    fn spans_are_whole_seconds() {
        assert_eq!(span("90s"), Ok(90));
        assert_eq!(span("1h30m"), Ok(5400));
        assert_eq!(span("-5m"), Ok(-300));
        assert!(span("soon").is_err());
    }
}
