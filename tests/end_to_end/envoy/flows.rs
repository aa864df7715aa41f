//! What visitors meet.

use velvetrope_serve::ext_proc::{Config, ExtProc, TlsFiles, policies_at};

use super::support::*;

const VERDICT: &str = "x-velvetrope-verdict";
const CONNECTOR: &str = "x-queueit-connector";

/// What the site was told of the decision.
fn verdicts(answer: &Wire) -> Vec<&str> {
    let lines = answer.body.lines().filter_map(|line| line.strip_prefix(VERDICT));
    lines.map(|value| value.trim_start_matches(": ")).collect()
}

/// The site's own cookies, and then what came with them.
fn cookies_of_site_and(answer: &Wire) -> Vec<&str> {
    let cookies = answer.all("set-cookie");
    let (of_site, others): (Vec<&str>, Vec<&str>) =
        cookies.into_iter().partition(|cookie| ["basket=1; Path=/", "seen=2"].contains(cookie));
    assert_eq!(of_site.len(), 2, "{answer:?}");
    others
}

#[tokio::test]
async fn a_visitor_waits_comes_back_stays_and_leaves() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Envoy::before(&origin, &callout).await;

    let first = get(envoy.address, "/shop?a=1", &[]).await;
    assert_eq!((first.status, first.all(CONNECTOR)), (302, vec!["google-cloud"]));
    let location = first.header("location").expect("a room");
    assert!(location.starts_with("https://q.example/?c=acme&e=shop"), "{location}");
    assert!(location.contains("&t=http%3A%2F%2Ftickets.example%2Fshop%3Fa%3D1"), "{location}");
    assert!(first.header("cache-control").is_some_and(|value| value.contains("no-store")), "{first:?}");

    let session = arrive(&envoy, "q1").await;
    let inside = get(envoy.address, "/shop?a=1", &[("Cookie", &session)]).await;
    assert_eq!((inside.status, verdicts(&inside)), (200, vec!["session;room=shop"]));
    assert!(inside.body.starts_with("GET /shop?a=1\n"), "{}", inside.body);
    let renewed = cookies_of_site_and(&inside);
    assert!(renewed.len() == 1 && renewed[0].starts_with(SESSION) && renewed[0].contains("q1"), "{renewed:?}");

    let both = format!("{session}; {}", session.replace("V3_shop=", "V3_other="));
    let left = get(envoy.address, "/leave", &[("Cookie", &both)]).await;
    assert_eq!(left.status, 302);
    let location = left.header("location").expect("a room");
    assert!(location.starts_with("https://q.example/cancel/multiple/acme?wrl=shop~q1"), "{location}");
    let ended: Vec<_> = left.all("set-cookie").iter().filter_map(|cookie| cookie.split_once("=;")).collect();
    assert_eq!(ended.len(), 2, "{left:?}");
    drop(envoy);
    callout.stop().await;
}

#[tokio::test]
async fn what_is_behind_a_rope_is_private() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Envoy::before(&origin, &callout).await;
    let session = arrive(&envoy, "q1").await;
    let inside = get(envoy.address, "/shop", &[("Cookie", &session)]).await;
    assert_eq!((inside.status, inside.all("cache-control")), (200, vec!["private, max-age=60"]));
    assert_eq!((inside.header("cdn-cache-control"), inside.header("content-language")), (None, Some("en")));
    for path in ["/", "/shop/vip", "/shop/assets/a.css"] {
        let outside = get(envoy.address, path, &[("Cookie", &session)]).await;
        assert_eq!(outside.all("cache-control").join(","), "public,max-age=60", "{path}");
        assert_eq!(outside.header("cdn-cache-control"), Some("max-age=60"), "{path}");
    }
    drop(envoy);
    callout.stop().await;
}

#[tokio::test]
async fn nobody_else_says_a_word_of_ours_however_it_is_spelt() {
    const KEEPS_UNDERSCORES: (&str, &str) = ("DROP_HEADER", "ALLOW");
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Envoy::start(&origin, [callout.address; 2], &[PATIENT, KEEPS_UNDERSCORES]).await;
    let forged =
        ["X-Velvetrope-Verdict", "X_Velvetrope_Verdict", "x.velvetrope-verdict", "Forwarded", "X-Forwarded-Host"];
    let mut headers: Vec<_> = forged.iter().chain(&["X_Forwarded_For"]).map(|name| (*name, "forged")).collect();
    headers.push(("X_Kept", "yes"));
    for (path, verdict) in [("/", "pass"), ("/shop/vip", "bypass;rule=vip")] {
        let answer = get(envoy.address, path, &headers).await;
        assert_eq!((answer.status, verdicts(&answer)), (200, vec![verdict]));
        assert!(!answer.body.contains("forged") && answer.body.contains("x_kept: yes\n"), "{}", answer.body);
    }
    drop(envoy);
    callout.stop().await;
}

#[tokio::test]
async fn preflights_reach_the_site_and_bring_back_headers_alone() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Envoy::before(&origin, &callout).await;
    let asks = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "PUT")];
    let asked = send(envoy.address, "OPTIONS", "/shop", &asks, b"").await;
    assert_eq!(
        (asked.status, asked.header("content-language"), asked.body.as_str()),
        (200, Some("en"), ""),
        "{asked:?}"
    );
    let waits = send(envoy.address, "OPTIONS", "/shop", &asks[..1], b"").await;
    assert_eq!(waits.status, 303);
    assert_eq!(send_http2(envoy.address, "OPTIONS", "/shop", &asks, "more than a question").await, 303);
    drop(envoy);
    callout.stop().await;
}

#[tokio::test]
async fn forms_arrive_whole_and_scripts_get_answers() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Envoy::before(&origin, &callout).await;
    let path = format!("/shop?queueittoken={}", token("shop", "q1", "queue"));
    let passed = send(envoy.address, "POST", &path, &[], b"tickets=2").await;
    assert_eq!((passed.status, verdicts(&passed)), (200, vec!["token;room=shop"]));
    assert!(cookies_of_site_and(&passed)[0].starts_with(SESSION), "{passed:?}");
    assert_eq!(send(envoy.address, "POST", "/shop", &[], b"tickets=2").await.status, 303);
    let script = [("Sec-Fetch-Mode", "cors"), ("Origin", "https://a.example")];
    let told = get(envoy.address, "/shop", &script).await;
    assert_eq!((told.status, told.header("content-type")), (429, Some("application/json")));
    assert_eq!(told.header("access-control-allow-origin"), Some("https://a.example"));
    assert!(told.body.contains("\"queue_url\":\"https://q.example/?c=acme&e=shop"), "{}", told.body);
    drop(envoy);
    callout.stop().await;
}

#[tokio::test]
async fn scripts_are_told_where_to_go() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Envoy::before(&origin, &callout).await;
    let page = "http%3A%2F%2Ftickets.example%2Fshop%2Fpage";
    let answer = get(envoy.address, "/shop/api", &[("x-queueit-ajaxpageurl", page)]).await;
    assert_eq!((answer.status, answer.body.as_str(), answer.header("location")), (200, "", None));
    let redirect = answer.header("x-queueit-redirect").expect("a redirect");
    assert!(redirect.starts_with("http%3A%2F%2Fq.example") || redirect.starts_with("https%3A%2F%2Fq.example"));
    assert!(redirect.contains(&page.replace('%', "%25")), "{redirect}");
    assert_eq!(answer.header("access-control-expose-headers"), Some("x-queueit-redirect"));
    drop(envoy);
    callout.stop().await;
}

#[tokio::test]
async fn who_need_not_wait_goes_on_and_the_site_is_told_the_truth() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Envoy::before(&origin, &callout).await;
    let spoofed = [("X-Velvetrope-Verdict", "session;room=shop"), ("x-velvetrope-verdict", "token")];
    for (path, verdict, connector) in [
        ("/", "pass", Some("google-cloud")),
        ("/leave", "cancel", Some("google-cloud")),
        ("/shop/assets/a.css", "ignore", Some("google-cloud")),
        ("/shop/vip", "bypass;rule=vip", None),
    ] {
        let answer = get(envoy.address, path, &spoofed).await;
        assert_eq!((answer.status, verdicts(&answer)), (200, vec![verdict]), "{path}");
        assert_eq!(answer.header(CONNECTOR), connector, "{path}");
        assert!(cookies_of_site_and(&answer).is_empty(), "{path}");
    }
    let metrics = get(callout.admin_address, "/metrics", &[]).await.body;
    assert!(metrics.contains("velvetrope_decisions_total{decision=\"bypass\"} 1"), "{metrics}");
    drop(envoy);
    callout.stop().await;
}

#[tokio::test]
async fn debug_mode_says_what_was_seen() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let callout = callout(&folder).await;
    let envoy = Envoy::before(&origin, &callout).await;
    let answer = get(envoy.address, &format!("/shop?queueittoken={}", token("", "", "debug")), &[]).await;
    let cookies = answer.all("set-cookie");
    let debug = cookies.iter().find(|cookie| cookie.starts_with("queueitdebug=")).expect("a debug cookie");
    for told in
        ["PureUrl%3Dhttp%3A%2F%2Ftickets.example%2Fshop%7C", "MatchedConfig%3DQueue%7C", "RequestIP%3D127.0.0.1%7C"]
    {
        assert!(debug.contains(told), "{told}: {debug}");
    }
    let forged = get(envoy.address, &format!("/shop?queueittoken={}x", token("", "", "debug")), &[]).await;
    assert!(forged.header("location").is_some_and(|location| location.contains("/error/?code=hash")), "{forged:?}");
    drop(envoy);
    callout.stop().await;
}

#[tokio::test]
async fn several_sites_have_policies_of_their_own() {
    let (origin, folder) = (Origin::start().await, tempfile::tempdir().expect("a folder"));
    write_policy(&folder.path().join("tickets.example"), "/shop", "");
    write_policy(&folder.path().join("second"), "/fair", "hosts = ['fair.example']");
    let policies = policies_at(&[folder.path().to_owned()]).expect("policies");
    let callout = Config { policies, refuse_unknown: true, ..config(folder.path()) };
    let callout = ExtProc::bind(callout).await.expect("a callout");
    let named = |name| [PATIENT, ("#policy ", ""), ("velvetrope: tickets.example", name)];
    let by_host = [("tickets.example", "/shop"), ("fair.example:8080", "/fair"), ("other.example", "")];
    for (changes, rooms) in [
        (&[PATIENT][..], by_host),
        // What its own hosts are, it says itself.
        (
            &named("velvetrope: second"),
            by_host.map(|(host, room)| (host, if room == "/fair" { room } else { "foreign" })),
        ),
        (&named("velvetrope: third"), by_host.map(|(host, _)| (host, ""))),
    ] {
        let envoy = Envoy::start(&origin, [callout.address; 2], changes).await;
        for (host, room) in rooms {
            for path in ["/shop", "/fair"] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
                let status = match room {
                    "" => 503,
                    "foreign" => 421,
                    room if room == path => 302,
                    _ => 200,
                };
                assert_eq!(raw(envoy.address, request.as_bytes()).await.status, status, "{host}{path} {changes:?}");
            }
        }
    }
    callout.stop().await;
}

#[tokio::test]
async fn odd_headers_do_no_harm() {
    let (origin, folder) = (Origin::start().await, policy("/shop", "[failure]\ninternal = 'closed'"));
    let callout = callout(&folder).await;
    let envoy = Envoy::before(&origin, &callout).await;
    let session = arrive(&envoy, "q1").await;
    let lines = [
        b"GET /shop?odd=%ff HTTP/1.1\r\nHost: tickets.example\r\nConnection: close\r\nCookie: a=1\r\n".to_vec(),
        format!("Cookie: {session}\r\n").into_bytes(),
        b"Cookie: \xff\xfe=\xff\r\nX-Odd: \xff\xfe\r\nX-Empty:\r\n".to_vec(),
        [b"X-Long: ", &vec![b'x'; 64 << 10][..], b"\r\n\r\n"].concat(),
    ];
    let inside = raw(envoy.address, &lines.concat()).await;
    assert_eq!((inside.status, verdicts(&inside)), (200, vec!["session;room=shop"]), "{:?}", inside.headers);
    let renewed = cookies_of_site_and(&inside);
    assert!(renewed.len() == 1 && renewed[0].contains("q1"), "{renewed:?}");
    assert!(inside.body.contains(&"x".repeat(64 << 10)), "the site gets what was sent");

    let odd = raw(envoy.address, b"GET /shop HTTP/1.1\r\nHost: a@b\r\nConnection: close\r\n\r\n").await;
    assert_eq!(odd.status, 400, "{odd:?}");
    assert_eq!(get(envoy.address, "/", &[]).await.status, 200);
    drop(envoy);
    callout.stop().await;
}

#[tokio::test]
async fn envoy_and_the_callout_speak_tls() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let key = rcgen::KeyPair::generate().expect("a key");
    let certify = |name: &str, file: &str| {
        let parameters = rcgen::CertificateParams::new([name.to_owned()]).expect("parameters");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        std::fs::write(folder.path().join(file), certificate.pem()).expect("a file");
        folder.path().join(file)
    };
    let certificate = certify("callout.example", "certificate.pem");
    let elsewhere = certify("elsewhere.example", "elsewhere.pem");
    let tls = TlsFiles { certificate: certificate.clone(), key: folder.path().join("key.pem") };
    std::fs::write(&tls.key, key.serialize_pem()).expect("a file");
    let callout = ExtProc::bind(Config { tls: Some(tls), ..config(folder.path()) }).await.expect("a callout");
    for (authority, status) in [(certificate, 302), (elsewhere, 500)] {
        let authority = authority.display().to_string();
        let changes = [PATIENT, ("#tls ", ""), ("/etc/velvetrope/ca.pem", &authority)];
        let envoy = Envoy::start(&origin, [callout.address; 2], &changes).await;
        assert_eq!(get(envoy.address, "/shop", &[]).await.status, status, "{authority}");
    }
    callout.stop().await;
}
