//! Structured logs on standard error: one line for each request, and for whatever happens to the policy.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Writes the logs of this process to standard error from now on; a second call changes nothing. The environment
/// variable `VELVETROPE_LOG` filters them (`info` by default). They hold no tokens, cookies, secrets or queries.
pub fn init_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_env("VELVETROPE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(coloured).with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).with_target(false).try_init(),
    };
}

/// What was complained of last, where it is looked at again and again: it is said once.
#[derive(Default)]
pub(crate) struct Complaint(Mutex<Option<String>>);

impl Complaint {
    /// Whether this is not what was complained of last.
    pub(crate) fn is_new(&self, text: &str) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = last.as_deref() != Some(text);
        if is_new {
            *last = Some(text.to_owned());
        }
        is_new
    }

    /// All is well again.
    pub(crate) fn is_settled(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
