use serde_json::Value;

use super::*;
use crate::queueit::Secrets;
use crate::queueit::token::Token;

fn room(pace: Pace) -> Room {
    let rooms = [("shop".to_owned(), pace), ("the_bar".to_owned(), pace)];
    let config = RoomConfig {
        customer_id: "acme".into(),
        hosts: ["shop.example"].into_iter().collect(),
        default_target: None,
        secret: Secret::new("hush"),
        token_seconds: 60,
        refresh_seconds: 5,
    };
    Room::new(config, rooms.into())
}

/// How many wait, how many are inside, and how long the last one waits.
fn occupancy(room: &Room, id: &str, now_ms: i64) -> Option<(usize, usize, Option<u64>)> {
    room.occupancy(id, now_ms).map(|Occupancy { waiting, active, longest_wait }| (waiting, active, longest_wait))
}

fn waiting() -> Pace {
    Pace { per_minute: 60, least_wait_seconds: 10, ..Pace::default() }
}

fn get(url: &str) -> Visit<'_> {
    Visit { method: "GET", path_and_query: url, cookie: "", accept: "", secure: false, now_ms: 0, random: [7; 32] }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

fn cookie(answer: &Answer) -> String {
    header(answer, "Set-Cookie").expect("a place").split(';').next().unwrap_or_default().to_owned()
}

const QUEUE: &str =
    "/?c=acme&e=shop&ver=v&cver=1&man=Shop&cid=en&l=L&t=https%3A%2F%2Fshop.example%2Fbuy%3Fa%3D1%23top&kupver=x";

#[test]
fn a_visitor_waits_and_is_let_in_with_a_good_token() {
    let room = room(waiting());
    let first = room.answer(&get(QUEUE));
    assert_eq!(first.status, 200);
    assert!(first.body.contains("number 1 in line") && first.body.contains("http-equiv=\"refresh\" content=\"5\""));
    assert!(header(&first, "Content-Security-Policy").expect("one").contains("default-src 'none'"));
    let cookie = cookie(&first);
    let again = room.answer(&Visit { cookie: &cookie, now_ms: 9_999, random: [8; 32], ..get(QUEUE) });
    assert_eq!(again.status, 200);
    assert_eq!(occupancy(&room, "shop", 9_999), Some((1, 0, Some(1))));
    let admitted = room.answer(&Visit { cookie: &cookie, now_ms: 10_000, random: [8; 32], ..get(QUEUE) });
    assert_eq!(admitted.status, 302);
    let location = header(&admitted, "Location").expect("a target");
    let token = location.strip_prefix("https://shop.example/buy?a=1&queueittoken=").expect(location);
    let token = Token::parse(token.strip_suffix("#top").expect("the fragment"));
    assert!(token.is_signed_by(&Secrets::new("hush", None)));
    assert!(!token.is_expired(70) && token.is_expired(71));
    assert_eq!(occupancy(&room, "shop", 10_000), Some((0, 1, Some(0))));
}

#[test]
fn clients_without_a_browser_get_json() {
    let room = room(waiting());
    let ask = Visit { accept: "application/json", ..get(QUEUE) };
    let body: Value = serde_json::from_str(&room.answer(&ask).body).expect("JSON");
    let state = &body["waitingRoom"];
    assert_eq!((&state["inWaitingRoom"], &state["position"]), (&Value::Bool(true), &Value::from(1)));
    assert_eq!((&state["waitTimeSeconds"], &state["refreshIntervalSeconds"]), (&Value::from(10), &Value::from(5)));
    let url = format!("{QUEUE}&place={}", state["place"].as_str().expect("a place"));
    let ask = Visit { path_and_query: &url, now_ms: 10_000, random: [8; 32], ..ask };
    let body: Value = serde_json::from_str(&room.answer(&ask).body).expect("JSON");
    assert_eq!(body["waitingRoom"]["inWaitingRoom"], Value::Bool(false));
    assert!(body["waitingRoom"]["redirectUrl"].as_str().expect("a target").contains("queueittoken=e_shop~q_"));
}

#[test]
fn nobody_is_sent_to_another_site() {
    let room = room(Pace::default());
    for url in ["/?c=acme&e=shop&t=https%3A%2F%2Fevil.example%2F", "/cancel/multiple/acme?wrl=shop&r=//evil.example"] {
        let answer = room.answer(&get(url));
        assert_eq!(answer.status, 400, "{url}");
        assert!(header(&answer, "Location").is_none() && !answer.body.contains("href"), "{url}");
    }
    let error = room.answer(&get("/error/hash/?c=acme&e=shop&t=https%3A%2F%2Fevil.example%2F"));
    assert!(!error.body.contains("href"));
}

#[test]
fn what_does_not_exist_is_said_to_not_exist() {
    let room = room(Pace::default());
    for url in ["/", "/favicon.ico", "/?e=nothing", "/?c=other&e=shop", "/?e=", "*", ""] {
        assert_eq!(room.answer(&get(url)).status, 404, "{url}");
    }
    let post = room.answer(&Visit { method: "POST", ..get(QUEUE) });
    assert_eq!((post.status, header(&post, "Allow")), (405, Some("GET, HEAD")));
}

#[test]
fn error_pages_offer_the_queue_again() {
    let room = room(Pace::default());
    let url = "/prefix/error/connector/sessionstate/?c=acme&e=shop&cver=1&queueittoken=x&ts=1&icr=ip&t=https%3A%2F%2Fshop.example%2F%3C";
    let answer = room.answer(&get(url));
    assert!(answer.body.contains("another connection"));
    let link = "href=\"/?c=acme&#38;e=shop&#38;cver=1&#38;t=https%3A%2F%2Fshop.example%2F%3C\"";
    assert!(answer.body.contains(link), "{}", answer.body);
}

#[test]
fn cancelling_ends_the_session_and_goes_on() {
    let room = room(Pace::default());
    for id in ["shop", "the_bar"] {
        let admitted = room.answer(&get(&format!("/?e={id}&t=https://shop.example/")));
        assert_eq!(admitted.status, 302);
        assert_eq!(occupancy(&room, id, 0), Some((0, 1, Some(0))));
    }
    let queue_id = queue_id(&[7; 32]);
    let url = format!(
        "/cancel/multiple/acme?wrl=unknown_the_bar~{queue_id}_shop~{queue_id}&r=https%3A%2F%2Fshop.example%2Fbye"
    );
    let answer = room.answer(&get(&url));
    assert_eq!((answer.status, header(&answer, "Location")), (302, Some("https://shop.example/bye")));
    for id in ["shop", "the_bar"] {
        assert_eq!(occupancy(&room, id, 0), Some((0, 0, Some(0))), "{id}");
    }
}

#[test]
fn a_made_up_place_is_no_way_past_the_line() {
    let room = room(waiting());
    let made_up = ["velvetrope_place=00000000000000000000000000000000", "velvetrope_place=+1", "velvetrope_place"];
    for (random, made_up) in (1..).zip(made_up) {
        let answer = room.answer(&Visit { cookie: made_up, random: [random; 32], ..get(QUEUE) });
        assert_eq!(cookie(&answer), format!("velvetrope_place={}", hex(&[random; 16])), "{made_up}");
    }
    assert_eq!(occupancy(&room, "shop", 0), Some((3, 0, Some(10))));
}

#[test]
fn rooms_come_and_go_and_who_waits_keeps_the_place() {
    let room = room(waiting());
    let first = cookie(&room.answer(&get(QUEUE)));
    let faster = Pace { least_wait_seconds: 0, per_minute: 0, ..Pace::default() };
    room.open([("shop".to_owned(), faster), ("new".to_owned(), waiting())].into());
    assert_eq!(occupancy(&room, "the_bar", 0), None);
    assert_eq!(occupancy(&room, "new", 0), Some((0, 0, Some(0))));
    assert_eq!(occupancy(&room, "shop", 1), Some((1, 0, None)), "nobody is let in any more");
    room.open([("shop".to_owned(), Pace { per_minute: 60, ..faster })].into());
    assert_eq!(room.answer(&Visit { cookie: &first, now_ms: 1, random: [8; 32], ..get(QUEUE) }).status, 302);
}
