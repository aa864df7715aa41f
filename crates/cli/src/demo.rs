//! `demo`: a ticket site, its waiting room and the rope between them.

use std::sync::Arc;

use super::output::{self, Answer, Exit, Failure, printable};
use super::serving::runtime;

/// See it work: starts a sample ticket site, a waiting room and the proxy on this machine
///
/// Everything listens on 127.0.0.1 only, and needs no account. Prints what to try, and a line for each decision. Ends
/// with Ctrl-C.
#[derive(clap::Args)]
pub struct Demo {}

impl Demo {
    pub fn run(self) -> Result<Answer, Failure> {
        runtime()?.block_on(async {
            let started =
                velvetrope_demo::Demo::start(Arc::new(|event| say(&printable(&velvetrope_demo::line(event))))).await;
            let running = started?;
            let greeting = running.greeting();
            // Who reads the greeting may send a signal at once: listen first.
            let (ended, ()) = tokio::join!(running.until_signal(), async { say(&greeting) });
            ended.map_err(|error| Failure::new(format!("cannot listen to signals: {error}")))
        })?;
        Ok(Answer { text: String::new(), exit: Exit::Fine })
    }
}

/// Prints a line; that nobody reads it any more is no reason to stop serving.
fn say(line: &str) {
    let _ = output::print(&format!("{line}\n"));
}
