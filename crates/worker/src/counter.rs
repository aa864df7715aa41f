//! The Durable Object that counts decisions, and how often each bypass rule let a request pass.

#![expect(missing_docs, reason = "the attribute makes public methods without any")]

use std::collections::BTreeMap;

use serde::Deserialize;
use worker::{DurableObject, Env, Method, Request, Response, Result, SqlStorage, State, durable_object};

/// POST adds counts, and is told those of all decisions; any other request is told those of bypass rules.
///
/// There is one row for each rule that has ever let a request pass, also when the rule is gone: if it comes back, it goes
/// on counting.
#[durable_object(fetch)]
pub struct DecisionCounter {
    sql: SqlStorage,
}

type Counts = BTreeMap<String, f64>;

/// What is added.
#[derive(Deserialize)]
struct Counted {
    /// By label.
    decisions: Counts,
    /// By name, see `hits`.
    rules: Counts,
}

#[derive(Deserialize)]
struct Row {
    label: String,
    count: f64,
}

impl DurableObject for DecisionCounter {
    fn new(state: State, _: Env) -> Self {
        Self { sql: state.storage().sql() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        for table in ["decisions", "rules"] {
            let create = format!("CREATE TABLE IF NOT EXISTS {table} (label TEXT PRIMARY KEY, count REAL NOT NULL)");
            self.sql.exec(&create, None)?;
        }
        if request.method() != Method::Post {
            return self.told("rules");
        }
        let Counted { decisions, rules } = request.json().await?;
        self.add("decisions", decisions)?;
        self.add("rules", rules)?;
        self.told("decisions")
    }
}

impl DecisionCounter {
    fn add(&self, table: &str, counts: Counts) -> Result<()> {
        let add = format!("INSERT INTO {table} VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count");
        for (label, count) in counts {
            self.sql.exec(&add, vec![label.into(), count.into()])?;
        }
        Ok(())
    }

    fn told(&self, table: &str) -> Result<Response> {
        let rows: Vec<Row> = self.sql.exec(&format!("SELECT label, count FROM {table}"), None)?.to_array()?;
        let counts: Counts = rows.into_iter().map(|row| (row.label, row.count)).collect();
        Response::from_json(&BTreeMap::from([(table, counts)]))
    }
}
