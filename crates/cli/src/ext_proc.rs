//! `ext-proc`: the callout of Google Cloud Service Extensions and of Envoy.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::output::{Answer, Failure, Format};
use super::serving;
use velvetrope_serve::ext_proc::{Config, ExtProc, TlsFiles, policies_at};

/// Answer a load balancer that asks at each request, over gRPC
///
/// Serves `envoy.service.ext_proc.v3.ExternalProcessor` until SIGTERM or SIGINT. It then says that it is
/// not serving any more, goes on for a while, and lets the requests under way come to their end. The policy is read
/// again when its files change, and on SIGHUP; one that does not compile never replaces one that does. Of several
/// policies the one decides that the load balancer names in the extension's metadata ("velvetrope"), else the one that
/// has the request's host among its `hosts`, or for its name. Without the secrets that the policies name it does not
/// start, and it warns of one that is short. Logs go to standard error; VELVETROPE_LOG filters them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope ext-proc policy/
  velvetrope ext-proc policies/ --refuse-unknown
  velvetrope ext-proc policy/ --listen 0.0.0.0:8080 --admin 0.0.0.0:9080 --log-format json
  PORT=8080 velvetrope ext-proc policy/")]
pub struct ExtProcArgs {
    /// A folder with a velvetrope.toml, that file, an integration .json, or a compiled .vrp; several of them, or a folder
    /// that holds folders with a velvetrope.toml and compiled .vrp
    #[arg(required = true, value_name = "POLICY")]
    policies: Vec<PathBuf>,
    /// Address and port for the load balancer [default: what PORT says, on 0.0.0.0; else what the policy says]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address and port for /livez, /readyz and /metrics, instead of what the policy says
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// The certificate for TLS and those that it depends on, PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Answers 503 where there is no policy for a host, instead of letting everybody pass
    #[arg(long)]
    refuse_unknown: bool,
    /// Keeps rooms, bypass rules and lists in this file, and lets them be managed at the --admin address: by the API below
    /// /client/v4, and with a browser. `velvetrope admin token create` makes the token it takes
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Keeps an integration JSON that Queue-it delivered, for the next start; of several policies a folder of them
    #[arg(long, value_name = "FILE")]
    state_file: Option<PathBuf>,
    /// How long to go on after it has begun to say that it will end
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain_delay: u32,
    /// How log lines look [default: as --format]
    #[arg(long, value_enum)]
    log_format: Option<Format>,
}

impl ExtProcArgs {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let config = Config {
            listen: self.listen.map_or_else(port_of_environment, |listen| Ok(Some(listen)))?,
            admin: self.admin,
            tls: self.tls_certificate.zip(self.tls_key).map(|(certificate, key)| TlsFiles { certificate, key }),
            state_file: self.state_file,
            store: self.store,
            drain_delay: Duration::from_secs(self.drain_delay.into()),
            policies: policies_at(&self.policies)?,
            refuse_unknown: self.refuse_unknown,
            ..Config::default()
        };
        serving::serve(self.log_format.unwrap_or(format), ExtProc::bind(config))
    }
}

/// Platforms that run containers say so.
fn port_of_environment() -> Result<Option<SocketAddr>, Failure> {
    let Some(port) = std::env::var_os("PORT") else { return Ok(None) };
    let number = port.to_str().and_then(|port| port.parse::<u16>().ok());
    let number = number.ok_or_else(|| Failure::new(format!("PORT is no port: {}", port.to_string_lossy())))?;
    Ok(Some((Ipv4Addr::UNSPECIFIED, number).into()))
}
