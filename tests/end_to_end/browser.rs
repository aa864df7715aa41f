//! The demo, driven in a real Chromium that runs no scripts: wait, come back, browse, leave.
//!
//! See `tests/support/chromium` for what it needs.

use std::process::Command;

use fantoccini::Client;
use serde_json::json;

use crate::chromium::{self, PATIENCE, Process, screenshot, text};

const SESSION: &str = "QueueITAccepted-SDFrts345E-V3_ticketshop";

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_waits_comes_back_browses_on_and_leaves() {
    // What it would clear away at its end; here it is killed.
    let temporary = tempfile::tempdir().expect("a folder");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_velvetrope"));
    let demo = Process::start(demo.arg("demo").env("TMPDIR", temporary.path()));
    let site = demo.line_with("/shop  ").split_whitespace().next().unwrap().trim_end_matches("/shop").to_owned();
    let (_driver, at) = chromium::driver();
    let without_scripts = json!({ "profile.managed_default_content_settings.javascript": 2 });
    let browser = chromium::browser(&at, without_scripts).await;

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

async fn heading(browser: &Client) -> String {
    text(browser, "h1").await
}

/// What the site was told of the request.
async fn verdict(browser: &Client) -> String {
    text(browser, "#verdict").await
}
