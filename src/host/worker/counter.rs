//! The Durable Object that counts decisions.

#![expect(missing_docs, reason = "the attribute makes public methods without any")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Method, Request, Response, Result, SqlStorage, State, durable_object};

/// Counts decisions by their label. POST adds counts, a JSON object; any other request is told all of them.
#[durable_object(fetch)]
pub struct DecisionCounter {
    sql: SqlStorage,
}

#[derive(Deserialize)]
struct Row {
    label: String,
    count: f64,
}

#[derive(Serialize)]
struct Told {
    decisions: BTreeMap<String, f64>,
}

impl DurableObject for DecisionCounter {
    fn new(state: State, _: Env) -> Self {
        Self { sql: state.storage().sql() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        self.sql.exec("CREATE TABLE IF NOT EXISTS decisions (label TEXT PRIMARY KEY, count REAL NOT NULL)", None)?;
        if request.method() == Method::Post {
            for (label, count) in request.json::<BTreeMap<String, f64>>().await? {
                self.add(label, count)?;
            }
        }
        let rows: Vec<Row> = self.sql.exec("SELECT label, count FROM decisions", None)?.to_array()?;
        Response::from_json(&Told { decisions: rows.into_iter().map(|row| (row.label, row.count)).collect() })
    }
}

impl DecisionCounter {
    fn add(&self, label: String, count: f64) -> Result<()> {
        let add = "INSERT INTO decisions VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count";
        self.sql.exec(add, vec![label.into(), count.into()])?;
        Ok(())
    }
}
