//! From a genuine session no other one that is accepted may be derived: not by cutting its text into other fields, nor
//! by writing fields twice, in another order, or otherwise.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use velvetrope::internal::queueit::Secrets;
use velvetrope::internal::queueit::cookie::{NewSession, Session, Validation};

const NOW: i64 = 1_790_000_000;
const UUID: &str = "3cdf8eee-0458-4c35-afd6-7c2d12098a49";
const FIELDS: [&str; 6] = ["EventId", "QueueId", "FixedValidityMins", "RedirectType", "IssueTime", "Hip"];

/// The texts of the fields that are signed.
type Parts = [String; 6];

/// A session as a connector writes it.
struct Genuine {
    parts: Parts,
    hash: String,
    seal: String,
}

static SECRETS: LazyLock<Secrets> = LazyLock::new(|| Secrets::new("secret", None));

/// Of rooms whose ids begin with one another, with and without everything that may be left out.
fn genuine() -> Vec<Genuine> {
    let hip = SECRETS.current().sign(&["192.0.2.1"]);
    let numeric = "12345678-1234-1234-1234-123456789012";
    let mut all = Vec::new();
    for event_id in ["shop", "shop1", "shop12", "shopqueue", "shop-3cdf8eee", "Shop"] {
        for queue_id in [UUID, numeric, ""] {
            for fixed_validity in ["20", "525600", ""] {
                for redirect_type in ["queue", "idle", "xqueue", ""] {
                    for hashed_ip in [hip.as_str(), ""] {
                        let new = NewSession { event_id, queue_id, fixed_validity, redirect_type, hashed_ip };
                        all.push(Genuine::of(&new));
                    }
                }
            }
        }
    }
    all
}

impl Genuine {
    fn of(new: &NewSession<'_>) -> Genuine {
        let arena = bumpalo::Bump::new();
        let value = new.sign(SECRETS.current(), NOW - 60, &arena);
        let session = Session::parse(value).expect("a session");
        let Session { event_id, queue_id, fixed_validity, redirect_type, issue_time, hashed_ip, hash, seal } = session;
        let parts = [event_id, queue_id, fixed_validity, redirect_type, issue_time, hashed_ip].map(str::to_owned);
        let genuine = Genuine { parts, hash: hash.into(), seal: seal.into() };
        assert_eq!(genuine.value(&genuine.parts, true), value);
        assert!(is_accepted(value, &genuine.parts[0], false), "{value}");
        genuine
    }

    /// These fields with this session's hash, and perhaps its seal.
    fn value(&self, parts: &Parts, is_sealed: bool) -> String {
        let present = FIELDS.iter().zip(parts).filter(|(name, part)| {
            let may_be_left_out = ["QueueId", "FixedValidityMins", "Hip"].contains(name);
            !may_be_left_out || !part.is_empty()
        });
        let mut value: String = present.map(|(name, part)| format!("{name}={part}&")).collect();
        value += &format!("Hash={}", self.hash);
        if is_sealed {
            value += &format!("&Seal={}", self.seal);
        }
        value
    }

    /// The text that its hash is over.
    fn text(&self) -> String {
        format!("{}{}", self.parts[0].to_lowercase(), self.parts[1..].concat())
    }

    /// Where its fields end in that text.
    fn cuts(&self) -> [usize; 5] {
        let mut end = 0;
        [0, 1, 2, 3, 4].map(|field| {
            end += self.parts[field].len();
            end
        })
    }
}

/// Whether a visitor who brings it passes into the room, at an address that is not known.
fn is_accepted(value: &str, room: &str, shared: bool) -> bool {
    let against = Validation { secrets: &SECRETS, shared, room, validity_minutes: Some(20.0), client_ip: "", now: NOW };
    Session::parse(value).is_some_and(|session| session.validate(&against).is_ok())
}

fn cut(text: &str, cuts: [usize; 5]) -> Parts {
    let [one, two, three, four, five] = cuts;
    [(0, one), (one, two), (two, three), (three, four), (four, five), (five, text.len())]
        .map(|(start, end)| text[start..end].to_owned())
}

/// Nobody else's session: not the same fields, and not those of the same room in another spelling.
fn is_another(parts: &Parts, genuine: &Genuine) -> bool {
    parts[1..] != genuine.parts[1..] || !parts[0].eq_ignore_ascii_case(&genuine.parts[0])
}

fn refuse(genuine: &Genuine, cuts: [usize; 5]) {
    let parts = cut(&genuine.text(), cuts);
    if !is_another(&parts, genuine) {
        return;
    }
    // The room is whichever the session would be for.
    for (is_sealed, shared) in [(true, false), (false, true)] {
        let value = genuine.value(&parts, is_sealed);
        let is_told_apart = is_sealed || is_of_connectors(&genuine.parts);
        assert!(!is_accepted(&value, &parts[0], shared) || !is_told_apart, "{value}\n  of {:?}", genuine.parts);
    }
}

/// Where there is no queue id, the form of other connectors tells no more than that rooms have a few redirect types.
fn is_of_connectors(parts: &Parts) -> bool {
    !parts[1].is_empty() || ["queue", "safetynet", "idle"].contains(&&*parts[3])
}

/// Every way to cut a text between these two places into what is left of the fields.
fn every_cut(length: usize) -> impl Iterator<Item = [usize; 5]> {
    (0..=length).flat_map(move |one| {
        (one..=length).flat_map(move |two| {
            (two..=length).flat_map(move |three| {
                (three..=length).flat_map(move |four| (four..=length).map(move |five| [one, two, three, four, five]))
            })
        })
    })
}

#[test]
fn no_other_session_can_be_cut_from_the_same_text() {
    let mut tried = 0;
    for genuine in genuine() {
        let (text, cuts) = (genuine.text(), genuine.cuts());
        // Any one and any two of the places, moved anywhere.
        for one in 0..5 {
            for two in one..5 {
                for (at_one, at_two) in places(&text, &genuine, one == two) {
                    let mut cuts = cuts;
                    (cuts[one], cuts[two]) = (at_one, at_two);
                    if cuts.is_sorted() {
                        refuse(&genuine, cuts);
                        tried += 1;
                    }
                }
            }
        }
    }
    assert!(tried > 100_000, "{tried} tried");
}

/// Pairs of places: all of them near where fields end, where text can have moved to.
fn places(text: &str, genuine: &Genuine, is_one: bool) -> Vec<(usize, usize)> {
    let near = |at: usize| at.saturating_sub(2)..=(at + 2).min(text.len());
    let all: BTreeSet<usize> = match is_one {
        true => (0..=text.len()).collect(),
        false => genuine.cuts().into_iter().flat_map(near).collect(),
    };
    match is_one {
        true => all.iter().map(|at| (*at, *at)).collect(),
        false => all.iter().flat_map(|one| all.iter().map(move |two| (*one, *two))).collect(),
    }
}

#[test]
fn short_texts_are_cut_in_every_way() {
    for event_id in ["s", "s1", "sq"] {
        for (fixed_validity, redirect_type) in [("", "idle"), ("2", "idle"), ("", "queue"), ("12", "queue"), ("3", "")]
        {
            let new = NewSession { event_id, fixed_validity, redirect_type, ..NewSession::default() };
            let genuine = Genuine::of(&new);
            every_cut(genuine.text().len()).for_each(|cuts| refuse(&genuine, cuts));
        }
    }
}

/// The ways that are known, with another room, another address and for ever in mind.
#[test]
fn known_ways_are_closed() {
    let hip = SECRETS.current().sign(&["192.0.2.1"]);
    let new = NewSession {
        event_id: "shop",
        queue_id: "2cdf8eee-0458-4c35-afd6-7c2d12098949",
        fixed_validity: "",
        redirect_type: "queue",
        hashed_ip: hip.as_str(),
    };
    let genuine = Genuine::of(&new);
    let [event, queue, fixed, kind, time] = genuine.cuts();
    let ways = [
        ("digits of the issue time in the redirect type", [event, queue, fixed, kind + 9, time]),
        ("the tail of the queue id in the validity", [event, queue - 3, fixed, kind, time]),
        ("the address in the issue time", [event, queue, fixed, kind, genuine.text().len()]),
        ("the head of the queue id in the room's id", [event + 1, queue, fixed, kind, time]),
    ];
    for (way, cuts) in ways {
        assert!(cuts != genuine.cuts(), "{way}");
        refuse(&genuine, cuts);
    }
    let unbound = genuine.value(&genuine.parts, false).replace(&format!("&Hip={}", hip.as_str()), "");
    assert!(!is_accepted(&unbound, "shop", true));
}

#[test]
fn a_room_that_is_named_like_a_session_of_another_counts_only_with_a_seal() {
    let named = format!("shop{UUID}");
    let new = NewSession { event_id: &named, redirect_type: "queue", ..NewSession::default() };
    let genuine = Genuine::of(&new);
    assert!(is_accepted(&genuine.value(&genuine.parts, true), &named, true));
    assert!(!is_accepted(&genuine.value(&genuine.parts, false), &named, true));
    let reversed = NewSession { event_id: "shop", queue_id: UUID, redirect_type: "queue", ..NewSession::default() };
    let genuine = Genuine::of(&reversed);
    let parts = cut(&genuine.text(), [named.len(), named.len(), named.len(), named.len() + 5, named.len() + 15]);
    assert_eq!(parts[0], named);
    assert!(!is_accepted(&genuine.value(&parts, false), &named, true));
}

#[test]
fn fields_are_there_once_and_in_order() {
    for genuine in genuine() {
        for is_sealed in [true, false] {
            let value = genuine.value(&genuine.parts, is_sealed);
            let (room, fields) = (&genuine.parts[0], value.split('&').collect::<Vec<_>>());
            let refuse = |changed: &[&str], what: &str| {
                let changed = changed.join("&");
                if changed != value {
                    assert!(!is_accepted(&changed, room, true), "{what}: {changed}");
                }
            };
            for (at, field) in fields.iter().enumerate() {
                for to in 0..=fields.len() {
                    let mut twice = fields.clone();
                    twice.insert(to, field);
                    refuse(&twice, "twice");
                    let name = field.split('=').next().expect("a name");
                    for other in [format!("{name}="), format!("{name}=x"), (*name).to_owned(), format!("{name}=1=2")] {
                        let mut odd = fields.clone();
                        odd.insert(to, &other);
                        refuse(&odd, "twice with another value");
                    }
                    let mut moved = fields.clone();
                    moved.remove(at);
                    moved.insert(to.min(moved.len()), field);
                    refuse(&moved, "in another order");
                }
                let mut without = fields.clone();
                without.remove(at);
                if !field.starts_with("Seal=") {
                    refuse(&without, "without one");
                }
            }
        }
    }
}

/// Even signed, numbers count only as connectors write them.
#[test]
fn numbers_are_spelled_in_one_way() {
    let secret = SECRETS.current();
    let plain = |fixed: &str, issued: &str| {
        let hash = secret.sign(&["shop", UUID, fixed, "queue", issued]);
        format!(
            "EventId=shop&QueueId={UUID}&FixedValidityMins={fixed}&RedirectType=queue&IssueTime={issued}&Hash={}",
            hash.as_str()
        )
    };
    let issued = (NOW - 60).to_string();
    assert!(is_accepted(&plain("5", &issued), "shop", true));
    for odd in ["+5", "05", "5.0", "NaN", " 5", "5 ", "1e3", "-5", "0x5", "", "0", "5e0", "5_0", "５", "1000000"] {
        assert!(!is_accepted(&plain(odd, &issued), "shop", true), "{odd:?}");
    }
    for odd in ["NaN", "", "0", "1e10", "0x6ab1e380", "+1789999940", " 1789999940", "01789999940", "1789999940.0"] {
        assert!(!is_accepted(&plain("5", odd), "shop", true), "{odd:?}");
    }
    let future = (NOW + 3600).to_string();
    assert!(!is_accepted(&plain("5", &future), "shop", true));
}
