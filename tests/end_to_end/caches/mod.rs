//! The proxy behind real caches, which are eager to keep what they may: nobody gets another visitor's page or cookie.
//!
//! Needs `nginx` and `apache2` on PATH.

use crate::ports;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::proxy::support::*;

/// What the site says of caching; each makes the caches keep its page where no rope is.
const SAID: [(&str, &[&str]); 7] = [
    ("nothing", &[]),
    ("public", &["cache-control: public, max-age=600"]),
    ("lines", &["cache-control: public", "cache-control: s-maxage=600, max-age=600"]),
    ("expires", &["expires: Fri, 01 Jan 2100 00:00:00 GMT"]),
    ("modified", &["last-modified: Mon, 01 Jan 2024 00:00:00 GMT", "etag: \"1\""]),
    ("cdn", &["cdn-cache-control: max-age=600", "surrogate-control: max-age=600"]),
    ("accelerated", &["x-accel-expires: 600", "cache-control: max-age=600"]),
];

/// A cache before a proxy, for as long as this lives.
struct Cache {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Cache {
    fn drop(&mut self) {
        // They end their workers themselves.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

impl Cache {
    async fn start(command: &[&str], configuration: &str, proxy: SocketAddr) -> Cache {
        let folder = tempfile::tempdir().expect("a folder");
        // The workers are nobody in particular.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a folder for all");
        let pages = folder.path().join("cache");
        fs::create_dir(&pages).expect("a folder");
        fs::set_permissions(&pages, fs::Permissions::from_mode(0o777)).expect("a folder for all");
        let address = ports::free();
        let path = folder.path().to_str().expect("a path");
        let text = configuration.replace("FOLDER", path).replace("CACHE", &address.port().to_string());
        fs::write(folder.path().join("conf"), text.replace("PROXY", &proxy.port().to_string())).expect("a file");
        let arguments = command[1..].iter().map(|argument| argument.replace("FOLDER", path));
        let spawned = Command::new(command[0]).args(arguments).stdin(Stdio::null()).spawn();
        let process = spawned.unwrap_or_else(|error| panic!("{}: {error}; `make tools` installs it", command[0]));
        let cache = Cache { process, address, _folder: folder };
        in_time("the cache's start", async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        cache
    }

    async fn nginx(proxy: SocketAddr) -> Cache {
        let command = ["nginx", "-p", "FOLDER", "-c", "conf", "-e", "nginx.log"];
        Cache::start(&command, include_str!("nginx.conf"), proxy).await
    }

    async fn apache(proxy: SocketAddr) -> Cache {
        let command = ["apache2", "-D", "FOREGROUND", "-f", "FOLDER/conf"];
        Cache::start(&command, include_str!("apache.conf"), proxy).await
    }

    /// What a visitor gets; the site says so of caching.
    async fn ask(&self, path: &str, cookie: &str, said: &[&str]) -> Wire {
        let mut headers: Vec<(&str, &str)> = said.iter().map(|line| (SAYS, *line)).collect();
        if !cookie.is_empty() {
            headers.push(("Cookie", cookie));
        }
        get(self.address, path, &headers).await
    }
}

/// Whether the answer came out of the cache.
fn is_hit(answer: &Wire) -> bool {
    answer.header("x-cache").is_some_and(|told| told.starts_with("HIT"))
}

async fn keeps_nothing_of_what_is_behind_a_rope(cache: Cache, proxy: SocketAddr) {
    let session = arrive(proxy).await;
    let [one, other] = ["one", "other"].map(|name| format!("visitor={name}; {session}"));
    for (name, said) in SAID {
        let open = format!("/open/{name}");
        cache.ask(&open, "visitor=one", said).await;
        let kept = cache.ask(&open, "visitor=other", said).await;
        assert!(is_hit(&kept) && kept.body.contains("visitor=one"), "{name}: the cache is none: {kept:?}");

        let path = format!("/shop/{name}");
        let first = cache.ask(&path, &one, said).await;
        assert_eq!((first.status, first.all("set-cookie").len()), (200, 1), "{name}: {first:?}");
        let stranger = cache.ask(&path, "", said).await;
        assert_eq!((stranger.status, stranger.all("set-cookie").len()), (302, 0), "{name}: {stranger:?}");
        let second = cache.ask(&path, &other, said).await;
        assert!(!is_hit(&second) && second.body.contains("visitor=other"), "{name}: {second:?}");
        let stranger = cache.ask(&path, "visitor=none", said).await;
        assert!(!is_hit(&stranger) && stranger.status == 302, "{name}: {stranger:?}");
    }
    let path = format!("/shop?queueittoken={}", token());
    for _ in 0..2 {
        let arrived = cache.ask(&path, "", &[]).await;
        assert!(!is_hit(&arrived) && arrived.status == 302, "{arrived:?}");
    }
}

/// Sessions that are not renewed set no cookie that would warn a cache.
async fn keeps_no_page_of_a_session_that_stays(cache: Cache, proxy: SocketAddr) {
    let session = arrive(proxy).await;
    for (name, said) in SAID {
        let path = format!("/shop/{name}");
        let first = cache.ask(&path, &session, said).await;
        assert_eq!((first.status, first.all("set-cookie").len()), (200, 0), "{name}: {first:?}");
        assert_eq!(cache.ask(&path, "", said).await.status, 302, "{name}");
    }
}

#[tokio::test]
async fn nginx_keeps_nothing_of_what_is_behind_a_rope() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    keeps_nothing_of_what_is_behind_a_rope(Cache::nginx(proxy.address).await, proxy.address).await;
    proxy.stop().await;
    let proxy = proxy_without_renewal(&origin).await;
    keeps_no_page_of_a_session_that_stays(Cache::nginx(proxy.address).await, proxy.address).await;
    proxy.stop().await;
}

#[tokio::test]
async fn apache_keeps_nothing_of_what_is_behind_a_rope() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    keeps_nothing_of_what_is_behind_a_rope(Cache::apache(proxy.address).await, proxy.address).await;
    proxy.stop().await;
    let proxy = proxy_without_renewal(&origin).await;
    keeps_no_page_of_a_session_that_stays(Cache::apache(proxy.address).await, proxy.address).await;
    proxy.stop().await;
}

async fn proxy_without_renewal(origin: &Origin) -> velvetrope_serve::proxy::Running {
    let mut sources = sources("");
    let renewing = r#""ExtendCookieValidity":true"#;
    let integration = integration(3);
    assert!(integration.contains(renewing));
    let integration = integration.replace(renewing, r#""ExtendCookieValidity":false"#);
    sources.insert("integration.json".into(), integration.into_bytes());
    let source = velvetrope_serve::proxy::PolicySource::Fixed(sources);
    velvetrope_serve::proxy::Proxy::bind(config(source, origin.address)).await.expect("a proxy")
}
