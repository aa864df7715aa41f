//! What hosts that serve have in common: the policy in force and how it is renewed, connections, what the operator
//! asks, logs, and the end. It knows nothing of what is served.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use velvetrope::internal::edge::{BoxError, Identity};
use velvetrope::internal::program::Scratch;

pub(crate) mod address;
pub(crate) mod admin;
mod aside;
mod attended;
pub(crate) mod connections;
mod event;
mod fetch;
mod forwarded;
pub(crate) mod guarded;
pub(crate) mod hits;
pub(crate) mod keeper;
pub(crate) mod keepers;
mod logs;
pub(crate) mod management;
pub(crate) mod metrics;
pub(crate) mod pushes;
pub(crate) mod tenants;
pub(crate) mod tls;
mod waiting;
mod watch;

use admin::Admin;
pub use event::{Event, Observer};
pub use keeper::{LoadError, PolicySource, SecretSource};
pub use logs::{LogFormat, init_logs};
use metrics::Metrics;
use pushes::Pushes;
use tenants::Tenants;
pub use tenants::{PoliciesError, policies_at};
pub use tls::TlsFiles;
pub use waiting::OwnRooms;

pub use crate::clock::now_ms;
pub(crate) use aside::aside;

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot be read, so there is nothing to listen on and nothing to protect.
    #[error("{0}")]
    Policy(#[from] LoadError),
    /// Something in the settings does not do.
    #[error("{0}")]
    Settings(#[source] BoxError),
    /// A port cannot be opened.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// There are no more threads, or files that can be open.
    #[error("cannot start threads: {0}")]
    Threads(#[source] io::Error),
}

/// Ends of a server's life.
#[derive(Clone)]
pub(crate) struct Stop {
    /// Everything goes on, but whoever asks is told that it soon will not.
    pub leaving: CancellationToken,
    /// No more connections; those that are open end with the requests under way.
    pub drain: CancellationToken,
    /// Everything ends.
    pub end: CancellationToken,
}

/// A host that serves. Dropping it does not stop it; [`Running::drain`] and [`Running::stop`] do.
pub struct Running {
    /// Where requests are served.
    pub address: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub admin_address: SocketAddr,
    tenants: Arc<Tenants>,
    stop: Stop,
    tasks: TaskTracker,
    background: TaskTracker,
    drain_delay: Duration,
    drain_timeout: Duration,
}

/// A host that is about to serve: its ports are open.
pub(crate) struct Starting {
    /// What is waited for while draining.
    pub tasks: TaskTracker,
    background: TaskTracker,
    pub stop: Stop,
    pub admin: Arc<Admin>,
    tenants: Arc<Tenants>,
    listener: TcpListener,
    admin_listener: TcpListener,
    address: SocketAddr,
    admin_address: SocketAddr,
}

impl Starting {
    pub fn new(
        tenants: Arc<Tenants>,
        metrics: Arc<Metrics>,
        identity: Identity,
        listen: SocketAddr,
        admin: SocketAddr,
        admin_hosts: Vec<String>,
    ) -> Result<Starting, StartError> {
        let (listener, address) = connections::listen(listen)?;
        let (admin_listener, admin_address) = connections::listen(admin)?;
        let stop =
            Stop { leaving: CancellationToken::new(), drain: CancellationToken::new(), end: CancellationToken::new() };
        let (tasks, leaving) = (TaskTracker::new(), stop.leaving.clone());
        let (tenants_of_admin, hosts, pushes) = (Arc::clone(&tenants), admin_hosts, Pushes::new());
        let admin = Arc::new(Admin { tenants: tenants_of_admin, metrics, identity, leaving, hosts, pushes });
        let background = TaskTracker::new();
        Ok(Starting { tasks, background, stop, admin, tenants, listener, admin_listener, address, admin_address })
    }

    /// Calls `load`, which may block, when something has changed in `folders`.
    pub fn watch(
        &self,
        folders: impl Fn() -> BTreeSet<PathBuf> + Send + 'static,
        load: impl Fn() + Send + Sync + 'static,
    ) {
        self.background.spawn(watch::watch(folders, load, self.stop.end.clone()));
    }

    /// Serves, answers the operator, and looks for newer policies. `pull_url` stands in for Queue-it's. Draining
    /// begins with `drain_delay`, and takes no longer than `drain_timeout` after that.
    pub fn serve<S: Future<Output = ()> + Send + 'static>(
        self,
        server: impl FnOnce(TcpListener) -> S,
        pull_url: Option<String>,
        drain_delay: Duration,
        drain_timeout: Duration,
    ) -> Running {
        for keeper in self.tenants.keepers().all() {
            if keeper.folder().is_some() {
                let (watched, loading) = (Arc::clone(keeper), Arc::clone(keeper));
                // What is wrong with the policy is in the log; the one in force stays.
                self.watch(move || watched.watched_folders(), move || _ = loading.load_if_changed("file"));
            }
            self.background.spawn(fetch::fetch(Arc::clone(keeper), pull_url.clone(), self.stop.end.clone()));
        }
        if let Some(management) = &self.tenants.management {
            management.start(self.tenants.keepers(), &self.background, &self.stop.end);
        }
        let Starting { tasks, background, stop, admin, tenants, listener, admin_listener, address, admin_address } =
            self;
        background.spawn(admin.serve(admin_listener, background.clone(), stop.end.clone()));
        tasks.spawn(server(listener));
        Running { address, admin_address, tenants, stop, tasks, background, drain_delay, drain_timeout }
    }
}

impl Running {
    /// Reads the policy anew, as on SIGHUP; of several each, whatever becomes of the others. The one in force stays if
    /// the new one does not do.
    pub async fn reload(&self) -> Result<(), LoadError> {
        let mut result = Ok(());
        for keeper in self.tenants.keepers().all() {
            let keeper = Arc::clone(keeper);
            match aside(move || keeper.load("reload")).await {
                Ok(loaded) => result = result.and(loaded),
                Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
            }
        }
        result
    }

    /// Says that it is about to end, and after a while stops taking connections and waits for the requests under way,
    /// for as long as the policy allows; then stops everything. Says whether all requests came to an end.
    pub async fn drain(self) -> bool {
        self.stop.leaving.cancel();
        tokio::time::sleep(self.drain_delay).await;
        self.stop.drain.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(self.drain_timeout, self.tasks.wait()).await.is_ok();
        self.stop().await;
        drained
    }

    /// Stops everything at once.
    pub async fn stop(self) {
        self.stop.leaving.cancel();
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

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Decides with this thread's memory. A panic costs the memory and one decision, not the thread.
pub(crate) fn guarded<T>(decide: impl FnOnce(&mut Scratch) -> T) -> Option<T> {
    let mut scratch = SCRATCH.take();
    let decided = catch_unwind(AssertUnwindSafe(|| decide(&mut scratch))).ok()?;
    SCRATCH.set(scratch);
    Some(decided)
}

/// A number of seconds, as settings have them.
pub(crate) fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}
