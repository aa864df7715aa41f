//! Lists that expressions use as `$name`, and what is in them.

use form_urlencoded::Serializer;
use maud::{Markup, html};
use serde_json::json;

use super::form::Form;
use super::{Desk, Reply, layout};
use crate::body::MAX_TEXT;
use crate::failure::{Code, Failure};
use crate::store::lists::{Item, ListRow, MAX_ITEMS};
use crate::store::operations::{Change, Operation};
use crate::{api, items};
use velvetrope::internal::program::ListKind;

/// How many items a page shows.
const PER_PAGE: usize = 100;

impl Desk<'_, '_> {
    pub(super) fn lists(&self) -> Result<Reply, Failure> {
        self.lists_page(&Form::default(), None)
    }

    pub(super) fn create_list(&self, form: &Form) -> Result<Reply, Failure> {
        let body = json!({
            "name": form.text("name").trim(),
            "kind": form.text("kind"),
            "description": form.text("description"),
        });
        match self.call(api::lists::create, &[], &body, None) {
            Ok(_) => {
                let list = self.store.list_named(&self.zone.id, form.text("name").trim())?;
                let list = list.ok_or_else(|| Failure::not_found("list", form.text("name")))?;
                Ok(self.to_list(&list, "").kept())
            }
            Err(failure) => self.lists_page(form, Some(&failure)),
        }
    }

    pub(super) fn list_page(&self, list: &ListRow) -> Result<Reply, Failure> {
        self.list_with(list, "", None)
    }

    pub(super) fn describe_list(&self, list: &ListRow, form: &Form) -> Result<Reply, Failure> {
        let body = json!({ "description": form.text("description") });
        match self.call(api::lists::describe, &[("list_id", &list.id)], &body, None) {
            Ok(_) => Ok(self.to_list(list, "").kept()),
            Err(failure) => self.list_with(list, "", Some(&failure)),
        }
    }

    pub(super) fn delete_list(&self, list: &ListRow, form: &Form) -> Result<Reply, Failure> {
        self.zone.refuse_if_managed_by_files()?;
        let deleted = match form.has("sure") {
            true => self.call(api::lists::delete, &[("list_id", &list.id)], &json!({}), Some(form.text("version"))),
            false => Err(Failure::new(400, Code::Invalid, "tick the box to delete the list and its items")),
        };
        match deleted {
            Ok(_) => Ok(Reply::redirect(&(self.link(&["lists"]) + &self.done(&list.id)?)).kept()),
            Err(failure) => self.list_with(list, "", Some(&failure)),
        }
    }

    /// Puts items into a list, as text that somebody typed, pasted or chose as a file.
    pub(super) fn import_items(&self, list: &ListRow, form: &Form) -> Result<Reply, Failure> {
        /// What was refused is shown again as long as a browser shows it with ease.
        const SHOWN_AGAIN: usize = 100_000;
        self.zone.refuse_if_managed_by_files()?;
        let change = if form.text("how") == "replace" { Change::Replace } else { Change::Add };
        let text = form.text("items");
        let wanted = items::of_text(text, list.kind).and_then(|items| match items.is_empty() {
            true => Err(Failure::new(400, Code::Invalid, "there is nothing to import: give one item a line")),
            false => Ok(items),
        });
        match wanted {
            Ok(items) => {
                let operation = self.store.ask_to_put(list, change, &items)?;
                Ok(self.to_list(list, &format!("?operation={operation}")).kept())
            }
            Err(failure) => {
                let again = if text.len() <= SHOWN_AGAIN { text } else { "" };
                self.list_with(list, again, Some(&failure))
            }
        }
    }

    pub(super) fn remove_items(&self, list: &ListRow, form: &Form) -> Result<Reply, Failure> {
        self.zone.refuse_if_managed_by_files()?;
        let ids = form.all("item");
        if ids.is_empty() {
            let failure = Failure::new(400, Code::Invalid, "tick the items that are to be removed");
            return self.list_with(list, "", Some(&failure));
        }
        let operation = self.store.ask_to_remove(list, &ids)?;
        Ok(self.to_list(list, &format!("?operation={operation}")).kept())
    }

    /// What has become of a change of items, for the script.
    pub(super) fn operation(&self, id: &str) -> Result<Reply, Failure> {
        let operation = self.store.operation(&self.zone.id, id)?.ok_or_else(|| Failure::not_found("operation", id))?;
        Ok(Reply::json(&operation.json()))
    }

    pub(super) fn list(&self, id: &str) -> Result<ListRow, Failure> {
        self.store.list(&self.zone.id, id)?.ok_or_else(|| Failure::not_found("list", id))
    }

    fn to_list(&self, list: &ListRow, query: &str) -> Reply {
        Reply::redirect(&(self.link(&["lists", &list.id]) + query))
    }

    fn lists_page(&self, sent: &Form, failure: Option<&Failure>) -> Result<Reply, Failure> {
        let lists = self.store.lists(&self.zone.id)?;
        let main = html! {
            h1 { "Lists" }
            @if let Some(failure) = failure { (layout::objections(failure)) }
            (self.way_back()?)
            @match lists.is_empty() {
                true => p { "There are no lists. Expressions use one as " code { "ip.src in $name" } "." },
                false => table.cards {
                    caption.unseen { "Lists of " (self.zone.id) }
                    thead { tr {
                        th scope="col" { "List" }
                        th scope="col" { "Holds" }
                        th scope="col" { "Items" }
                        th scope="col" { "Used by" }
                        th scope="col" { "Changed" }
                    } }
                    tbody { @for list in &lists { (self.list_row(list)?) } }
                },
            }
            @if self.may_change() { (self.creation(sent)) }
        };
        Ok(self.page(failure.map_or(200, |failure| failure.status), "Lists", &main))
    }

    fn list_row(&self, list: &ListRow) -> Result<Markup, Failure> {
        let users = self.store.users_of_list(list)?;
        Ok(html! {
            tr {
                th scope="row" {
                    a href=(self.link(&["lists", &list.id])) { "$" (list.name) }
                    @if !list.description.is_empty() { span.about { (list.description) } }
                }
                td data-label="Holds" { (label(list.kind)) }
                td.number data-label="Items" { (list.num_items) }
                td data-label="Used by" { (used_by(&users)) }
                td data-label="Changed" { time datetime=(list.modified_on) { (layout::moment(&list.modified_on)) } }
            }
        })
    }

    fn creation(&self, sent: &Form) -> Markup {
        html! {
            form.card method="post" action=(self.link(&["lists"])) {
                (self.hidden(None))
                h2 { "Create a list" }
                div.field {
                    label for="name" { "Name" }
                    input #name type="text" name="name" required maxlength="50" value=(sent.text("name"))
                        autocapitalize="off" aria-describedby="name-help";
                    p.help #name-help { "Small letters, digits and _; expressions write it behind $." }
                }
                div.field {
                    label for="kind" { "Holds" }
                    select #kind name="kind" {
                        @for (name, kind) in ListKind::NAMED {
                            option value=(name) selected[sent.text("kind") == *name] { (label(*kind)) }
                        }
                    }
                }
                div.field {
                    label for="description" { "Description" }
                    input #description type="text" name="description" maxlength=(MAX_TEXT) value=(sent.text("description"));
                }
                button.primary { "Create list" }
            }
        }
    }

    /// A list, with a text to import that was refused.
    fn list_with(&self, list: &ListRow, again: &str, failure: Option<&Failure>) -> Result<Reply, Failure> {
        let search = self.query("search").unwrap_or_default();
        let cursor = self.query("after");
        let mut items = self.store.items(list, cursor.as_deref(), Some(search.trim()), PER_PAGE as i64 + 1)?;
        let has_more = items.len() > PER_PAGE;
        items.truncate(PER_PAGE);
        let next = items.last().filter(|_| has_more).map(|item| self.items_link(list, &search, Some(&item.sort)));
        let users = self.store.users_of_list(list)?;
        let title = format!("List ${}", list.name);
        let main = html! {
            p.crumbs { a href=(self.link(&["lists"])) { "Lists" } " › $" (list.name) }
            h1 { (title) }
            @if let Some(failure) = failure { (layout::objections(failure)) }
            @if let Some(id) = self.query("operation") { (self.progress(list, &id)?) }
            (self.way_back()?)
            p { (label(list.kind)) ", " (list.num_items) " in all. Used by: " (used_by(&users)) }
            (self.description(list))
            @if self.may_change() { (self.import(list, again)) }
            h2 #items { "Items" }
            (self.search(list, &search))
            (self.items_table(list, &items))
            @if cursor.is_some() { a.button href=(self.items_link(list, &search, None)) { "First page" } " " }
            @if let Some(next) = next { a.button href=(next) { "Next page" } }
            @if self.may_change() {
                form.card.danger method="post" action=(self.link(&["lists", &list.id, "delete"])) {
                    (self.hidden(Some(list.revision)))
                    h2 { "Delete the list" }
                    p { "Only a list that nothing uses can be deleted." }
                    label.tick {
                        input type="checkbox" name="sure" value="yes" required;
                        " The list $" (list.name) " and its items are to go."
                    }
                    button.bad { "Delete list" }
                }
            }
        };
        Ok(self.page(failure.map_or(200, |failure| failure.status), &title, &main))
    }

    fn items_link(&self, list: &ListRow, search: &str, after: Option<&str>) -> String {
        let mut query = Serializer::new(String::new());
        if !search.is_empty() {
            query.append_pair("search", search);
        }
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        format!("{}?{}#items", self.link(&["lists", &list.id]), query.finish())
    }

    fn description(&self, list: &ListRow) -> Markup {
        html! {
            @match self.may_change() {
                true => form method="post" action=(self.link(&["lists", &list.id])) {
                    (self.hidden(None))
                    div.field {
                        label for="description" { "Description" }
                        input #description type="text" name="description" maxlength=(MAX_TEXT) value=(list.description);
                    }
                    button { "Save description" }
                },
                false => p { (list.description) },
            }
        }
    }

    fn import(&self, list: &ListRow, again: &str) -> Markup {
        let example = match list.kind {
            ListKind::Ip => "192.0.2.1, 192.0.2.0/24 or 192.0.2.1..192.0.2.9",
            ListKind::Hostname => "tickets.example or *.partner.example",
            ListKind::Asn => "64496",
        };
        html! {
            form.card #import method="post" action=(self.link(&["lists", &list.id, "items"])) {
                (self.hidden(None))
                h2 { "Add items" }
                div.field {
                    label for="items-text" { "Items" }
                    textarea #items-text name="items" rows="5" spellcheck="false" aria-describedby="items-help" {
                        "\n" (again)
                    }
                    p.help #items-help {
                        "One a line, such as " (example) "; a comment may follow a comma or #. All lists together hold up to "
                        (MAX_ITEMS) " items."
                    }
                }
                div.field.with-scripts hidden {
                    label for="file" { "Or a CSV or text file" }
                    input #file type="file" accept=".csv,.txt,text/csv,text/plain";
                }
                fieldset.bare {
                    legend.label { "How" }
                    label.tick { input type="radio" name="how" value="add" checked; " Add to the list" }
                    " "
                    label.tick { input type="radio" name="how" value="replace"; " Replace all items of the list" }
                }
                button.primary { "Import" }
                div #progress role="status" {}
            }
        }
    }

    fn search(&self, list: &ListRow, search: &str) -> Markup {
        html! {
            form.search role="search" method="get" action={ (self.link(&["lists", &list.id])) "#items" } {
                label.unseen for="search" { "Search items" }
                input #search type="search" name="search" value=(search) placeholder="Search";
                button { "Search" }
            }
        }
    }

    fn items_table(&self, list: &ListRow, items: &[Item]) -> Markup {
        if items.is_empty() {
            return html! { p { "Nothing is here." } };
        }
        html! {
            form method="post" action=(self.link(&["lists", &list.id, "remove"])) {
                (self.hidden(None))
                table.cards {
                    caption.unseen { "Items of $" (list.name) }
                    thead { tr {
                        @if self.may_change() { th scope="col" { "Remove" } }
                        th scope="col" { "Item" }
                        th scope="col" { "Comment" }
                        th scope="col" { "Added" }
                    } }
                    tbody { @for item in items { tr {
                        @if self.may_change() {
                            td data-label="Remove" {
                                input type="checkbox" name="item" value=(item.id) aria-label=(format!("Remove {}", item.value));
                            }
                        }
                        th scope="row" { (item.value) }
                        td data-label="Comment" { (item.comment) }
                        td data-label="Added" { time datetime=(item.created_on) { (layout::moment(&item.created_on)) } }
                    } } }
                }
                @if self.may_change() { button.bad { "Remove ticked items" } }
            }
        }
    }

    /// What has become of what was asked.
    fn progress(&self, list: &ListRow, id: &str) -> Result<Markup, Failure> {
        let Some(Operation { id, status, error, entry, .. }) = self.store.operation(&self.zone.id, id)? else {
            return Ok(html! {});
        };
        let here = self.link(&["lists", &list.id]);
        Ok(match (status.as_str(), error) {
            ("completed", _) => {
                let entry = entry.map(|entry| self.store.entry(&self.zone.id, entry)).transpose()?.flatten();
                html! {
                    div.notice.good role="status" { p { "The change is done." } }
                    @if let Some(entry) = entry { (self.offer(&entry, false)) }
                }
            }
            (_, Some(error)) => html! { div.notice.bad role="alert" { p { "Nothing was changed: " (error) } } },
            _ => html! {
                div.notice role="status" data-operation=(self.link(&["lists", &list.id, "operations", &id])) {
                    p { "The change is under way. " a href=(format!("{here}?operation={id}")) { "Look again" } }
                }
            },
        })
    }
}

fn label(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Ip => "IP addresses and networks",
        ListKind::Hostname => "Host names",
        ListKind::Asn => "AS numbers",
    }
}

fn used_by(users: &[String]) -> Markup {
    html! {
        @match users {
            [] => span.none { "nothing" },
            users => (users.join(", ")),
        }
    }
}
