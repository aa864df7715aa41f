//! The token that a visitor brings back from the waiting room (docs/protocol/queue-it.md#queue-token).

use std::fmt;

use super::cookie::MAX_FIXED_VALIDITY;
use super::encoding::lenient_integer;
use super::{Mac, Secret, Secrets};

/// What a token says. Nothing of it is true before [`Token::validate`] has said so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token<'t> {
    /// The whole token, as received.
    pub text: &'t str,
    /// `e`: the waiting room it is for.
    pub event_id: Option<&'t str>,
    /// `q`: the visitor's id in the queue.
    pub queue_id: Option<&'t str>,
    /// `ts`: valid up to and including this Unix second; 0 where it is missing or not a number.
    pub expires: f64,
    /// `ce`: whether the session may be extended. No decision depends on it.
    pub extendable: bool,
    /// `cv`: validity of the session in minutes, if it is fixed.
    pub validity_minutes: Option<f64>,
    /// `rt`: why the room let the visitor go (`queue`, `safetynet`, `directlink`, …, or `debug`).
    pub redirect_type: Option<&'t str>,
    /// `hip`: HMAC of the address the token is bound to.
    pub hashed_ip: Option<&'t str>,
    /// `h`: HMAC of everything else.
    pub hash: Option<&'t str>,
    /// Whether it is in the form in which a waiting room writes one, so that everybody reads the same in it: it has
    /// an `rt`, each key that means something once, numbers in decimal, and its hash at the end.
    pub is_canonical: bool,
}

/// Why a token is refused, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenError {
    /// The hash is not that of the text under any secret.
    Hash,
    /// It is for another room.
    EventId,
    /// It has expired.
    Timestamp,
    /// It is bound to another address.
    Ip,
    /// It is signed, and yet not in the form in which a waiting room writes one.
    Form,
}

impl TokenError {
    /// The code in error URLs.
    pub fn code(self) -> &'static str {
        match self {
            // The protocol knows no code for what no room writes.
            TokenError::Hash | TokenError::Form => "hash",
            TokenError::EventId => "eventid",
            TokenError::Timestamp => "timestamp",
            TokenError::Ip => "ip",
        }
    }
}

impl<'t> Token<'t> {
    /// Reads a token. Any text is one; pieces that are not `key_value` are skipped, the last of several wins.
    pub fn parse(text: &'t str) -> Token<'t> {
        let mut token = Token {
            text,
            event_id: None,
            queue_id: None,
            expires: 0.0,
            extendable: false,
            validity_minutes: None,
            redirect_type: None,
            hashed_ip: None,
            hash: None,
            is_canonical: false,
        };
        let mut form = Form::default();
        let mut start = 0;
        for end in memchr::memchr_iter(b'~', text.as_bytes()).chain([text.len()]) {
            let piece = &text[start..end];
            start = end + 1;
            // Keys are too short for a searcher to pay.
            let Some(at) = piece.bytes().position(|byte| byte == b'_') else { continue };
            let (key, value) = (&piece[..at], &piece[at + 1..]);
            // Values, too, and so all of one is looked at: many bytes at once.
            let is_whole = value.bytes().fold(true, |is_whole, byte| is_whole & (byte != b'_'));
            form.take(key, value, is_whole);
            if !is_whole {
                continue;
            }
            match key {
                "e" => token.event_id = Some(value),
                "q" => token.queue_id = Some(value),
                "ts" => token.expires = nonzero(lenient_integer(value)).unwrap_or(0.0),
                "ce" => token.extendable = value.eq_ignore_ascii_case("true"),
                "cv" => token.validity_minutes = nonzero(lenient_integer(value)),
                "rt" => token.redirect_type = Some(value),
                "hip" => token.hashed_ip = Some(value),
                "h" => token.hash = Some(value),
                _ => {}
            }
        }
        token.is_canonical = form.is_canonical() && token.ends_with_its_hash();
        token
    }

    /// Whether there is one at all: no text is no token.
    pub fn is_given(&self) -> bool {
        !self.text.is_empty()
    }

    fn ends_with_its_hash(&self) -> bool {
        self.hash.and_then(|hash| self.text.strip_suffix(hash)).is_some_and(|text| text.ends_with("~h_"))
    }

    /// What the hash is over: the text before and after the first `~h_` with this hash. Where there is none, such as
    /// in a token that begins with its hash, it is the whole text (and the hash cannot fit).
    pub fn signed_text(&self) -> [&'t str; 2] {
        let Some(hash) = self.hash else { return [self.text, ""] };
        if self.is_canonical {
            // Its one hash is at the end.
            return [&self.text[..self.text.len() - hash.len() - "~h_".len()], ""];
        }
        let found = self.text.match_indices("~h_").find(|(at, mark)| self.text[at + mark.len()..].starts_with(hash));
        match found {
            Some((at, mark)) => [&self.text[..at], &self.text[at + mark.len() + hash.len()..]],
            None => [self.text, ""],
        }
    }

    /// Whether the hash is that of the text.
    pub fn is_signed_by(&self, secrets: &Secrets) -> bool {
        self.hash.is_some_and(|hash| secrets.verify(&self.signed_text(), hash))
    }

    /// Whether it asks for debug mode (docs/protocol/queue-it.md#debug-mode).
    pub fn is_debug(&self) -> bool {
        self.redirect_type == Some("debug")
    }

    /// Whether it expired before the Unix second `now`.
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires < now as f64
    }

    /// Whether it is bound to another address than `client_ip`. An unknown address ("") is not another one.
    pub fn is_of_other_ip(&self, secrets: &Secrets, client_ip: &str) -> bool {
        let hashed_ip = self.hashed_ip.unwrap_or_default();
        !hashed_ip.is_empty() && !client_ip.is_empty() && !secrets.verify(&[client_ip], hashed_ip)
    }

    /// Checks the token for a visitor at `client_ip` ("" if unknown) who wants into one of `rooms`. Where tokens may be
    /// late, `now` is earlier by as much.
    pub fn validate<'r>(
        &self,
        secrets: &Secrets,
        rooms: impl IntoIterator<Item = &'r str>,
        client_ip: &str,
        now: i64,
    ) -> Result<(), TokenError> {
        if !self.is_signed_by(secrets) {
            return Err(TokenError::Hash);
        }
        if !rooms.into_iter().any(|room| self.event_id == Some(room)) {
            return Err(TokenError::EventId);
        }
        if self.is_expired(now) {
            return Err(TokenError::Timestamp);
        }
        if self.is_of_other_ip(secrets, client_ip) {
            return Err(TokenError::Ip);
        }
        if !self.is_canonical {
            return Err(TokenError::Form);
        }
        Ok(())
    }
}

/// What has been seen of a token's form. Keys that mean nothing may be anything.
#[derive(Default)]
struct Form {
    /// One bit for each key that means something.
    seen: u8,
    is_broken: bool,
}

impl Form {
    /// `rt`: what a token without one of the others lacks is checked elsewhere.
    const REQUIRED: u8 = 1;

    /// `is_whole` says that no `_` cuts the value.
    fn take(&mut self, key: &str, value: &str, is_whole: bool) {
        let known = match key {
            "rt" => Form::REQUIRED,
            "e" => 1 << 1,
            "q" => 1 << 2,
            "ts" => 1 << 3,
            "ce" => 1 << 4,
            "cv" => 1 << 5,
            "hip" => 1 << 6,
            "h" => 1 << 7,
            _ => return,
        };
        let is_good = match key {
            "ts" => is_decimal(value) && value.len() <= 10,
            "cv" => is_decimal(value) && value.parse().is_ok_and(|minutes: u32| minutes <= MAX_FIXED_VALIDITY),
            "hip" => value.is_empty() || Mac::bytes_of(value).is_some(),
            _ => is_whole,
        };
        self.is_broken |= !is_good || self.seen & known != 0;
        self.seen |= known;
    }

    fn is_canonical(&self) -> bool {
        !self.is_broken && self.seen & Form::REQUIRED == Form::REQUIRED
    }
}

/// Whether it is a number as rooms write them.
fn is_decimal(text: &str) -> bool {
    let is_padded = text.len() > 1 && text.starts_with('0');
    !text.is_empty() && !is_padded && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn nonzero(number: f64) -> Option<f64> {
    (number != 0.0 && !number.is_nan()).then_some(number)
}

/// What a new token shall say; see [`sign`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenFields {
    /// The waiting room's id.
    pub event_id: String,
    /// The visitor's id in the queue; "" leaves it out.
    pub queue_id: String,
    /// Unix second up to and including which the token may be handed in.
    pub expires: i64,
    /// Whether the session may be extended.
    pub extendable: bool,
    /// Validity of the session in minutes where it is fixed.
    pub validity_minutes: Option<u32>,
    /// Why the room lets the visitor go, such as `queue`. Connectors need one.
    pub redirect_type: String,
    /// The address to bind the token to, if it is to be bound.
    pub client_ip: Option<String>,
}

/// Makes a signed token. Ids that are not [`is_expressible`] give a token that no connector accepts.
pub fn sign(fields: &TokenFields, secret: &Secret) -> String {
    let mut token = UnsignedToken { fields, secret }.to_string();
    let hash = secret.sign(&[&token]);
    token.push_str("~h_");
    token.push_str(hash.as_str());
    token
}

/// Whether a value survives in a token: `~` and `_` are its separators, and there is no escape for them.
pub fn is_expressible(value: &str) -> bool {
    !value.contains(['~', '_'])
}

struct UnsignedToken<'f> {
    fields: &'f TokenFields,
    secret: &'f Secret,
}

impl fmt::Display for UnsignedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TokenFields { event_id, queue_id, expires, extendable, validity_minutes, redirect_type, client_ip } =
            self.fields;
        write!(f, "e_{event_id}")?;
        if !queue_id.is_empty() {
            write!(f, "~q_{queue_id}")?;
        }
        write!(f, "~ts_{expires}~ce_{extendable}")?;
        if let Some(minutes) = validity_minutes {
            write!(f, "~cv_{minutes}")?;
        }
        write!(f, "~rt_{redirect_type}")?;
        if let Some(ip) = client_ip {
            write!(f, "~hip_{}", self.secret.sign(&[ip]).as_str())?;
        }
        Ok(())
    }
}

/// How a token stands up to each check; unlike [`Token::validate`] it goes on after the first failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection<'t> {
    /// What the token says.
    pub token: Token<'t>,
    /// Every check that was made, in the order in which a connector makes them.
    pub checks: Vec<Check>,
}

/// One check of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Code of the error that a failure of it leads to.
    pub code: &'static str,
    /// What is checked.
    pub what: &'static str,
    /// Whether it passed.
    pub passed: bool,
}

impl Inspection<'_> {
    /// The first failure, which is the one a connector reports.
    pub fn failure(&self) -> Option<&Check> {
        self.checks.iter().find(|check| !check.passed)
    }
}

/// Looks at a token: what it says, and how it stands up to each check. The room and the address are checked where
/// they are given.
pub fn inspect<'t>(
    text: &'t str,
    secrets: &Secrets,
    room: Option<&str>,
    client_ip: Option<&str>,
    now: i64,
) -> Inspection<'t> {
    let token = Token::parse(text);
    let check = |error: TokenError, what, passed| Check { code: error.code(), what, passed };
    let mut checks = vec![check(TokenError::Hash, "signed with one of the secrets", token.is_signed_by(secrets))];
    if let Some(room) = room {
        checks.push(check(TokenError::EventId, "for this waiting room", token.event_id == Some(room)));
    }
    checks.push(check(TokenError::Timestamp, "not expired", !token.is_expired(now)));
    if let Some(ip) = client_ip {
        checks.push(check(TokenError::Ip, "not bound to another address", !token.is_of_other_ip(secrets, ip)));
    }
    checks.push(check(TokenError::Form, "in the form in which a waiting room writes it", token.is_canonical));
    Inspection { token, checks }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> TokenFields {
        TokenFields {
            event_id: "shop".into(),
            queue_id: "1b2c".into(),
            expires: 1000,
            extendable: true,
            validity_minutes: Some(5),
            redirect_type: "queue".into(),
            client_ip: Some("192.0.2.1".into()),
        }
    }

    #[test]
    fn a_signed_token_is_valid_until_it_expires() {
        let secrets = Secrets::new("k", None);
        let text = sign(&fields(), secrets.current());
        let token = Token::parse(&text);
        assert_eq!((token.event_id, token.queue_id), (Some("shop"), Some("1b2c")));
        assert_eq!((token.expires, token.validity_minutes, token.extendable), (1000.0, Some(5.0), true));
        assert_eq!(token.validate(&secrets, ["x", "shop"], "192.0.2.1", 1000), Ok(()));
        assert_eq!(token.validate(&secrets, ["shop"], "", 1000), Ok(()));
        assert_eq!(token.validate(&secrets, ["shop"], "192.0.2.2", 1000), Err(TokenError::Ip));
        assert_eq!(token.validate(&secrets, ["shop"], "192.0.2.1", 1001), Err(TokenError::Timestamp));
        assert_eq!(token.validate(&secrets, ["Shop"], "192.0.2.1", 1001), Err(TokenError::EventId));
        assert_eq!(token.validate(&Secrets::new("l", None), ["Shop"], "", 1), Err(TokenError::Hash));
    }

    #[test]
    fn inspection_goes_on_after_a_failure() {
        let secrets = Secrets::new("k", None);
        let text = sign(&fields(), &Secret::new("other"));
        let inspection = inspect(&text, &secrets, Some("shop"), Some("192.0.2.1"), 2000);
        let passed: Vec<_> = inspection.checks.iter().map(|check| (check.code, check.passed)).collect();
        let expected = [("hash", false), ("eventid", true), ("timestamp", false), ("ip", false), ("hash", true)];
        assert_eq!(passed, expected);
        assert_eq!(inspection.failure().map(|check| check.code), Some("hash"));
    }

    #[test]
    fn separators_cannot_be_expressed() {
        let mut fields = fields();
        fields.event_id = "my_shop".into();
        assert!(!is_expressible(&fields.event_id));
        let secrets = Secrets::new("k", None);
        let text = sign(&fields, secrets.current());
        assert_eq!(Token::parse(&text).validate(&secrets, ["my_shop"], "", 0), Err(TokenError::EventId));
    }

    #[test]
    fn what_is_signed_has_one_reading() {
        let secrets = Secrets::new("k", None);
        let verdict = |text: &str| {
            let hash = secrets.current().sign(&[text]);
            let token = format!("{text}~h_{}", hash.as_str());
            Token::parse(&token).validate(&secrets, ["shop"], "", 1000)
        };
        let good = "e_shop~q_1b2c~ts_1000~ce_True~rt_queue";
        for text in
            [good, "rt_queue~ts_1000~e_shop", "e_shop~ts_1000~rt_queue~cv_0~zz_a_b~zz~~", &format!("{good}~cv_5")]
        {
            assert_eq!(verdict(text), Ok(()), "{text}");
        }
        for field in good.split('~') {
            let (key, value) = field.split_once('_').expect("a field");
            for twice in [format!("{good}~{field}"), format!("{key}_x~{good}"), format!("{key}_x_y~{good}")] {
                assert_eq!(verdict(&twice), Err(TokenError::Form), "{twice}");
            }
            let odd = good.replace(field, &format!("{key}_{value}_x"));
            assert!(verdict(&odd).is_err(), "{odd}");
        }
        for number in ["+5", "05", "5.0", "NaN", " 5", "5 ", "1e3", "-5", "0x5", "", "525601", "99999999999999999999"] {
            assert_eq!(verdict(&format!("{good}~cv_{number}")), Err(TokenError::Form), "{number}");
        }
        for time in ["01000", "1000.5", "1000 ", "1e10", "0x3e8", "12345678901"] {
            assert!(verdict(&good.replace("1000", time)).is_err(), "{time}");
        }
        assert_eq!(verdict(&good.replace("~rt_queue", "")), Err(TokenError::Form));
        for hip in ["x", &"A".repeat(64), &"a".repeat(63)] {
            assert_eq!(verdict(&format!("{good}~hip_{hip}")), Err(TokenError::Form), "{hip}");
        }
        let hash = secrets.current().sign(&[good]);
        let moved = good.replacen('~', &format!("~h_{}~", hash.as_str()), 1);
        assert_eq!(Token::parse(&moved).validate(&secrets, ["shop"], "", 1000), Err(TokenError::Form));
    }

    #[test]
    fn odd_tokens_have_an_answer() {
        for text in ["", "~", "_", "~h_", "h_x~h_x", "~h_~h_", "é_é~h_é", "~h_\0"] {
            let token = Token::parse(text);
            assert_eq!(token.validate(&Secrets::new("k", None), ["r"], "ip", 0), Err(TokenError::Hash), "{text}");
        }
        assert_eq!(Token::parse("x~h_1~h_1").signed_text().concat(), "x~h_1");
        assert_eq!(Token::parse("h_1~e_x").signed_text().concat(), "h_1~e_x");
    }
}
