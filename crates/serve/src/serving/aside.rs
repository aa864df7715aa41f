//! Work that no visitor waits for.

use tokio::task::JoinHandle;

/// Does something that may block, or takes its time, on a thread that gives way to those that serve visitors.
pub(crate) fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(|| {
        give_way();
        work()
    })
}

/// Lets this thread have about a tenth of a processor that others want, too: a change of the policy is still in force
/// within seconds. On Linux only; elsewhere a priority is that of the whole process.
fn give_way() {
    #[cfg(target_os = "linux")]
    // That it may not is no reason not to do the work.
    let _ = rustix::process::setpriority_process(None, 10);
}
