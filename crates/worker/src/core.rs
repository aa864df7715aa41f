//! What an isolate decides by: the policy in force, or why there is none.
//!
//! A policy is replaced by a better one, never by a worse one. Between requests nothing is kept but this.

use std::collections::BTreeSet;
use std::convert::Infallible;

use bumpalo::Bump;
use serde::Serialize;

use super::config::{self, Compiled, Held, Variables};
use super::facts::{self, CfFacts};
use super::outcome::{Refused, Texts};
use super::wire::{self, Packed};
use velvetrope::internal::edge::{
    self, Arrivals, BoxError, FailureClass, Identity, LastGood, PolicyState, Refusal, Reply, Secrets, Site,
    UnknownHosts, push, unknown_host,
};
use velvetrope::internal::header_behind;
use velvetrope::internal::policy::Policy;
use velvetrope::internal::program::Scratch;
use velvetrope::internal::queueit::{Mac, Secret};

/// What one instance knows.
pub(super) struct Core {
    identity: Identity,
    variables: Variables,
    policy: LastGood<InForce>,
    /// The policy in force, saved, if it was compiled here and nobody has taken it yet.
    to_store: Option<Vec<u8>>,
    scratch: Scratch,
    arrivals: Arrivals,
    unknown_hosts: UnknownHosts,
}

/// What became of a push.
pub(super) struct Pushed {
    /// For whoever pushed.
    pub reply: String,
    /// What KV shall hold from now on, if it is accepted.
    pub accepted: Option<String>,
    /// What it would be well to know about it all the same.
    pub warnings: Vec<String>,
}

struct InForce {
    policy: Policy,
    secrets: Secrets,
}

impl AsRef<Policy> for InForce {
    fn as_ref(&self) -> &Policy {
        &self.policy
    }
}

/// What `shim.js` shall tell of each request.
#[derive(Debug, PartialEq, Serialize)]
struct Plan<'p> {
    /// Names of headers.
    headers: BTreeSet<&'p str>,
    /// Whether it is all headers instead.
    all_headers: bool,
    /// Properties of `request.cf`, as paths.
    properties: BTreeSet<&'static str>,
    /// Whether it is 16 random bytes besides.
    seed: bool,
    /// Whether it is the start of the body.
    body: bool,
    /// Whether pushes are accepted.
    push: bool,
    /// Whether there is a policy in force.
    in_force: bool,
    /// What marks requests that go on, by how often they have come by: the first time, the second, and so on.
    marks: [String; MARKS],
}

/// A request that has come by so often, and comes again, runs in a circle. An origin may ask its own site for something,
/// with all that it was sent, and that site may do so, too.
const MARKS: usize = 3;

/// The headers that the connector itself looks at.
const ALWAYS: [&str; 8] = [
    "cookie",
    "x-queueittoken",
    "x-queueit-ajaxpageurl",
    "sec-fetch-mode",
    "referer",
    "origin",
    "access-control-request-method",
    "upgrade",
];

impl Core {
    /// One that knows nothing yet.
    pub fn new() -> Core {
        Core {
            identity: Identity::of_host("cloudflare"),
            variables: Variables::default(),
            policy: LastGood::none(FailureClass::StoreUnreachable, "KV has not been read yet"),
            to_store: None,
            scratch: Scratch::default(),
            arrivals: Arrivals::default(),
            unknown_hosts: UnknownHosts::default(),
        }
    }

    /// Takes the variables as they are now. What is in force keeps its own until it is loaded anew.
    pub fn set_variables(&mut self, variables: Variables) {
        self.variables = variables;
    }

    /// Puts in force what was saved of the texts that are held. If that is not fit, they have to be compiled, which is
    /// `false`; if they are no good, what was in force still is.
    pub fn load(&mut self, held: Held, saved: &[u8]) -> Result<bool, String> {
        match config::load(held, saved, &self.variables) {
            Ok(policy) => Ok(policy.map(|policy| self.put_in_force(policy)).is_some()),
            Err(refused) => Err(self.refuse(refused)),
        }
    }

    /// Puts in force what the compiler made of the texts that are held, and says what is noteworthy about it. If they are
    /// no good, what was in force still is.
    pub fn take(&mut self, held: Held, outcome: &[u8]) -> Result<Vec<String>, String> {
        match config::take(held, outcome, &self.variables) {
            Ok(compiled) => Ok(self.put_compiled_in_force(compiled)),
            Err(refused) => Err(self.refuse(refused)),
        }
    }

    fn refuse(&mut self, refused: Refused) -> String {
        let why = refused.why.clone();
        self.note(refused);
        why
    }

    /// Notes that KV cannot be read, and why; whether that is why requests cannot be decided about.
    pub fn store_failed(&mut self, why: String) -> bool {
        self.note(Refused::new(FailureClass::StoreUnreachable, why))
    }

    fn note(&mut self, refused: Refused) -> bool {
        let Refused { class, why, settings } = refused;
        self.policy.refuse(class, why, None, || settings.map(|settings| *settings))
    }

    fn put_in_force(&mut self, policy: Policy) {
        self.to_store = None;
        self.policy.put_in_force(InForce { policy, secrets: self.variables.secrets() }, ());
    }

    fn put_compiled_in_force(&mut self, compiled: Compiled) -> Vec<String> {
        self.put_in_force(compiled.policy);
        self.to_store = Some(compiled.saved);
        compiled.warnings
    }

    /// What KV should hold from now on. It is told once.
    pub fn take_to_store(&mut self) -> Option<Vec<u8>> {
        self.to_store.take()
    }

    /// What has to be told of each request, as JSON.
    pub fn plan(&self) -> String {
        // Texts and flags are JSON.
        serde_json::to_string(&self.planned()).unwrap_or_default()
    }

    fn planned(&self) -> Plan<'_> {
        let marks = self.marks().map(|mark| mark.as_str().to_owned());
        let state = self.policy.state();
        let push = state.settings().is_none_or(|settings| settings.delivery.push);
        let Some(InForce { policy, .. }) = state.in_force() else {
            let (headers, properties) = (BTreeSet::new(), BTreeSet::new());
            return Plan {
                headers,
                all_headers: false,
                properties,
                seed: false,
                body: false,
                push,
                in_force: false,
                marks,
            };
        };
        let needs = policy.program().needs();
        let fields = || needs.fields.iter().filter_map(|field| field.standard());
        let mut headers: BTreeSet<_> = needs.headers.iter().map(String::as_str).collect();
        for name in ALWAYS.into_iter().chain(fields().filter_map(header_behind)) {
            headers.insert(name);
        }
        let mut properties: BTreeSet<_> = fields().flat_map(facts::properties).copied().collect();
        let is_seeded = properties.remove(facts::SEED);
        let (all_headers, body) = (needs.all_headers, needs.body);
        Plan { headers, all_headers, properties, seed: is_seeded, body, push, in_force: true, marks }
    }

    /// No token, session or push can be signed so: it would need a zero byte.
    fn marks(&self) -> [Mac; MARKS] {
        let secret = Secret::new(&*self.variables.secret);
        std::array::from_fn(|times| secret.sign(&["velvetrope\0passed\0", &times.to_string()]))
    }

    /// How often a request has come by that brings this mark; never if nobody here has made it.
    pub fn times_passed(&self, mark: &str) -> usize {
        self.marks().iter().position(|known| known.is(mark)).map_or(0, |times| times + 1)
    }

    /// The reply to a request.
    pub fn decide(&mut self, packed: &str) -> String {
        let Core { identity, policy, variables, scratch, arrivals, unknown_hosts, .. } = self;
        let state = policy.state();
        let InForce { policy, secrets } = match &**state {
            PolicyState::InForce(in_force) => in_force,
            PolicyState::Absent { class, why, .. } => {
                let failure = state.failure(variables.failure());
                return wire::write(&edge::handle_failure(*class, &failure, identity, why, scratch), None, None);
            }
        };
        let Some(packed) = Packed::read(packed) else { return self.fail("a request was packed wrongly") };
        let url = match packed.url() {
            Ok(url) => url,
            Err(malformed) => return wire::write(&edge::refuse(malformed, identity, scratch), None, None),
        };
        let facts = CfFacts { arrivals: Some(arrivals), ..packed.facts() };
        let site = Site { policy, secrets, identity };
        let reply = edge::handle(site, &packed.incoming(&url, &facts), scratch);
        let rule = reply.verdict.and_then(|verdict| policy.bypassed_by(verdict));
        let host = url.authority();
        let is_news = reply.is_misdirected() && unknown_hosts.note(host) == Refusal::First;
        let told = is_news.then(|| unknown_host(host));
        let reply = Reply { failed: told.as_deref().or(reply.failed), ..reply };
        wire::write(&reply, rule, Some(url.as_str()).filter(|url| *url != packed.asked()))
    }

    /// The reply to a request that could not be decided about.
    pub fn fail(&mut self, why: &str) -> String {
        let failure = self.policy.state().failure(self.variables.failure());
        let class = FailureClass::Internal;
        wire::write(&edge::handle_failure(class, &failure, &self.identity, why, &mut self.scratch), None, None)
    }

    /// The configuration in a push that is signed, to be compiled.
    pub fn pushed_text(&self, body: &[u8]) -> Option<String> {
        let mut pushed = None;
        let note = |text: &str| {
            pushed = Some(text.to_owned());
            Ok::<(), Infallible>(())
        };
        push::accept(body, &self.variables.secrets(), &self.identity, &Bump::new(), note);
        pushed
    }

    /// Accepts a configuration that Queue-it sends if it is signed, compiles with everything else that KV `holds`, and is
    /// no older than what is known: puts the outcome in force, and gives the text to store. The reply says what became of
    /// it.
    pub fn push(&mut self, body: &[u8], holds: Texts<'_>, outcome: &[u8]) -> Pushed {
        let mut good = None;
        let compiles = |text: &str| -> Result<(), BoxError> {
            let texts = Texts { info: Some(text), ..holds };
            let compiled = config::take(texts.held(), outcome, &self.variables)?;
            self.policy.state().refuse_older(&compiled.policy, holds.info)?;
            good = Some(compiled);
            Ok(())
        };
        let arena = Bump::new();
        let push::Push { reply, accepted } =
            push::accept(body, &self.variables.secrets(), &self.identity, &arena, compiles);
        let reply = wire::write(&reply, None, None);
        let warnings = match (&accepted, good) {
            (Some(_), Some(good)) => self.put_compiled_in_force(good),
            _ => Vec::new(),
        };
        Pushed { reply, accepted, warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;
    use velvetrope::internal::policy::OnFailure;
    use velvetrope::internal::policy::bundle::bundle;

    const INFO: &str = r#"{"Version": 7, "Integrations": [{"Name": "Shop", "ActionType": "Queue", "EventId": "shop",
        "QueueDomain": "q.example", "CookieValidityMinute": 5, "Triggers": [{"LogicalOperator": "And", "TriggerParts": [
        {"ValidatorType": "UrlValidator", "UrlPart": "PagePath", "Operator": "Contains", "ValueToCompare": "/shop"}]}]}]}"#;
    const REQUEST: &str = "1700000000000\nGET\nhttps://h/shop\n192.0.2.7\n\n";

    fn core(on_failure: OnFailure) -> Core {
        let mut core = Core::new();
        let [customer_id, secret] = ["acme", "s"].map(str::to_owned);
        core.set_variables(Variables { customer_id, secret, on_failure, ..Variables::default() });
        core
    }

    fn load(core: &mut Core, info: &str, policy: Option<&str>) -> Result<Vec<String>, String> {
        let texts = Texts { info: Some(info), policy, managed: None };
        assert_eq!(core.load(texts.held(), &[]), Ok(false));
        core.take(texts.held(), &postcard::to_allocvec(&compile(texts, "acme")).expect("bytes"))
    }

    /// Status and label.
    fn told(reply: &str) -> (&str, &str) {
        let mut lines = reply.lines();
        (lines.next().expect("a status"), lines.next().expect("a label"))
    }

    #[test]
    fn visitors_are_decided_about() {
        let mut core = core(OnFailure::Open);
        assert_eq!(load(&mut core, INFO, None), Ok(vec![]));
        let reply = core.decide(REQUEST);
        assert_eq!(told(&reply), ("302", "queue"));
        assert!(reply.contains("\nlocation\nhttps://q.example/?c=acme&e=shop&"), "{reply}");
        assert!(reply.contains("&kupver=cloudflare-"), "{reply}");
        assert_eq!(told(&core.decide(&REQUEST.replace("shop", "about"))), ("0", "pass"));
        assert_eq!(told(&core.decide("nonsense")), ("0", "failed-open"));
    }

    #[test]
    fn what_is_missing_follows_the_failure_policy() {
        let mut core = core(OnFailure::Closed);
        assert_eq!(told(&core.decide(REQUEST)), ("503", "failed-closed"));
        core.store_failed("KV is down".into());
        assert!(core.decide(REQUEST).starts_with("503\nfailed-closed\nKV is down\n"));
        assert!(load(&mut core, "{", None).is_err());
        assert_eq!(told(&core.decide(REQUEST)), ("503", "failed-closed"));
        let files = [("velvetrope.toml", "customer_id = 'a'\n[failure]\ninvalid_configuration = 'open'")];
        let files = files.map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec()));
        let policy = bundle(&files.into()).expect("texts");
        assert!(load(&mut core, "{", Some(&policy)).is_err());
        assert_eq!(told(&core.decide(REQUEST)), ("0", "failed-open"));
    }

    #[test]
    fn nothing_worse_replaces_what_is_in_force() {
        let mut core = core(OnFailure::Open);
        assert!(core.store_failed("KV is down".into()));
        load(&mut core, INFO, None).expect("a policy");
        assert!(load(&mut core, "{", None).is_err());
        assert!(core.load(Held::default(), &[]).is_err());
        assert!(!core.store_failed("KV is down".into()));
        assert_eq!(told(&core.decide(REQUEST)), ("302", "queue"));
        assert_eq!(told(&core.fail("a trap")), ("0", "failed-open"));
        load(&mut core, r#"{"Version": 8, "Integrations": []}"#, None).expect("a policy");
        assert_eq!(told(&core.decide(REQUEST)), ("0", "pass"));
    }

    #[test]
    fn what_was_compiled_is_stored_once() {
        let mut core = core(OnFailure::Open);
        load(&mut core, INFO, None).expect("a policy");
        let saved = core.take_to_store().expect("a saved policy");
        assert!(core.take_to_store().is_none());
        let texts = Texts { info: Some(INFO), ..Texts::default() };
        assert_eq!(core.load(texts.held(), &saved), Ok(true));
        assert!(core.take_to_store().is_none());
        assert_eq!(told(&core.decide(REQUEST)), ("302", "queue"));
    }

    #[test]
    fn only_what_is_needed_is_asked_for() {
        let mut core = core(OnFailure::Open);
        let mut nothing = serde_json::json!({
            "headers": [], "all_headers": false, "properties": [], "seed": false, "body": false, "push": true,
            "in_force": false, "marks": core.marks().map(|mark| mark.as_str().to_owned()),
        });
        let planned = |core: &Core| serde_json::from_str::<serde_json::Value>(&core.plan()).expect("JSON");
        assert_eq!(planned(&core), nothing);
        load(&mut core, INFO, None).expect("a policy");
        nothing["headers"] = serde_json::json!(BTreeSet::from(ALWAYS));
        nothing["in_force"] = true.into();
        assert_eq!(planned(&core), nothing);
        let rule = |expression: &str| {
            let expression = serde_json::to_string(expression).expect("a text");
            format!(
                r#"[{{"id": "r", "action": "bypass_waiting_room", "expression": {expression}, "description": ""}}]"#
            )
        };
        let mut plan_for = |expression: &str| {
            let settings = "customer_id = 'a'\nrules = { '*' = 'r.json' }\n[delivery]\npush = false".to_owned();
            let files = [("velvetrope.toml", settings), ("r.json", rule(expression))];
            let files = files.map(|(file, text)| (file.to_owned(), text.into_bytes()));
            load(&mut core, INFO, Some(&bundle(&files.into()).expect("texts"))).expect("a policy");
            serde_json::to_value(core.planned()).expect("JSON")
        };
        let plan = plan_for(
            "ip.src.subdivision_1_iso_code eq \"CH-ZH\" or http.user_agent contains \"x\" or cf.ray_id eq \"1\"",
        );
        assert_eq!(plan["properties"], serde_json::json!(["country", "regionCode"]));
        let headers: BTreeSet<_> = ALWAYS.into_iter().chain(["cf-ray", "user-agent"]).collect();
        assert_eq!(plan["headers"], serde_json::json!(headers));
        assert_eq!((&plan["push"], &plan["seed"]), (&false.into(), &false.into()));
        assert_eq!(plan_for("any(http.request.headers.names[*] eq \"x\")")["all_headers"], true);
    }

    fn pushed(text: &str, secret: &str) -> String {
        let hex = velvetrope::internal::hex(text.as_bytes());
        let hash = Secrets::new(secret, None).current().sign(&[&hex]);
        format!(r#"{{"integrationInfo":"{hex}","hash":"{}"}}"#, hash.as_str())
    }

    fn push_to(core: &mut Core, body: &str, holds: Texts<'_>) -> Pushed {
        let text = core.pushed_text(body.as_bytes());
        let outcome = postcard::to_allocvec(&compile(Texts { info: text.as_deref(), ..holds }, "acme")).expect("bytes");
        core.push(body.as_bytes(), holds, &outcome)
    }

    fn push(core: &mut Core, body: &str) -> (String, Option<String>) {
        let Pushed { reply, accepted, .. } = push_to(core, body, Texts::default());
        (reply, accepted)
    }

    #[test]
    fn an_older_push_is_refused() {
        let version = |version: u32| INFO.replace("\"Version\": 7", &format!("\"Version\": {version}"));
        let is_taken = |core: &mut Core, number: u32, holds: Texts<'_>| {
            push_to(core, &pushed(&version(number), "s"), holds).accepted.is_some()
        };
        let mut core = core(OnFailure::Open);
        assert!(is_taken(&mut core, 7, Texts::default()));
        assert!(is_taken(&mut core, 7, Texts::default()), "the same again changes nothing");
        assert!(is_taken(&mut core, 10, Texts::default()), "10 is more than 9 and than 7");
        assert!(!is_taken(&mut core, 9, Texts::default()));
        let newer = version(12);
        let held = Texts { info: Some(&newer), ..Texts::default() };
        assert!(!is_taken(&mut core, 11, held), "another isolate has taken a newer one");
        let settings = [("velvetrope.toml".to_owned(), b"customer_id = 'a'\n[delivery]\nallow_older = true".to_vec())];
        let bundle = bundle(&settings.into()).expect("texts");
        assert!(is_taken(&mut core, 5, Texts { policy: Some(&bundle), ..held }));
    }

    #[test]
    fn a_mark_is_known_to_who_has_the_secret() {
        let core = core(OnFailure::Open);
        for (times, mark) in core.marks().iter().enumerate() {
            let mark = mark.as_str();
            assert_eq!(core.times_passed(mark), times + 1);
            assert_eq!(Core::new().times_passed(mark), 0, "another secret");
            for strange in ["", "1", &mark[1..], &mark.to_uppercase(), &format!("{mark} ")] {
                assert_eq!(core.times_passed(strange), 0, "{strange:?}");
            }
        }
    }

    #[test]
    fn one_broken_integration_is_so_for_itself_alone() {
        let broken = INFO
            .replace("[{\"Name\"", "[{\"Name\": \"Odd\", \"ActionType\": \"Queue\", \"Triggers\": null}, {\"Name\"");
        let mut core = core(OnFailure::Open);
        let Pushed { accepted, warnings, .. } = push_to(&mut core, &pushed(&broken, "s"), Texts::default());
        assert!(accepted.is_some());
        assert!(warnings.iter().any(|warning| warning.contains("Integrations[0].Triggers")), "{warnings:?}");
        assert_eq!(told(&core.decide(REQUEST)), ("302", "queue"));
        let alone = INFO.replace("\"EventId\": \"shop\",", "");
        assert!(push_to(&mut core, &pushed(&alone, "s"), Texts::default()).accepted.is_none(), "no other works");
    }

    #[test]
    fn a_push_comes_into_force() {
        let mut core = core(OnFailure::Open);
        for (text, secret) in [(INFO, "other"), ("{", "s")] {
            let (reply, accepted) = push(&mut core, &pushed(text, secret));
            assert_eq!((told(&reply), accepted), (("400", "push"), None));
        }
        let (reply, accepted) = push(&mut core, &pushed(INFO, "s"));
        assert_eq!((told(&reply), accepted.as_deref()), (("200", "push"), Some(INFO)));
        assert!(reply.ends_with("\n\nSuccess!"), "{reply}");
        assert_eq!(told(&core.decide(REQUEST)), ("302", "queue"));
        assert!(core.take_to_store().is_some());
    }
}
