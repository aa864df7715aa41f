//! *Try it*: what would come of a request, if the rules were as the form has them.

use maud::{Markup, html};

use super::Desk;
use super::form::Form;
use crate::failure::{Code, Failure};
use crate::har::{self, Fate, Judged};
use crate::snapshot;
use crate::store::Store;
use crate::store::zones::Zone;
use velvetrope::internal;
use velvetrope::internal::edge::explain::Explained;
use velvetrope::internal::edge::{Described, Identity, Site};
use velvetrope::internal::language::Diagnostic;
use velvetrope::internal::policy::{Policy, SETTINGS_FILE};
use velvetrope::internal::program::Trace;
use velvetrope::internal::queueit::Secrets;
use velvetrope::internal::request::{Field, OwnedRequest};

/// Methods that are offered.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Explains the request that the form describes.
pub(super) fn explain(desk: &Desk, form: &Form) -> Result<Markup, Failure> {
    let request = request(form)?.received_ms(desk.store.now_ms());
    let explain = |site: Site<'_>| Explained::of(site, &request, &Described::to(&site.policy.settings, &request));
    let explained = at_site(desk, explain)?;
    let explained = explained.ok_or_else(|| Failure::new(500, Code::Internal, "the policy cannot be explained"))?;
    Ok(report(&explained))
}

/// Judges the requests of a recording.
pub(super) fn judge(desk: &Desk, form: &Form) -> Result<Markup, Failure> {
    let requests = har::recorded(form.text("har")).map_err(|error| Failure::invalid("/har", error.to_string()))?;
    let visitor = OwnedRequest::new("").received_ms(desk.store.now_ms());
    let judged = at_site(desk, |site| har::judge(site, requests, &visitor))?;
    Ok(verdicts(&judged))
}

/// Looks at the site as it would be with what the store holds now.
fn at_site<T>(desk: &Desk, look: impl FnOnce(Site<'_>) -> T) -> Result<T, Failure> {
    let policy = policy(desk.store, &desk.zone)?;
    let identity = Identity::of_host(&policy.settings.target.to_string());
    let secrets = Secrets::new("a throw-away secret of the dashboard", None);
    Ok(look(Site { policy: &policy, secrets: &secrets, identity: &identity }))
}

/// The policy as it would be in force with what the store holds now.
fn policy(store: &Store<'_>, zone: &Zone) -> Result<Policy, Failure> {
    let mut sources = snapshot::texts(store, &zone.id)?;
    sources.insert(SETTINGS_FILE.to_owned(), zone.settings_text.clone().into_bytes());
    if let (Some(file), Some(text)) = (&zone.settings().integration, &zone.integration) {
        sources.insert(file.clone(), text.clone().into_bytes());
    }
    let compiled = Policy::compile_delivered(&sources, None).map_err(|findings| {
        let told = |found: &Diagnostic| format!("{}: {}", found.place.file, found.message);
        let errors: Vec<String> = findings.errors().map(told).collect();
        Failure::new(409, Code::Invalid, format!("the policy as a whole has errors: {}", errors.join("; ")))
    })?;
    Ok(compiled.policy)
}

fn request(form: &Form) -> Result<OwnedRequest, Failure> {
    let bad = |field: &str, message: String| Failure::invalid(&format!("/{field}"), message);
    let url = form.text("try_url").trim();
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        return Err(bad("try_url", format!("give a whole URL to try, with https://, not {url:?}")));
    }
    let mut request = OwnedRequest::new(url);
    let method = form.text("try_method");
    if METHODS.contains(&method) {
        request = request.method(method);
    }
    let address = form.text("try_ip").trim();
    if !address.is_empty() {
        let address =
            internal::address(address).ok_or_else(|| bad("try_ip", format!("{address:?} is no IP address")))?;
        request = request.client_ip(address);
    }
    let country = form.text("try_country").trim().to_ascii_uppercase();
    if !country.is_empty() {
        request = request.fact(Field::IpSrcCountry, country.as_str());
    }
    for line in form.text("try_headers").lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| bad("try_headers", format!("write headers as `name: value`, not {line:?}")))?;
        request = request.header(name.trim().to_ascii_lowercase(), value.trim());
    }
    Ok(request)
}

/// The fields of *Try it*, with what was sent, and what came of it.
pub(super) fn form(to: impl Fn(&str) -> String, sent: &Form, outcome: Option<&Markup>) -> Markup {
    let input = |name: &str, label: &str, help: &str| {
        html! {
            div.field {
                label for=(name) { (label) }
                input id=(name) type="text" name=(name) value=(sent.text(name)) aria-describedby={ (name) "-help" };
                p.help id={ (name) "-help" } { (help) }
            }
        }
    };
    html! {
        section.card #try aria-labelledby="try-title" {
            h2 #try-title { "Try it" }
            p { "What would come of a request if this rule were deployed. Nothing is saved." }
            (input("try_url", "URL", "Such as https://tickets.example/shop."))
            div.row {
                div.field {
                    label for="try_method" { "Method" }
                    select #try_method name="try_method" {
                        @for method in METHODS {
                            option selected[sent.text("try_method") == *method] { (method) }
                        }
                    }
                }
                (input("try_ip", "Address", "Of the visitor, such as 192.0.2.7."))
                (input("try_country", "Country", "Of the visitor; two letters, such as DK."))
            }
            div.field {
                label for="try_headers" { "Headers" }
                textarea #try_headers name="try_headers" rows="2" spellcheck="false" aria-describedby="try_headers-help" {
                    "\n" (sent.text("try_headers"))
                }
                p.help #try_headers-help { "One a line: " code { "name: value" } }
            }
            button formaction={ (to("try")) "#outcome" } formnovalidate data-try { "Try it" }
        }
        section.card aria-labelledby="recording-title" {
            h2 #recording-title { "What the page asks for besides itself" }
            p {
                "A rule that lets a page pass by its URL leaves its styles, scripts and images queued, unless their requests "
                "pass, too. Record the page with your browser (developer tools, Network, save as HAR) to see them."
            }
            div.field {
                label for="har" { "Recording (HAR)" }
                textarea #har name="har" rows="2" spellcheck="false" {}
            }
            div.field.with-scripts hidden {
                label for="har-file" { "Or a file" }
                input #har-file type="file" accept=".har,application/json";
            }
            button formaction={ (to("recording")) "#outcome" } formnovalidate data-try { "Judge the recording" }
        }
        div #outcome role="status" { @if let Some(outcome) = outcome { (outcome) } }
    }
}

/// What would become of each recorded request.
fn verdicts(judged: &[Judged]) -> Markup {
    let queued = judged.iter().filter(|judged| judged.fate == Fate::Queued).count();
    html! {
        @match queued {
            0 => div.notice.good { p { strong { "No request of the recording would be queued." } } },
            1 => div.notice { p { strong { "1 request of the recording would be queued." } } },
            queued => div.notice { p { strong { (queued) " requests of the recording would be queued." } } },
        }
        table.cards {
            caption.unseen { "Requests of the recording" }
            thead { tr { th scope="col" { "Request" } th scope="col" { "Kind" } th scope="col" { "What becomes of it" } } }
            tbody { @for judged in judged { tr {
                th scope="row" { (judged.request.method) " " (judged.request.url) }
                td data-label="Kind" { (judged.request.kind) }
                td data-label="What becomes of it" {
                    @match judged.fate {
                        Fate::Queued => span.badge.all { "queued" },
                        Fate::Bypassed => span.badge.bypass { "bypasses" },
                        Fate::Free => "no waiting room there",
                        Fate::Elsewhere => "another site",
                    }
                }
            } } }
        }
    }
}

fn report(explained: &Explained) -> Markup {
    let Explained { integrations, rules, verdict, decision, .. } = explained;
    let (class, words) = match verdict.kind {
        "nothing" => ("", "No waiting room stands there."),
        "bypassed" => ("good", "The request passes the waiting room by."),
        _ => ("", "No bypass rule is true."),
    };
    html! {
        div.notice.(class) {
            p { strong { (words) } }
            p { "Decision: " code { (decision.label) } ", because " (decision.reason) "." }
            @if let Some(to) = &decision.redirect { p { "The visitor is sent to " code { (to) } } }
        }
        p.help { "Sessions and tokens of visitors cannot be judged here: the secret is with the data path." }
        @for tried in integrations.iter().filter(|tried| tried.matched) {
            details {
                summary { "Waiting room " (tried.room.as_deref().unwrap_or(&tried.name)) }
                ul.trace { (trace(&tried.trace)) }
            }
        }
        @for tried in rules {
            details open {
                summary {
                    "Rule " @if tried.description.is_empty() { (tried.id) } @else { (tried.description) } ": "
                    @if tried.matched { "is true" } @else { "is not true" }
                }
                ul.trace { (trace(&tried.trace)) }
            }
        }
    }
}

/// How a condition came out, and its parts.
fn trace(trace: &Trace) -> Markup {
    let (class, words) = match trace.result {
        Some(true) => ("true", "true"),
        Some(false) => ("false", "false"),
        None => ("open", "not looked at"),
    };
    html! {
        li.(class) {
            code.code data-expression { (trace.text) } " "
            strong { (words) }
            @if let Some(saw) = &trace.saw { ", saw " code { (saw) } }
            @if !trace.parts.is_empty() { ul.trace { @for part in &trace.parts { (self::trace(part)) } } }
        }
    }
}
