//! The form of a rule: its name and its expression, written in rows or as text, and what would come of it.

use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::form::Form;
use super::rooms::name;
use super::rules::title;
use super::{Desk, Reply, attempt, layout};
use crate::api;
use crate::body::MAX_TEXT;
use crate::builder::{Builder, Choice, Incomplete, Operator, choices};
use crate::failure::Failure;
use crate::har;
use crate::store::rooms::RoomRow;
use crate::store::rules::Rule;
use velvetrope::internal::language::{MAX_CHARACTERS, Scheme, certainty, parse};

/// What to think of with rules that look at URLs.
const SUBREQUESTS: &str = "This rule looks at the URL: styles, scripts and images of the page stay queued unless a rule \
                           lets them pass, too. A recording of the page, below, tells which.";

/// What the form holds.
#[derive(Clone, Default)]
pub(super) struct Draft {
    description: String,
    expression: String,
    /// The rows of the builder, where those were sent; the expression is what they say.
    rows: Option<Builder>,
    /// What is missing in them.
    incomplete: Option<String>,
    /// Whether it is acknowledged that the expression lets everybody pass.
    is_for_everybody: bool,
}

/// What stands above and beside the form.
#[derive(Default)]
struct Around<'a> {
    failure: Option<&'a Failure>,
    doubts: &'a [String],
    /// What was tried, and what came of it.
    attempt: Option<Markup>,
}

impl Desk<'_, '_> {
    pub(super) fn new_rule(&self, room: &RoomRow) -> Result<Reply, Failure> {
        self.rule_form(room, None, &Draft::default(), &Form::default(), Around::default())
    }

    pub(super) fn rule(&self, room: &RoomRow, id: &str) -> Result<Reply, Failure> {
        let (_, rule) = self.store.rule(&room.id, id)?.ok_or_else(|| Failure::not_found("rule", id))?;
        self.rule_form(room, Some(&rule), &Draft::from(&rule), &Form::default(), Around::default())
    }

    /// Creates a rule, or changes the one with this id.
    pub(super) fn write_rule(&self, room: &RoomRow, id: Option<&str>, form: &Form) -> Result<Reply, Failure> {
        let draft = Draft::of(form);
        let failure = match self.put_rule(room, id, &draft, form.text("enabled") == "true", form) {
            Ok(doubts) if doubts.is_empty() => return Ok(self.to_rules(room, "").kept()),
            Ok(doubts) => return self.saved_with_doubts(room, id, &doubts),
            Err(failure) => failure,
        };
        // Whoever else has deleted it: what was sent is not lost, and can be saved as a new one.
        let rule = id.map(|id| self.store.rule(&room.id, id)).transpose()?.flatten().map(|(_, rule)| rule);
        let around = Around { failure: Some(&failure), ..Around::default() };
        self.rule_form(room, rule.as_ref(), &draft, form, around)
    }

    /// Does as if the rule were saved and deployed, and tells what would come of a request.
    pub(super) fn try_rule(
        &self,
        room: &RoomRow,
        id: Option<&str>,
        form: &Form,
        attempt: fn(&Desk, &Form) -> Result<Markup, Failure>,
    ) -> Result<Reply, Failure> {
        let draft = Draft::of(form);
        let old = id.map(|id| self.store.rule(&room.id, id)).transpose()?.flatten().map(|(_, rule)| rule);
        // Nothing is saved, so nothing needs to be acknowledged.
        let deployed = Draft { is_for_everybody: true, ..draft.clone() };
        let tried = self.put_rule(room, id, &deployed, true, form).and_then(|_| attempt(self, form));
        let failure = tried.as_ref().err();
        let attempt = tried.as_ref().ok().cloned();
        // The version that was there before, which it will be again: nothing of this is kept.
        self.rule_form(room, old.as_ref(), &draft, form, Around { failure, attempt, ..Around::default() })
    }

    /// What is wrong with an expression, for the script: also the rows that say the same, or the expression of rows.
    pub(super) fn check_rule(&self, room: &RoomRow, form: &Form) -> Result<Reply, Failure> {
        let Draft { expression, incomplete, is_for_everybody, .. } = Draft::of(form);
        if incomplete.is_some() {
            return Ok(Reply::json(&json!({ "incomplete": incomplete })));
        }
        let body = json!({
            "action": "bypass_waiting_room",
            "expression": expression,
            "velvetrope": { "opens_for_everybody": is_for_everybody },
        });
        let checked = self.call(api::rules::create, &[("room_id", &room.id)], &body, None);
        let (errors, doubts) = match checked {
            Ok(success) => (Vec::new(), success.messages),
            Err(failure) => (failure.errors.into_iter().map(|error| error.message).collect(), Vec::new()),
        };
        let advice = har::is_about_place(&expression).then_some(SUBREQUESTS);
        let (rows, why) = match Builder::of(&expression) {
            Ok(rows) => (json!(rows), None),
            Err(why) => (Json::Null, Some(why.to_string())),
        };
        Ok(Reply::json(&json!({
            "expression": expression, "errors": errors, "doubts": doubts, "advice": advice, "rows": rows,
            "why_no_rows": why, "opens_for_everybody": opens_for_everybody(&expression),
        })))
    }

    fn put_rule(
        &self,
        room: &RoomRow,
        id: Option<&str>,
        draft: &Draft,
        is_enabled: bool,
        form: &Form,
    ) -> Result<Vec<String>, Failure> {
        if let Some(incomplete) = &draft.incomplete {
            return Err(Failure::invalid("/expression", incomplete));
        }
        let body = json!({
            "action": "bypass_waiting_room",
            "description": draft.description,
            "expression": draft.expression,
            "enabled": is_enabled,
            "velvetrope": { "opens_for_everybody": draft.is_for_everybody },
        });
        let version = Some(form.text("version"));
        let of_room = ("room_id", room.id.as_str());
        let success = match id {
            None => self.call(api::rules::create, &[of_room], &body, version)?,
            Some(id) => self.call(api::rules::change, &[of_room, ("rule_id", id)], &body, version)?,
        };
        Ok(success.messages)
    }

    /// It is saved; what is doubtful is told all the same.
    fn saved_with_doubts(&self, room: &RoomRow, id: Option<&str>, doubts: &[String]) -> Result<Reply, Failure> {
        let saved = match id {
            Some(id) => self.store.rule(&room.id, id)?.map(|(_, rule)| rule),
            None => self.store.rules(&room.id)?.pop(),
        };
        let Some(rule) = saved else { return Ok(self.to_rules(room, "").kept()) };
        let room = self.room(&room.id)?;
        let around = Around { doubts, ..Around::default() };
        Ok(self.rule_form(&room, Some(&rule), &Draft::from(&rule), &Form::default(), around)?.kept())
    }

    fn rule_form(
        &self,
        room: &RoomRow,
        rule: Option<&Rule>,
        draft: &Draft,
        form: &Form,
        around: Around,
    ) -> Result<Reply, Failure> {
        let heading = match rule {
            Some(_) if !self.may_change() => "Bypass rule",
            Some(_) => "Edit bypass rule",
            None => "Create new bypass rule",
        };
        let Around { failure, doubts, attempt } = around;
        let main = html! {
            p.crumbs {
                a href=(self.link(&["rooms"])) { "Waiting rooms" } " › "
                a href=(self.link(&["rooms", &room.id, "rules"])) { (name(room)) } " › " (heading)
            }
            h1 { (heading) }
            @if let Some(failure) = failure { (layout::objections(failure)) }
            @if !doubts.is_empty() { p.notice.good role="status" { "The rule is saved. There is something to think about:" } }
            (layout::doubts(doubts))
            @if failure.is_some_and(|failure| failure.status == 412) { (now(rule, draft)) }
            form method="post" action=(self.rule_link(room, rule, &[])) {
                (self.hidden(Some(room.rules_version)))
                fieldset.bare disabled[!self.may_change()] {
                    // The first button is the one that Enter means in any field: it must not deploy.
                    button.unseen tabindex="-1" aria-hidden="true" data-try formnovalidate
                        formaction={ (self.rule_link(room, rule, &["try"])) "#outcome" } { "Try it" }
                    (self.editor(room, draft, failure)?)
                    (acknowledgement(draft))
                    @if self.may_change() {
                        div.actions {
                            button.primary name="enabled" value="true" { "Save and deploy" }
                            button name="enabled" value="false" { "Save as draft" }
                            a.button href=(self.link(&["rooms", &room.id, "rules"])) { "Cancel" }
                        }
                        (attempt::form(|what| self.rule_link(room, rule, &[what]), form, attempt.as_ref()))
                    }
                }
            }
        };
        Ok(self.page(failure.map_or(200, |failure| failure.status), heading, &main))
    }

    /// Where the form of a rule is sent: one that exists, or a new one.
    fn rule_link(&self, room: &RoomRow, rule: Option<&Rule>, rest: &[&str]) -> String {
        let of_rule = match rule {
            Some(rule) => vec!["rooms", &room.id, "rules", &rule.id],
            None => vec!["rooms", &room.id, "new-rule"],
        };
        self.link(&[&of_rule, rest].concat())
    }

    fn editor(&self, room: &RoomRow, draft: &Draft, failure: Option<&Failure>) -> Result<Markup, Failure> {
        let lists: Vec<Json> = self
            .store
            .lists(&self.zone.id)?
            .iter()
            .map(|list| json!({ "name": list.name, "kind": list.kind.name() }))
            .collect();
        let fields: Vec<Json> = choices(self.zone.settings()).iter().map(offered).collect();
        let rows = draft.rows.clone().or_else(|| Builder::of(&draft.expression).ok());
        let is_wrong = failure.is_some_and(|failure| failure.status == 400);
        Ok(html! {
            section.card {
                div.field {
                    label for="description" { "Rule name" }
                    input #description type="text" name="description" value=(draft.description) maxlength=(MAX_TEXT);
                }
                h2 { "When incoming requests match…" }
                div #builder data-check=(self.link(&["rooms", &room.id, "check"])) data-lists=(json!(lists))
                    data-fields=(json!(fields)) data-rows=[rows.map(|rows| json!(rows))] {}
                div.field #editor {
                    label for="expression" { "Expression" }
                    div.editor {
                        textarea #expression name="expression" rows="4" required spellcheck="false" autocapitalize="off"
                            autocomplete="off" maxlength=(MAX_CHARACTERS) aria-describedby="expression-help diagnostic"
                            aria-invalid=[is_wrong.then_some("true")] { "\n" (draft.expression) }
                    }
                    p.help #expression-help {
                        "Such as " code data-expression { "ip.src in $admins" } " or "
                        code data-expression { "ends_with(http.request.uri.path, \"/userverified\")" } "."
                        @if self.may_change() { span.with-scripts hidden { " Ctrl+Space completes." } }
                    }
                    div #diagnostic role="status" {}
                }
                h2 { "Then…" }
                p { "Bypass the waiting room" }
            }
        })
    }
}

impl Draft {
    fn of(form: &Form) -> Draft {
        let rows: Option<Builder> = serde_json::from_str(form.text("rows")).ok();
        let written = || Ok::<_, Incomplete>(form.text("expression").replace("\r\n", "\n").trim().to_owned());
        let (expression, incomplete) = match rows.as_ref().map_or_else(written, Builder::expression) {
            Ok(expression) => (expression, None),
            Err(incomplete) => (String::new(), Some(incomplete.to_string())),
        };
        let is_for_everybody = form.has("everybody");
        Draft { description: form.text("description").to_owned(), expression, rows, incomplete, is_for_everybody }
    }
}

impl From<&Rule> for Draft {
    fn from(rule: &Rule) -> Draft {
        Draft {
            description: rule.description.clone(),
            expression: rule.expression.clone(),
            is_for_everybody: rule.velvetrope.opens_for_everybody,
            ..Draft::default()
        }
    }
}

/// Whether an expression lets everybody pass, as far as that can be seen.
fn opens_for_everybody(expression: &str) -> bool {
    parse(expression, Scheme::standard()).is_ok_and(|expression| certainty(&expression) == Some(true))
}

/// Asks whether everybody is to pass, where the expression says so.
fn acknowledgement(draft: &Draft) -> Markup {
    let is_asked = draft.is_for_everybody || opens_for_everybody(&draft.expression);
    html! {
        div.notice #everybody hidden[!is_asked] {
            label.tick {
                input type="checkbox" name="everybody" value="yes" checked[draft.is_for_everybody];
                " This rule is to let everybody pass: while it is deployed, nobody waits."
            }
        }
    }
}

/// What is there now, where somebody else was faster.
fn now(rule: Option<&Rule>, draft: &Draft) -> Markup {
    let Some(rule) = rule else {
        return html! { p { "What you entered is still here: save again to add it to the rules as they are now." } };
    };
    html! {
        section.card aria-labelledby="now" {
            h2 #now { "The rule as it is now" }
            dl {
                dt { "Name" } dd { (title(rule)) }
                dt { "Expression" } dd { pre { (rule.expression) } }
                dt { "State" } dd { @if rule.enabled { "deployed" } @else { "draft" } }
            }
            @if rule.expression != draft.expression { p { "You sent another expression: it is below, and not saved." } }
            p { "Save again to put what you entered in its place." }
        }
    }
}

/// A field as the script gets it.
fn offered(choice: &Choice) -> Json {
    let operator = |operator: &Operator| json!({ "name": operator, "label": operator.label() });
    let operators: Vec<Json> = choice.operators.iter().map(operator).collect();
    json!({
        "name": choice.name, "label": choice.label, "key": choice.has_key, "editor": choice.editor,
        "operators": operators,
    })
}
