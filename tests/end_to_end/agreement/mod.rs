//! The desk and every host say the same of the same request: each rule of [`pairs`] meets each request at the desk, and
//! through the proxy and the callout as they run. What the desk says for a Worker is kept in
//! tests/data/agreement.json, which the tests of the Worker read (tests/worker/agreement.test.js); it is renewed with
//! `VELVETROPE_RENEW=1`.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming as Body};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use velvetrope::internal::edge::explain::Explained;
use velvetrope::internal::edge::{Described, Identity, Secrets, Site};
use velvetrope::internal::language::Code;
use velvetrope::internal::policy::Policy;
use velvetrope::internal::policy::bundle::bundle;
use velvetrope::internal::request::Target;
use velvetrope_serve::proxy::{Config, PolicySource, Proxy, SecretSource};

mod callout;
mod pairs;

use crate::wire::{in_time, raw};
use pairs::{HOST, OPEN, VISITS, Visit, place, policy, policy_with, rules};

const SECRET: &str = "not-a-real-secret";
const RECORD: &str = concat!(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."), "/tests/data/agreement.json");

/// What a host says of the request about a rule: whether the rule lets it pass.
struct Said {
    rule: usize,
    visit: usize,
    passes: bool,
}

/// What the desk says for such a host.
fn desk(target: Target) -> Vec<Said> {
    let compiled = Policy::compile(&policy(target), None);
    let policy = compiled.unwrap_or_else(|findings| panic!("{:#?}", findings.errors().collect::<Vec<_>>())).policy;
    let (secrets, identity) = (Secrets::new(SECRET, None), Identity::of_host("desk"));
    let site = Site { policy: &policy, secrets: &secrets, identity: &identity };
    let asked = |(rule, visit): (usize, usize)| {
        let request = VISITS[visit].described(target, rule);
        let facts = Described::to(&policy.settings, &request);
        let explained = Explained::of(site, &request, &facts).expect("a policy with texts");
        let passes = match explained.decision.label {
            "bypass" => true,
            "queue" => false,
            other => panic!("{}: {other}", rules()[rule].expression),
        };
        Said { rule, visit, passes }
    };
    pairs_for(target).map(asked).collect()
}

/// Every rule that such a host can keep, with every request.
fn pairs_for(target: Target) -> impl Iterator<Item = (usize, usize)> {
    let kept: Vec<bool> = rules().iter().map(|rule| rule.targets.contains(&target)).collect();
    let kept = kept.into_iter().enumerate().filter(|(_, is_kept)| *is_kept);
    kept.flat_map(|(rule, _)| (0..VISITS.len()).map(move |visit| (rule, visit)))
}

/// Fails with every pair of which a host says something else.
fn assert_agreement(host: &str, desk: &[Said], live: &[bool]) {
    let rules = rules();
    let differ: Vec<String> = desk
        .iter()
        .zip(live)
        .filter(|(said, live)| said.passes != **live)
        .map(|(said, live)| {
            let (rule, visit) = (&rules[said.rule].expression, &VISITS[said.visit]);
            format!(
                "{rule}\n  {} {} {:?}: desk {}, {host} {live}",
                visit.method, visit.path, visit.headers, said.passes
            )
        })
        .collect();
    assert!(differ.is_empty(), "{} of {} differ\n{}", differ.len(), desk.len(), differ.join("\n"));
    let passing = desk.iter().filter(|said| said.passes).count();
    assert!(passing * 5 > desk.len() && passing * 5 < desk.len() * 4, "{passing} of {} pass", desk.len());
    println!("{host}: {} pairs agree", desk.len());
}

/// What is called true of every request lets every request pass, and nothing but what is known to be so is called that.
#[test]
fn the_desk_takes_no_rule_for_one_that_opens_for_everybody_but_those_that_do() {
    for target in [Target::Worker, Target::GoogleCloud, Target::Proxy] {
        let findings = Policy::compile(&policy_with(target, &[]), None).expect_err("rules that open for everybody");
        let errors: Vec<_> = findings.errors().collect();
        assert!(errors.iter().all(|finding| finding.code == Code::OpensForEverybody), "{errors:#?}");
        let file = |rule: usize| format!("{}.json", pairs::room(rule));
        let rules = rules();
        let kept = || rules.iter().enumerate().filter(|(_, rule)| rule.targets.contains(&target));
        let flagged: Vec<_> =
            kept().filter(|(at, _)| errors.iter().any(|finding| finding.place.file == file(*at))).collect();
        let expressions = |rules: &[(usize, &pairs::Rule)]| -> Vec<String> {
            rules.iter().map(|(_, rule)| rule.expression.clone()).collect()
        };
        let open: Vec<_> = kept().filter(|(_, rule)| OPEN.contains(&&*rule.expression)).collect();
        assert_eq!(expressions(&flagged), expressions(&open), "{target}");
        for said in desk(target) {
            let (rule, visit) = (&rules[said.rule].expression, &VISITS[said.visit]);
            assert!(said.passes || !OPEN.contains(&&**rule), "{rule} is not true of {} {}", visit.method, visit.path);
        }
    }
}

#[tokio::test]
async fn the_proxy_says_what_the_desk_says() {
    let origin = origin().await;
    let proxy = Proxy::bind(Config {
        secrets: SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
        listen: Some(([127, 0, 0, 1], 0).into()),
        admin: Some(([127, 0, 0, 1], 0).into()),
        origin: Some(format!("http://{origin}")),
        ..Config::new(PolicySource::Fixed(policy(Target::Proxy)))
    });
    let proxy = proxy.await.expect("a proxy");
    let desk = desk(Target::Proxy);
    let mut live = Vec::new();
    for said in &desk {
        let visit = &VISITS[said.visit];
        let headers = visit.headers(Target::Proxy, said.rule);
        let status = match visit.version {
            "HTTP/1.1" => by_http1(proxy.address, visit, &headers).await,
            "HTTP/2" => by_http2(proxy.address, visit, &headers).await,
            other => panic!("the proxy has no {other}"),
        };
        assert!(matches!(status, 200 | 302 | 303), "{status} for {}", rules()[said.rule].expression);
        live.push(status == 200);
    }
    assert_agreement("proxy", &desk, &live);
    proxy.stop().await;
}

/// A site that is always there.
async fn origin() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = |_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("origin")))) };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serving = hyper::server::conn::http1::Builder::new();
            tokio::spawn(serving.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    address
}

/// Names of headers stay as they are written.
async fn by_http1(address: std::net::SocketAddr, visit: &Visit, headers: &[(String, String)]) -> u16 {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{} {} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{lines}\r\n", visit.method, visit.path);
    raw(address, head.as_bytes()).await.status
}

async fn by_http2(address: std::net::SocketAddr, visit: &Visit, headers: &[(String, String)]) -> u16 {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(visit.method).uri(format!("http://{HOST}{}", visit.path));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let answer = in_time("an answer", client.send_request(request)).await.expect("an answer");
    let status = answer.status().as_u16();
    answer.into_body().collect().await.expect("a body");
    connection.abort();
    status
}

#[tokio::test]
async fn the_callout_says_what_the_desk_says() {
    let desk = desk(Target::GoogleCloud);
    let callout = callout::Callout::start(policy(Target::GoogleCloud)).await;
    let mut live = Vec::new();
    for said in &desk {
        let visit = &VISITS[said.visit];
        live.push(callout.passes(visit, &visit.headers(Target::GoogleCloud, said.rule)).await);
    }
    assert_agreement("callout", &desk, &live);
    callout.stop().await;
}

/// What the Worker's own test compares with; it has no way to ask the desk.
#[test]
fn the_record_for_the_worker_is_what_the_desk_says() {
    let rules = rules();
    let visits: Vec<_> = VISITS
        .iter()
        .map(|visit| {
            let place = place(visit.ip);
            json!({
                "method": visit.method,
                "url": format!("https://{HOST}{}", visit.path),
                "headers": visit.headers,
                "ip": visit.ip,
                "cf": {
                    "httpProtocol": visit.version,
                    "country": place.country,
                    "continent": place.continent,
                    "isEUCountry": (place.is_in_union == Some(true)).then_some("1"),
                    "asn": place.asn,
                },
            })
        })
        .collect();
    let desk = desk(Target::Worker);
    let passing =
        |rule: usize| -> Vec<bool> { desk.iter().filter(|said| said.rule == rule).map(|said| said.passes).collect() };
    let kept = (0..rules.len()).filter(|rule| rules[*rule].targets.contains(&Target::Worker));
    let rules: Vec<_> = kept
        .map(|rule| json!({ "room": pairs::room(rule), "expression": rules[rule].expression, "passes": passing(rule) }))
        .collect();
    let record = json!({
        "policy": serde_json::from_str::<serde_json::Value>(&bundle(&policy(Target::Worker)).expect("texts")).expect("JSON"),
        "visits": visits,
        "rules": rules,
    });
    let text = serde_json::to_string_pretty(&record).expect("JSON") + "\n";
    if std::env::var_os("VELVETROPE_RENEW").is_some() {
        std::fs::write(RECORD, &text).expect("a record");
    }
    let recorded = std::fs::read_to_string(RECORD).unwrap_or_default();
    assert!(recorded == text, "{RECORD} is not what the desk says; renew it with VELVETROPE_RENEW=1");
}

/// The command line itself, for some of the pairs: each time it compiles all rules.
#[test]
fn the_command_line_says_what_the_desk_says() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, text) in policy(Target::Worker) {
        std::fs::write(folder.path().join(file), text).expect("a file");
    }
    for said in desk(Target::Worker).iter().step_by(53) {
        let label = explained(folder.path(), said);
        assert_eq!(label, if said.passes { "bypass" } else { "queue" }, "{}", rules()[said.rule].expression);
    }
}

/// The label of the decision that `explain` tells.
fn explained(policy: &Path, said: &Said) -> String {
    let visit = &VISITS[said.visit];
    let mut command = Command::new(env!("CARGO_BIN_EXE_velvetrope"));
    command.arg("explain").arg(policy).arg(format!("https://{HOST}{}", visit.path));
    command.args(["--format", "json", "-X", visit.method, "--ip", visit.ip, "--http-version", visit.version]);
    for (name, value) in visit.headers(Target::Worker, said.rule) {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    let place = place(visit.ip);
    let asn = place.asn.map(|asn| asn.to_string());
    for (option, value) in [("--country", place.country), ("--asn", asn)] {
        command.args(value.iter().flat_map(|value| [option, value]));
    }
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    report["decision"]["label"].as_str().expect("a label").to_owned()
}
