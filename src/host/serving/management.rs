//! The API and the dashboard on the operator's address, and what was changed there into force: here at once, in other
//! processes that have the same store open within a second.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::keeper::Stored;
use super::tenants::Tenants;
use super::{StartError, aside, now_ms};
use crate::host::store::{Randomness, StoreFile};
use crate::manage::database::DatabaseError;
use crate::manage::store::Store;
use crate::manage::{self, Circumstances, Live, Manager, snapshot};
use crate::policy::Sources;
use crate::room::Occupancy;

/// How often to see whether another process has changed something.
const LOOK: Duration = Duration::from_millis(250);

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A body of more bytes is one of few that are read at a time: anybody can send one, and it is held in memory.
const LARGE: u64 = 1 << 20;
const LARGE_AT_ONCE: usize = 4;

/// What is managed in one store.
pub(in crate::host) struct Management {
    manager: Manager,
    /// Each has its own connection, so that none waits for what another one has under way.
    requests: StoreFile,
    following: Arc<StoreFile>,
    operations: StoreFile,
    large: Semaphore,
    /// Counts the changes that this process has made, and of these those that have come into force.
    changes: watch::Sender<u64>,
    in_force: watch::Sender<u64>,
}

impl Management {
    /// Opens a store, or creates it.
    pub(in crate::host) fn open(path: &Path) -> Result<Arc<Management>, StartError> {
        let open = || StoreFile::open(path).map_err(|error| StartError::Settings(error.to_string()));
        Ok(Arc::new(Management {
            manager: Manager::default(),
            requests: open()?,
            following: Arc::new(open()?),
            operations: open()?,
            large: Semaphore::new(LARGE_AT_ONCE),
            changes: watch::Sender::new(0),
            in_force: watch::Sender::new(0),
        }))
    }

    /// What the store holds of one policy.
    pub(in crate::host) fn zone(&self, name: &str) -> Box<dyn Stored> {
        let store = Arc::clone(&self.following);
        Box::new(Zone { store, name: name.to_owned(), texts: Mutex::default(), taken: Mutex::default() })
    }

    /// Puts in force what is changed, and does what is asked of lists, until `end`.
    pub(in crate::host) fn start(
        self: &Arc<Self>,
        tenants: &Arc<Tenants>,
        tasks: &TaskTracker,
        end: &CancellationToken,
    ) {
        tasks.spawn(Arc::clone(self).follow(Arc::clone(tenants), end.clone()));
        tasks.spawn(Arc::clone(self).operate(end.clone()));
    }

    /// Answers one request. Where it changes something, that has come into force by then.
    pub(in crate::host) async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        tenants: &Arc<Tenants>,
    ) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let limit = manage::body_limit(&parts.method, parts.uri.path());
        let body = match self.read(body, limit).await {
            Ok(Some(body)) => body,
            Ok(None) => return manage::too_large(limit).map(Full::from),
            Err(status) => return plain(status),
        };
        let request = Request::from_parts(parts, body);
        let (management, tenants) = (Arc::clone(self), Arc::clone(tenants));
        let answered = aside(move || management.transact(&request, peer, &tenants)).await;
        let Ok(Ok((response, is_kept))) = answered.map_err(|panicked| tracing::error!(%panicked, "managing")) else {
            return plain(StatusCode::INTERNAL_SERVER_ERROR);
        };
        if is_kept {
            self.changed().await;
        }
        response.map(Full::from)
    }

    /// The whole of a body; nothing if it is too long. It is read to its end all the same: who is still sending does not
    /// hear an answer.
    async fn read(&self, mut body: Incoming, limit: usize) -> Result<Option<Vec<u8>>, StatusCode> {
        let is_large = body.size_hint().upper().is_none_or(|length| length > LARGE);
        let _place = if is_large { self.large.acquire().await.ok() } else { None };
        let whole = async {
            let mut bytes = Some(Vec::new());
            while let Some(frame) = body.frame().await {
                let data = frame?.into_data().unwrap_or_default();
                bytes = bytes.filter(|bytes| bytes.len() + data.len() <= limit);
                if let Some(bytes) = &mut bytes {
                    bytes.extend_from_slice(&data);
                }
            }
            Ok::<_, hyper::Error>(bytes)
        };
        match timeout(PATIENCE, whole).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// Answers in one transaction; whether something has been changed.
    fn transact(
        &self,
        request: &Request<Vec<u8>>,
        peer: IpAddr,
        tenants: &Tenants,
    ) -> Result<(Response<Vec<u8>>, bool), ()> {
        let (mut randomness, live) = (Randomness::default(), Counted { tenants });
        let answered = self.requests.transaction(|database| {
            let mut random = |bytes: &mut [u8]| randomness.fill(bytes);
            let circumstances = Circumstances { now: now_ms(), random: &mut random, peer, live: &live };
            let answer = self.manager.answer(database, request, circumstances);
            let is_kept = answer.keep && randomness.is_there();
            (answer, is_kept)
        });
        let answer = answered.map_err(|error| tracing::error!(%error, "the store cannot be used"))?;
        let (method, path, status) = (request.method(), request.uri().path(), answer.response.status().as_u16());
        if let Some(trouble) = &answer.trouble {
            tracing::error!(%method, path, status, trouble, "managing");
        }
        if !randomness.is_there() {
            tracing::error!(%method, path, "there is no randomness");
            return Err(());
        }
        tracing::info!(%method, path, status, kept = answer.keep, "managing");
        Ok((answer.response, answer.keep))
    }

    /// Lets a change come into force, and waits until it has.
    async fn changed(&self) {
        let mut change = 0;
        self.changes.send_modify(|changes| {
            *changes += 1;
            change = *changes;
        });
        // It cannot fail: who counts is here.
        let _ = self.in_force.subscribe().wait_for(|in_force| *in_force >= change).await;
    }

    /// Puts in force what has been changed, by whomever. Several changes at a time come into force together.
    async fn follow(self: Arc<Self>, tenants: Arc<Tenants>, end: CancellationToken) {
        let mut changes = self.changes.subscribe();
        let mut seen = None;
        loop {
            let change = *changes.borrow_and_update();
            let (management, tenants) = (Arc::clone(&self), Arc::clone(&tenants));
            let loading = aside(move || management.load(&tenants, seen));
            seen = loading.await.ok().flatten();
            self.in_force.send_replace(change);
            tokio::select! { () = end.cancelled() => return, _ = changes.changed() => {}, () = sleep(LOOK) => {} }
        }
    }

    /// Loads all policies of which the store may hold something new since it had this version; the version it has now.
    fn load(&self, tenants: &Tenants, seen: Option<i64>) -> Option<i64> {
        let version = self.following.data_version();
        let version = version.inspect_err(|error| tracing::error!(%error, "the store cannot be read")).ok();
        if version.is_none() || version != seen {
            // What is wrong with a policy is in the log; the one in force stays.
            tenants.keepers().iter().for_each(|keeper| _ = keeper.load_if_changed("store"));
        }
        version
    }

    /// Does what was asked of lists, here or in another process that has ended meanwhile.
    async fn operate(self: Arc<Self>, end: CancellationToken) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let management = Arc::clone(&self);
            match aside(move || management.run_operation()).await {
                Ok(Ok(true)) => {
                    self.changes.send_modify(|changes| *changes += 1);
                    if end.is_cancelled() {
                        return;
                    }
                    continue;
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::error!(%error, "what was asked of a list cannot be done"),
                Err(panicked) => tracing::error!(%panicked, "what was asked of a list cannot be done"),
            }
            tokio::select! { () = end.cancelled() => return, _ = changes.changed() => {}, () = sleep(LOOK) => {} }
        }
    }

    fn run_operation(&self) -> Result<bool, DatabaseError> {
        match self.operations.read(|store| store.has_pending_operations())? {
            true => self.operations.change("", |store| store.run_next_operation()),
            false => Ok(false),
        }
    }
}

/// One policy in the store.
struct Zone {
    store: Arc<StoreFile>,
    name: String,
    /// The texts of the last revision that was asked for.
    texts: Mutex<(i64, Sources)>,
    /// The files that were taken over last.
    taken: Mutex<Option<Sources>>,
}

impl Stored for Zone {
    fn texts(&self) -> Result<Sources, String> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.store.read(|store| {
            let revision = store.zone(&self.name)?.map_or(0, |zone| zone.revision);
            Ok::<_, manage::failure::Failure>(match revision == texts.0 {
                true => None,
                false => Some((revision, snapshot::texts(store, &self.name)?)),
            })
        });
        if let Some(newer) = read.map_err(|failure| told(&failure))? {
            *texts = newer;
        }
        Ok(texts.1.clone())
    }

    fn take(&self, files: &Sources) -> Result<(), String> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.as_ref() != Some(files) {
            let take = |store: &Store<'_>| snapshot::take_files(store, &self.name, files);
            self.store.change("files", take).map_err(|failure| told(&failure))?;
            *taken = Some(files.clone());
        }
        Ok(())
    }
}

/// What a failure is, for the log.
fn told(failure: &manage::failure::Failure) -> String {
    let objections = failure.errors.iter().map(|objection| objection.message.clone());
    objections.chain(failure.cause.iter().map(ToString::to_string)).collect::<Vec<_>>().join("; ")
}

/// What happens in this process.
struct Counted<'t> {
    tenants: &'t Tenants,
}

impl Live for Counted<'_> {
    fn hits(&self, zone: &str, room: &str, rule: &str) -> Option<u64> {
        self.tenants.named(zone)?.state().hits(room, rule)
    }

    fn occupancy(&self, zone: &str, room: &str) -> Option<Occupancy> {
        self.tenants.named(zone)?.occupancy(room)
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
