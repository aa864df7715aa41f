//! The reverse proxy: HTTP/1.1 and HTTP/2 (prior knowledge) in, HTTP/1.1 to one origin.
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
//!   integration JSON ([`crate::policy::Delivery`]); one that does not compile is logged and never put in force.
//!   A delivered JSON stands in for the policy's file until that file changes, over restarts if there is a
//!   [`Config::state_file`].
//! - Addresses, origin, hops and time-outs are read once, at the start.
//! - [`Limits`] and the time-outs of [`crate::policy::ProxySettings`] bound what visitors can take. Too long a request
//!   line is answered with 414, headers with 431, bodies with 413; what is no HTTP with 400.
//!
//! It does not speak TLS (put it behind what does, and set `trusted_hops`), nor WebSockets over HTTP/2 (RFC 8441).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connector::edge::Identity;

mod admin;
mod body;
mod fetch;
mod headers;
mod keeper;
mod logs;
mod metrics;
mod server;
mod service;
mod upstream;
mod visitor;
mod watch;

use keeper::Keeper;
pub use keeper::{LoadError, PolicySource, SecretSource};
pub use logs::{LogFormat, init_logs};
use metrics::Metrics;
use server::Stop;
use service::Service;
pub(super) use service::now_ms;
use upstream::{Tunnels, Upstream, seconds};

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
    /// Keeps an integration JSON that was delivered, for the next start.
    pub state_file: Option<PathBuf>,
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
            state_file: None,
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

/// Is told of every decision.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// One decision and what came of it. It holds no query, token or cookie.
#[derive(Clone, Debug)]
pub struct Event {
    /// The method.
    pub method: String,
    /// The host asked for.
    pub host: String,
    /// The path asked for, as received.
    pub path: String,
    /// The visitor.
    pub client_ip: Option<IpAddr>,
    /// What was decided; the words of [`crate::connector::edge::Reply::label`].
    pub decision: &'static str,
    /// The waiting room it was about.
    pub room: Option<String>,
    /// The bypass rule that was true.
    pub rule: Option<String>,
    /// Why the failure policy was applied, if it was.
    pub failed: Option<String>,
    /// Status of the answer.
    pub status: u16,
    /// Until the answer began.
    pub took: Duration,
}

/// Why a proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot be read, so there is nothing to listen on and nothing to protect.
    #[error("{0}")]
    Policy(#[from] LoadError),
    /// Something in the settings does not do.
    #[error("{0}")]
    Settings(String),
    /// A port cannot be opened.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
}

/// The way to start one.
pub struct Proxy;

impl Proxy {
    /// Loads the policy, opens the ports and serves, in tasks of the current tokio runtime. A policy that cannot be put
    /// in force is no reason not to start: its failure policy applies until it can.
    pub async fn bind(config: Config) -> Result<Running, StartError> {
        let metrics = Arc::new(Metrics::new());
        let keeper = Arc::new(Keeper::new(config.policy, config.secrets, config.state_file, Arc::clone(&metrics)));
        let loaded = keeper.load("start");
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
        let upstream = Upstream::new(&origin, &settings).map_err(StartError::Settings)?;
        let (listener, address) = listen(config.listen.unwrap_or(settings.listen))?;
        let (admin_listener, admin_address) = listen(config.admin.unwrap_or(settings.admin))?;

        let stop = Stop { drain: CancellationToken::new(), end: CancellationToken::new() };
        let (tasks, background) = (TaskTracker::new(), TaskTracker::new());
        let drain_timeout = seconds(settings.drain_timeout);
        let service = Arc::new(Service {
            keeper: Arc::clone(&keeper),
            upstream,
            settings,
            limits: config.limits,
            identity: Identity::of_host("proxy"),
            metrics: Arc::clone(&metrics),
            tunnels: Tunnels { tracker: tasks.clone(), end: stop.end.clone() },
            observer: config.observer,
        });
        let admin = admin::Admin { keeper: Arc::clone(&keeper), metrics, drain: stop.drain.clone() };
        background.spawn(Arc::new(admin).serve(admin_listener, background.clone(), stop.end.clone()));
        tasks.spawn(server::serve(listener, service, tasks.clone(), stop.clone()));
        if keeper.folder().is_some() {
            background.spawn(watch::watch(Arc::clone(&keeper), stop.end.clone()));
        }
        background.spawn(fetch::fetch(Arc::clone(&keeper), config.pull_url, stop.end.clone()));
        tracing::info!(%address, admin = %admin_address, origin, "serving");
        Ok(Running { address, admin_address, keeper, stop, tasks, background, drain_timeout })
    }
}

fn listen(address: SocketAddr) -> Result<(tokio::net::TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = server::listen(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// A proxy that serves. Dropping it does not stop it; [`Running::drain`] and [`Running::stop`] do.
pub struct Running {
    /// Where visitors are served.
    pub address: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub admin_address: SocketAddr,
    keeper: Arc<Keeper>,
    stop: Stop,
    tasks: TaskTracker,
    background: TaskTracker,
    drain_timeout: Duration,
}

impl Running {
    /// Reads the policy anew, as on SIGHUP. The one in force stays if the new one does not do.
    pub async fn reload(&self) -> Result<(), LoadError> {
        let keeper = Arc::clone(&self.keeper);
        match tokio::task::spawn_blocking(move || keeper.load("reload")).await {
            Ok(loaded) => loaded,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Stops taking connections and waits for the requests under way, for `drain_timeout` at most; then stops
    /// everything. Says whether all requests came to an end.
    pub async fn drain(self) -> bool {
        self.stop.drain.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(self.drain_timeout, self.tasks.wait()).await.is_ok();
        self.stop().await;
        drained
    }

    /// Stops everything at once.
    pub async fn stop(self) {
        self.stop.drain.cancel();
        self.stop.end.cancel();
        self.tasks.close();
        self.background.close();
        self.tasks.wait().await;
        self.background.wait().await;
    }

    /// Serves until SIGTERM or SIGINT, then drains. SIGHUP reloads the policy. Says whether all requests came to an
    /// end in time.
    #[cfg(unix)]
    pub async fn until_signal(self) -> io::Result<bool> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        tracing::info!("listening to signals");
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                // What is wrong with the policy is in the log; the one in force stays.
                _ = hang_up.recv() => self.reload().await.unwrap_or_default(),
            }
        }
        tracing::info!("draining");
        Ok(self.drain().await)
    }

    /// Serves until Ctrl-C, then drains. Says whether all requests came to an end in time.
    #[cfg(not(unix))]
    pub async fn until_signal(self) -> io::Result<bool> {
        tokio::signal::ctrl_c().await?;
        tracing::info!("draining");
        Ok(self.drain().await)
    }
}
