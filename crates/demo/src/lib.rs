//! A ticket site, its waiting room and the rope between them, on this machine: to see what velvetrope does.
//!
//! The policy is `examples/ticketing`, built in, so that it works from any folder. The secret is made up at the start:
//! sessions end with the process, and so does what is changed in the dashboard.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use velvetrope::internal::edge::Secrets;
use velvetrope::internal::hex;
use velvetrope::internal::room::{Pace, RoomConfig};
use velvetrope_manage::database::DatabaseError;
use velvetrope_manage::store::tokens::Scope;
use velvetrope_serve::proxy::{
    Config, Event, Observer, OwnRooms, PolicySource, Proxy, Running, SecretSource, StartError,
};
use velvetrope_serve::store::{OpenError, StoreFile};

mod http;
mod site;
mod waiting;

/// The customer of `examples/ticketing`.
const CUSTOMER: &str = "ticketing";

/// Its files.
const POLICY: [(&str, &str); 6] = [
    ("velvetrope.toml", include_str!("../../../examples/ticketing/velvetrope.toml")),
    ("integration.json", include_str!("../../../examples/ticketing/integration.json")),
    ("rooms.json", include_str!("../../../examples/ticketing/rooms.json")),
    ("rules/ticketshop.json", include_str!("../../../examples/ticketing/rules/ticketshop.json")),
    ("rules/everywhere.json", include_str!("../../../examples/ticketing/rules/everywhere.json")),
    ("lists/admins.txt", include_str!("../../../examples/ticketing/lists/admins.txt")),
];

/// Ports that the example policy names, and that the demo prefers.
const PROXY: u16 = 8080;
const SITE: u16 = 8081;
const ROOM: u16 = 8082;
const ADMIN: u16 = 9080;

/// Slow enough that the page is seen, fast enough that nobody leaves.
const PACE: Pace = Pace {
    per_minute: 30,
    max_active: 100,
    session_seconds: 20 * 60,
    hold_seconds: 60,
    least_wait_seconds: 6,
    max_waiting: 10_000,
};

/// Why the demo does not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No port, no randomness, or no folder for what is temporary.
    #[error("the demo cannot start: {0}")]
    Io(#[from] io::Error),
    /// The proxy does not start.
    #[error("the demo cannot start: {0}")]
    Proxy(#[from] StartError),
    /// What is managed cannot be stored.
    #[error("the demo cannot start: {0}")]
    Open(#[from] OpenError),
    /// The same.
    #[error("the demo cannot start: {0}")]
    Store(#[from] DatabaseError),
}

/// A demo that runs.
pub struct Demo {
    /// Where the ticket site can be visited, behind the rope.
    pub proxy: SocketAddr,
    /// The dashboard, the API, metrics and health.
    pub admin: SocketAddr,
    /// With which everything may be done there.
    pub token: String,
    /// The waiting room.
    pub room: SocketAddr,
    /// The ticket site itself; nobody outside would reach it.
    pub site: SocketAddr,
    running: Running,
    /// The policy and the store, for as long as it runs.
    _folder: TempDir,
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Demo {
    /// Starts everything, on the usual ports where they are free. `observer` is told of every decision.
    pub async fn start(observer: Observer) -> Result<Demo, DemoError> {
        let (site, room, proxy) = (port(SITE).await?, port(ROOM).await?, port(PROXY).await?);
        let (site_address, room_address, proxy_address) = (site.local_addr()?, room.local_addr()?, proxy.local_addr()?);
        let admin_address = port(ADMIN).await?.local_addr()?;
        let folder = tempfile::Builder::new().prefix("velvetrope-demo-").tempdir()?;
        let (policy, store) = (folder.path().join("ticketing"), folder.path().join("store.db"));
        write_policy(&policy, proxy_address, room_address)?;
        let (_, token) = StoreFile::open(&store)?.change("demo", |store| store.create_token("demo", Scope::Write))?;
        let secret = made_up_secret()?;

        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let rooms = Arc::new(waiting_rooms(&secret, proxy_address));
        tasks.spawn(http::serve(site, tasks.clone(), end.clone(), |request, _| site::answer(&request)));
        let waiting = Arc::clone(&rooms);
        let answer = move |request, _| waiting::answer(&waiting, &request);
        tasks.spawn(http::serve(room, tasks.clone(), end.clone(), answer));
        // Free from here on for the proxy, which opens its ports itself.
        drop(proxy);
        let running = Proxy::bind(Config {
            listen: Some(proxy_address),
            admin: Some(admin_address),
            origin: Some(format!("http://{site_address}")),
            secrets: SecretSource::Given { secrets: Secrets::new(secret, None), api_key: None },
            store: Some(store),
            rooms: Some(rooms),
            observer: Some(observer),
            ..Config::new(PolicySource::Path(policy))
        });
        let running = running.await?;
        let (proxy, admin) = (running.address, running.admin_address);
        Ok(Demo { proxy, admin, token, room: room_address, site: site_address, running, _folder: folder, tasks, end })
    }

    /// What to try, and what each will show.
    pub fn greeting(&self) -> String {
        let Demo { proxy, admin, token, room, site, .. } = self;
        let wait = PACE.least_wait_seconds;
        let mut text = format!(
            "A ticket site ({site}), its waiting room ({room}) and the rope between them.\n\n\
             Open these, or ask with curl:\n"
        );
        let tries = [
            (format!("http://{proxy}/"), "the front page: not protected, passes".to_owned()),
            (format!("http://{proxy}/shop"), format!("the shop: wait {wait} seconds, come back with a session")),
            (format!("http://{proxy}/shop/seats"), "browse on with that session, no waiting".to_owned()),
            (format!("http://{proxy}/shop/tickets/4711/userverified"), "a ticket link walks past the rope".to_owned()),
            (format!("http://{proxy}/shop/assets/style.css"), "assets are ignored".to_owned()),
            (format!("http://{proxy}/presale"), "a room of its own, placed by host and path".to_owned()),
            (format!("http://{proxy}/logout"), "ends the session in the shop".to_owned()),
            (format!("http://{admin}/metrics"), "what has been decided so far, in numbers".to_owned()),
        ];
        let width = tries.iter().map(|(url, _)| url.len()).max().unwrap_or_default();
        for (url, what) in &tries {
            // Writing to a String does not fail.
            writeln!(text, "  {url:width$}  {what}").unwrap_or_default();
        }
        write!(
            text,
            "\nAn admin's address walks past the rope; without a session from before:\n  \
             curl -i -H 'X-Forwarded-For: 192.0.2.10' http://{proxy}/shop\n\n\
             Say yourself who does: http://{admin}/dashboard\n  \
             token: {token}\n\nCtrl-C stops it. Decisions:\n"
        )
        .unwrap_or_default();
        text
    }

    /// Runs until SIGTERM or SIGINT.
    pub async fn until_signal(self) -> io::Result<()> {
        self.running.until_signal().await?;
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        Ok(())
    }

    /// Stops everything at once.
    pub async fn stop(self) {
        self.running.stop().await;
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// One decision as a line.
pub fn line(event: &Event) -> String {
    let about = match (&event.rule, &event.room) {
        (Some(rule), _) => format!(" by rule {rule}"),
        (None, Some(room)) => format!(" for room {room}"),
        (None, None) => String::new(),
    };
    let client = event.client_ip.map(|address| address.to_string()).unwrap_or_default();
    let micros = event.took.as_micros();
    format!(
        "{:<4} {:<40} {:<15} {:<8}{about} ({}, {micros} µs)",
        event.method, event.path, client, event.decision, event.status
    )
}

/// Writes the example policy, for the ports that are to be had.
fn write_policy(folder: &Path, proxy: SocketAddr, room: SocketAddr) -> io::Result<()> {
    for (name, text) in POLICY {
        let file: PathBuf = folder.join(name);
        fs::create_dir_all(file.parent().unwrap_or(folder))?;
        let text = text.replace("127.0.0.1:8080", &proxy.to_string()).replace("127.0.0.1:8082", &room.to_string());
        let text = text.replace("localhost:8080", &format!("localhost:{}", proxy.port()));
        fs::write(file, text)?;
    }
    Ok(())
}

fn waiting_rooms(secret: &str, proxy: SocketAddr) -> OwnRooms {
    let config = RoomConfig {
        customer_id: CUSTOMER.to_owned(),
        hosts: [proxy.to_string(), format!("localhost:{}", proxy.port())].into_iter().collect(),
        default_target: Some(format!("http://{proxy}/")),
        secret: velvetrope::internal::queueit::Secret::new(secret),
        token_seconds: 60,
        refresh_seconds: 2,
    };
    OwnRooms::new(config, PACE)
}

fn made_up_secret() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

/// The port, or any other that is free.
async fn port(preferred: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, preferred)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}
