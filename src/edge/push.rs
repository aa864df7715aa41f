//! Configurations that Queue-it sends (docs/protocol/queue-it.md#configuration-delivery).
//!
//! The protocol has no protection against an old, validly signed configuration being sent again; operators switch
//! pushes on deliberately, and what has a lower `Version` than what is known is refused (`[delivery] allow_older`).

use bumpalo::Bump;
use serde::Deserialize;

use super::{BoxError, Identity, Outcome, Reply};
use crate::queueit::Secrets;
use crate::request::hex_digit;

/// The largest body that is looked at, in bytes. The configuration is in hexadecimal, so it may be half of that.
pub const MAX_BODY: usize = 8 << 20;

const MARK: &str = "__push_queueit_config";

/// What becomes of a push.
#[derive(Clone, Debug, PartialEq)]
pub struct Push<'r> {
    /// What to answer: 200 `Success!` or 400 `Fail!`. `failed` says why, for logs.
    pub reply: Reply<'r>,
    /// The configuration to store and use, if it is accepted.
    pub accepted: Option<String>,
}

/// Why a push is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The body is longer than [`MAX_BODY`].
    #[error("the body has {length} bytes, more than {MAX_BODY}")]
    TooLong {
        /// Bytes.
        length: usize,
    },
    /// Without a secret nothing can be checked.
    #[error("no secret is set, so no signature can be checked")]
    NoSecret,
    /// The body is not the object that the protocol has.
    #[error("the body is not {{\"integrationInfo\": …, \"hash\": …}}: {0}")]
    Body(#[from] serde_json::Error),
    /// It is signed with no secret that is known here.
    #[error("the hash is not that of integrationInfo under the secret")]
    Signature,
    /// What is signed is not hexadecimal.
    #[error("integrationInfo is not hexadecimal")]
    NotHexadecimal,
    /// What is signed is not a text.
    #[error("integrationInfo is not UTF-8")]
    NotUtf8(#[from] std::string::FromUtf8Error),
    /// The configuration itself is no good.
    #[error("{0}")]
    Refused(#[source] BoxError),
}

/// Whether a request is a push, whatever its method: its URL says so anywhere but at the beginning.
pub fn is_push(url: &str) -> bool {
    url.find(MARK).is_some_and(|at| at > 0)
}

/// Accepts a push if it is signed with one of the secrets and `compiles` has nothing against the configuration (it
/// says what is wrong, if anything).
pub fn accept<'r, E: Into<BoxError>>(
    body: &[u8],
    secrets: &Secrets,
    identity: &'r Identity,
    arena: &'r Bump,
    compiles: impl FnOnce(&str) -> Result<(), E>,
) -> Push<'r> {
    let accepted = opened(body, secrets).and_then(|text| match compiles(&text) {
        Ok(()) => Ok(text),
        Err(why) => Err(PushError::Refused(why.into())),
    });
    let (status, body) = if accepted.is_ok() { (200, "Success!") } else { (400, "Fail!") };
    let headers = arena.alloc([("x-queueit-connector", identity.connector.as_str())]);
    let outcome = Outcome::Answer { status, headers, body };
    let (accepted, failed) = match accepted {
        Ok(text) => (Some(text), None),
        Err(why) => (None, Some(&*arena.alloc_str(&why.to_string()))),
    };
    Push { reply: Reply { outcome, verdict: None, failed, label: "push" }, accepted }
}

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(rename = "integrationInfo", borrow)]
    info: std::borrow::Cow<'b, str>,
    #[serde(borrow)]
    hash: std::borrow::Cow<'b, str>,
}

/// The configuration in a push, if its signature is right.
fn opened(body: &[u8], secrets: &Secrets) -> Result<String, PushError> {
    if body.len() > MAX_BODY {
        return Err(PushError::TooLong { length: body.len() });
    }
    if secrets.current().is_empty() {
        return Err(PushError::NoSecret);
    }
    let body: Body = serde_json::from_slice(body)?;
    if !secrets.verify(&[&body.info], &body.hash) {
        return Err(PushError::Signature);
    }
    Ok(String::from_utf8(from_hex(&body.info).ok_or(PushError::NotHexadecimal)?)?)
}

/// Any case, and nothing besides: what is signed is read whole.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is accepted, or the status and why it is not.
    fn push(body: &str, secrets: &Secrets) -> Result<String, (u16, String)> {
        let (identity, arena) = (Identity::of_host("test"), Bump::new());
        let push = accept(body.as_bytes(), secrets, &identity, &arena, |text| match text {
            "broken" => Err("it does not compile"),
            _ => Ok(()),
        });
        let Outcome::Answer { status, .. } = push.reply.outcome else { panic!("no answer") };
        push.accepted.ok_or_else(|| (status, push.reply.failed.unwrap_or_default().to_owned()))
    }

    fn signed(text: &str, secrets: &Secrets) -> String {
        let hex = crate::request::hex(text.as_bytes());
        format!(r#"{{"integrationInfo":"{hex}","hash":"{}"}}"#, secrets.current().sign(&[&hex]).as_str())
    }

    #[test]
    fn only_what_is_signed_and_compiles_is_accepted() {
        let secrets = Secrets::new("k", None);
        assert_eq!(push(&signed("{é}", &secrets), &secrets), Ok("{é}".to_owned()));
        for body in ["", "{", "[]", "{}", r#"{"integrationInfo":"7b7d"}"#, &signed("broken", &secrets)] {
            assert!(push(body, &secrets).is_err_and(|(status, why)| status == 400 && !why.is_empty()), "{body}");
        }
        assert!(push(&signed("{}", &Secrets::new("other", None)), &secrets).is_err());
    }

    #[test]
    fn what_is_signed_has_one_reading() {
        let secrets = Secrets::new("k", None);
        let good = signed("{}", &secrets);
        let hash = |info: &str| secrets.current().sign(&[info]).as_str().to_owned();
        let body = |info: &str| format!(r#"{{"integrationInfo":"{info}","hash":"{}"}}"#, hash(info));
        assert_eq!(push(&body("7B7d"), &secrets), Ok("{}".to_owned()));
        for odd in [
            good.replacen('{', r#"{"integrationInfo":"7b7d","#, 1),
            good.replacen('{', &format!(r#"{{"hash":"{}","#, hash("7b7d")), 1),
            format!("{good}x"),
            format!("{good}{good}"),
            body("7b7d7"),
            body("7b 7d"),
            body("7b7d "),
            body("0x7b7d"),
            good.replace(&hash("7b7d"), &hash("7b7d").to_uppercase()),
        ] {
            assert!(push(&odd, &secrets).is_err(), "{odd}");
        }
    }

    #[test]
    fn nothing_is_accepted_without_a_secret() {
        let none = Secrets::new("", None);
        assert!(push(&signed("{}", &none), &none).is_err());
    }

    #[test]
    fn pushes_are_told_by_their_url() {
        assert!(is_push("https://h/?__push_queueit_config"));
        assert!(!is_push("__push_queueit_config"));
        assert!(!is_push("https://h/?push"));
    }
}
