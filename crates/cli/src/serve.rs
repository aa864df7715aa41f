//! `serve`: the reverse proxy.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::output::{Answer, Failure, Format};
use super::serving;
use velvetrope_serve::proxy::{Config, PolicySource, Proxy, TlsFiles};

/// Stand before a site as a reverse proxy
///
/// Serves until SIGTERM or SIGINT, then lets the requests under way come to their end. The policy is read again when
/// its files change, and on SIGHUP; one that does not compile never replaces one that does. Without the secret that the
/// policy names it does not start, and it warns of one that is short. Logs go to standard error; VELVETROPE_LOG filters
/// them.
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
    /// The certificate for TLS with visitors and those that it depends on, PEM, instead of what the policy says; read again
    /// when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Keeps rooms, bypass rules and lists in this file, and lets them be managed at the --admin address: by the API below
    /// /client/v4, and with a browser. `velvetrope admin token create` makes the token it takes
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Keeps an integration JSON that Queue-it delivered, for the next start
    #[arg(long, value_name = "FILE")]
    state_file: Option<PathBuf>,
    /// How log lines look [default: as --format]
    #[arg(long, value_enum)]
    log_format: Option<Format>,
}

impl Serve {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let config = Config {
            listen: self.listen,
            admin: self.admin,
            origin: self.origin,
            tls: self.tls_certificate.zip(self.tls_key).map(|(certificate, key)| TlsFiles { certificate, key }),
            state_file: self.state_file,
            store: self.store,
            ..Config::new(PolicySource::Path(self.policy))
        };
        serving::serve(self.log_format.unwrap_or(format), Proxy::bind(config))
    }
}
