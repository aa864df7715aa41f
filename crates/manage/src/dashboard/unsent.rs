//! What somebody entered and could not send, because the session had ended, or was another one by then. The page that
//! says so keeps it, and it can be sent after all.

use http::Request;
use maud::{Markup, html};

use super::form::Form;
use super::{ROOT, is_of_it};

/// A form that was not taken.
pub(super) struct Unsent {
    /// The path that it was sent to.
    to: String,
    /// Its fields, as browsers send them.
    fields: String,
}

impl Unsent {
    /// Nothing if it is too long to be kept: anybody can send it, and gets it back.
    pub fn of(request: &Request<Vec<u8>>) -> Option<Unsent> {
        const KEPT: usize = 256 * 1024;
        let fields = request.body().as_slice();
        (fields.len() <= KEPT).then(|| Unsent {
            to: request.uri().path().to_owned(),
            fields: String::from_utf8_lossy(fields).into_owned(),
        })
    }

    /// What the login page has kept; see [`Unsent::hidden`].
    pub fn kept(form: &Form) -> Option<Unsent> {
        let to = form.text("unsent_to");
        is_of_it(to).then(|| Unsent { to: to.to_owned(), fields: form.text("unsent").to_owned() })
    }

    /// Keeps it in another form.
    pub fn hidden(&self) -> Markup {
        html! {
            input type="hidden" name="unsent_to" value=(self.to);
            input type="hidden" name="unsent" value=(self.fields);
        }
    }

    /// Offers to send it now that there is a session.
    pub fn offer(&self, csrf: &str) -> Markup {
        /// What is longer is sent, but not shown.
        const SHOWN: usize = 5_000;
        let form = Form::parse(self.fields.as_bytes());
        let fields: Vec<_> = form.fields().filter(|(name, _)| *name != "csrf").collect();
        let is_shown = |name: &str, value: &str| name != "version" && (1..=SHOWN).contains(&value.len());
        html! {
            h1 { "Not sent yet" }
            div.notice role="alert" {
                p {
                    "You logged in after the page was loaded, so nothing was changed. What you entered is kept here: send "
                    "it now, or discard it."
                }
            }
            form.card method="post" action=(self.to) {
                input type="hidden" name="csrf" value=(csrf);
                @for (name, value) in &fields { input type="hidden" name=(name) value=(value); }
                dl {
                    @for (name, value) in fields.iter().filter(|(name, value)| is_shown(name, value)) {
                        dt { (name.trim_start_matches('/')) } dd { pre { (value) } }
                    }
                }
                div.actions {
                    button.primary { "Send it now" }
                    a.button href=(ROOT) { "Discard it" }
                }
            }
        }
    }
}
