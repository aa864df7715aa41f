//! Notices that the policy's files have changed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::keeper::Keeper;

/// Editors and deployments write in several steps; the policy is read when this long nothing more has happened.
const QUIET: Duration = Duration::from_millis(200);

/// Loads the policy when its files have changed, until `end`. Folders are watched, not files: files are replaced.
pub(in crate::host) async fn watch(keeper: Arc<Keeper>, end: CancellationToken) {
    let something = Arc::new(Notify::new());
    let mut watcher = match watcher(&something) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "changes of the policy will not be noticed; send SIGHUP instead");
            return;
        }
    };
    let mut watched = BTreeSet::new();
    loop {
        watch_more(&mut watcher, &mut watched, keeper.watched_folders());
        tokio::select! { () = end.cancelled() => return, () = something.notified() => {} }
        while timeout(QUIET, something.notified()).await.is_ok() {}
        let loading = Arc::clone(&keeper);
        // What went wrong is logged where it happened; whatever it was, the next change is another chance.
        let _ = tokio::task::spawn_blocking(move || loading.load_if_changed()).await;
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

fn watch_more(watcher: &mut notify::RecommendedWatcher, watched: &mut BTreeSet<PathBuf>, folders: BTreeSet<PathBuf>) {
    for folder in folders {
        if watched.contains(&folder) {
            continue;
        }
        match watcher.watch(&folder, RecursiveMode::NonRecursive) {
            Ok(()) => _ = watched.insert(folder),
            Err(error) => tracing::warn!(folder = %folder.display(), %error, "changes here will not be noticed"),
        }
    }
}
