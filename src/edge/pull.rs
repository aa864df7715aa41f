//! When to fetch the configuration from Queue-it, and what to do with the answer
//! (docs/protocol/queue-it.md#configuration-delivery).
//!
//! A state machine without clock, randomness or I/O: a host asks [`Pull::due`], makes the [`PullRequest`], and hands
//! in what came of it. What was fetched last stays in force until something better arrives.

use std::fmt;

use zeroize::Zeroizing;

use super::BoxError;

/// How long to wait for an answer, in milliseconds.
pub const TIMEOUT_MS: u32 = 4000;

/// First pause after a failure, in milliseconds; it doubles up to the interval.
const FIRST_RETRY_MS: i64 = 5_000;

/// A GET to make.
#[derive(Clone)]
pub struct PullRequest {
    /// Where to.
    pub url: String,
    api_key: Zeroizing<String>,
}

impl PullRequest {
    /// The request for a customer's configuration; without a key for the unsecured address. `None` where the customer
    /// id cannot be part of a host name.
    pub fn new(customer_id: &str, api_key: Option<&str>) -> Option<PullRequest> {
        let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if customer_id.is_empty() || !customer_id.bytes().all(is_label) {
            return None;
        }
        let api_key = Zeroizing::new(api_key.unwrap_or_default().to_owned());
        let secure = if api_key.is_empty() { "" } else { "secure/" };
        let url = format!("https://{customer_id}.queue-it.net/status/integrationconfig/{secure}{customer_id}");
        Some(PullRequest { url, api_key })
    }

    /// Headers to send.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let key = Some(("api-key", self.api_key.as_str())).filter(|(_, key)| !key.is_empty());
        std::iter::once(("user-agent", "queueit-connector")).chain(key)
    }
}

impl fmt::Debug for PullRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullRequest").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The state of one connector's fetching.
#[derive(Clone, Debug)]
pub struct Pull {
    interval_ms: i64,
    next_ms: i64,
    failures: u32,
    fetched: Option<Fetched>,
}

#[derive(Clone, Debug)]
struct Fetched {
    text: String,
    at_ms: i64,
}

/// How good what was fetched last is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing has been fetched yet.
    Never,
    /// It is no older than the interval allows.
    Fresh,
    /// Fetching has failed for a while, and it is this old, in milliseconds.
    Stale(i64),
}

/// Why a fetch has brought nothing that could be used.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// There is no answer.
    #[error("{0}")]
    NoAnswer(#[source] BoxError),
    /// The answer is none that has a configuration.
    #[error("the answer has status {0}")]
    Status(u16),
    /// The answer is not a text.
    #[error("the answer is not UTF-8")]
    NotUtf8(#[from] std::str::Utf8Error),
    /// The configuration itself is no good.
    #[error("{0}")]
    Refused(#[source] BoxError),
}

/// What a fetch has brought.
#[derive(Debug)]
pub enum News {
    /// Another configuration, to be used from now on.
    New(String),
    /// The same as before.
    Same,
    /// Nothing that could be used, and why; what is in force stays in force.
    Failed(PullError),
}

impl Pull {
    /// Fetches every `interval` seconds, for the first time at once.
    pub fn new(interval: u32) -> Pull {
        Pull { interval_ms: i64::from(interval.max(1)) * 1000, next_ms: i64::MIN, failures: 0, fetched: None }
    }

    /// Whether it is time to fetch; if so, the next time is set, so that nobody else fetches meanwhile.
    pub fn due(&mut self, now_ms: i64) -> bool {
        let due = now_ms >= self.next_ms;
        if due {
            self.next_ms = now_ms.saturating_add(i64::from(TIMEOUT_MS) * 2);
        }
        due
    }

    /// When to ask [`Pull::due`] again, in milliseconds since the Unix epoch.
    pub fn next_ms(&self) -> i64 {
        self.next_ms
    }

    /// Hands in what came of a fetch: status and body, or why there is none. `jitter`, from 0 up to 1, is random, so
    /// that connectors do not all ask at the same time. `compiles` says what is wrong with a configuration, if
    /// anything.
    pub fn fetched<E: Into<BoxError>>(
        &mut self,
        now_ms: i64,
        jitter: f64,
        answer: Result<(u16, &[u8]), BoxError>,
        compiles: impl FnOnce(&str) -> Result<(), E>,
    ) -> News {
        let news = self.judge(answer, compiles).unwrap_or_else(News::Failed);
        let pause = match &news {
            News::Failed(_) => {
                self.failures = self.failures.saturating_add(1);
                FIRST_RETRY_MS.saturating_mul(1 << (self.failures - 1).min(20)).min(self.interval_ms)
            }
            News::New(text) => {
                self.succeeded(text.clone(), now_ms);
                self.interval_ms
            }
            News::Same => {
                if let Some(fetched) = self.fetched.take() {
                    self.succeeded(fetched.text, now_ms);
                }
                self.interval_ms
            }
        };
        // Between 90 and 110 percent of the pause.
        let spread = (pause as f64 * (jitter.clamp(0.0, 1.0) - 0.5) * 0.2) as i64;
        self.next_ms = now_ms.saturating_add(pause + spread);
        news
    }

    fn judge<E: Into<BoxError>>(
        &self,
        answer: Result<(u16, &[u8]), BoxError>,
        compiles: impl FnOnce(&str) -> Result<(), E>,
    ) -> Result<News, PullError> {
        let text = match answer.map_err(PullError::NoAnswer)? {
            (200, body) => std::str::from_utf8(body)?,
            (status, _) => return Err(PullError::Status(status)),
        };
        if self.fetched.as_ref().is_some_and(|fetched| fetched.text == text) {
            return Ok(News::Same);
        }
        compiles(text).map_err(|why| PullError::Refused(why.into()))?;
        Ok(News::New(text.to_owned()))
    }

    fn succeeded(&mut self, text: String, at_ms: i64) {
        self.failures = 0;
        self.fetched = Some(Fetched { text, at_ms });
    }

    /// How good what was fetched last is.
    pub fn freshness(&self, now_ms: i64) -> Freshness {
        let Some(fetched) = &self.fetched else { return Freshness::Never };
        let age = now_ms.saturating_sub(fetched.at_ms);
        if age > self.interval_ms.saturating_mul(2) { Freshness::Stale(age) } else { Freshness::Fresh }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiles(text: &str) -> Result<(), &'static str> {
        if text == "broken" { Err("it does not compile") } else { Ok(()) }
    }

    /// The text of what is new.
    fn new(news: &News) -> Option<&str> {
        match news {
            News::New(text) => Some(text),
            News::Same | News::Failed(_) => None,
        }
    }

    #[test]
    fn the_last_good_one_stays() {
        let mut pull = Pull::new(300);
        assert_eq!(pull.freshness(0), Freshness::Never);
        assert!(pull.due(0));
        assert!(!pull.due(1), "somebody is fetching already");
        assert_eq!(new(&pull.fetched(10, 0.5, Ok((200, b"one")), compiles)), Some("one"));
        assert_eq!((pull.next_ms(), pull.freshness(300_000)), (300_010, Freshness::Fresh));
        assert!(matches!(pull.fetched(300_010, 0.5, Ok((200, b"one")), compiles), News::Same));
        assert!(matches!(pull.fetched(600_010, 0.5, Ok((200, b"broken")), compiles), News::Failed(_)));
        assert_eq!(pull.next_ms(), 605_010);
        assert!(matches!(pull.fetched(605_010, 0.5, Ok((500, b"two")), compiles), News::Failed(_)));
        assert_eq!(pull.next_ms(), 615_010);
        assert!(matches!(pull.fetched(1_000_000, 0.5, Err("no route".into()), compiles), News::Failed(_)));
        assert_eq!(pull.freshness(1_000_010), Freshness::Stale(700_000));
        assert_eq!(new(&pull.fetched(1_000_020, 0.5, Ok((200, b"two")), compiles)), Some("two"));
        assert_eq!((pull.next_ms(), pull.freshness(1_000_030)), (1_300_020, Freshness::Fresh));
    }

    #[test]
    fn connectors_spread_out_and_do_not_give_up() {
        let mut pull = Pull::new(300);
        pull.fetched(0, 0.0, Ok((200, b"one")), compiles);
        assert_eq!(pull.next_ms(), 270_000);
        pull.fetched(0, 1.0, Ok((200, b"two")), compiles);
        assert_eq!(pull.next_ms(), 330_000);
        for _ in 0..100 {
            pull.fetched(0, 0.5, Err("no route".into()), compiles);
        }
        assert_eq!(pull.next_ms(), 300_000);
    }

    #[test]
    fn the_request_carries_the_key_and_does_not_print_it() {
        let request = PullRequest::new("acme", Some("hush")).expect("a good customer id");
        assert_eq!(request.url, "https://acme.queue-it.net/status/integrationconfig/secure/acme");
        assert!(request.headers().any(|header| header == ("api-key", "hush")));
        assert!(!format!("{request:?}").contains("hush"));
        let open = PullRequest::new("acme", None).expect("a good customer id");
        assert_eq!(open.url, "https://acme.queue-it.net/status/integrationconfig/acme");
        assert_eq!(open.headers().count(), 1);
        for bad in ["", "a.b", "a/b", "a@b", "é"] {
            assert!(PullRequest::new(bad, None).is_none(), "{bad}");
        }
    }
}
