//! The store of what is managed, as a SQLite file that several processes may have open.
//!
//! What was acknowledged is never lost: there is a write-ahead log, and a commit has reached the disk when it is done.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, Transaction, TransactionBehavior};

use super::clock::now_ms;
use velvetrope_manage::database::{Database, DatabaseError, Row, Value, migrate};
use velvetrope_manage::store::Store;

/// How long to wait for another process to end its transaction: an operation on a large list takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many statements stay prepared.
const PREPARED: usize = 128;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the store {path} cannot be opened: {why}")]
pub struct OpenError {
    path: String,
    #[source]
    why: OpenFailure,
}

/// What failed when a store was opened.
#[derive(Debug, thiserror::Error)]
enum OpenFailure {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// One connection to a store. Whoever wants to use it waits until the one before is done.
pub struct StoreFile {
    connection: Mutex<Connection>,
}

impl StoreFile {
    /// Opens a store, and brings its schema up to date; one that does not exist is created, for its owner alone.
    pub fn open(path: &Path) -> Result<StoreFile, OpenError> {
        StoreFile::try_open(path).map_err(|why| OpenError { path: path.display().to_string(), why })
    }

    fn try_open(path: &Path) -> Result<StoreFile, OpenFailure> {
        create(path)?;
        let connection = connect(path).map_err(failed)?;
        let store = StoreFile { connection: Mutex::new(connection) };
        let is_migrated = |database: &dyn Database| {
            let migrated = migrate(database);
            let is_done = migrated.is_ok();
            (migrated, is_done)
        };
        store.transaction(is_migrated)??;
        Ok(store)
    }

    /// Works in one transaction, which is kept if the second of what `work` yields says so. If `work` panics, it is not.
    pub fn transaction<T>(&self, work: impl FnOnce(&dyn Database) -> (T, bool)) -> Result<T, DatabaseError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let (result, is_kept) = work(&Statements(&transaction));
        match is_kept {
            true => transaction.commit().map_err(failed)?,
            // Some errors, such as a full disk, have ended it already.
            false if transaction.is_autocommit() => {}
            false => transaction.rollback().map_err(failed)?,
        }
        Ok(result)
    }

    /// Lets `actor` work in one transaction, which is kept unless it fails.
    pub fn change<T, E: From<DatabaseError>>(
        &self,
        actor: &str,
        work: impl FnOnce(&Store<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut randomness = Randomness::default();
        let worked = self.transaction(|database| {
            let mut random = |bytes: &mut [u8]| randomness.fill(bytes);
            let worked = work(&Store::new(database, now_ms(), &mut random, actor));
            let is_kept = worked.is_ok() && randomness.is_there();
            (worked, is_kept)
        })??;
        randomness.is_there().then_some(worked).ok_or_else(|| DatabaseError("there is no randomness".into()).into())
    }

    /// Reads something as it is at one moment.
    pub fn read<T, E: From<DatabaseError>>(&self, work: impl FnOnce(&Store<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.connection();
        let transaction = connection.transaction().map_err(failed)?;
        work(&Store::new(&Statements(&transaction), now_ms(), &mut |_| {}, ""))
    }

    /// A number that changes whenever somebody else has changed something.
    pub fn data_version(&self) -> Result<i64, DatabaseError> {
        self.connection().pragma_query_value(None, "data_version", |row| row.get(0)).map_err(failed)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fills buffers from the operating system, and knows whether that went well.
#[derive(Default)]
pub(crate) struct Randomness {
    has_failed: bool,
}

impl Randomness {
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.has_failed |= getrandom::fill(bytes).is_err();
    }

    pub(crate) fn is_there(&self) -> bool {
        !self.has_failed
    }
}

/// A file that only its owner can read. SQLite makes those beside it like it.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

/// Statements of one transaction.
struct Statements<'t>(&'t Transaction<'t>);

impl Database for Statements<'_> {
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(parameters.iter().map(Parameter))).map_err(failed)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let value = |column| value(row.get_ref(column).map_err(failed)?);
            all.push(Row((0..columns).map(value).collect::<Result<_, _>>()?));
        }
        Ok(all)
    }
}

/// A value as SQLite takes it.
struct Parameter<'v>(&'v Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn value(value: ValueRef<'_>) -> Result<Value, DatabaseError> {
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(number) => Ok(Value::Integer(number)),
        ValueRef::Text(text) => match str::from_utf8(text) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(error) => Err(DatabaseError(format!("a text is no UTF-8: {error}"))),
        },
        ValueRef::Real(_) | ValueRef::Blob(_) => Err(DatabaseError("a value is neither text nor integer".into())),
    }
}

fn failed(error: rusqlite::Error) -> DatabaseError {
    // Where the file that readers and writers share cannot grow, there is no room either.
    let is_full = error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::DiskFull || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
    });
    if is_full { DatabaseError::full() } else { DatabaseError(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use velvetrope_manage::failure::{Code, Failure};
    use velvetrope_manage::store::tokens::Scope;

    /// In order of the names: made within the same instant, tokens come in no particular one.
    fn names(store: &StoreFile) -> Vec<String> {
        let tokens = store.read(|store| store.tokens()).expect("tokens");
        let mut names: Vec<_> = tokens.into_iter().map(|token| token.name).collect();
        names.sort_unstable();
        names
    }

    fn add(store: &Store<'_>, name: &str) -> Result<(), DatabaseError> {
        store.create_token(name, Scope::Read).map(drop)
    }

    #[test]
    fn what_is_not_kept_has_not_happened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let store = StoreFile::open(&path).expect("a store");
        store.change("test", |store| add(store, "kept")).expect("it is kept");
        let refused: Result<(), DatabaseError> =
            store.change("test", |store| add(store, "refused").and(Err(DatabaseError("no".into()))));
        assert_eq!(refused, Err(DatabaseError("no".into())));
        store
            .transaction(|database| {
                let mut random = |bytes: &mut [u8]| bytes.fill(7);
                (add(&Store::new(database, 0, &mut random, "test"), "dry"), false)
            })
            .expect("a transaction")
            .expect("a token");
        let panicking = || store.change("test", |store| add(store, "panicked").map(|()| panic!("on purpose")));
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        assert_eq!(names(&store), ["kept"]);
        drop(store);
        assert_eq!(names(&StoreFile::open(&path).expect("the same store")), ["kept"]);
    }

    #[test]
    fn who_has_it_open_notices_the_changes_of_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let [one, other] = [(), ()].map(|()| StoreFile::open(&path).expect("a store"));
        let version = || one.data_version().expect("a version");
        let first = version();
        one.change("test", |store| add(store, "own")).expect("it is kept");
        assert_eq!(version(), first);
        other.change("test", |store| add(store, "another's")).expect("it is kept");
        assert_ne!(version(), first);
        assert_eq!(names(&one), ["another's", "own"]);
    }

    #[test]
    #[cfg(unix)]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let store = StoreFile::open(&path).expect("a store");
        store.change("test", |store| add(store, "a")).expect("it is kept");
        for file in std::fs::read_dir(folder.path()).expect("files") {
            let file = file.expect("a file");
            assert_eq!(file.metadata().expect("metadata").permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    }

    #[test]
    fn a_full_disk_is_named_and_nothing_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = StoreFile::open(&folder.path().join("store.db")).expect("a store");
        store.change("test", |store| add(store, "kept")).expect("it is kept");
        let pages: i64 = store.connection().pragma_query_value(None, "page_count", |row| row.get(0)).expect("a count");
        // As if the disk had no more room.
        store.connection().pragma_update(None, "max_page_count", pages).expect("a limit");
        let long = "x".repeat(100_000);
        let error = store.change("test", |store| add(store, &long)).expect_err("there is no room");
        assert!(error.is_full(), "{error}");
        let failure = Failure::from(error);
        assert_eq!((failure.status, failure.errors[0].code), (507, Code::Storage));
        assert!(failure.errors[0].message.contains("the disk that the store is on is full"), "{failure:?}");
        store.connection().pragma_update(None, "max_page_count", pages + 1_000).expect("a limit");
        store.change("test", |store| add(store, "kept, too")).expect("there is room again");
        assert_eq!(names(&store), ["kept", "kept, too"]);
    }

    #[test]
    fn what_is_no_store_is_refused_with_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        std::fs::write(&path, "this is a text, and not a short one: a database has a header of 100 bytes".repeat(9))
            .expect("a file");
        let refused = |path: &Path| StoreFile::open(path).err().expect("a refusal").to_string();
        assert!(refused(&path).ends_with("store.db cannot be opened: file is not a database"), "{}", refused(&path));
        assert!(refused(&folder.path().join("not/there")).contains("No such file"));
        assert!(refused(folder.path()).contains("cannot be opened"));

        let newer = folder.path().join("newer.db");
        let store = StoreFile::open(&newer).expect("a store");
        let raise = |database: &dyn Database| {
            (database.query("INSERT INTO schema_version (version) VALUES (999)", &[]).map(drop), true)
        };
        store.transaction(raise).expect("a transaction").expect("a row");
        assert!(refused(&newer).contains("schema 999"), "{}", refused(&newer));
    }
}
