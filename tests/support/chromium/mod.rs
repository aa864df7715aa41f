//! Chromium, driven through chromedriver; both must be on PATH (`make tools` installs them). Screenshots go to
//! `target/browser/`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value as Json, json};

/// Far more than anything here takes; only what is broken needs it.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A driver on a free port.
pub fn driver() -> (Process, String) {
    let driver = Process::start(Command::new("chromedriver").arg("--port=0"));
    let port = driver.line_with("started successfully on port");
    let port: String = port.chars().filter(char::is_ascii_digit).collect();
    (driver, format!("http://127.0.0.1:{port}"))
}

/// A browser with these preferences.
pub async fn browser(driver: &str, preferences: Json) -> Client {
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=900,700",
    ];
    let options = json!({ "args": arguments, "prefs": preferences });
    let log = json!({ "browser": "ALL" });
    let capabilities = [("goog:chromeOptions".to_owned(), options), ("goog:loggingPrefs".to_owned(), log)];
    let capabilities = capabilities.into_iter().collect();
    ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(driver).await.expect("Chromium starts")
}

pub async fn text(browser: &Client, selector: &str) -> String {
    browser.find(Locator::Css(selector)).await.unwrap().text().await.unwrap()
}

pub async fn screenshot(browser: &Client, name: &str) {
    let folder = concat!(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."), "/target/browser");
    fs::create_dir_all(folder).unwrap();
    fs::write(format!("{folder}/{name}.png"), browser.screenshot().await.unwrap()).unwrap();
}

/// A process and what it has printed; it ends with the test.
pub struct Process {
    child: Child,
    pub lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::default();
        let output = child.stdout.take().expect("a pipe");
        thread::spawn({
            let lines = Arc::clone(&lines);
            move || collect(output, &lines)
        });
        Process { child, lines }
    }

    /// The first line that holds this text.
    pub fn line_with(&self, text: &str) -> String {
        for _ in 0..PATIENCE.as_millis() / 50 {
            if let Some(line) = self.lines.lock().unwrap().iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("no line with {text:?} among {:?}", self.lines.lock().unwrap());
    }
}

fn collect(output: ChildStdout, lines: &Mutex<Vec<String>>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        lines.lock().unwrap().push(line);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
