//! The SQL database that everything managed lives in, as far as this module knows it: SQLite on every host.
//!
//! Hosts bring it: a file beside a proxy or a callout, the storage of a Durable Object beside a Worker. Each request is
//! one transaction, which the host begins and ends. Statements keep to what both can do: values are texts, integers and
//! null, texts stay below [`MAX_TEXT`], and what comes in bulk goes in as JSON (`json_each`).

/// The longest text, in bytes, that a row or a parameter may hold: Durable Objects allow 2 MB.
pub const MAX_TEXT: usize = 1_900_000;

/// A value in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// NULL.
    Null,
    /// An integer; of its 64 bits a Durable Object keeps 53.
    Integer(i64),
    /// A text.
    Text(String),
}

/// Why the database cannot be used; for the log, not for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(pub String);

/// What a database says that has no room for more.
const FULL: &str = "the disk that the store is on is full";

impl DatabaseError {
    /// There is no room for more.
    pub fn full() -> DatabaseError {
        DatabaseError(FULL.to_owned())
    }

    /// Whether that is it.
    pub fn is_full(&self) -> bool {
        self.0 == FULL
    }
}

/// What hosts bring.
pub trait Database {
    /// Runs one statement with these parameters (`?1`, `?2`, …) and returns the rows that it yields.
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, DatabaseError>;
}

/// A row of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// The text in a column, counted from 0.
    pub fn text(&self, column: usize) -> Result<&str, DatabaseError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(text),
            other => Err(DatabaseError(format!("expected a text in column {column}, found {other:?}"))),
        }
    }

    /// The integer in a column, counted from 0.
    pub fn integer(&self, column: usize) -> Result<i64, DatabaseError> {
        match self.0.get(column) {
            Some(Value::Integer(number)) => Ok(*number),
            other => Err(DatabaseError(format!("expected an integer in column {column}, found {other:?}"))),
        }
    }

    /// The text in a column that may hold none.
    pub fn maybe_text(&self, column: usize) -> Result<Option<&str>, DatabaseError> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.text(column).map(Some),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Integer(flag.into())
    }
}

impl<V: Into<Value>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// Brings the schema up to date; in a transaction of the caller's. A store that a newer version has written is refused.
pub fn migrate(database: &dyn Database) -> Result<(), DatabaseError> {
    database.query("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT", &[])?;
    let version = database.query("SELECT max(version) FROM schema_version", &[])?;
    let done = match version.first().map(|row| &row.0[..]) {
        Some([Value::Integer(version)]) => usize::try_from(*version).unwrap_or(usize::MAX),
        _ => 0,
    };
    if done > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        let message =
            format!("the store has schema {done}, and this version knows none after {known}: use a newer one");
        return Err(DatabaseError(message));
    }
    for (migration, number) in MIGRATIONS.iter().zip(1_i64..).skip(done) {
        for statement in *migration {
            database.query(statement, &[])?;
        }
        database.query("INSERT INTO schema_version (version) VALUES (?1)", &[number.into()])?;
    }
    Ok(())
}

/// The statements that lead from one version of the schema to the next. What has been released is never edited.
const MIGRATIONS: &[&[&str]] = &[
    &[
        // A policy; `settings` is its velvetrope.toml as last seen, `integration` the integration JSON, if there is one.
        "CREATE TABLE zones (
        id TEXT PRIMARY KEY,
        settings TEXT NOT NULL,
        integration TEXT,
        options TEXT NOT NULL DEFAULT '{}',
        revision INTEGER NOT NULL DEFAULT 1
    ) STRICT",
        // `origin`: 'placed' by host and path or an expression; 'published' by the integration JSON; 'every' is `*`.
        // `body` is the room as the API has it, but for what the other columns say.
        "CREATE TABLE rooms (
        id TEXT PRIMARY KEY,
        zone TEXT NOT NULL REFERENCES zones (id) ON DELETE CASCADE,
        name TEXT NOT NULL COLLATE NOCASE,
        origin TEXT NOT NULL CHECK (origin IN ('placed', 'published', 'every')),
        body TEXT NOT NULL,
        version INTEGER NOT NULL DEFAULT 1,
        rules_version INTEGER NOT NULL DEFAULT 0,
        created_on TEXT NOT NULL,
        modified_on TEXT NOT NULL,
        UNIQUE (zone, name)
    ) STRICT",
        // Positions of a room's rules ascend; they need not be without gaps.
        "CREATE TABLE rules (
        room TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
        id TEXT NOT NULL,
        position INTEGER NOT NULL,
        version INTEGER NOT NULL,
        expression TEXT NOT NULL,
        description TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        last_updated TEXT NOT NULL,
        PRIMARY KEY (room, id)
    ) STRICT",
        "CREATE INDEX rules_in_order ON rules (room, position)",
        // `revision` counts changes of the items.
        "CREATE TABLE lists (
        id TEXT PRIMARY KEY,
        zone TEXT NOT NULL REFERENCES zones (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('ip', 'hostname', 'asn')),
        description TEXT NOT NULL,
        revision INTEGER NOT NULL DEFAULT 1,
        created_on TEXT NOT NULL,
        modified_on TEXT NOT NULL,
        UNIQUE (zone, name)
    ) STRICT",
        // `value` is the item as a text, by which it is searched and told from others, `item` the same as the API has it, in
        // JSON; `sort` is what items are ordered by.
        "CREATE TABLE items (
        list TEXT NOT NULL REFERENCES lists (id) ON DELETE CASCADE,
        id TEXT NOT NULL,
        value TEXT NOT NULL,
        item TEXT NOT NULL,
        sort TEXT NOT NULL,
        comment TEXT NOT NULL,
        created_on TEXT NOT NULL,
        modified_on TEXT NOT NULL,
        PRIMARY KEY (list, id)
    ) STRICT",
        "CREATE UNIQUE INDEX items_by_value ON items (list, value)",
        "CREATE UNIQUE INDEX items_in_order ON items (list, sort)",
        // What is asked of a list and done afterwards, in order. `list` may be gone by then.
        "CREATE TABLE operations (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        zone TEXT NOT NULL,
        list TEXT NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('add', 'replace', 'remove')),
        actor TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed')),
        created TEXT NOT NULL,
        completed TEXT,
        error TEXT
    ) STRICT",
        "CREATE TABLE operation_items (
        operation INTEGER NOT NULL REFERENCES operations (number) ON DELETE CASCADE,
        part INTEGER NOT NULL,
        items TEXT NOT NULL,
        PRIMARY KEY (operation, part)
    ) STRICT",
        // `subject` is an id; `before` and `after` are JSON. `rules_version` is the room's after the change.
        "CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        zone TEXT,
        room TEXT,
        rules_version INTEGER,
        subject TEXT NOT NULL,
        before TEXT,
        after TEXT
    ) STRICT",
        "CREATE INDEX audit_of_rules ON audit (room, rules_version)",
        // The rules that an entry replaced as a whole, in their order.
        "CREATE TABLE replaced_rules (
        entry INTEGER NOT NULL REFERENCES audit (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        rule TEXT NOT NULL,
        PRIMARY KEY (entry, position)
    ) STRICT",
        // Digests are SHA-256 in hexadecimal.
        "CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        scope TEXT NOT NULL CHECK (scope IN ('read', 'write')),
        digest TEXT NOT NULL UNIQUE,
        created_on TEXT NOT NULL,
        revoked_on TEXT
    ) STRICT",
        "CREATE TABLE sessions (
        digest TEXT PRIMARY KEY,
        token TEXT NOT NULL,
        csrf TEXT NOT NULL,
        expires INTEGER NOT NULL
    ) STRICT",
    ],
    &[
        // Whether somebody has acknowledged that the rule lets everybody pass.
        "ALTER TABLE rules ADD COLUMN opens_for_everybody INTEGER NOT NULL DEFAULT 0",
        // Ids that no path of the API could name, so that such rules could not be deleted.
        "UPDATE rules SET id = lower(hex(randomblob(16))) WHERE id IN ('', '.', '..')",
        // The items that an entry changed, each as the API has it; null where there was none, or is none any more.
        "CREATE TABLE changed_items (
        entry INTEGER NOT NULL REFERENCES audit (number) ON DELETE CASCADE,
        sort TEXT NOT NULL,
        value TEXT NOT NULL,
        before TEXT,
        after TEXT,
        PRIMARY KEY (entry, sort)
    ) STRICT",
        // The entry that says what an operation has changed.
        "ALTER TABLE operations ADD COLUMN entry INTEGER",
    ],
];
