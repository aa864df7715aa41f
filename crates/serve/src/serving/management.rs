//! The API and the dashboard on the operator's address, and what was changed there into force: here at once, in other
//! processes that have the same store open within a second.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attended::Place;
use super::keeper::Stored;
use super::keepers::Keepers;
use super::logs::Complaint;
use super::{aside, now_ms};
use crate::store::{OpenError, Randomness, StoreFile};
use velvetrope::internal::edge::BoxError;
use velvetrope::internal::policy::Sources;
use velvetrope::internal::room::Occupancy;
use velvetrope_manage::database::DatabaseError;
use velvetrope_manage::failure::{Code, Failure};
use velvetrope_manage::store::Store;
use velvetrope_manage::{self as manage, Circumstances, Live, Manager, snapshot};

/// How often to see whether another process has changed something.
const LOOK: Duration = Duration::from_millis(250);

/// How often to see whether a store that cannot be opened can be by now.
const RETRY: Duration = Duration::from_secs(2);

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A body of more bytes is read of nobody who may not send one, and is one of few that are read at a time: it is held in
/// memory.
const LARGE: u64 = 1 << 20;
const LARGE_AT_ONCE: usize = 4;

/// What is managed in one store.
pub(crate) struct Management {
    path: PathBuf,
    manager: Manager,
    files: OnceLock<Files>,
    complaint: Complaint,
    large: Semaphore,
    /// Counts the changes that this process has made, and of these those that have come into force.
    changes: watch::Sender<u64>,
    in_force: watch::Sender<u64>,
}

/// The store, open. Each has its own connection, so that none waits for what another one has under way.
struct Files {
    requests: StoreFile,
    following: StoreFile,
    operations: StoreFile,
}

impl Management {
    /// Opens a store, or creates it. One that cannot be opened, because it is damaged or its disk is not there, is no
    /// reason not to serve: until it can be, policies that are managed in it cannot be read.
    pub(crate) fn open(path: &Path) -> Arc<Management> {
        let management = Management {
            path: path.to_owned(),
            manager: Manager::default(),
            files: OnceLock::new(),
            complaint: Complaint::default(),
            large: Semaphore::new(LARGE_AT_ONCE),
            changes: watch::Sender::new(0),
            in_force: watch::Sender::new(0),
        };
        // What is wrong is in the log.
        _ = management.files();
        Arc::new(management)
    }

    /// The store, which is opened unless it has been.
    fn files(&self) -> Result<&Files, OpenError> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let open = || StoreFile::open(&self.path);
        let opened = open().and_then(|requests| Ok(Files { requests, following: open()?, operations: open()? }));
        match opened {
            Ok(files) => {
                self.complaint.is_settled();
                Ok(self.files.get_or_init(|| files))
            }
            Err(error) => {
                if self.complaint.is_new(&error.to_string()) {
                    tracing::error!("{error}; what is managed in it is not in force, and `[failure]` applies");
                }
                Err(error)
            }
        }
    }

    /// What the store holds of one policy.
    pub(crate) fn zone(self: &Arc<Self>, name: &str) -> Box<dyn Stored> {
        let (management, name) = (Arc::clone(self), name.to_owned());
        Box::new(Zone { management, name, texts: Mutex::default(), taken: Mutex::default() })
    }

    /// Puts in force what is changed, and does what is asked of lists, until `end`.
    pub(crate) fn start(self: &Arc<Self>, keepers: &Arc<Keepers>, tasks: &TaskTracker, end: &CancellationToken) {
        tasks.spawn(Arc::clone(self).follow(Arc::clone(keepers), end.clone()));
        tasks.spawn(Arc::clone(self).operate(end.clone()));
    }

    /// Answers one request. Where it changes something, that has come into force by then. The connection at `place` is
    /// waited for until the whole request is there.
    pub(super) async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        keepers: &Arc<Keepers>,
        place: &Place,
    ) -> Response<Full<Bytes>> {
        let (mut parts, body) = request.into_parts();
        // What is known of the connection is for those who serve it.
        parts.extensions.clear();
        let request = Request::from_parts(parts, Vec::new());
        let read = match body.size_hint().upper().is_none_or(|length| length > LARGE) {
            true => self.read_large(&request, body, keepers).await,
            false => self.read(&request, body).await,
        };
        let body = match read {
            Ok(body) => body,
            Err(response) => return response.map(Full::from),
        };
        place.work();
        let request = request.map(|_| body);
        let (management, keepers) = (Arc::clone(self), Arc::clone(keepers));
        let answered = aside(move || management.transact(&request, &keepers)).await;
        let Ok((response, is_kept)) = answered.map_err(|panicked| tracing::error!(%panicked, "managing")) else {
            return plain(StatusCode::INTERNAL_SERVER_ERROR).map(Full::from);
        };
        if is_kept {
            self.changed().await;
        }
        response.map(Full::from)
    }

    /// The body of a request, if whoever sends it may do so, and when there is a place for it.
    async fn read_large(
        self: &Arc<Self>,
        request: &Request<Vec<u8>>,
        body: Incoming,
        keepers: &Arc<Keepers>,
    ) -> Result<Vec<u8>, Response<Vec<u8>>> {
        let (management, keepers, asked) = (Arc::clone(self), Arc::clone(keepers), request.clone());
        let knows = aside(move || management.knows(&asked, &keepers)).await;
        match knows.map_err(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))? {
            Err(failure) => Err(manage::refusal(request.uri().path(), &failure)),
            Ok(false) => {
                let message =
                    "nobody is read so much of who has no valid token, and no session: log in, and send it again";
                let failure = Failure::new(401, Code::Authentication, message);
                Err(manage::refusal(request.uri().path(), &failure))
            }
            Ok(true) => {
                let _place = self.large.acquire().await.ok();
                self.read(request, body).await
            }
        }
    }

    async fn read(&self, request: &Request<Vec<u8>>, mut body: Incoming) -> Result<Vec<u8>, Response<Vec<u8>>> {
        let limit = manage::body_limit(request.method(), request.uri().path());
        if body.size_hint().lower() > limit as u64 {
            return Err(manage::too_large(limit));
        }
        let whole = async {
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let data = frame.map_err(|_| plain(StatusCode::BAD_REQUEST))?.into_data().unwrap_or_default();
                if bytes.len() + data.len() > limit {
                    return Err(manage::too_large(limit));
                }
                bytes.extend_from_slice(&data);
            }
            Ok(bytes)
        };
        match timeout(PATIENCE, whole).await {
            Ok(read) => read,
            Err(_) => Err(plain(StatusCode::REQUEST_TIMEOUT)),
        }
    }

    /// Whether whoever asks may do anything here.
    fn knows(&self, request: &Request<Vec<u8>>, keepers: &Keepers) -> Result<bool, Failure> {
        let files = self.files().map_err(Failure::closed)?;
        let known = files.requests.transaction(|database| {
            let circumstances = Circumstances { now: now_ms(), random: &mut |_| {}, live: &Counted { keepers } };
            (self.manager.knows(database, request, circumstances), false)
        });
        Ok(known??)
    }

    /// Answers in one transaction; whether something has been changed.
    fn transact(&self, request: &Request<Vec<u8>>, keepers: &Keepers) -> (Response<Vec<u8>>, bool) {
        let (method, path) = (request.method(), request.uri().path());
        self.try_transact(request, keepers).unwrap_or_else(|failure| {
            if let Some(error) = &failure.cause {
                tracing::error!(%method, path, %error, "the store cannot be used");
            }
            (manage::refusal(path, &failure), false)
        })
    }

    fn try_transact(
        &self,
        request: &Request<Vec<u8>>,
        keepers: &Keepers,
    ) -> Result<(Response<Vec<u8>>, bool), Failure> {
        let (mut randomness, live) = (Randomness::default(), Counted { keepers });
        let files = self.files().map_err(Failure::closed)?;
        let answer = files.requests.transaction(|database| {
            let mut random = |bytes: &mut [u8]| randomness.fill(bytes);
            let circumstances = Circumstances { now: now_ms(), random: &mut random, live: &live };
            let answer = self.manager.answer(database, request, circumstances);
            let is_kept = answer.keep && randomness.is_there();
            (answer, is_kept)
        })?;
        let (method, path, status) = (request.method(), request.uri().path(), answer.response.status().as_u16());
        if let Some(trouble) = &answer.trouble {
            tracing::error!(%method, path, status, trouble, "managing");
        }
        if !randomness.is_there() {
            return Err(DatabaseError("there is no randomness".into()).into());
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
    async fn follow(self: Arc<Self>, keepers: Arc<Keepers>, end: CancellationToken) {
        let mut changes = self.changes.subscribe();
        let mut seen = None;
        loop {
            let change = *changes.borrow_and_update();
            let (management, keepers) = (Arc::clone(&self), Arc::clone(&keepers));
            let loading = aside(move || management.load(&keepers, seen));
            seen = loading.await.ok().flatten();
            self.in_force.send_replace(change);
            let pause = if self.files.get().is_some() { LOOK } else { RETRY };
            tokio::select! { () = end.cancelled() => return, _ = changes.changed() => {}, () = sleep(pause) => {} }
        }
    }

    /// Loads all policies of which the store may hold something new since it had this version; the version it has now.
    fn load(&self, keepers: &Keepers, seen: Option<i64>) -> Option<i64> {
        let version = self.files().ok()?.following.data_version();
        let version = version.inspect_err(|error| self.complain("the store cannot be read", error)).ok();
        if version.is_none() || version != seen {
            // What is wrong with a policy is in the log; the one in force stays.
            keepers.all().iter().for_each(|keeper| _ = keeper.load_if_changed("store"));
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
                Ok(Err(error)) => self.complain("what was asked of a list cannot be done", &error),
                Err(panicked) => tracing::error!(%panicked, "what was asked of a list cannot be done"),
            }
            tokio::select! { () = end.cancelled() => return, _ = changes.changed() => {}, () = sleep(LOOK) => {} }
        }
    }

    fn run_operation(&self) -> Result<bool, DatabaseError> {
        // Where there is no store, nothing has been asked.
        let Some(Files { operations, .. }) = self.files.get() else { return Ok(false) };
        match operations.read(|store| store.has_pending_operations())? {
            true => operations.change("", |store| store.run_next_operation()),
            false => Ok(false),
        }
    }

    /// Says once what is tried again and again.
    fn complain(&self, what: &str, error: &DatabaseError) {
        if self.complaint.is_new(&format!("{what}: {error}")) {
            tracing::error!(%error, "{what}");
        }
    }
}

/// One policy in the store.
struct Zone {
    management: Arc<Management>,
    name: String,
    /// The texts of the last revision that was asked for.
    texts: Mutex<(i64, Sources)>,
    /// The files that were taken over last.
    taken: Mutex<Option<Sources>>,
}

impl Stored for Zone {
    fn texts(&self) -> Result<Sources, BoxError> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.management.files()?;
        let read = files.following.read(|store| {
            let revision = store.zone(&self.name)?.map_or(0, |zone| zone.revision);
            Ok::<_, Failure>(match revision == texts.0 {
                true => None,
                false => Some((revision, snapshot::texts(store, &self.name)?)),
            })
        });
        if let Some(newer) = read? {
            *texts = newer;
        }
        Ok(texts.1.clone())
    }

    fn take(&self, files: &Sources) -> Result<(), BoxError> {
        let following = &self.management.files()?.following;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.as_ref() != Some(files) {
            let take = |store: &Store<'_>| snapshot::take_files(store, &self.name, files);
            following.change("files", take)?;
            *taken = Some(files.clone());
        }
        Ok(())
    }
}

/// What happens in this process.
struct Counted<'k> {
    keepers: &'k Keepers,
}

impl Live for Counted<'_> {
    fn hits(&self, zone: &str, room: &str, rule: &str) -> Option<u64> {
        self.keepers.named(zone)?.state().in_force()?.hits.counted(room, rule)
    }

    fn occupancy(&self, zone: &str, room: &str) -> Option<Occupancy> {
        self.keepers.named(zone)?.occupancy(room)
    }
}

fn plain(status: StatusCode) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = status;
    response
}
