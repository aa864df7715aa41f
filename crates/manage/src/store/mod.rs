//! What is managed, as rows of the database: reading and changing it, and the trail of every change.
//!
//! Whatever is changed here has been checked before. Each change that concerns decisions raises the revision of its
//! zone, by which hosts notice it.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use super::database::{Database, DatabaseError, Row, Value};
use velvetrope::internal::hex;

pub mod audit;
pub mod changes;
mod history;
pub mod lists;
pub mod operations;
pub mod rooms;
pub mod rules;
pub mod tokens;
pub mod zones;

/// Fills a buffer with random bytes that nobody can guess.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// The store during one request.
pub struct Store<'a> {
    database: &'a dyn Database,
    /// Milliseconds since the Unix epoch.
    now: i64,
    random: RefCell<Random<'a>>,
    /// Who asks, for the audit trail.
    actor: String,
}

impl<'a> Store<'a> {
    /// The store as `actor` uses it at a time, in milliseconds since the Unix epoch.
    pub fn new(database: &'a dyn Database, now: i64, random: Random<'a>, actor: impl Into<String>) -> Store<'a> {
        Store { database, now, random: RefCell::new(random), actor: actor.into() }
    }

    /// The same store, used by somebody else.
    pub fn used_by(self, actor: impl Into<String>) -> Store<'a> {
        Store { actor: actor.into(), ..self }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.now
    }

    /// The time as the API writes it (RFC 3339).
    pub fn now(&self) -> String {
        let since = Duration::from_millis(u64::try_from(self.now).unwrap_or_default());
        humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
    }

    /// Random bytes in hexadecimal.
    pub fn random_hex<const BYTES: usize>(&self) -> String {
        let mut bytes = [0; BYTES];
        (self.random.borrow_mut())(&mut bytes);
        hex(&bytes)
    }

    /// An id as the API has them: 32 hexadecimal digits.
    fn new_id(&self) -> String {
        self.random_hex::<16>()
    }

    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.database.query(sql, parameters)
    }

    fn first(&self, sql: &str, parameters: &[Value]) -> Result<Option<Row>, DatabaseError> {
        Ok(self.query(sql, parameters)?.into_iter().next())
    }
}
