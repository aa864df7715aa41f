//! Whether what is decided about is what real origins serve: requests from a generator go through the proxy and the
//! callout to nginx, Apache, gunicorn and Node in many settings. None may serve a place that has a room to somebody who
//! has neither waited nor is let past it there.
//!
//! `VELVETROPE_ORIGINS_COUNT` says how many requests, `VELVETROPE_ORIGINS_SEED` which ones. A hundred thousand by hand:
//!
//!     VELVETROPE_ORIGINS_COUNT=100000 cargo test --features origin-tests --test end_to_end origins:: -- --nocapture
//!
//! Needs what `make tools` installs.

mod fan;
mod front;
mod generate;
mod http2;
mod servers;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::task::JoinSet;
use velvetrope::internal::edge::Secrets;
use velvetrope_serve::{ext_proc, proxy};

use crate::rope::envoy;
use crate::rope::line::Head;
use crate::rope::request::{Request, Version, bytes};
use fan::{Fan, Origins, Passed};
use front::{Front, Visitor};
use servers::Servers;

const SECRET: &str = "not-a-real-secret";

/// What has a room.
const PROTECTED: [&str; 4] = ["shop", "presale", "buy", "named"];

/// How many visitors ask at the same time.
const VISITORS: u64 = 8;

/// How many requests are asked on the way to a smaller one that goes wrong, too.
const PATIENCE: usize = 2_000;

fn policy() -> std::path::PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/end_to_end/rope/policy")
}

async fn proxy_before(servers: &Servers) -> (Front, proxy::Running) {
    let fan = Fan::start(&servers.addresses).await;
    let config = proxy::Config {
        secrets: proxy::SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
        listen: Some(([127, 0, 0, 1], 0).into()),
        admin: Some(([127, 0, 0, 1], 0).into()),
        origin: Some(format!("http://{}", fan.address)),
        ..proxy::Config::new(proxy::PolicySource::Path(policy()))
    };
    let running = proxy::Proxy::bind(config).await.expect("a proxy");
    (Front::Http { address: running.address, fan }, running)
}

async fn start_callout() -> ext_proc::Running {
    let config = ext_proc::Config {
        secrets: ext_proc::SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
        listen: Some(([127, 0, 0, 1], 0).into()),
        admin: Some(([127, 0, 0, 1], 0).into()),
        ..ext_proc::Config::new(ext_proc::PolicySource::Path(policy()))
    };
    ext_proc::ExtProc::bind(config).await.expect("a callout")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_walks_past_the_proxy() {
    let servers = Servers::start().await;
    let (front, running) = proxy_before(&servers).await;
    walk(front).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_walks_past_the_callout() {
    let servers = Servers::start().await;
    let running = start_callout().await;
    let channel = envoy::channel(&running).await;
    walk(Front::Callout { channel, origins: Arc::clone(&servers.addresses) }).await;
    running.stop().await;
}

#[cfg(feature = "envoy-tests")]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_walks_past_the_callout_behind_envoy() {
    let servers = Servers::start().await;
    let running = start_callout().await;
    let fan = Fan::start(&servers.addresses).await;
    // It would wait for a second before it ends a connection with a broken request.
    let prefix = "stat_prefix: visitors";
    let at_once = format!("{prefix}\n          delayed_close_timeout: 0s");
    let changes = [crate::envoy::support::PATIENT, (prefix, &at_once)];
    let envoy = crate::envoy::support::Envoy::before_site(fan.address, [running.address; 2], &changes).await;
    walk(Front::Http { address: envoy.address, fan }).await;
    running.stop().await;
}

/// Without anything before them, so that the tests above can fail.
#[tokio::test]
async fn origins_serve_what_they_are_asked_for() {
    let servers = Servers::start().await;
    let mut origins = Origins::new(&servers.addresses);
    let plain = [
        ("shop.example", "/shop/", "shop"),
        ("shop.example", "/shop/tickets/1", "shop"),
        ("shop.example", "/shop/assets/app.js", "assets"),
        ("shop.example", "/about", "public"),
        ("other.example", "/shop/", "shop"),
        ("SHOP.example.:80", "/shop/", "shop"),
        ("tickets.example", "/presale/x", "presale"),
        ("tickets.example", "/x/../presale/x", "presale"),
        ("page.example", "/buy/x", "buy"),
        ("staff.example", "/shop/", "staff"),
        ("named.example", "/@artist/x", "named"),
        ("named.example", "/%40artist/x", "named"),
        ("named.example", "/%40artist/help/", "public"),
        ("named.example", "/live+2026/x", "named"),
        ("named.example", "/caf%C3%A9/menu/", "named"),
        ("named.example", "/%7Euser/", "named"),
        ("named.example", "/last%20night/", "named"),
        ("named.example", "/vip%3Bgold/x", "named"),
        ("named.example", "/box/office/x", "named"),
        ("named.example", "/m%C3%BCnchen/", "named"),
        ("named.example", "/open/~owner/", "named"),
        ("named.example", "/open/caf%C3%A9", "named"),
        ("named.example", "/open/x/", "public"),
    ];
    for (host, path, place) in plain {
        let head = Head(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes());
        let passed = origins.ask(&head, b"").await;
        for (server, _) in servers.addresses.iter() {
            let ways = passed.served.iter().filter(|served| served.server == *server);
            assert!(ways.clone().any(|served| served.place == place), "{host}{path}: {:#?}", ways.collect::<Vec<_>>());
        }
    }
}

/// What went wrong.
struct Difference {
    number: u64,
    request: Request,
    passed: Passed,
    /// Who served what, or what else is wrong.
    what: Wrong,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wrong {
    by: String,
    what: String,
}

/// Asks all that is generated.
async fn walk(front: Front) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let count = number("VELVETROPE_ORIGINS_COUNT").unwrap_or(3_000);

    let seed = number("VELVETROPE_ORIGINS_SEED").unwrap_or(1);
    println!("VELVETROPE_ORIGINS_SEED={seed} VELVETROPE_ORIGINS_COUNT={count}");

    let front = Arc::new(front);
    let next = Arc::new(AtomicU64::new(0));
    let came_through = Arc::<[AtomicUsize; 3]>::default();
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        let (front, next, came_through) = (Arc::clone(&front), Arc::clone(&next), Arc::clone(&came_through));
        visitors.spawn(async move {
            let mut visitor = Visitor::at(&front);
            let mut differences = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return differences;
                }
                let request = Request::generated(seed, number);
                if let Some(passed) = visitor.ask(&request, &number.to_string()).await {
                    came_through[request.version as usize].fetch_add(1, Ordering::Relaxed);
                    let wrong = wrong(&passed);
                    let all = wrong.into_iter();
                    differences.extend(all.map(|what| Difference {
                        number,
                        request: request.clone(),
                        passed: passed.clone(),
                        what,
                    }));
                }
            }
        });
    }
    let differences: Vec<_> = visitors.join_all().await.into_iter().flatten().collect();
    for version in [Version::Http11, Version::Http2] {
        let came_through = came_through[version as usize].load(Ordering::Relaxed);
        println!("{came_through} came through in {version:?}");
        assert!(came_through as u64 > count / 100, "nearly nothing came through to the origins");
    }
    report(&front, differences).await;
}

/// What is wrong with a request having come through.
fn wrong(passed: &Passed) -> Vec<Wrong> {
    let mut all = Vec::new();
    let mut add = |by: &str, what: String| {
        let one = Wrong { by: by.to_owned(), what };
        if !all.contains(&one) {
            all.push(one);
        }
    };
    let [verdict] = &passed.verdicts[..] else {
        add("any", format!("sees the verdicts {:?}", passed.verdicts));
        return all;
    };
    for served in &passed.served {
        if PROTECTED.contains(&served.place.as_str()) && !is_preflight(passed) {
            add(&served.by, format!("serves {} by {verdict}", served.place));
        }
        if served.saw.as_ref().is_some_and(|saw| saw != verdict) {
            add(&served.by, format!("sees another verdict than {verdict}: {:?}", served.saw));
        }
    }
    all
}

/// Whether it is what a browser asks before it lets a page of another origin ask, which passes by design.
fn is_preflight(passed: &Passed) -> bool {
    let head = Head(bytes(&passed.request));
    let has = |name| !head.values(name).is_empty();
    passed.request.starts_with("OPTIONS ") && has("origin") && has("access-control-request-method")
}

/// Tells of each kind of difference by its smallest example, and fails if there is any.
async fn report(front: &Front, differences: Vec<Difference>) {
    let mut kinds: BTreeMap<Wrong, Vec<&Difference>> = BTreeMap::new();
    for difference in &differences {
        kinds.entry(difference.what.clone()).or_default().push(difference);
    }
    let examples: usize =
        std::env::var("VELVETROPE_ORIGINS_EXAMPLES").ok().and_then(|value| value.parse().ok()).unwrap_or(1);
    let mut visitor = Visitor::at(front);
    let mut told = BTreeMap::new();
    let mut tries = 0;
    for (wrong, of_kind) in &kinds {
        println!("{} {}: {} requests", wrong.by, wrong.what, of_kind.len());
        for difference in of_kind.iter().take(examples) {
            let (request, passed) = smallest(&mut visitor, difference, &mut tries).await;
            told.entry(request).or_insert((difference.number, passed)).0 = difference.number;
        }
    }
    for (request, (number, passed)) in &told {
        println!("\n#{number} {request}");
        println!("  forwarded: {:?}", passed.request);
        println!("  verdicts: {:?}", passed.verdicts);
        let protected = passed.served.iter().filter(|served| PROTECTED.contains(&served.place.as_str()));
        println!("  served: {:?}", protected.map(|one| format!("{}: {}", one.by, one.place)).collect::<Vec<_>>());
        println!("{}", explained(passed));
    }
    assert!(differences.is_empty(), "{} differences of {} kinds", differences.len(), kinds.len());
}

/// What the desk says of it: the readings and what decides.
fn explained(passed: &Passed) -> String {
    let head = Head(bytes(&passed.request));
    let mut line = passed.request.split(' ');
    let (method, target) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
    let url = bytes(&format!("http://{}{target}", head.values("host").join(",")));
    let url = String::from_utf8_lossy(&url).into_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_velvetrope"));
    command.arg("explain").arg(policy()).arg(url).args(["--method", method]).env("VELVETROPE_SECRET", SECRET);
    let output = command.output().expect("the program");
    let text = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    let told =
        text.split("\n\n").filter(|part| ["Readings", "Verdict", "error"].iter().any(|one| part.starts_with(one)));
    told.collect::<Vec<_>>().join("\n")
}

/// Leaves out what can be left out.
async fn smallest(visitor: &mut Visitor<'_>, difference: &Difference, tries: &mut usize) -> (Request, Passed) {
    let (mut request, mut passed) = (difference.request.clone(), difference.passed.clone());
    let mut left = PATIENCE;
    'smaller: loop {
        for simpler in request.simpler() {
            if left == 0 {
                break 'smaller;
            }
            left -= 1;
            *tries += 1;
            let Some(came) = visitor.ask(&simpler, &format!("{}-{tries}", difference.number)).await else { continue };
            if wrong(&came).iter().any(|what| what.by == difference.what.by && what.what == difference.what.what) {
                (request, passed) = (simpler, came);
                continue 'smaller;
            }
        }
        break;
    }
    (request, passed)
}
