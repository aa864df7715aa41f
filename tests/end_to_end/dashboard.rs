//! The dashboard in a real Chromium, before a proxy that decides by what is managed there: the two ways in which most
//! people use bypass rules, order by mouse and by keyboard alone, how every kind of page looks, and nothing that the
//! pages' own policy forbids.
//!
//! See `tests/support/chromium` for what it needs.

use std::fs;
use std::net::SocketAddr;

use fantoccini::actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use velvetrope::internal::edge::Secrets;
use velvetrope_manage::database::DatabaseError;
use velvetrope_manage::store::tokens::Scope;
use velvetrope_serve::proxy::{Config, PolicySource, Proxy, Running, SecretSource};
use velvetrope_serve::store::StoreFile;

use crate::chromium::{self, PATIENCE, Process, screenshot, text};
use Act::{Choose, Click, Fill, Meanwhile};

const FILES: [(&str, &str); 4] = [
    (
        "velvetrope.toml",
        "customer_id = \"acme\"\nrooms = \"rooms.json\"\nrules = { sale = \"rules.json\" }\n\
         lists = { partners = \"partners.txt\" }\n",
    ),
    ("partners.txt", "192.0.2.7 # <b>Ann & Sons</b>\n2001:db8:1234:5678::/64\n198.51.100.0/24 # a friend\n"),
    (
        "rooms.json",
        r#"[{"name": "sale", "host": "tickets.example", "path": "/sale"},
            {"name": "winter", "host": "winter.tickets.example", "path": "/", "suspended": true, "description": "Closed"},
            {"name": "gala", "host": "tickets.example", "path": "/gala", "queue_all": true}]"#,
    ),
    (
        "rules.json",
        r#"[{"id": "one", "description": "First rule", "action": "bypass_waiting_room",
             "expression": "http.request.uri.path eq \"/sale/1\""},
            {"id": "two", "description": "Second rule", "action": "bypass_waiting_room",
             "expression": "http.request.uri.path in {\"/sale/1\" \"/sale/2\"}"},
            {"id": "three", "description": "Third rule", "action": "bypass_waiting_room",
             "expression": "http.request.uri.path eq \"/sale/3\"", "enabled": false}]"#,
    ),
];

/// A recording of a page that passes, and its script, which does not.
const RECORDING: &str = r#"{"log": {"entries": [
    {"_resourceType": "document", "request": {"method": "GET", "url": "https://tickets.example/sale/7/userverified"}},
    {"_resourceType": "script", "request": {"method": "GET", "url": "https://tickets.example/sale/app.js"}}]}}"#;

/// The rules of a room, as its page has them.
const ORDER: &str =
    "return [...document.querySelectorAll('#rules tbody th')].map(cell => cell.firstChild.textContent.trim())";
/// What is in focus.
const FOCUS: &str = "return document.activeElement.id";

/// A proxy that is managed, and somebody who sits at its dashboard.
struct Desk {
    _folder: TempDir,
    _driver: Process,
    proxy: Running,
    browser: Client,
    token: String,
    /// The token of somebody who may look only.
    of_reader: String,
}

impl Desk {
    async fn new() -> Desk {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = folder.path().join("site");
        fs::create_dir(&policy).expect("a folder");
        for (file, text) in FILES {
            fs::write(policy.join(file), text).expect("a file");
        }
        let path = folder.path().join("store.db");
        let store = StoreFile::open(&path).expect("a store");
        let token = |name: &str, scope: Scope| {
            let token = store.change("test", |store| store.create_token(name, scope));
            token.map_err(|error: DatabaseError| error.to_string()).expect("a token").1
        };
        let (token, of_reader) = (token("Ann", Scope::Write), token("Bob", Scope::Read));
        let anywhere: SocketAddr = ([127, 0, 0, 1], 0).into();
        let config = Config {
            secrets: SecretSource::Given { secrets: Secrets::new("not a real secret", None), api_key: None },
            listen: Some(anywhere),
            admin: Some(anywhere),
            // Nobody is there: what passes the room by is answered with 502.
            origin: Some("http://127.0.0.1:9".into()),
            store: Some(path),
            ..Config::new(PolicySource::Path(policy))
        };
        let proxy = Proxy::bind(config).await.expect("a proxy");
        let (driver, at) = chromium::driver();
        let browser = chromium::browser(&at, json!({})).await;
        let desk = Desk { _folder: folder, _driver: driver, proxy, browser, token, of_reader };
        desk.goto("/dashboard/login").await;
        desk.log_in(&desk.token).await;
        desk.heading("Waiting rooms").await;
        desk
    }

    /// Gives the token to the page that asks for it.
    async fn log_in(&self, token: &str) {
        self.heading("Log in").await;
        self.fill("#token", token).await;
        self.keys(&key(Key::Enter)).await;
    }

    async fn goto(&self, path: &str) {
        self.browser.goto(&format!("http://{}{path}", self.proxy.admin_address)).await.expect("a page");
    }

    /// Waits for a page of this heading.
    async fn heading(&self, heading: &str) {
        let path = format!("//h1[normalize-space()={heading:?}]");
        self.there(Locator::XPath(&path)).await;
    }

    async fn there(&self, what: Locator<'_>) -> fantoccini::elements::Element {
        let found = self.browser.wait().at_most(PATIENCE).for_element(what).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{what:?}: {error}\n{}", self.browser.source().await.unwrap_or_default()),
        }
    }

    async fn click(&self, text: &str) {
        let path = format!(
            "//main//*[(self::a or self::button) and not(@aria-hidden)][contains(normalize-space(), {text:?})]"
        );
        self.there(Locator::XPath(&path)).await.click().await.expect("a click");
    }

    /// From the rooms to the rules of the one.
    async fn rules_of_sale(&self) {
        const LINK: Locator = Locator::XPath("//tr[contains(., 'sale')]//a[contains(., 'Manage rules')]");
        self.there(LINK).await.send_keys(&key(Key::Enter)).await.expect("a link");
        self.heading("Bypass rules of sale").await;
    }

    async fn fill(&self, selector: &str, text: &str) {
        let field = self.there(Locator::Css(selector)).await;
        field.clear().await.expect("a field");
        field.send_keys(text).await.expect("a field");
    }

    async fn choose(&self, selector: &str, value: &str) {
        self.there(Locator::Css(selector)).await.select_by_value(value).await.expect("a choice");
    }

    async fn act(&self, acts: &[Act]) {
        for act in acts {
            match act {
                Fill(selector, text) => self.fill(selector, text).await,
                Choose(selector, value) => self.choose(selector, value).await,
                Click(text) => self.click(text).await,
                Meanwhile => drop(self.script("document.querySelector('[name=version]').value = 0").await),
            }
        }
    }

    /// Keys for whatever is in focus.
    async fn keys(&self, keys: &str) {
        self.browser.active_element().await.expect("a focus").send_keys(keys).await.expect("keys");
    }

    /// Takes one thing with the mouse, and lets it go over another.
    async fn drag(&self, from: &str, to: &str) {
        let over = |element| PointerAction::MoveToElement { element, duration: None, x: 0.0, y: 0.0 };
        let (from, to) = (self.there(Locator::Css(from)).await, self.there(Locator::Css(to)).await);
        let mouse = MouseActions::new("mouse".into())
            .then(over(from))
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(over(to))
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.browser.perform_actions(mouse).await.expect("a mouse");
    }

    async fn script(&self, script: &str) -> Json {
        self.browser.execute(script, Vec::new()).await.expect("a script")
    }

    async fn becomes(&self, what: &str, script: &str, expected: &Json) {
        let mut now = Json::Null;
        let reached = tokio::time::timeout(PATIENCE, async {
            while now != *expected {
                now = self.script(script).await;
            }
        });
        if reached.await.is_err() {
            panic!("{what}: {now} is not {expected}");
        }
    }

    /// What is wrong with how pages look. `ids` stand in their paths under these names.
    async fn survey(&self, pages: &[Page], ids: &[(&str, String)]) -> Vec<String> {
        let mut flaws = Vec::new();
        for (name, path, acts, then) in pages {
            let path = ids.iter().fold((*path).to_owned(), |path, (name, id)| path.replace(name, id));
            self.goto(&format!("/dashboard{path}")).await;
            self.act(acts).await;
            self.there(Locator::Css(then)).await;
            flaws.extend(self.flaws(name).await);
        }
        flaws
    }

    /// What is wrong with how the page looks, at two widths, in light and dark. Takes pictures of it, too.
    async fn flaws(&self, name: &str) -> Vec<String> {
        let mut flaws = Vec::new();
        for scheme in ["light", "dark"] {
            self.scheme(scheme).await;
            for width in [360, 1280] {
                self.size(width, 900).await;
                flaws.extend(self.look("looks", &format!("{name}, {scheme}, {width} wide")).await);
                let height = self.script("return document.documentElement.scrollHeight").await;
                self.size(width, height.as_u64().expect("a height")).await;
                screenshot(&self.browser, &format!("{name}-{width}-{scheme}")).await;
            }
        }
        // From now on the focus is moved by keyboard, as far as the browser knows, so that it is to be seen.
        self.keys(&key(Key::Escape)).await;
        for scheme in ["light", "dark"] {
            self.scheme(scheme).await;
            flaws.extend(self.look("focus", &format!("{name}, {scheme}")).await);
        }
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
        flaws.extend(self.nameless().await.into_iter().map(|role| format!("{name}: a {role} without a name")));
        flaws
    }

    async fn look(&self, at: &str, name: &str) -> Vec<String> {
        let flaws = self.browser.execute(include_str!("dashboard/looks.js"), vec![at.into()]).await.expect("a script");
        let Json::Array(flaws) = flaws else { panic!("{flaws}") };
        flaws.iter().map(|flaw| format!("{name}: {}", flaw.as_str().unwrap_or_default())).collect()
    }

    /// The roles of what people use and cannot tell what it is by ear.
    async fn nameless(&self) -> Vec<String> {
        const USED: [&str; 10] =
            ["textbox", "searchbox", "combobox", "listbox", "checkbox", "radio", "switch", "button", "link", "table"];
        let tree = self.devtools("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().expect("nodes").iter();
        let roles = nodes
            .filter(|node| node["ignored"] != true && node["name"]["value"].as_str().unwrap_or_default().is_empty());
        let roles = roles.filter_map(|node| node["role"]["value"].as_str());
        roles.filter(|role| USED.contains(role)).map(str::to_owned).collect()
    }

    async fn scheme(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    async fn size(&self, width: u64, height: u64) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    async fn devtools(&self, command: &str, parameters: Json) -> Json {
        let body = json!({ "cmd": command, "params": parameters });
        self.browser.issue_cmd(OfChromium { path: "goog/cdp/execute", body }).await.expect("a command")
    }

    /// What the browser has complained of: scripts that failed, and what the pages' own policy forbids. It also complains
    /// of pages that refuse something, which is as it should be.
    async fn complaints(&self) -> Vec<Json> {
        let log = OfChromium { path: "se/log", body: json!({ "type": "browser" }) };
        let Json::Array(entries) = self.browser.issue_cmd(log).await.expect("a log") else { panic!("no log") };
        let is_refusal = |entry: &Json| {
            entry["source"] == "network" && !entry["message"].as_str().is_some_and(|text| text.contains("/assets/"))
        };
        entries.into_iter().filter(|entry| entry["source"] != "recommendation" && !is_refusal(entry)).collect()
    }

    /// `true` where a visitor is let past the room.
    async fn passes(&self, path: &str) -> bool {
        match Box::pin(crate::wire::get(self.proxy.address, path, &[])).await.status {
            502 => true,
            302 => false,
            other => panic!("{path}: {other}"),
        }
    }

    async fn end(self) {
        assert_eq!(self.complaints().await, [] as [Json; 0]);
        self.browser.close().await.expect("it ends");
        self.proxy.stop().await;
    }
}

/// A command of Chromium's own.
#[derive(Debug)]
struct OfChromium {
    path: &'static str,
    body: Json,
}

impl fantoccini::wd::WebDriverCompatibleCommand for OfChromium {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_pass_by_a_list_of_their_addresses() {
    let desk = Desk::new().await;
    assert!(!desk.passes("/sale").await);

    desk.goto("/dashboard/site/lists").await;
    desk.fill("#name", "admins").await;
    desk.click("Create list").await;
    desk.heading("List $admins").await;
    desk.fill("#items-text", "127.0.0.1, this machine\n2001:db8::/32").await;
    desk.click("Import").await;
    desk.there(Locator::XPath("//*[contains(text(), 'The change is done')]")).await;

    desk.goto("/dashboard/site/rooms").await;
    desk.rules_of_sale().await;
    desk.click("Create new bypass rule").await;
    desk.fill("#description", "Administrators").await;
    desk.choose("#field-0-0", "ip.src").await;
    desk.choose("#operator-0-0", "in_list").await;
    desk.becomes("preview", "return document.querySelector('#preview').textContent", &json!("ip.src in $admins")).await;
    desk.fill("#try_url", "https://tickets.example/sale").await;
    desk.fill("#try_ip", "127.0.0.1").await;
    // Enter tries, too: nothing is deployed by it.
    desk.keys(&key(Key::Enter)).await;
    desk.there(Locator::XPath("//*[contains(text(), 'The request passes the waiting room by')]")).await;
    assert!(!desk.passes("/sale").await, "trying changes nothing");
    desk.click("Save and deploy").await;
    desk.heading("Bypass rules of sale").await;
    desk.there(Locator::XPath("//th[contains(., 'Administrators')]")).await;
    assert!(desk.passes("/sale").await);
    desk.goto("/dashboard/site/rooms").await;
    desk.there(Locator::XPath("//*[contains(text(), '3 bypass rules active')]")).await;
    desk.goto("/dashboard/site/audit").await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticket_links_pass_by_the_end_of_their_path() {
    const LINKS: &str = r#"ends_with(http.request.uri.path, "/userverified")"#;
    let desk = Desk::new().await;
    assert!(!desk.passes("/sale/7/userverified").await);
    desk.rules_of_sale().await;
    desk.click("Create new bypass rule").await;
    desk.fill("#description", "Ticket links").await;
    desk.click("Edit expression").await;
    // What is wrong is told below, with carets, before anything is sent.
    desk.fill("#expression", "ends_with(http.request.uri.pat, \"/userverified\")").await;
    desk.there(Locator::XPath("//*[@id='diagnostic']/pre[contains(., '^^^^')]")).await;
    // Names are completed.
    desk.fill("#expression", "ends_with(http.request.uri.pa").await;
    desk.there(Locator::XPath("//*[@id='completions' and not(@hidden)]/li[contains(., 'http.request.uri.path')]"))
        .await;
    desk.keys(&key(Key::Enter)).await;
    desk.keys(", \"/userverified\")").await;
    desk.becomes("the expression", "return document.querySelector('#expression').value", &json!(LINKS)).await;
    desk.there(Locator::XPath("//*[@id='diagnostic'][contains(., 'styles, scripts and images')]")).await;
    // And back to rows, which say the same.
    desk.click("Use expression builder").await;
    desk.becomes("the row", "return document.querySelector('#operator-0-0')?.value", &json!("ends_with")).await;
    desk.fill("#har", RECORDING).await;
    desk.click("Judge the recording").await;
    desk.there(Locator::XPath("//*[contains(text(), '1 request of the recording would be queued')]")).await;
    desk.click("Save as draft").await;
    desk.heading("Bypass rules of sale").await;
    assert!(!desk.passes("/sale/7/userverified").await);
    desk.there(Locator::Css("[role=switch][aria-label='Ticket links is enabled']")).await.click().await.unwrap();
    desk.there(Locator::Css("[aria-label='Ticket links is enabled'][aria-checked=true]")).await;
    assert!(desk.passes("/sale/7/userverified").await);
    assert!(!desk.passes("/sale/7").await);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_dragged_to_their_places() {
    const HITS: &str =
        "return ['one', 'two'].map(id => document.querySelector(`#rule-${id} td[data-label=Hits]`).innerText)";
    let desk = Desk::new().await;
    desk.rules_of_sale().await;
    assert!(desk.passes("/sale/1").await);
    desk.drag("#rule-one th", "#rule-three th").await;
    desk.becomes("the order", ORDER, &json!(["Second rule", "Third rule", "First rule"])).await;
    assert_eq!(desk.script(HITS).await, json!(["1", "0"]));
    // The first that is true is counted.
    assert!(desk.passes("/sale/1").await);
    desk.drag("#rule-three th", "#rule-two th").await;
    desk.becomes("the order", ORDER, &json!(["Third rule", "Second rule", "First rule"])).await;
    desk.becomes("the focus", FOCUS, &json!("rule-three")).await;
    assert_eq!(desk.script(HITS).await, json!(["1", "1"]));
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_suffices() {
    let desk = Desk::new().await;
    desk.rules_of_sale().await;
    let down = key(Key::Alt) + &key(Key::Down);
    let edit = "document.querySelector('tr[data-place=\"1\"] a').focus()";
    desk.script(edit).await;
    desk.keys(&down).await;
    desk.becomes("the order", ORDER, &json!(["Second rule", "First rule", "Third rule"])).await;
    // The rule that was moved is in focus, and goes on from there.
    desk.becomes("the focus", FOCUS, &json!("rule-one")).await;
    desk.keys(&down).await;
    desk.becomes("the order", ORDER, &json!(["Second rule", "Third rule", "First rule"])).await;
    desk.becomes("the focus", FOCUS, &json!("rule-one")).await;
    desk.keys(&(key(Key::Alt) + &key(Key::Up))).await;
    desk.becomes("the order", ORDER, &json!(["Second rule", "First rule", "Third rule"])).await;
    // A rule is deleted, and Undo is next.
    desk.script("document.querySelector('[aria-label=\"Delete First rule\"]').focus()").await;
    desk.keys(&key(Key::Enter)).await;
    desk.becomes("the order", ORDER, &json!(["Second rule", "Third rule"])).await;
    desk.becomes("the focus", "return document.activeElement.textContent", &json!("Undo")).await;
    desk.keys(&key(Key::Enter)).await;
    desk.becomes("the order", ORDER, &json!(["Second rule", "First rule", "Third rule"])).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_keep_values_that_no_menu_has() {
    const METHODS: &str = r#"http.request.method in {"GET" "PURGE"}"#;
    let desk = Desk::new().await;
    desk.rules_of_sale().await;
    desk.click("Create new bypass rule").await;
    desk.click("Edit expression").await;
    desk.fill("#expression", METHODS).await;
    desk.click("Use expression builder").await;
    desk.there(Locator::Css("select[multiple]")).await;
    desk.becomes("preview", "return document.querySelector('#preview').textContent", &json!(METHODS)).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_takes_nothing_with_it() {
    let desk = Desk::new().await;
    desk.rules_of_sale().await;
    desk.click("Create new bypass rule").await;
    desk.fill("#description", "Late").await;
    desk.fill("#builder input[type=text]", "/sale/late").await;
    desk.browser.delete_all_cookies().await.expect("no cookies");
    desk.click("Save and deploy").await;
    desk.log_in(&desk.token).await;
    desk.heading("Not sent yet").await;
    assert!(!desk.passes("/sale/late").await);
    desk.click("Send it now").await;
    desk.heading("Bypass rules of sale").await;
    desk.there(Locator::XPath("//th[contains(., 'Late')]")).await;
    assert!(desk.passes("/sale/late").await);
    desk.end().await;
}

/// One click, or one key, opens the rope for nobody; and what was done by a slip is undone by the next click.
#[tokio::test(flavor = "multi_thread")]
async fn slips_are_asked_about_and_undone() {
    let desk = Desk::new().await;
    let mut flaws = Vec::new();
    assert!(!desk.passes("/sale/late").await);
    desk.there(Locator::Css("[aria-label='Room sale is enabled']")).await.click().await.expect("a click");
    desk.heading("Disable room sale?").await;
    assert!(!desk.passes("/sale/late").await);
    flaws.extend(desk.flaws("room-stop").await);
    desk.click("Disable room").await;
    desk.there(Locator::Css("form.notice.good")).await;
    flaws.extend(desk.flaws("room-stopped").await);
    desk.click("Undo").await;
    desk.there(Locator::XPath("//p[contains(., 'as it was before')]")).await;
    desk.becomes("the switch", SWITCH, &json!("true")).await;

    desk.rules_of_sale().await;
    desk.click("Create new bypass rule").await;
    desk.choose("#operator-0-0", "contains").await;
    desk.becomes("what is missing", INCOMPLETE, &json!(true)).await;
    desk.click("Save and deploy").await;
    desk.there(Locator::Css("[role=alert]")).await;
    assert!(!desk.passes("/sale/late").await);
    desk.goto("/dashboard/site/rooms").await;
    desk.rules_of_sale().await;
    desk.click("Create new bypass rule").await;
    desk.click("Edit expression").await;
    desk.fill("#expression", "ssl or not ssl").await;
    desk.there(Locator::Css("#everybody:not([hidden])")).await;
    desk.click("Save and deploy").await;
    desk.there(Locator::Css("[role=alert]")).await;
    assert!(!desk.passes("/sale/late").await);
    desk.there(Locator::Css("#everybody input")).await.click().await.expect("a tick");
    // What was ticked was one expression.
    desk.click("Edit expression").await;
    desk.fill("#expression", "ssl or not ssl or true").await;
    desk.becomes("the tick", "return document.querySelector('#everybody input').checked", &json!(false)).await;
    desk.there(Locator::Css("#diagnostic .error")).await;
    desk.there(Locator::Css("#everybody input")).await.click().await.expect("a tick");
    desk.there(Locator::Css("#diagnostic .doubt")).await;
    desk.click("Save and deploy").await;
    desk.there(Locator::XPath("//p[contains(., 'The rule is saved')]")).await;
    assert!(desk.passes("/sale/late").await);

    desk.goto("/dashboard/site/lists").await;
    desk.click("$partners").await;
    desk.heading("List $partners").await;
    desk.there(Locator::Css("[value=replace]")).await.click().await.expect("a choice");
    desk.fill("#items-text", "192.0.2.9").await;
    desk.click("Import").await;
    desk.there(Locator::XPath("//p[contains(., '1 in all')]")).await;
    desk.there(Locator::Css("form.notice.good")).await;
    flaws.extend(desk.flaws("list-replaced").await);
    desk.click("Undo").await;
    desk.there(Locator::XPath("//p[contains(., '3 in all')]")).await;
    desk.goto("/dashboard/site/audit").await;
    desk.there(Locator::XPath("//summary[contains(., 'items changed')]")).await;
    flaws.extend(desk.flaws("audit-items").await);
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
    desk.end().await;
}

const SWITCH: &str =
    "return document.querySelector(\"[aria-label='Room sale is enabled']\")?.getAttribute('aria-checked')";
const INCOMPLETE: &str = "return document.querySelector('#builder .wrong').textContent.includes('give a value')";

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_items_do_not_freeze_the_page() {
    let desk = Desk::new().await;
    desk.goto("/dashboard/site/lists").await;
    desk.fill("#name", "many").await;
    desk.click("Create list").await;
    desk.heading("List $many").await;
    let items = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    let address = |host: u32| format!("10.{}.{}.{},guest {host}\n", host >> 16, host >> 8 & 255, host & 255);
    fs::write(items.path(), (0..100_000).map(address).collect::<String>()).expect("a file");
    let file = desk.there(Locator::Css("#file")).await;
    file.send_keys(items.path().to_str().expect("a path")).await.expect("a file");
    desk.click("Import").await;
    desk.there(Locator::XPath("//*[contains(text(), 'under way') or contains(text(), 'is done')]")).await;
    desk.there(Locator::XPath("//p[contains(., '100000 in all')]")).await;
    // What is pasted is sent as a file is: browsers take seconds to show as much.
    let paste = "const data = new DataTransfer();
        const lines = Array.from({ length: 100000 }, (_, host) => `11.${host >> 16}.${host >> 8 & 255}.${host & 255}`);
        data.setData('text/plain', lines.join('\\n'));
        const event = new ClipboardEvent('paste', { clipboardData: data, cancelable: true });
        document.querySelector('#items-text').dispatchEvent(event);";
    desk.script(paste).await;
    desk.there(Locator::XPath("//*[contains(text(), '100000 lines are pasted')]")).await;
    desk.click("Import").await;
    desk.there(Locator::XPath("//p[contains(., '200000 in all')]")).await;
    assert_eq!(text(&desk.browser, "h1").await, "List $many");
    desk.end().await;
}

/// What somebody does on a page.
enum Act {
    Fill(&'static str, &'static str),
    Choose(&'static str, &'static str),
    /// By the text of a link or button, or a part of it.
    Click(&'static str),
    /// Somebody else changes the rules at the same time.
    Meanwhile,
}

/// A kind of page: its name, its path, what is done there, and the element by which it is known that it is done.
type Page = (&'static str, &'static str, &'static [Act], &'static str);

const PAGES: &[Page] = &[
    ("rooms", "/site/rooms", &[], "#main table"),
    (
        "room-new",
        "/site/new-room",
        &[
            Fill("#name", "a b"),
            Fill("#total_active_users", "many"),
            Fill("#new_users_per_minute", "200"),
            Click("Save"),
        ],
        "[role=alert]",
    ),
    ("room", "/site/rooms/ROOM", &[], ".danger"),
    ("rules", "/site/rooms/ROOM/rules", &[Click("Delete")], "form.good"),
    ("rules-none", "/site/rooms/GALA/rules", &[], "#main p"),
    (
        "rule-rows",
        "/site/rooms/ROOM/rules/two",
        &[
            Click("And"),
            Choose("#field-0-1", "ip.src"),
            Choose("#operator-0-1", "in_list"),
            Click("Or"),
            Choose("#field-1-0", "http.request.method"),
            Choose("#operator-1-0", "in"),
        ],
        "select[multiple]",
    ),
    (
        "rule-error",
        "/site/rooms/ROOM/rules/two",
        &[Click("Edit expression"), Fill("#expression", "ssl and no.such")],
        "#diagnostic .error",
    ),
    (
        "rule-doubt",
        "/site/rooms/ROOM/rules/two",
        &[Click("Edit expression"), Fill("#expression", "http.request.uri.path eq \"sale\"")],
        "#diagnostic .notice",
    ),
    (
        "rule-everybody",
        "/site/rooms/ROOM/new-rule",
        &[Click("Edit expression"), Fill("#expression", "starts_with(http.request.uri.path, \"/\")")],
        "#everybody:not([hidden])",
    ),
    (
        "rule-no-rows",
        "/site/rooms/ROOM/rules/two",
        &[
            Click("Edit expression"),
            Fill("#expression", "not ssl and (ssl or not ssl)"),
            Click("Use expression builder"),
        ],
        "#builder .notice",
    ),
    (
        "rule-names",
        "/site/rooms/ROOM/new-rule",
        &[Click("Edit expression"), Fill("#expression", "$ or http.req")],
        "#completions:not([hidden])",
    ),
    (
        "rule-tried",
        "/site/rooms/ROOM/rules/two",
        &[Fill("#try_url", "https://tickets.example/sale/2"), Fill("#try_ip", "192.0.2.7"), Click("Try it")],
        "#outcome .good",
    ),
    (
        "rule-refused",
        "/site/rooms/ROOM/new-rule",
        &[Fill("#try_url", "tickets"), Click("Try it")],
        "#outcome [role=alert]",
    ),
    (
        "rule-recording",
        "/site/rooms/ROOM/rules/two",
        &[Fill("#har", RECORDING), Click("Judge the recording")],
        "#outcome table",
    ),
    (
        "rule-conflict",
        "/site/rooms/ROOM/rules/two",
        &[Fill("#description", "Second"), Meanwhile, Click("Save and deploy")],
        "#now",
    ),
    ("lists", "/site/lists", &[Fill("#name", "No name"), Click("Create list")], "[role=alert]"),
    ("list", "/site/lists/LIST", &[Fill("#items-text", "192.0.2.8"), Click("Import")], ".notice.good"),
    (
        "list-refused",
        "/site/lists/LIST",
        &[Fill("#items-text", "192.0.2.8\n300.1.1.1"), Click("Import")],
        "[role=alert]",
    ),
    ("audit", "/site/audit", &[], ".trail .card"),
    ("version", "/site/rooms/ROOM/versions/1", &[], ".diff"),
    ("missing", "/site/nothing", &[], "[role=alert]"),
    ("login", "/login", &[Fill("#token", "of nobody"), Click("Log in")], "[role=alert]"),
];

/// What looks different to those who may change nothing.
const PAGES_OF_READERS: &[Page] = &[
    ("room-read", "/site/rooms/ROOM", &[], "fieldset:disabled"),
    ("rules-read", "/site/rooms/ROOM/rules", &[], "#rules"),
    ("rule-read", "/site/rooms/ROOM/rules/two", &[], "fieldset:disabled"),
    ("list-read", "/site/lists/LIST", &[], "table"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_can_be_read_hit_and_named_at_any_width_and_in_the_dark() {
    let desk = Desk::new().await;
    let id = async |what: &str| {
        let link = desk.there(Locator::XPath(&format!("//tbody//a[contains(., {what:?})]"))).await;
        let href = link.attr("href").await.expect("a link").expect("a link");
        href.split('/').nth(4).expect("an id").to_owned()
    };
    let (room, gala) = (id("of sale").await, id("of gala").await);
    desk.goto("/dashboard/site/lists").await;
    let ids = [("ROOM", room), ("GALA", gala), ("LIST", id("partners").await)];
    let mut flaws = desk.survey(PAGES, &ids).await;
    desk.goto("/dashboard/login").await;
    desk.log_in(&desk.of_reader).await;
    desk.heading("Waiting rooms").await;
    flaws.extend(desk.survey(PAGES_OF_READERS, &ids).await);
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
    desk.end().await;
}

fn key(key: Key) -> String {
    char::from(key).to_string()
}
