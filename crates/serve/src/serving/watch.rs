//! Notices that files have changed: the policy's, or a certificate's.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::aside;

/// Editors and deployments write in several steps; files are read when this long nothing more has happened.
const QUIET: Duration = Duration::from_millis(200);

/// Where something happens all the time, such as in a folder that somebody else writes logs to, they are read all the
/// same after this long.
const LONGEST: Duration = Duration::from_secs(2);

/// Calls `load`, which may block, when something has changed in `folders`, until `end`. Folders are watched, not files:
/// files are replaced.
pub(crate) async fn watch(
    folders: impl Fn() -> BTreeSet<PathBuf>,
    load: impl Fn() + Send + Sync + 'static,
    end: CancellationToken,
) {
    let load = Arc::new(load);
    let something = Arc::new(Notify::new());
    let mut watcher = match watcher(&something) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "changes of files will not be noticed; send SIGHUP instead");
            return;
        }
    };
    let load = async || {
        let load = Arc::clone(&load);
        // What went wrong is logged where it happened; whatever it was, the next change is another chance.
        let _ = aside(move || load()).await;
    };
    let mut watched = BTreeSet::new();
    loop {
        // What changed after it was read and before it was watched is noticed here.
        while watch_more(&mut watcher, &mut watched, folders()) {
            load().await;
        }
        tokio::select! { () = end.cancelled() => return, () = something.notified() => {} }
        let quiet = async { while timeout(QUIET, something.notified()).await.is_ok() {} };
        _ = timeout(LONGEST, quiet).await;
        load().await;
        sleep(QUIET).await;
    }
}

fn watcher(something: &Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
    let something = Arc::clone(something);
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event, too.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            something.notify_one();
        }
    })
}

/// Says whether there was one more.
fn watch_more(
    watcher: &mut notify::RecommendedWatcher,
    watched: &mut BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
) -> bool {
    let before = watched.len();
    for folder in folders {
        if watched.contains(&folder) {
            continue;
        }
        match watcher.watch(&folder, RecursiveMode::NonRecursive) {
            Ok(()) => _ = watched.insert(folder),
            Err(error) => tracing::warn!(folder = %folder.display(), %error, "changes here will not be noticed"),
        }
    }
    watched.len() > before
}
