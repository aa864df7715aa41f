//! How a policy comes into force, and stays there.

use std::path::Path;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use velvetrope::internal::language::Severity;
use velvetrope::internal::policy::{Policy, Sources};
use velvetrope::internal::queueit::Secret;
use velvetrope_serve::proxy::{Config, PolicySource, Proxy, Running};

use super::support::*;

fn write(folder: &Path, sources: &Sources) {
    for (name, text) in sources {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}

async fn started(folder: &Path, origin: &Origin) -> Running {
    Proxy::bind(config(PolicySource::Path(folder.to_owned()), origin.address)).await.expect("a proxy")
}

/// The `cver` of the policy in force.
async fn version(proxy: &Running) -> String {
    let answer = get(proxy.address, "/shop", &[]).await;
    let location = answer.header("location").expect("a room").to_owned();
    location.split('&').find_map(|pair| pair.strip_prefix("cver=")).expect("a version").to_owned()
}

pub async fn becomes(proxy: &Running, expected: &str) {
    in_time("the new policy", async {
        while version(proxy).await != expected {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_better_policy_comes_into_force_and_a_broken_one_does_not() {
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &sources(""));
    let proxy = started(folder.path(), &origin).await;
    assert_eq!(version(&proxy).await, "3");

    let file = folder.path().join("integration.json");
    std::fs::write(&file, integration(4)).expect("a file");
    proxy.reload().await.expect("a good policy");
    assert_eq!(version(&proxy).await, "4");

    std::fs::write(folder.path().join("rules.json"), r#"[{"action":"bypass_waiting_room","expression":"ip.src in"}]"#)
        .expect("a file");
    std::fs::write(&file, integration(5)).expect("a file");
    let error = proxy.reload().await.expect_err("a broken policy");
    assert!(error.to_string().contains("rules.json"), "{error}");
    let broken: Vec<_> = error.findings().iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(version(&proxy).await, "4", "the last good one stays");
    assert_eq!(get(proxy.admin_address, "/readyz", &[]).await.status, 200);
    let metrics = get(proxy.admin_address, "/metrics", &[]).await.body;
    assert!(metrics.contains("outcome=\"bad\""), "{metrics}");

    // Now nobody asks for it: the change itself does.
    std::fs::write(folder.path().join("rules.json"), "[]").expect("a file");
    becomes(&proxy, "5").await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_compiled_policy_is_served_and_reloaded() {
    let saved = |version| {
        let mut sources = sources("");
        sources.insert("integration.json".into(), integration(version).into());
        Policy::compile(&sources, None).expect("a good policy").policy.save()
    };
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("site.vrp");
    std::fs::write(&file, saved(3)).expect("a file");
    let proxy = started(&file, &origin).await;
    assert_eq!(version(&proxy).await, "3");

    std::fs::write(&file, saved(4).split_off(100)).expect("a file");
    proxy.reload().await.expect_err("half a policy");
    assert_eq!(version(&proxy).await, "3", "the last good one stays");

    std::fs::write(&file, saved(5)).expect("a file");
    proxy.reload().await.expect("a good policy");
    assert_eq!(version(&proxy).await, "5");
    proxy.stop().await;
}

#[tokio::test]
async fn without_a_policy_the_failure_policy_applies() {
    let origin = Origin::start().await;
    for (failure, status) in [("", 200), ("[failure]\ninvalid_configuration = \"closed\"\nretry_after = 7", 503)] {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &sources(failure));
        std::fs::write(folder.path().join("integration.json"), "{").expect("a file");
        let proxy = started(folder.path(), &origin).await;
        let answer = get(proxy.address, "/shop", &[("X-Velvetrope-Verdict", "session")]).await;
        assert_eq!((answer.status, answer.header("x-queueit-failed")), (status, Some("true")));
        if status == 200 {
            assert!(answer.body.contains("x-velvetrope-verdict: failed-open\n"), "{}", answer.body);
        } else {
            assert_eq!(answer.header("retry-after"), Some("7"));
        }
        let ready = get(proxy.admin_address, "/readyz", &[]).await;
        assert_eq!(ready.status, 503, "{ready:?}");
        assert_eq!(get(proxy.admin_address, "/livez", &[]).await.status, 200);

        std::fs::write(folder.path().join("integration.json"), integration(9)).expect("a file");
        proxy.reload().await.expect("a good policy");
        assert_eq!(version(&proxy).await, "9");
        assert_eq!(get(proxy.admin_address, "/readyz", &[]).await.status, 200);
        proxy.stop().await;
    }
}

pub fn push_body(integration: &str, secret: &str) -> Vec<u8> {
    let hex: String = integration.bytes().map(|byte| format!("{byte:02x}")).collect();
    let hash = Secret::new(secret).sign(&[&hex]);
    format!(r#"{{"integrationInfo":"{hex}","hash":"{}"}}"#, hash.as_str()).into_bytes()
}

pub const PUSH: &str = "/?__push_queueit_config";

#[tokio::test]
async fn a_signed_push_comes_into_force_and_outlives_the_process() {
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let state_file = folder.path().join("state.json");
    write(folder.path(), &sources("[delivery]\npush = true"));
    let config =
        Config { state_file: Some(state_file), ..config(PolicySource::Path(folder.path().to_owned()), origin.address) };
    let proxy = Proxy::bind(config.clone()).await.expect("a proxy");
    for bad in [push_body(&integration(8), "another"), b"{}".to_vec(), b"\xff".to_vec(), push_body("{", SECRET)] {
        let answer = send(proxy.address, "PUT", PUSH, &[], &bad).await;
        assert_eq!((answer.status, answer.body.as_str()), (400, "Fail!"));
    }
    assert_eq!(version(&proxy).await, "3");
    let answer = send(proxy.address, "PUT", PUSH, &[], &push_body(&integration(8), SECRET)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "Success!"));
    assert_eq!(answer.header("x-queueit-connector"), Some("proxy"));
    assert_eq!(version(&proxy).await, "8");
    proxy.reload().await.expect("a good policy");
    assert_eq!(version(&proxy).await, "8", "the file has not changed since");
    proxy.stop().await;

    let proxy = Proxy::bind(config).await.expect("a proxy");
    assert_eq!(version(&proxy).await, "8", "nor has it over a restart");
    std::fs::write(folder.path().join("integration.json"), integration(10)).expect("a file");
    proxy.reload().await.expect("a good policy");
    assert_eq!(version(&proxy).await, "10", "the newer wins");
    proxy.stop().await;
}

async fn push(proxy: &Running, integration: &str) -> u16 {
    send(proxy.address, "PUT", PUSH, &[], &push_body(integration, SECRET)).await.status
}

#[tokio::test]
async fn an_older_push_is_refused_unless_the_operator_rolls_back() {
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &sources("[delivery]\npush = true"));
    let proxy = started(folder.path(), &origin).await;
    for (pushed, status, in_force) in [(2, 400, "3"), (3, 200, "3"), (10, 200, "10"), (9, 400, "10"), (10, 200, "10")] {
        assert_eq!(push(&proxy, &integration(pushed)).await, status, "{pushed}");
        assert_eq!(version(&proxy).await, in_force);
    }
    // Nor can an old one slip in while none is in force.
    std::fs::write(folder.path().join("rules.json"), "[").expect("a file");
    proxy.stop().await;
    let proxy = started(folder.path(), &origin).await;
    std::fs::write(folder.path().join("rules.json"), "[]").expect("a file");
    assert_eq!(push(&proxy, &integration(2)).await, 400);
    write(folder.path(), &sources("[delivery]\npush = true\nallow_older = true"));
    proxy.reload().await.expect("a good policy");
    assert_eq!(push(&proxy, &integration(2)).await, 200);
    assert_eq!(version(&proxy).await, "2");
    proxy.stop().await;
}

#[tokio::test]
async fn one_broken_integration_of_a_push_is_so_for_its_own_visitors_only() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "[delivery]\npush = true").await;
    let without_domain = r#""Name":"Leave","ActionType":"Queue","EventId":"leave","CookieValidityMinute":20,"Q":""#;
    let in_part = integration(4).replace(r#""Name":"Assets""#, r#""Name":"Assets","LayoutName":{}"#);
    let in_part =
        in_part.replace(r#""Name":"Leave","ActionType":"Cancel","EventId":"shop","QueueDomain":""#, without_domain);
    let none = integration(5).replace(r#""QueueDomain":"acme.queue-it.net","#, "");
    let none = none.replace(r#""ActionType":"Ignore""#, r#""ActionType":"Queue""#);
    assert_eq!(push(&proxy, &in_part).await, 200);
    assert_eq!(version(&proxy).await, "4");
    let passed = get(proxy.address, "/leave", &[]).await;
    assert!(passed.body.contains("x-velvetrope-verdict: failed-open\n"), "{}", passed.body);
    let ready = get(proxy.admin_address, "/readyz", &[]).await;
    assert_eq!(ready.status, 200);
    for said in ["integration 1 (Assets) is broken: Integrations[0]", "integration 2 (Leave) is broken: `QueueDomain`"]
    {
        assert!(ready.body.contains(said), "{}", ready.body);
    }
    let broken = async || {
        let metrics = get(proxy.admin_address, "/metrics", &[]).await.body;
        let line = metrics.lines().find(|line| line.starts_with("velvetrope_broken_integrations ")).expect("a gauge");
        line.rsplit(' ').next().expect("a number").to_owned()
    };
    assert_eq!(broken().await, "2");
    assert_eq!(push(&proxy, &none).await, 400, "nothing of it works");
    assert_eq!(push(&proxy, &integration(6)).await, 200);
    assert_eq!(broken().await, "0");
    assert_eq!(get(proxy.admin_address, "/readyz", &[]).await.body, "ready\n");
    proxy.stop().await;
}

#[tokio::test]
async fn pushes_are_nothing_special_unless_switched_on() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let answer = send(proxy.address, "PUT", PUSH, &[], &push_body(&integration(8), SECRET)).await;
    assert!(answer.body.starts_with("PUT /?__push_queueit_config\n"), "{}", answer.body);
    assert_eq!(version(&proxy).await, "3");
    proxy.stop().await;
}

#[tokio::test]
async fn the_configuration_is_fetched() {
    let origin = Origin::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let queue_it = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                let has_key = request.headers().get("api-key").is_some_and(|key| key == "key");
                let text = if has_key { integration(77) } else { "{}".to_owned() };
                Ok::<_, std::convert::Infallible>(hyper::Response::new(Full::new(Bytes::from(text))))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let source = PolicySource::Fixed(sources("[delivery]\npull = true"));
    let config = Config { pull_url: Some(format!("http://{address}/secure/acme")), ..config(source, origin.address) };
    let proxy = Proxy::bind(config).await.expect("a proxy");
    becomes(&proxy, "77").await;
    proxy.stop().await;
    queue_it.abort();
}
