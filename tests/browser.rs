//! The demo, driven in a real Chromium that runs no scripts: wait, come back, browse, leave.
//!
//! Needs `chromedriver` and `chromium` on PATH (`make tools` installs them). Screenshots go to `target/browser/`.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, thread};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

/// Far more than the demo's wait of six seconds; only a broken demo needs it.
const PATIENCE: Duration = Duration::from_secs(90);

const SESSION: &str = "QueueITAccepted-SDFrts345E-V3_ticketshop";

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_waits_comes_back_browses_on_and_leaves() {
    let demo = Process::start(Command::new(env!("CARGO_BIN_EXE_velvetrope")).arg("demo"));
    let site = demo.line_with("/shop  ").split_whitespace().next().unwrap().trim_end_matches("/shop").to_owned();
    let driver = Process::start(Command::new("chromedriver").arg("--port=0"));
    let port = driver.line_with("started successfully on port");
    let port: String = port.chars().filter(char::is_ascii_digit).collect();
    let browser = browser(&format!("http://127.0.0.1:{port}")).await;

    // A ticket link and an asset walk past the rope, and leave no cookie.
    browser.goto(&format!("{site}/shop/tickets/4711/userverified")).await.unwrap();
    assert_eq!(heading(&browser).await, "Your ticket");
    assert!(verdict(&browser).await.starts_with("bypass"), "{}", verdict(&browser).await);
    assert!(browser.get_all_cookies().await.unwrap().is_empty());

    // The shop does not: the visitor waits, on a page that refreshes itself, and comes back with a session.
    browser.goto(&format!("{site}/shop")).await.unwrap();
    let waiting = browser.current_url().await.unwrap();
    assert!(!waiting.as_str().starts_with(&site), "{waiting}");
    assert!(!text(&browser, "[role=status]").await.is_empty());
    screenshot(&browser, "waiting").await;
    let shop = format!("{site}/shop").parse().unwrap();
    browser.wait().at_most(PATIENCE).for_url(&shop).await.expect("the page continues by itself");
    assert_eq!(heading(&browser).await, "Ticket shop");
    assert!(browser.get_named_cookie(SESSION).await.is_ok());
    screenshot(&browser, "shop").await;

    // The session holds for the next page, until the visitor leaves.
    browser.goto(&format!("{site}/shop/seats")).await.unwrap();
    assert_eq!(heading(&browser).await, "Choose your seats");
    assert!(verdict(&browser).await.starts_with("session"), "{}", verdict(&browser).await);
    browser.goto(&format!("{site}/logout")).await.unwrap();
    browser.goto(&format!("{site}/shop/seats")).await.unwrap();
    let again = browser.current_url().await.unwrap();
    assert!(!again.as_str().starts_with(&site), "{again}");

    browser.close().await.unwrap();
    let decisions = demo.lines.lock().unwrap().join("\n");
    for label in ["bypass", "queue", "token", "session", "cancel", "ignore"] {
        assert!(decisions.contains(&format!(" {label} ")), "no {label} among\n{decisions}");
    }
}

async fn browser(driver: &str) -> Client {
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
    let without_scripts = json!({ "profile.managed_default_content_settings.javascript": 2 });
    let options = json!({ "args": arguments, "prefs": without_scripts });
    let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
    ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(driver).await.expect("Chromium starts")
}

async fn text(browser: &Client, selector: &str) -> String {
    browser.find(Locator::Css(selector)).await.unwrap().text().await.unwrap()
}

async fn heading(browser: &Client) -> String {
    text(browser, "h1").await
}

/// What the site was told of the request.
async fn verdict(browser: &Client) -> String {
    text(browser, "#verdict").await
}

async fn screenshot(browser: &Client, name: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/browser");
    fs::create_dir_all(folder).unwrap();
    fs::write(format!("{folder}/{name}.png"), browser.screenshot().await.unwrap()).unwrap();
}

/// A process and what it has printed; it ends with the test.
struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn start(command: &mut Command) -> Process {
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
    fn line_with(&self, text: &str) -> String {
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
