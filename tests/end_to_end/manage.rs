//! Managing over real sockets: what is changed by the API decides about the next visitor, in this process and in others,
//! and nothing of it is lost.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use velvetrope::internal::edge::Secrets;
use velvetrope_manage::database::DatabaseError;
use velvetrope_manage::store::tokens::Scope;
use velvetrope_serve::proxy::{Config, PolicySource, Proxy, Running, SecretSource};
use velvetrope_serve::store::StoreFile;

use crate::wire::{self, Wire, get, in_time, send};

const SECRET: &str = "e9a8f1c2-not-a-real-secret";

/// A folder with a policy in `site/` (a room `shop` that the integration names, a rule and a list for it, and a room
/// `sale` by host and path), and a store beside it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(more: &str) -> Place {
        let place = Place { folder: tempfile::tempdir().expect("a folder") };
        let settings = format!(
            "customer_id = \"acme\"\nintegration = \"integration.json\"\nrooms = \"rooms.json\"\n{more}\n\
             [rules]\nshop = \"rules.json\"\n[lists]\nadmins = \"admins.txt\"\n"
        );
        let part =
            r#"{"ValidatorType":"UrlValidator","UrlPart":"PagePath","Operator":"Contains","ValueToCompare":"/shop"}"#;
        let integration = format!(
            r#"{{"Version":3,"Integrations":[{{"Name":"Shop","ActionType":"Queue","EventId":"shop",
            "QueueDomain":"q.example","CookieValidityMinute":20,"RedirectLogic":"AllowTParameter",
            "Triggers":[{{"LogicalOperator":"And","TriggerParts":[{part}]}}]}}]}}"#
        );
        let rules = r#"[{"id":"admins","action":"bypass_waiting_room","expression":"ip.src in $admins"}]"#;
        place.write("velvetrope.toml", &settings);
        place.write("integration.json", &integration);
        place.write("rooms.json", r#"[{"name": "sale", "host": "tickets.example", "path": "/sale"}]"#);
        place.write("rules.json", rules);
        place.write("admins.txt", "192.0.2.10\n");
        place
    }

    fn policy(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn write(&self, file: &str, text: &str) {
        fs::create_dir_all(self.policy()).expect("a folder");
        fs::write(self.policy().join(file), text).expect("a file");
    }

    /// A token that may change everything.
    fn token(&self) -> String {
        let store = StoreFile::open(&self.store()).expect("a store");
        let made = store.change("test", |store| store.create_token("test", Scope::Write));
        made.map_err(|error: DatabaseError| error.to_string()).expect("a token").1
    }

    async fn proxy(&self, origin: SocketAddr) -> Running {
        let anywhere: SocketAddr = ([127, 0, 0, 1], 0).into();
        let config = Config {
            secrets: SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
            listen: Some(anywhere),
            admin: Some(anywhere),
            origin: Some(format!("http://{origin}")),
            store: Some(self.store()),
            ..Config::new(PolicySource::Path(self.policy()))
        };
        Proxy::bind(config).await.expect("a proxy")
    }
}

/// A site that answers everything with 204.
async fn site() -> SocketAddr {
    use hyper::service::service_fn;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = service_fn(|_| async {
                let answer = hyper::Response::builder().status(204).body(http_body_util::Empty::<&[u8]>::new());
                Ok::<_, std::convert::Infallible>(answer.expect("an answer"))
            });
            let stream = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, answer));
        }
    });
    address
}

/// Whoever uses the API of a zone.
#[derive(Clone)]
struct Client {
    address: SocketAddr,
    token: String,
    zone: &'static str,
}

/// What an API answers.
struct Told {
    wire: Wire,
    json: Json,
}

impl Client {
    fn of(address: SocketAddr, token: &str) -> Client {
        Client { address, token: token.to_owned(), zone: "site" }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Json>, more: &[(&str, &str)]) -> Told {
        let authorization = format!("Bearer {}", self.token);
        let mut headers = vec![("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        headers.extend(more);
        let body = body.map_or(String::new(), |body| body.to_string());
        let path = format!("/client/v4{path}");
        // Its buffer would be on the stack for each time that it is called.
        let wire = Box::pin(send(self.address, method, &path, &headers, body.as_bytes())).await;
        let json = serde_json::from_str(&wire.body).unwrap_or_else(|error| panic!("{error}: {wire:?}"));
        Told { wire, json }
    }

    /// The result of what succeeds.
    async fn done(&self, method: &str, path: &str, body: Option<Json>) -> Json {
        let told = self.ask(method, path, body, &[]).await;
        assert!(told.wire.status < 300 && told.json["success"] == true, "{method} {path}: {}", told.json);
        told.json["result"].clone()
    }

    async fn room(&self, name: &str) -> String {
        let rooms = self.done("GET", &format!("/zones/{}/waiting_rooms", self.zone), None).await;
        let room = rooms.as_array().expect("rooms").iter().find(|room| room["name"] == name);
        room.unwrap_or_else(|| panic!("no room {name} in {rooms}"))["id"].as_str().expect("an id").to_owned()
    }

    async fn rules_path(&self, room: &str) -> String {
        format!("/zones/{}/waiting_rooms/{}/rules", self.zone, self.room(room).await)
    }

    async fn list(&self, name: &str) -> Json {
        let lists = self.done("GET", &format!("/accounts/{}/rules/lists", self.zone), None).await;
        lists.as_array().expect("lists").iter().find(|list| list["name"] == name).expect("the list").clone()
    }

    async fn completed(&self, operation: &Json) -> Json {
        let id = operation["operation_id"].as_str().expect("an operation");
        let path = format!("/accounts/{}/rules/lists/bulk_operations/{id}", self.zone);
        in_time("the operation", async {
            loop {
                let operation = self.done("GET", &path, None).await;
                if !matches!(operation["status"].as_str(), Some("pending" | "running")) {
                    return operation;
                }
            }
        })
        .await
    }
}

fn rule(expression: &str) -> Json {
    json!({ "action": "bypass_waiting_room", "expression": expression })
}

fn is_path(path: &str) -> String {
    format!("http.request.uri.path eq {path:?}")
}

/// `true` where a visitor is let past the room.
async fn passes(address: SocketAddr, path: &str) -> bool {
    match Box::pin(get(address, path, &[])).await {
        Wire { status: 204, .. } => true,
        Wire { status: 302, .. } => false,
        other => panic!("{path}: {other:?}"),
    }
}

async fn becomes(what: &str, mut check: impl AsyncFnMut() -> bool) {
    in_time(what, async { while !check().await {} }).await;
}

#[tokio::test]
async fn a_change_decides_about_the_next_visitor() {
    let place = Place::new("");
    let token = place.token();
    let proxy = place.proxy(site().await).await;
    let client = Client::of(proxy.admin_address, &token);
    let rules = client.rules_path("shop").await;

    let seeded = client.done("GET", &rules, None).await;
    assert_eq!(seeded[0]["id"], "admins", "the files come first");
    assert!(!passes(proxy.address, "/shop/vip").await);
    let all = client.done("POST", &rules, Some(rule(&is_path("/shop/vip")))).await;
    assert!(passes(proxy.address, "/shop/vip").await);
    let id = all[1]["id"].as_str().expect("an id");
    client.done("PATCH", &format!("{rules}/{id}"), Some(json!({ "enabled": false }))).await;
    assert!(!passes(proxy.address, "/shop/vip").await);
    client.done("PATCH", &format!("{rules}/{id}"), Some(json!({ "enabled": true }))).await;
    assert!(passes(proxy.address, "/shop/vip").await);
    client.done("DELETE", &format!("{rules}/{id}"), None).await;
    assert!(!passes(proxy.address, "/shop/vip").await);

    let room = json!({ "name": "gala", "host": "tickets.example", "path": "/gala",
        "total_active_users": 200, "new_users_per_minute": 200 });
    assert!(passes(proxy.address, "/gala").await);
    client.done("POST", "/zones/site/waiting_rooms", Some(room)).await;
    assert!(!passes(proxy.address, "/gala").await);

    let list = client.list("admins").await;
    let items = format!("/accounts/site/rules/lists/{}/items", list["id"].as_str().expect("an id"));
    assert!(!passes(proxy.address, "/shop").await);
    let operation = client.done("POST", &items, Some(json!([{ "ip": "127.0.0.1" }]))).await;
    assert_eq!(client.completed(&operation).await["status"], "completed");
    becomes("the member passes", async || passes(proxy.address, "/shop").await).await;

    let refused = client.ask("POST", &rules, Some(rule("ip.src in $nobody")), &[]).await;
    assert_eq!(refused.wire.status, 400, "{}", refused.json);
    let dry = client.ask("POST", &format!("{rules}?dry_run=true"), Some(rule(&is_path("/shop/vip"))), &[]).await;
    assert_eq!(dry.wire.status, 200, "{}", dry.json);
    assert_eq!(client.done("GET", &rules, None).await.as_array().expect("rules").len(), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn what_is_managed_survives_its_process_and_its_files_do_not_matter() {
    let place = Place::new("");
    let token = place.token();
    let origin = site().await;
    let proxy = place.proxy(origin).await;
    let client = Client::of(proxy.admin_address, &token);
    client.done("POST", &client.rules_path("shop").await, Some(rule(&is_path("/shop/vip")))).await;
    proxy.stop().await;

    place.write("rules.json", "[]");
    fs::remove_file(place.policy().join("rooms.json")).expect("a file");
    let proxy = place.proxy(origin).await;
    assert!(passes(proxy.address, "/shop/vip").await);
    assert!(!passes(proxy.address, "/sale").await);
    let client = Client::of(proxy.admin_address, &token);
    assert_eq!(client.done("GET", &client.rules_path("shop").await, None).await.as_array().map(Vec::len), Some(2));
    proxy.stop().await;
}

#[tokio::test]
async fn what_files_manage_the_api_does_not_change() {
    let place = Place::new("managed = \"files\"");
    let token = place.token();
    let proxy = place.proxy(site().await).await;
    let client = Client::of(proxy.admin_address, &token);
    let rules = client.rules_path("shop").await;
    let refused = client.ask("POST", &rules, Some(rule(&is_path("/shop/vip"))), &[]).await;
    assert_eq!(refused.wire.status, 409, "{}", refused.json);
    assert!(refused.json["errors"][0]["message"].as_str().is_some_and(|why| why.contains("files")), "{}", refused.json);

    let text = json!([{ "id": "vip", "action": "bypass_waiting_room", "expression": is_path("/shop/vip") }]);
    place.write("rules.json", &text.to_string());
    becomes("the file is in force", async || passes(proxy.address, "/shop/vip").await).await;
    becomes("the store follows", async || client.done("GET", &rules, None).await[0]["id"] == "vip").await;
    proxy.stop().await;
}

#[tokio::test]
async fn who_has_no_token_gets_nothing_and_keeps_nobody_out() {
    let place = Place::new("");
    let token = place.token();
    let proxy = place.proxy(site().await).await;
    let good = Client::of(proxy.admin_address, &token);
    let rules = good.rules_path("shop").await;
    let bad = Client::of(proxy.admin_address, "vr_wrong");
    for _ in 0..20 {
        let refused = bad.ask("POST", &rules, Some(rule("true")), &[]).await;
        assert_eq!(refused.wire.status, 401, "{}", refused.json);
        assert_eq!(refused.wire.header("www-authenticate"), Some("Bearer"));
    }
    good.done("GET", &rules, None).await;
    // What is long is not even read.
    let endless = format!(
        "POST /client/v4{rules} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer vr_wrong\r\n\
         Content-Length: 4000000\r\n\r\n"
    );
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let mut stream = tokio::net::TcpStream::connect(proxy.admin_address).await.expect("a connection");
        stream.write_all(endless.as_bytes()).await.expect("a reader");
        let mut start = [0; 12];
        in_time("an answer", stream.read_exact(&mut start)).await.expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 401");
        strangers.push(stream);
    }
    let many: Vec<_> = (0..40_000_u32).map(|n| json!({ "ip": std::net::Ipv4Addr::from(0x0a00_0000 + n) })).collect();
    let list = good.list("admins").await["id"].as_str().expect("an id").to_owned();
    good.done("POST", &format!("/accounts/site/rules/lists/{list}/items"), Some(many.into())).await;
    let machinery = get(proxy.admin_address, "/readyz", &[]).await;
    assert_eq!(machinery.status, 200, "{machinery:?}");
    proxy.stop().await;
}

#[tokio::test]
async fn bodies_that_are_none_change_nothing() {
    let place = Place::new("");
    let token = place.token();
    let proxy = place.proxy(site().await).await;
    let client = Client::of(proxy.admin_address, &token);
    let rules = client.rules_path("shop").await;
    let path = format!("/client/v4{rules}");
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let before = client.done("GET", &rules, None).await;

    let large = vec![b' '; 10 << 20];
    let answer = send(proxy.admin_address, "POST", &path, &headers, &large).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    let json: Json = serde_json::from_str(&answer.body).expect("the API's envelope");
    assert_eq!((&json["success"], &json["result"]), (&Json::Bool(false), &Json::Null));
    let chunked = [
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nAuthorization: {authorization}\r\n\r\n").into_bytes(),
        format!("{:x}\r\n", large.len()).into_bytes(), large, b"\r\n0\r\n\r\n".to_vec(),
    ];
    assert_eq!(wire::raw(proxy.admin_address, &chunked.concat()).await.status, 413);
    for body in [&b"{\"expression\": \"\xff\xfe\"}"[..], b"", b"[", b"null", b"\0", b"[{}]"] {
        let answer = send(proxy.admin_address, "POST", &path, &headers, body).await;
        assert_eq!(answer.status, 400, "{body:?}: {answer:?}");
    }
    let broken_off = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{");
    let mut stream = tokio::net::TcpStream::connect(proxy.admin_address).await.expect("a connection");
    tokio::io::AsyncWriteExt::write_all(&mut stream, broken_off.as_bytes()).await.expect("a part");
    drop(stream);
    assert_eq!(client.done("GET", &rules, None).await, before);
    proxy.stop().await;
}

#[tokio::test]
async fn writers_who_look_first_come_one_after_the_other() {
    const WRITERS: usize = 50;
    let place = Place::new("");
    let token = place.token();
    let proxy = place.proxy(site().await).await;
    let client = Client::of(proxy.admin_address, &token);
    let rules = client.rules_path("sale").await;
    let writers = (0..WRITERS).map(|number| {
        let (client, rules) = (client.clone(), rules.clone());
        tokio::spawn(async move {
            let mut refusals = 0;
            loop {
                let seen = client.ask("GET", &rules, None, &[]).await;
                let version = seen.wire.header("etag").expect("a version").to_owned();
                let mut wanted = seen.json["result"].as_array().expect("rules").clone();
                wanted.push(rule(&is_path(&format!("/sale/{number}"))));
                let told = client.ask("PUT", &rules, Some(wanted.into()), &[("If-Match", &version)]).await;
                match told.wire.status {
                    200 => return refusals,
                    412 => refusals += 1,
                    _ => panic!("{}", told.json),
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut refusals = 0;
    for writer in writers {
        refusals += in_time("a writer is done", writer).await.expect("no panic");
    }
    // Nobody has overwritten what another one wrote: each put all rules there were, and one more.
    let all = client.ask("GET", &rules, None, &[]).await;
    let expressions: BTreeSet<_> =
        all.json["result"].as_array().expect("rules").iter().map(|rule| rule["expression"].to_string()).collect();
    assert_eq!(expressions.len(), WRITERS);
    assert_eq!(all.wire.header("etag"), Some(&*format!("\"{WRITERS}\"")), "as many changes as writers");
    println!("{refusals} times somebody else was faster");
    proxy.stop().await;
}

/// `velvetrope serve` as a process of its own. It is killed when this goes.
struct Program {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Program {
    async fn start(place: &Place, origin: SocketAddr) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_velvetrope"));
        command.arg("serve").arg(place.policy()).arg("--store").arg(place.store());
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"]);
        command.args(["--origin", &format!("http://{origin}")]);
        command.env("VELVETROPE_LOG", "warn,velvetrope_serve::proxy=info").env("VELVETROPE_SECRET", SECRET);
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("a process");
        let mut lines = BufReader::new(child.stderr.take().expect("logs")).lines();
        let serving = in_time("it serves", async {
            loop {
                let line = lines.next_line().await.expect("a text").expect("a line");
                let line: Json = serde_json::from_str(&line).expect("JSON");
                if line["message"] == "serving" {
                    return line;
                }
                eprintln!("{line}");
            }
        })
        .await;
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("{line}")
            }
        });
        let address = |name: &str| serving[name].as_str().and_then(|text| text.parse().ok()).expect("an address");
        Program { address: address("address"), admin: address("admin"), child }
    }

    /// At once, and without a chance to do anything about it (SIGKILL).
    async fn kill(mut self) {
        self.child.kill().await.expect("it is killed");
    }
}

#[tokio::test]
async fn processes_with_the_same_store_follow_each_other() {
    let place = Place::new("");
    let token = place.token();
    let origin = site().await;
    let (one, other) = (Program::start(&place, origin).await, Program::start(&place, origin).await);
    let client = Client::of(one.admin, &token);
    let rules = client.rules_path("shop").await;
    client.done("POST", &rules, Some(rule(&is_path("/shop/vip")))).await;
    assert!(passes(one.address, "/shop/vip").await);
    becomes("the other one follows", async || passes(other.address, "/shop/vip").await).await;
    let client = Client::of(other.admin, &token);
    let id = client.done("GET", &rules, None).await[1]["id"].as_str().expect("an id").to_owned();
    client.done("DELETE", &format!("{rules}/{id}"), None).await;
    assert!(!passes(other.address, "/shop/vip").await);
    becomes("the first one follows", async || !passes(one.address, "/shop/vip").await).await;
}

#[tokio::test]
async fn a_killed_process_has_lost_nothing_that_it_acknowledged() {
    const WRITES: usize = 1_000;
    // Changes that come at the same time come into force together.
    const WRITERS: usize = 16;
    let place = Place::new("");
    let token = place.token();
    let origin = site().await;
    let mut acknowledged = BTreeSet::new();
    let mut attempted = 0;
    for kill_after in [137, 512, WRITES] {
        let program = Program::start(&place, origin).await;
        let client = Client::of(program.admin, &token);
        let rules = client.rules_path("sale").await;
        let listed = |all: &Json| -> BTreeSet<String> {
            let all = all.as_array().expect("rules").iter();
            all.map(|rule| rule["description"].as_str().expect("a text").to_owned()).collect()
        };
        let present = listed(&client.done("GET", &rules, None).await);
        assert!(present.is_superset(&acknowledged), "{:?}", acknowledged.difference(&present));
        assert!(present.len() <= acknowledged.len() + WRITERS, "no more than what was under way");
        acknowledged = present;
        let (told, mut acknowledgements) = tokio::sync::mpsc::unbounded_channel();
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (client, rules, told, first) = (client.clone(), rules.clone(), told.clone(), attempted);
                attempted += WRITES;
                tokio::spawn(async move {
                    for number in first..first + WRITES {
                        let body = json!({ "action": "bypass_waiting_room", "description": number.to_string(),
                            "expression": is_path(&format!("/sale/{number}")) });
                        client.done("POST", &rules, Some(body)).await;
                        told.send(number.to_string()).expect("somebody listens");
                    }
                })
            })
            .collect();
        while acknowledged.len() < kill_after {
            acknowledged.insert(in_time("a write", acknowledgements.recv()).await.expect("a writer"));
        }
        program.kill().await;
        for writer in writers {
            assert!(writer.await.is_err(), "it was cut off");
        }
        // What was acknowledged before the kill, and told to us after it.
        while let Ok(number) = acknowledgements.try_recv() {
            acknowledged.insert(number);
        }
        let store = StoreFile::open(&place.store()).expect("it can be opened");
        let check = store.transaction(|database| (database.query("PRAGMA integrity_check", &[]), false));
        let check = check.expect("a transaction").expect("an answer");
        assert_eq!(check[0].text(0).expect("a text"), "ok");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_a_failure_with_a_policy() {
    const DAMAGED: &str = "this is no database, and long enough to be looked at: a database has a header of 100 bytes";
    let origin = site().await;
    for (more, status) in [("", 204), ("[failure]\nstore_unreachable = 'closed'", 503), ("managed = 'files'", 302)] {
        let place = Place::new(more);
        let token = place.token();
        let good = fs::read(place.store()).expect("a store");
        fs::write(place.store(), DAMAGED).expect("a file");
        let proxy = place.proxy(origin).await;
        for path in ["/shop", "/sale"] {
            let answer = get(proxy.address, path, &[]).await;
            assert_eq!(answer.status, status, "{more}: {answer:?}");
            assert_eq!(answer.header("x-queueit-failed").is_some(), status != 302, "{more}: {answer:?}");
        }
        let ready = get(proxy.admin_address, "/readyz", &[]).await;
        assert_eq!(ready.status == 200, status == 302, "{ready:?}");
        assert!(status == 302 || ready.body.contains("store.db cannot be opened: file is not a database"), "{ready:?}");
        let client = Client::of(proxy.admin_address, &token);
        let refused = client.ask("GET", "/zones/site/waiting_rooms", None, &[]).await;
        assert_eq!((refused.wire.status, &refused.json["errors"][0]["code"]), (503, &json!(1013)), "{}", refused.json);
        assert!(refused.wire.header("retry-after").is_some());
        let page = get(proxy.admin_address, "/dashboard", &[]).await;
        assert!(page.status == 503 && page.body.contains("cannot be opened"), "{page:?}");

        // It is looked at now and then. Of a damaged one SQLite may have left files beside it.
        for beside in ["store.db-wal", "store.db-shm"] {
            _ = fs::remove_file(place.folder.path().join(beside));
        }
        // Half of one, or none, might be opened.
        let mended = place.folder.path().join("mended.db");
        fs::write(&mended, &good).expect("a file");
        fs::rename(&mended, place.store()).expect("a file");
        becomes("the policy", async || get(proxy.address, "/sale", &[]).await.status == 302).await;
        becomes("the store", async || client.ask("GET", "/zones", None, &[]).await.wire.status == 200).await;
        assert_eq!(get(proxy.admin_address, "/readyz", &[]).await.status, 200);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn what_was_asked_of_a_list_is_done_after_a_kill() {
    let place = Place::new("");
    let token = place.token();
    let origin = site().await;
    let program = Program::start(&place, origin).await;
    let client = Client::of(program.admin, &token);
    let list = client.list("admins").await;
    let items = format!("/accounts/site/rules/lists/{}/items", list["id"].as_str().expect("an id"));
    let many: Vec<_> = (0..100_000_u32).map(|n| json!({ "ip": std::net::Ipv4Addr::from(0x0a00_0000 + n) })).collect();
    let operation = client.done("POST", &items, Some(many.into())).await;
    program.kill().await;
    let program = Program::start(&place, origin).await;
    let client = Client::of(program.admin, &token);
    assert_eq!(client.completed(&operation).await["status"], "completed");
    assert_eq!(client.list("admins").await["num_items"], 100_001);
}

async fn velvetrope(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_velvetrope")).args(arguments).output().await.expect("a process");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let place = Place::new("");
    let store = place.store();
    let (ok, _, complaint) = velvetrope(&["admin", "token", "list", "--store", path(&store)]).await;
    assert!(!ok && complaint.contains("there is no store") && !store.exists(), "{complaint}");
    let make = async |scope: &str| {
        let name = format!("to {scope}");
        let (ok, token, complaint) =
            velvetrope(&["admin", "token", "create", "--store", path(&store), "--scope", scope, "--name", &name]).await;
        assert!(ok && complaint.is_empty(), "{complaint}");
        assert_eq!(token.lines().count(), 1);
        token.trim().to_owned()
    };
    let (read, write) = (make("read").await, make("write").await);
    let proxy = place.proxy(site().await).await;
    let (reader, writer) = (Client::of(proxy.admin_address, &read), Client::of(proxy.admin_address, &write));
    let rules = reader.rules_path("shop").await;
    assert_eq!(reader.ask("POST", &rules, Some(rule(&is_path("/a"))), &[]).await.wire.status, 403);
    writer.done("POST", &rules, Some(rule(&is_path("/a")))).await;

    let (_, listed, _) = velvetrope(&["--format", "json", "admin", "token", "list", "--store", path(&store)]).await;
    assert!(!listed.contains(&read) && !listed.contains(&write), "{listed}");
    let listed: Json = serde_json::from_str(&listed).expect("JSON");
    assert_eq!([&listed["tokens"][0]["name"], &listed["tokens"][1]["scope"]], ["to read", "write"]);
    let id = listed["tokens"][1]["id"].as_str().expect("an id");
    let (ok, told, _) = velvetrope(&["admin", "token", "revoke", "--store", path(&store), id]).await;
    assert!(ok && told.contains(id), "{told}");
    assert_eq!(writer.ask("GET", &rules, None, &[]).await.wire.status, 401);
    let (ok, _, complaint) = velvetrope(&["admin", "token", "revoke", "--store", path(&store), id]).await;
    assert!(!ok && complaint.contains("could be revoked"), "{complaint}");
    for file in fs::read_dir(place.folder.path()).expect("files") {
        let bytes = fs::read(file.expect("a file").path()).unwrap_or_default();
        assert!(!bytes.windows(write.len()).any(|part| part == write.as_bytes()), "no token is stored");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_store_becomes_files_and_files_a_store() {
    let place = Place::new("");
    let token = place.token();
    let proxy = place.proxy(site().await).await;
    let client = Client::of(proxy.admin_address, &token);
    let rules = client.rules_path("shop").await;
    client.done("POST", &rules, Some(rule(&is_path("/shop/vip")))).await;
    let [first, again] = ["first", "again"].map(|name| place.folder.path().join(name));
    let other = place.folder.path().join("other.db");
    let export = async |store: &Path, to: &Path| {
        let (ok, _, complaint) = velvetrope(&["export", "--store", path(store), path(to)]).await;
        assert!(ok, "{complaint}");
        let (ok, told, complaint) = velvetrope(&["check", path(to)]).await;
        assert!(ok, "{told}{complaint}");
    };
    export(&place.store(), &first).await;
    let (ok, told, complaint) = velvetrope(&["import", "--store", path(&other), "--zone", "site", path(&first)]).await;
    assert!(ok && told.contains("imported site: 1 room, 2 rules, 1 list"), "{told}{complaint}");
    export(&other, &again).await;
    let files = |folder: &Path| -> Vec<(String, String)> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).expect("a folder") {
                let entry = entry.expect("an entry").path();
                match entry.is_dir() {
                    true => folders.push(entry),
                    false => files.push((
                        path(entry.strip_prefix(folder).expect("below")).to_owned(),
                        fs::read_to_string(&entry).expect("a text"),
                    )),
                }
            }
        }
        files.sort();
        files
    };
    let without_times = |files: Vec<(String, String)>| -> Vec<(String, String)> {
        let is_time =
            |line: &&str| !["_on\"", "\"last_updated\"", "\"id\"", "\"version\""].iter().any(|key| line.contains(key));
        files.into_iter().map(|(name, text)| (name, text.lines().filter(is_time).collect())).collect()
    };
    assert_eq!(without_times(files(&first)), without_times(files(&again)));

    // Into the store that is in use: it comes into force.
    let text = json!([{ "id": "gala", "action": "bypass_waiting_room", "expression": is_path("/shop/gala") }]);
    let settings = fs::read_to_string(first.join("velvetrope.toml")).expect("a text");
    let (_, file) = settings.split_once("shop = \"").expect("the file of the rules");
    let (file, _) = file.split_once('"').expect("the end of its name");
    fs::write(first.join(file), text.to_string()).expect("a file");
    let (ok, _, complaint) =
        velvetrope(&["import", "--store", path(&place.store()), "--zone", "site", path(&first)]).await;
    assert!(ok, "{complaint}");
    becomes("the import is in force", async || passes(proxy.address, "/shop/gala").await).await;
    assert!(!passes(proxy.address, "/shop/vip").await);

    fs::write(first.join(file), r#"[{"action": "bypass_waiting_room", "expression": "no.such eq 1"}]"#)
        .expect("a file");
    let (ok, _, complaint) =
        velvetrope(&["import", "--store", path(&place.store()), "--zone", "site", path(&first)]).await;
    assert!(!ok && complaint.contains("no.such"), "{complaint}");
    assert!(passes(proxy.address, "/shop/gala").await);
    let (ok, _, complaint) = velvetrope(&["export", "--store", path(&other), "--zone", "no", path(&again)]).await;
    assert!(!ok && complaint.contains("it holds `site`"), "{complaint}");
    proxy.stop().await;
}
