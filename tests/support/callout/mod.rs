//! What tests of the callout have in common: where it listens, its secret, and tokens signed with it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use velvetrope::internal::edge::Secrets;
use velvetrope::internal::queueit::Secret;
use velvetrope::internal::queueit::token::{TokenFields, sign};
use velvetrope_serve::ext_proc::{Config, ExtProc, PolicySource, Running, SecretSource};

use crate::wire::in_time;

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

/// The program itself, as a process of its own. It is killed when this goes.
pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    pub address: SocketAddr,
}

impl Program {
    /// Starts it by the policy in a folder, and waits until it listens, to signals too.
    pub async fn start(folder: &Path, listen: SocketAddr, drain_delay: Duration) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_velvetrope"));
        command.args(["ext-proc", "--listen", &listen.to_string(), "--admin", "127.0.0.1:0", "--log-format", "json"]);
        command.args(["--drain-delay", &drain_delay.as_secs().to_string()]).arg(folder);
        // Nobody reads its logs while it serves: a line for each request would not go anywhere.
        command.env("VELVETROPE_LOG", "info,velvetrope_serve::serving::event=off").env("VELVETROPE_SECRET", SECRET);
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("a process");
        let lines = BufReader::new(child.stderr.take().expect("logs")).lines();
        let mut program = Program { child, lines, address: listen };
        let serving = program.says(|line| line["message"] == "serving").await;
        program.address = serving["address"].as_str().and_then(|address| address.parse().ok()).expect("an address");
        program.says(|line| line["message"] == "listening to signals").await;
        program
    }

    /// Tells it to end, and waits until it has.
    pub async fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().expect("it runs").to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill");
        assert!(killed.success());
        in_time("the end", self.child.wait()).await.expect("a status")
    }

    /// The next line of its log that is wanted.
    pub async fn says(&mut self, is_wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        loop {
            let line = in_time("a line", self.lines.next_line()).await.expect("a text").expect("a line");
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            if is_wanted(&line) {
                return line;
            }
        }
    }
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
