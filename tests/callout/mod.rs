//! What tests of the callout have in common: where it listens, its secret, and tokens signed with it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use velvetrope::connector::edge::Secrets;
use velvetrope::host::ext_proc::{Config, ExtProc, PolicySource, Running, SecretSource};
use velvetrope::session::Secret;
use velvetrope::session::token::{TokenFields, sign};

pub const SECRET: &str = "not-a-real-secret";

pub fn config(folder: &Path) -> Config {
    let anywhere: SocketAddr = ([127, 0, 0, 1], 0).into();
    Config {
        secrets: SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
        listen: Some(anywhere),
        admin: Some(anywhere),
        drain_delay: Duration::ZERO,
        ..Config::new(PolicySource::Path(folder.to_owned()))
    }
}

/// A callout by the policy in a folder.
pub async fn callout(folder: &TempDir) -> Running {
    ExtProc::bind(config(folder.path())).await.expect("a callout")
}

/// A token that is good for ten minutes.
pub fn token(event_id: &str, queue_id: &str, redirect_type: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let fields = TokenFields {
        event_id: event_id.into(),
        queue_id: queue_id.into(),
        expires: i64::try_from(now).expect("a time") + 600,
        redirect_type: redirect_type.into(),
        ..TokenFields::default()
    };
    sign(&fields, &Secret::new(SECRET))
}
