//! What the commands that serve have in common.

use tokio::runtime::Runtime;

use super::output::{Answer, Exit, Failure, Format};
use velvetrope_serve::serving::{LogFormat, Running, StartError, init_logs};

/// Serves until a signal says otherwise.
pub fn serve(logs: Format, start: impl Future<Output = Result<Running, StartError>>) -> Result<Answer, Failure> {
    init_logs(match logs {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    });
    let drained = runtime()?.block_on(async {
        let running = start.await?;
        running.until_signal().await.map_err(|error| Failure::new(format!("cannot listen to signals: {error}")))
    })?;
    Ok(Answer { text: String::new(), exit: if drained { Exit::Fine } else { Exit::Findings } })
}

/// What servers run in.
pub fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(|error| Failure::new(format!("cannot start: {error}")))
}
