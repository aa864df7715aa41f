//! `serve`: the reverse proxy.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::runtime::Runtime;

use super::output::{Answer, Exit, Failure, Format};
use crate::host::proxy::{Config, LogFormat, PolicySource, Proxy, init_logs};

/// Stand before a site as a reverse proxy
///
/// Serves until SIGTERM or SIGINT, then lets the requests under way come to their end. The policy is read again when
/// its files change, and on SIGHUP; one that does not compile never replaces one that does. Logs go to standard error;
/// VELVETROPE_LOG filters them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope serve policy/
  velvetrope serve policy/ --listen 0.0.0.0:8080 --origin http://127.0.0.1:3000 --log-format json")]
pub struct Serve {
    /// A folder with a velvetrope.toml, that file, an integration .json, or a compiled .vrp
    policy: PathBuf,
    /// Address and port for visitors, instead of what the policy says
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address and port for /livez, /readyz and /metrics, instead of what the policy says
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Scheme and authority of the site, instead of what the policy says
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Keeps an integration JSON that Queue-it delivered, for the next start
    #[arg(long, value_name = "FILE")]
    state_file: Option<PathBuf>,
    /// How log lines look [default: as --format]
    #[arg(long, value_enum)]
    log_format: Option<Format>,
}

impl Serve {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        init_logs(match self.log_format.unwrap_or(format) {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        });
        let config = Config {
            listen: self.listen,
            admin: self.admin,
            origin: self.origin,
            state_file: self.state_file,
            ..Config::new(PolicySource::Path(self.policy))
        };
        let drained = runtime()?.block_on(async {
            let running = Proxy::bind(config).await.map_err(|error| Failure::new(error.to_string()))?;
            running.until_signal().await.map_err(|error| Failure::new(format!("cannot listen to signals: {error}")))
        })?;
        Ok(Answer { text: String::new(), exit: if drained { Exit::Fine } else { Exit::Findings } })
    }
}

/// What servers run in.
pub fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(|error| Failure::new(format!("cannot start: {error}")))
}
