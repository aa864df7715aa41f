//! What all pages share: the frame around them, and how refusals look.

use maud::{DOCTYPE, Markup, html};

use super::{Desk, ROOT};
use crate::access::Caller;
use crate::failure::Failure;
use crate::store::tokens::Scope;
use velvetrope::internal::policy::Managed;

/// A whole page.
pub(super) fn page(title: &str, header: &Markup, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · velvetrope" }
                link rel="icon" type="image/svg+xml" href=(format!("{ROOT}/assets/icon.svg"));
                link rel="stylesheet" href=(format!("{ROOT}/assets/dashboard.css"));
                script src=(format!("{ROOT}/assets/dashboard.js")) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (header)
                main #main tabindex="-1" { (main) }
            }
        }
    }
}

/// The top of pages for whoever is logged in.
pub(super) fn header(zone: Option<&str>, links: &Markup, caller: &Caller, csrf: &str) -> Markup {
    let is_reader = caller.scope < Scope::Write;
    html! {
        header.top {
            a.brand href=(ROOT) { "velvetrope" }
            @if let Some(zone) = zone { span.zone { (zone) } }
            (links)
            form.who method="post" action=(format!("{ROOT}/logout")) {
                input type="hidden" name="csrf" value=(csrf);
                span { (caller.name) @if is_reader { " (may look only)" } }
                button.quiet { "Log out" }
            }
        }
    }
}

/// The top of a zone's pages.
pub(super) fn navigation(desk: &Desk) -> Markup {
    let here = desk.request.uri().path();
    let links =
        [("Rooms", desk.link(&["rooms"])), ("Lists", desk.link(&["lists"])), ("Audit trail", desk.link(&["audit"]))];
    let links = html! {
        nav aria-label="Pages" {
            @for (name, to) in &links {
                a href=(to) aria-current=[here.starts_with(to.as_str()).then_some("page")] { (name) }
            }
        }
    };
    let is_of_files = desk.zone.settings().managed == Managed::Files;
    html! {
        (header(Some(&desk.zone.id), &links, &desk.caller, &desk.csrf))
        @if is_of_files {
            p.notice.banner {
                "This policy is managed by its files: it can be looked at here, and changed there. To change it here, set "
                code { "managed = \"store\"" } " in its velvetrope.toml."
            }
        }
    }
}

/// A page for what went wrong.
pub(super) fn failure(failure: &Failure) -> Markup {
    let title = match failure.status {
        403 => "That is not allowed",
        404 => "There is nothing here",
        412 => "Somebody was faster",
        500.. => "Something failed here",
        _ => "That was not done",
    };
    html! {
        h1 { (title) }
        (objections(failure))
        p { a.button href=(ROOT) { "Back to the rooms" } }
    }
}

/// What is wrong, in words; read out at once.
pub(super) fn objections(failure: &Failure) -> Markup {
    html! {
        div.notice.bad role="alert" tabindex="-1" autofocus {
            @if failure.status == 412 {
                p { "Somebody else has changed this in the meantime, so nothing of what you asked for was done." }
            } @else {
                @for error in &failure.errors {
                    @match error.message.contains('\n') {
                        true => pre { (error.message) },
                        false => p { (error.message) },
                    }
                }
            }
        }
    }
}

/// A time as the store has it (RFC 3339, in UTC), for people.
pub(super) fn moment(time: &str) -> String {
    let seconds = time.split('.').next().unwrap_or_default();
    format!("{} UTC", seconds.trim_end_matches('Z').replace('T', " "))
}

/// What is doubtful, though it was done; nothing where nothing is.
pub(super) fn doubts(messages: &[String]) -> Markup {
    html! {
        @if !messages.is_empty() {
            div.notice role="status" { @for message in messages { pre { (message) } } }
        }
    }
}

impl Desk<'_, '_> {
    /// What every form carries: who sends it, and which version of what it changes she has seen.
    pub(super) fn hidden(&self, version: Option<i64>) -> Markup {
        html! {
            input type="hidden" name="csrf" value=(self.csrf);
            @if let Some(version) = version { input type="hidden" name="version" value=(version); }
        }
    }
}
