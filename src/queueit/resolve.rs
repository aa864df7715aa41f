//! Decisions for hosts that can wait for the answers.

use super::decision::{Decision, Failure, Step};
use super::outside::{Answers, Outside};
use super::visit::{Configuration, Visit};

/// [`decide`](super::decide) with somebody at hand who answers its questions.
pub fn resolve<'v>(
    visit: &Visit<'v>,
    configuration: Configuration<'v>,
    outside: &dyn Outside,
) -> Result<Decision<'v>, Failure<'v>> {
    until_decided(outside, |answers| super::decide(visit, configuration, answers))
}

/// Repeats `step` until it needs no further answer. It asks each question at most once, so there are few rounds.
pub(super) fn until_decided<'v>(
    outside: &dyn Outside,
    mut step: impl FnMut(&Answers) -> Step<'v>,
) -> Result<Decision<'v>, Failure<'v>> {
    let mut answers = Answers::default();
    loop {
        match step(&answers) {
            Step::Ask(question) => answers.ask(outside, &question),
            Step::Decided(decision) => return Ok(decision),
            Step::Failed(failure) => return Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;

    use super::*;
    use crate::policy::Published;
    use crate::queueit::token::Token;
    use crate::queueit::{ClientIp, DirectPassReply, DirectPassSettings, Question, Reason, Secrets, Services, decide};

    #[test]
    fn a_host_answers_and_asks_again() {
        let text = r#"{"Version": 1, "Integrations": [{"ActionType": "Queue", "EventId": "e", "Triggers": [],
            "QueueDomain": "q.example", "CookieValidityMinute": 5}]}"#;
        let published = Published::parse(text, false).expect("a good configuration");
        let (arena, secrets) = (Bump::new(), Secrets::new("k", None));
        let direct_pass = DirectPassSettings { disabled: false, proxy_key: "p", timeout_ms: Some(9e9) };
        let visit = Visit {
            customer_id: "c",
            secrets: &secrets,
            sdk: "s",
            url: "https://h/",
            pure_url: "https://h/",
            token: Token::parse(""),
            headers: &[],
            client_ip: ClientIp::Unknown,
            now_ms: 0,
            waiting_room_origin: None,
            shared_sessions: false,
            token_leeway: 0,
            answers_scripts: false,
            services: Services { verify_queue_id: true, enqueue_token: true, direct_pass: Some(direct_pass) },
            arena: &arena,
        };
        let configuration = Configuration::InForce { version: "1", matched: Some(&published.all[0].0) };
        let mut answers = Answers::default();

        let Step::Ask(Question::DirectPass(call)) = decide(&visit, configuration, &answers) else { panic!("no call") };
        assert_eq!(call.timeout_ms, 5000);
        answers.direct_pass = Some(Ok(DirectPassReply { has_passed: false, token: None }));
        let Step::Ask(Question::EnqueueToken { event_id: "e" }) = decide(&visit, configuration, &answers) else {
            panic!("no enqueue token")
        };
        answers.enqueue_token = Some(Ok(Some("token".into())));
        let Step::Decided(decision) = decide(&visit, configuration, &answers) else { panic!("no decision") };
        assert_eq!(decision.reason, Reason::MustQueue(None));
        assert!(decision.redirect.is_some_and(|url| url.contains("&enqueuetoken=token&t=")));
    }
}
