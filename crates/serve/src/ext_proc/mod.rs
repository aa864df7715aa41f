//! The callout of Google Cloud Service Extensions and of Envoy: a gRPC server that speaks
//! `envoy.service.ext_proc.v3.ExternalProcessor`. The proxy in front asks at each request; this answers what to do.
//!
//! - One stream is one HTTP request. What there is to remember is in the stream, and its answers are made in the poll
//!   that brings the question: no task, channel or lock for it.
//! - Each message gets an answer of its kind at once, so that the proxy in front never waits for what does not come.
//! - Only headers are asked for. It must be configured for the headers of requests and responses and for no bodies;
//!   bodies that are sent all the same go on as they are, but for `FULL_DUPLEX_STREAMED`, which expects them back.
//! - `/livez`, `/readyz` and `grpc.health.v1.Health` are answered on the same port, HTTP/1.1 and HTTP/2, with TLS or
//!   without.
//! - It takes of the first policy's section `[proxy]` addresses and time-outs, and of each who is trusted in front, and the
//!   public scheme and host. What is about an origin or about visitors' connections is not for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::serving::management::Management;
use crate::serving::metrics::Metrics;
use crate::serving::tenants::{Common, Tenants};
use crate::serving::tls::Tls;
pub use crate::serving::{
    Event, LoadError, LogFormat, Observer, PolicySource, Running, SecretSource, StartError, TlsFiles, init_logs,
    policies_at,
};
use crate::serving::{Starting, seconds};
use velvetrope::internal::edge::{Arrivals, Identity};
use velvetrope::internal::policy::OnFailure;

mod exchange;
mod facts;
mod messages;
mod request;
mod server;
mod workers;

/// The protocol's types; generated, see `tests/end_to_end/protocol.rs`.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod proto {
    include!("proto/generated/mod.rs");
}

use server::{Callout, Server};
use workers::Workers;

/// What a callout is told at its start.
#[derive(Clone)]
pub struct Config {
    /// Policies with their names. One alone decides about everything. Of several the one decides that the load
    /// balancer's configuration names (`velvetrope` in the metadata of the extension), else the one whose `hosts`, or
    /// whose name, has the request's host.
    pub policies: Vec<(String, PolicySource)>,
    /// Whether requests for which there is no policy are kept out.
    pub refuse_unknown: bool,
    /// The secrets.
    pub secrets: SecretSource,
    /// Instead of `proxy.listen`.
    pub listen: Option<SocketAddr>,
    /// Instead of `proxy.admin`.
    pub admin: Option<SocketAddr>,
    /// For TLS; without it there is none. The admin address never has it.
    pub tls: Option<TlsFiles>,
    /// Keeps an integration JSON that was delivered, for the next start; of several policies a folder that keeps them.
    pub state_file: Option<PathBuf>,
    /// Where rooms, rules and lists are managed; without it they are not. The address of `admin` then has the API and the
    /// dashboard. Each policy is a zone there that is called like it.
    pub store: Option<PathBuf>,
    /// Where to fetch the integration JSON instead of from Queue-it; for tests.
    pub pull_url: Option<String>,
    /// How long to go on as ever after it was told to end, and has begun to say so: until nobody sends more.
    pub drain_delay: Duration,
    /// What the proxies in front can take.
    pub limits: Limits,
    /// Is told of every decision, in the request's task: it must be quick.
    pub observer: Option<Observer>,
}

impl Config {
    /// A policy with its secrets in the environment, and defaults for everything else.
    pub fn new(policy: PolicySource) -> Config {
        Config { policies: vec![(policy.name(), policy)], ..Config::default() }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            policies: Vec::new(),
            refuse_unknown: false,
            secrets: SecretSource::Environment,
            listen: None,
            admin: None,
            tls: None,
            state_file: None,
            store: None,
            pull_url: None,
            drain_delay: Duration::from_secs(5),
            limits: Limits::default(),
            observer: None,
        }
    }
}

/// What the proxies in front can take at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; more wait until one ends.
    pub connections: usize,
    /// Streams at the same time on one connection.
    pub streams: u32,
    /// Streams at the same time; what becomes of what is asked on more, `overload` of `[failure]` says.
    pub requests: usize,
    /// Bytes of a message.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections: 4_096, streams: 1_024, requests: 16_384, message_bytes: 4 << 20 }
    }
}

/// The way to start one.
pub struct ExtProc;

impl ExtProc {
    /// Loads the policy, opens the ports and serves, in tasks of the current tokio runtime and in threads of its own,
    /// one for each processor. A policy that cannot be put in force is no reason not to start: its failure policy
    /// applies until it can.
    pub async fn bind(config: Config) -> Result<Running, StartError> {
        let metrics = Arc::new(Metrics::new(Metrics::registry()));
        let common = Common {
            secrets: config.secrets,
            state_file: config.state_file,
            metrics: Arc::clone(&metrics),
            unknown: if config.refuse_unknown { OnFailure::Closed } else { OnFailure::Open },
            rooms: None,
            management: config.store.as_deref().map(Management::open),
        };
        let tenants = Arc::new(Tenants::new(config.policies, common));
        let mut loaded = Ok(());
        for keeper in tenants.keepers().all() {
            match keeper.load("start") {
                // Visitors would pass, or be turned away, by the failure policy for a reason that whoever starts it
                // can mend.
                Err(error @ LoadError::NoSecret(_)) => return Err(StartError::Settings(error.into())),
                this => loaded = loaded.and(this),
            }
        }
        let settings = match (tenants.settings(), loaded) {
            (Some(settings), _) => settings.proxy,
            (None, Err(error)) if config.listen.is_none() => return Err(error.into()),
            (None, _) => Default::default(),
        };
        let tls =
            config.tls.map(Tls::new).transpose().map_err(|error| StartError::Settings(error.into()))?.map(Arc::new);
        let (listen, admin) = (config.listen.unwrap_or(settings.listen), config.admin.unwrap_or(settings.admin));
        let identity = Identity::of_host("google-cloud");
        let (served, told, hosts) = (Arc::clone(&tenants), Arc::clone(&metrics), settings.admin_hosts.clone());
        let starting = Starting::new(served, told, identity.clone(), listen, admin, hosts)?;
        let (tasks, stop) = (starting.tasks.clone(), starting.stop.clone());
        if let Some(tls) = &tls {
            tls.watch(&starting);
        }
        let callout = Callout {
            arrivals: Arrivals::default(),
            tenants,
            metrics,
            identity,
            random: |bytes| getrandom::fill(bytes).is_ok(),
            requests: AtomicUsize::new(0),
            max_requests: config.limits.requests,
            observer: config.observer,
        };
        let server = Server {
            callout: Arc::new(callout),
            admin: Arc::clone(&starting.admin),
            limits: config.limits,
            idle_timeout: seconds(settings.idle_timeout),
            tls,
            workers: Workers::start(workers::processors(), &stop.end).map_err(StartError::Threads)?,
        };
        let serve = |listener| server.serve(listener, tasks, stop);
        let (drain_delay, drain_timeout) = (config.drain_delay, seconds(settings.drain_timeout));
        let running = starting.serve(serve, config.pull_url, drain_delay, drain_timeout);
        tracing::info!(address = %running.address, admin = %running.admin_address, "serving");
        Ok(running)
    }
}
