//! The reverse proxy: HTTP/1.1 and HTTP/2 (by ALPN, or with prior knowledge) in, HTTP/1.1 to one origin, TLS on either
//! side.
//!
//! It is built on hyper and not on pingora: pingora brings its own runtime, its own life cycle and a C build for its
//! TLS, for features (many backends, caching) that stand outside what a connector does; hyper leaves every byte of the
//! exchange to a few hundred lines here.
//!
//! - Bodies stream both ways. Only where a trigger looks at the request's body is its start read before the decision,
//!   and then passed on with the rest.
//! - Requests are tasks: a slow origin, a slow visitor or thousands of idle connections hold up nobody else. A
//!   decision is computation only; nothing is fetched while a request waits.
//! - The policy in force is replaced as a whole, when its files change, on SIGHUP, or when Queue-it delivers an
//!   integration JSON ([`velvetrope::internal::policy::Delivery`]); one that does not compile is logged and never put in force.
//!   A delivered JSON stands in for the policy's file until that file changes, over restarts if there is a
//!   [`Config::state_file`].
//! - Addresses, origin, hops and time-outs are read once, at the start.
//! - [`Limits`] and the time-outs of [`velvetrope::internal::policy::ProxySettings`] bound what visitors can take. Too long a request
//!   line is answered with 414, headers with 431, bodies with 413; what is no HTTP with 400.
//!
//! - What stands in front is believed as far as the settings say (`trusted_proxies`, `proxy_protocol` and their kin).
//!
//! It does not speak WebSockets over HTTP/2 (RFC 8441), and changes to no other protocol than theirs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::serving::management::Management;
use crate::serving::metrics::Metrics;
use crate::serving::pushes::Pushes;
use crate::serving::tenants::{Common, Tenants};
use crate::serving::tls::Tls;
use crate::serving::{Starting, seconds};
use velvetrope::internal::edge::{Arrivals, Identity};
use velvetrope::internal::policy::{OnFailure, VisitorTls};

mod announced;
mod body;
mod counters;
mod headers;
mod lasting;
mod server;
mod service;
mod upstream;
mod visitor;

pub use crate::serving::{
    Event, LoadError, LogFormat, Observer, OwnRooms, PolicySource, Running, SecretSource, StartError, TlsFiles,
    init_logs,
};
use counters::Counters;
use service::Service;
use upstream::{Tunnels, Upstream};

/// What a proxy is told at its start.
#[derive(Clone)]
pub struct Config {
    /// The policy, which holds everything that is not here.
    pub policy: PolicySource,
    /// The secrets.
    pub secrets: SecretSource,
    /// Instead of `proxy.listen`.
    pub listen: Option<SocketAddr>,
    /// Instead of `proxy.admin`.
    pub admin: Option<SocketAddr>,
    /// Instead of `proxy.origin`.
    pub origin: Option<String>,
    /// Instead of `proxy.tls`.
    pub tls: Option<TlsFiles>,
    /// Keeps an integration JSON that was delivered, for the next start.
    pub state_file: Option<PathBuf>,
    /// Where rooms, rules and lists are managed; without it they are not. The address of `admin` then has the API and the
    /// dashboard. The policy is a zone there that is called like its folder.
    pub store: Option<PathBuf>,
    /// Where visitors wait, if that is in this process; whoever serves it has it, too.
    pub rooms: Option<Arc<OwnRooms>>,
    /// Where to fetch the integration JSON instead of from Queue-it; for tests.
    pub pull_url: Option<String>,
    /// What visitors can take.
    pub limits: Limits,
    /// Is told of every decision, in the request's task: it must be quick.
    pub observer: Option<Observer>,
}

impl Config {
    /// A policy with its secrets in the environment, and defaults for everything else.
    pub fn new(policy: PolicySource) -> Config {
        Config {
            policy,
            secrets: SecretSource::Environment,
            listen: None,
            admin: None,
            origin: None,
            tls: None,
            state_file: None,
            store: None,
            rooms: None,
            pull_url: None,
            limits: Limits::default(),
            observer: None,
        }
    }
}

/// What visitors can take at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; more wait until one ends. Each takes two file descriptors while it is served: where the
    /// process may open fewer (`ulimit -n`), that is the limit, and more connections wait all the same.
    pub connections: usize,
    /// Requests at the same time on one HTTP/2 connection.
    pub streams: u32,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Header lines of a request.
    pub headers: usize,
    /// Bytes of a request's body; `None` is no limit.
    pub body_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections: 16_384, streams: 128, header_bytes: 64 << 10, headers: 128, body_bytes: None }
    }
}

/// The way to start one.
pub struct Proxy;

impl Proxy {
    /// Loads the policy, opens the ports and serves, in tasks of the current tokio runtime. A policy that cannot be put
    /// in force is no reason not to start: its failure policy applies until it can.
    pub async fn bind(config: Config) -> Result<Running, StartError> {
        let mut registry = Metrics::registry();
        let counters = Counters::new(&mut registry);
        let metrics = Arc::new(Metrics::new(registry));
        let common = Common {
            secrets: config.secrets,
            state_file: config.state_file,
            metrics: Arc::clone(&metrics),
            unknown: OnFailure::Open,
            rooms: config.rooms,
            management: config.store.as_deref().map(Management::open),
        };
        let (tenants, keeper) = Tenants::one(config.policy, common);
        let loaded = keeper.load("start");
        // Visitors would pass, or be turned away, by the failure policy for a reason that whoever starts it can mend.
        if let Err(error @ LoadError::NoSecret(_)) = loaded {
            return Err(StartError::Settings(error.into()));
        }
        let settings = match (keeper.settings(), loaded) {
            (Some(settings), _) => settings.proxy,
            (None, _) if config.listen.is_some() && config.origin.is_some() => Default::default(),
            (None, Err(error)) => return Err(error.into()),
            (None, Ok(())) => return Err(StartError::Settings("the policy has no settings".into())),
        };
        let origin = config.origin.or_else(|| settings.origin.clone());
        let origin = origin.ok_or_else(|| {
            StartError::Settings("no origin: set `proxy.origin` in velvetrope.toml to the site behind the proxy".into())
        })?;
        let folder = keeper.folder().unwrap_or_default();
        let upstream =
            Upstream::new(&origin, &settings, &folder).map_err(|error| StartError::Settings(error.into()))?;
        let in_folder =
            |tls: &VisitorTls| TlsFiles { certificate: folder.join(&tls.certificate), key: folder.join(&tls.key) };
        let tls = config.tls.or_else(|| settings.tls.as_ref().map(in_folder));
        let tls = tls.map(Tls::new).transpose().map_err(|error| StartError::Settings(error.into()))?.map(Arc::new);
        let (listen, admin) = (config.listen.unwrap_or(settings.listen), config.admin.unwrap_or(settings.admin));
        let identity = Identity::of_host("proxy");
        let (tenants, hosts) = (Arc::new(tenants), settings.admin_hosts.clone());
        let starting = Starting::new(tenants, Arc::clone(&metrics), identity.clone(), listen, admin, hosts)?;
        let (tasks, stop) = (starting.tasks.clone(), starting.stop.clone());
        let drain_timeout = seconds(settings.drain_timeout);
        let idle = seconds(settings.tunnel_timeout);
        let tunnels = Tunnels { tracker: tasks.clone(), end: stop.end.clone(), idle };
        if let Some(tls) = &tls {
            tls.watch(&starting);
        }
        let service = Arc::new(Service {
            arrivals: Arrivals::default(),
            keeper,
            upstream,
            settings,
            limits: config.limits,
            identity,
            tls,
            leaving: stop.leaving.clone(),
            is_disbelieved: AtomicBool::new(false),
            metrics,
            counters,
            tunnels,
            pushes: Pushes::new(),
            observer: config.observer,
        });
        let server = |listener| server::serve(listener, service, tasks, stop);
        let running = starting.serve(server, config.pull_url, Duration::ZERO, drain_timeout);
        tracing::info!(address = %running.address, admin = %running.admin_address, origin, "serving");
        Ok(running)
    }
}
