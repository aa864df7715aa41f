//! The dashboard as a browser without scripts has it.

use std::cell::RefCell;

use http::{Method, Request, Response};
use serde_json::json;
use velvetrope::internal::room::Occupancy;
use velvetrope_manage::store::tokens::Scope;

use super::support::{SETTINGS, Site, files, rule};

/// Somebody who looks at pages and sends forms.
struct Browser<'a> {
    site: &'a Site,
    cookie: String,
    csrf: RefCell<String>,
}

/// What came back.
#[derive(Debug)]
struct Page {
    status: u16,
    to: String,
    text: String,
}

impl Site {
    fn open(&self, path: &str, cookie: &str) -> Response<Vec<u8>> {
        let request = Request::get(path).header("cookie", cookie).body(Vec::new());
        self.respond(&request.expect("a request"))
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Response<Vec<u8>> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = Request::post(path).header("host", "admin.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.respond(&request.body(body.into_bytes()).expect("a request"))
    }

    /// Logs in with a token.
    fn browser(&self, token: &str) -> Browser<'_> {
        let reply = self.post("/dashboard/login", &[], &[("token", token)]);
        assert_eq!(reply.status(), 303);
        let cookie = header(&reply, "set-cookie").split(';').next().expect("a cookie").to_owned();
        let browser = Browser { site: self, cookie, csrf: RefCell::default() };
        browser.get("/site/rooms");
        browser
    }

    fn token_of(&self, scope: Scope) -> String {
        self.store.change("test", |store| store.create_token("another", scope)).expect("a token").1
    }
}

impl Browser<'_> {
    fn get(&self, path: &str) -> Page {
        let page = Page::of(&self.site.open(&format!("/dashboard{path}"), &self.cookie));
        if let Some(csrf) = page.text.split("name=\"csrf\" value=\"").nth(1) {
            *self.csrf.borrow_mut() = csrf.split('"').next().expect("a value").to_owned();
        }
        page
    }

    fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf.borrow().clone();
        let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
        let headers = [("cookie", self.cookie.as_str()), ("origin", "https://admin.example")];
        Page::of(&self.site.post(&format!("/dashboard{path}"), &headers, &fields))
    }
}

impl Page {
    fn of(response: &Response<Vec<u8>>) -> Page {
        Page {
            status: response.status().as_u16(),
            to: header(response, "location"),
            text: String::from_utf8(response.body().clone()).expect("UTF-8"),
        }
    }

    /// The value of a hidden field, the first of that name.
    fn hidden(&self, name: &str) -> String {
        let value = self.text.split(&format!("name=\"{name}\" value=\"")).nth(1).expect("the field");
        value.split('"').next().expect("a value").to_owned()
    }

    #[track_caller]
    fn has(&self, text: &str) -> &Page {
        assert!(self.text.contains(text), "no {text:?} in {}", self.text);
        self
    }
}

fn header(response: &Response<Vec<u8>>, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

#[test]
fn a_token_opens_the_dashboard_and_nothing_else_does() {
    let site = Site::new();
    for path in ["/dashboard", "/dashboard/site/rooms", "/dashboard/nothing"] {
        assert_eq!(header(&site.open(path, "velvetrope_session=abc"), "location"), "/dashboard/login", "{path}");
    }
    let wrong = Page::of(&site.post("/dashboard/login", &[], &[("token", "vr_wrong")]));
    assert_eq!(wrong.status, 401);
    wrong.has("the token is wrong");

    let login = site.post("/dashboard/login", &[("x-forwarded-proto", "https")], &[("token", &site.token)]);
    assert_eq!((login.status().as_u16(), header(&login, "location").as_str()), (303, "/dashboard"));
    let cookie = header(&login, "set-cookie");
    assert!(cookie.ends_with("; Path=/dashboard; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    let plain = site.post("/dashboard/login", &[], &[("token", &site.token)]);
    assert!(!header(&plain, "set-cookie").contains("Secure"));

    let browser = site.browser(&site.token);
    assert_eq!(browser.get("").to, "/dashboard/site/rooms");
    browser.get("/site/rooms").has("presale").has("tickets.example/presale").has("Every room").has("N/A");
    assert_eq!(browser.get("/other/rooms").status, 404);

    assert_eq!(browser.send("/logout", &[]).to, "/dashboard/login");
    assert_eq!(browser.get("/site/rooms").to, "/dashboard/login");
}

#[test]
fn wrong_tokens_do_not_keep_a_right_one_out() {
    let site = Site::new();
    let attempt = |token| site.post("/dashboard/login", &[], &[("token", token)]).status().as_u16();
    for _ in 0..100 {
        assert_eq!(attempt("vr_wrong"), 401);
    }
    assert_eq!(attempt(&site.token), 303);
}

#[test]
fn pages_may_load_nothing_from_elsewhere_and_are_not_kept() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    for path in ["/login", "/site/rooms", "/site/nothing", "/assets/dashboard.js"] {
        let response = site.open(&format!("/dashboard{path}"), &browser.cookie);
        let policy = header(&response, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        let others = ["x-content-type-options", "cache-control", "x-frame-options", "referrer-policy"];
        assert_eq!(others.map(|name| header(&response, name)), ["nosniff", "no-store", "DENY", "same-origin"]);
        let text = String::from_utf8(response.body().clone()).expect("UTF-8");
        assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("://"), "{path}: {text}");
    }
}

#[test]
fn forms_of_others_are_refused() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let path = format!("/dashboard/site/rooms/{}/disable", site.room("presale"));
    let csrf = browser.csrf.borrow().clone();
    let send = |origin: &str, csrf: &str| {
        let headers = [("cookie", browser.cookie.as_str()), ("origin", origin)];
        site.post(&path, &headers, &[("csrf", csrf), ("version", "1"), ("sure", "yes")]).status().as_u16()
    };
    assert_eq!(send("https://admin.example", ""), 403);
    assert_eq!(send("https://admin.example", &"0".repeat(64)), 403);
    assert_eq!(send("https://elsewhere.example", &csrf), 403);
    assert_eq!(send("null", &csrf), 403);
    browser.get("/site/rooms").has("Active");
    assert_eq!(send("https://admin.example", &csrf), 303);
    browser.get("/site/rooms").has("Disabled");
    let elsewhere = [("origin", "https://elsewhere.example")];
    assert_eq!(site.post("/dashboard/login", &elsewhere, &[("token", &site.token)]).status(), 403);
}

#[test]
fn what_was_entered_outlives_the_session() {
    let site = Site::new();
    let path = format!("/dashboard/site/rooms/{}/new-rule", site.room("presale"));
    let entered =
        [("version", "0"), ("description", "<i>Ours</i>"), ("expression", "ip.src eq 192.0.2.1"), ("enabled", "true")];
    let here = ("origin", "https://admin.example");
    let ended = Page::of(&site.post(&path, &[here, ("cookie", "velvetrope_session=abc")], &entered));
    assert_eq!(ended.status, 401);
    ended.has("your session has ended, and nothing was changed").has(&format!("name=\"unsent_to\" value=\"{path}\""));
    let elsewhere = [("origin", "https://elsewhere.example")];
    assert_eq!(site.post(&path, &elsewhere, &entered).status(), 403);
    let long = Page::of(&site.post(&path, &[here], &[("expression", &"x".repeat(300_000))]));
    long.has("it is too long to be kept");
    assert!(!long.text.contains("xxx"), "strangers do not get back what they send");

    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(entered).finish();
    let log_in = |to: &str| {
        site.post("/dashboard/login", &[here], &[("token", &site.token), ("unsent_to", to), ("unsent", &body)])
    };
    assert_eq!(header(&log_in("https://elsewhere.example/dashboard"), "location"), "/dashboard");
    let page = Page::of(&log_in(&path));
    assert_eq!(page.status, 200);
    page.has("Not sent yet").has("value=\"&lt;i&gt;Ours&lt;/i&gt;\"").has("name=\"enabled\" value=\"true\"");

    // Whoever has logged in anew in another tab is asked, too.
    let browser = site.browser(&site.token);
    let stale = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("cookie", browser.cookie.as_str())]].concat();
        Page::of(&site.post(&path, &headers, &[&entered[..], &[("csrf", "of an earlier session")]].concat()))
    };
    let page = stale(&[here]);
    assert_eq!(page.status, 403);
    page.has("Not sent yet").has(&browser.csrf.borrow());
    assert!(!page.text.contains("of an earlier session"));
    assert!(!stale(&[]).text.contains("Not sent yet"), "nobody says that it is from here");
    assert_eq!(browser.send(path.trim_start_matches("/dashboard"), &entered).status, 303);
}

#[test]
fn who_may_look_only_changes_nothing() {
    let site = Site::new();
    let browser = site.browser(&site.token_of(Scope::Read));
    let page = browser.get("/site/rooms");
    page.has("presale").has("may look only");
    assert!(!page.text.contains("Create room") && !page.text.contains("role=\"switch\""), "{}", page.text);
    let refused = browser.send("/site/new-room", &[("/name", "mine")]);
    assert_eq!(refused.status, 403);
    refused.has("may look, but change nothing");
    assert_eq!(browser.send(&format!("/site/rooms/{}/delete", site.room("presale")), &[("sure", "yes")]).status, 403);
}

#[test]
fn a_room_is_created_changed_and_deleted_by_its_form() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    browser.get("/site/new-room").has("Create room");
    let wanted = [
        ("/name", "door"),
        ("/host", "door.example"),
        ("/path", "/in"),
        ("/additional_routes", "side.example/in\r\nback.example"),
        ("/total_active_users", "400"),
        ("/new_users_per_minute", "300"),
        ("/queueing_method", "fifo"),
        ("/queueing_status_code", "202"),
        ("/velvetrope/layout", "Dark"),
    ];
    let refused = browser.send("/site/new-room", &[&wanted[..], &[("/session_duration", "99")]].concat());
    assert_eq!(refused.status, 400);
    refused.has("role=\"alert\"").has("aria-invalid=\"true\"").has("value=\"door.example\"").has("value=\"99\"");
    assert_eq!(browser.send("/site/new-room", &wanted).to, "/dashboard/site/rooms");
    let room = site.get(&format!("/zones/site/waiting_rooms/{}", site.room("door")));
    assert_eq!(
        room["additional_routes"],
        json!([{"host": "side.example", "path": "/in"}, {"host": "back.example", "path": "/"}])
    );
    assert_eq!((&room["queueing_status_code"], &room["velvetrope"]["layout"]), (&json!(202), &json!("Dark")));
    browser.get("/site/rooms").has("side.example/in");

    let page = format!("/site/rooms/{}", site.room("door"));
    browser.get(&page).has("side.example/in\nback.example/").has("name=\"version\" value=\"1\"");
    let changed = [&wanted[..], &[("version", "1"), ("/queue_all", "true")]].concat();
    assert_eq!(browser.send(&page, &changed).status, 303);
    browser.get("/site/rooms").has("Queue-all");
    // Somebody else was faster: what is there is shown beside what was sent.
    let stale = browser.send(&page, &[&wanted[..], &[("version", "1"), ("/description", "new")]].concat());
    assert_eq!(stale.status, 412);
    stale
        .has("Somebody else has changed this")
        .has("Now it is: true")
        .has("value=\"new\"")
        .has("name=\"version\" value=\"2\"");

    let delete = format!("{page}/delete");
    assert_eq!(browser.send(&delete, &[("version", "2")]).status, 400);
    assert_eq!(browser.send(&delete, &[("version", "1"), ("sure", "yes")]).status, 412);
    assert_eq!(browser.send(&delete, &[("version", "2"), ("sure", "yes")]).status, 303);
    assert!(!browser.get("/site/rooms").text.contains("door.example"));
}

#[test]
fn the_table_of_rooms_tells_of_bypass_rules() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let page = browser.get("/site/rooms");
    page.has("1 bypass rule active").has("1 draft").has("No bypass rules");
    site.call(Method::POST, &site.rules_of("ticketshop"), &rule("ssl")).result();
    browser.get("/site/rooms").has("2 bypass rules active");
}

#[test]
fn the_table_of_rooms_tells_what_those_are_doing_that_run_here() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    browser.get("/site/rooms").has("Active");
    let doing = |waiting, active, longest_wait| {
        site.doing.0.set(Some(Occupancy { waiting, active, longest_wait }));
        browser.get("/site/rooms")
    };
    doing(0, 5, Some(0)).has("Not queueing").has("0 waiting, 5 inside<");
    doing(2, 5, Some(61)).has("Queueing").has("2 waiting, 5 inside, at most 2 min to wait<");
    doing(2, 5, None).has("2 waiting, 5 inside, nobody is let in<");
    let path = format!("/zones/site/waiting_rooms/{}", site.room("presale"));
    let told = json!({
        "status": "queueing", "event_id": "", "estimated_queued_users": 2, "estimated_total_active_users": 5,
        "max_estimated_time_minutes": null,
    });
    assert_eq!(site.get(&format!("{path}/status")), told);
    let enough = json!({ "suspended": true, "total_active_users": 200, "new_users_per_minute": 200 });
    site.call(Method::PATCH, &path, &enough).result();
    assert_eq!(site.get(&format!("{path}/status"))["status"], "suspended");
    browser.get("/site/rooms").has("Disabled");
}

impl Site {
    /// The page of a room's rules.
    fn page_of(&self, room: &str) -> String {
        format!("/site/rooms/{}/rules", self.room(room))
    }

    /// The expressions of a room's rules, in order; drafts in parentheses.
    fn expressions(&self, room: &str) -> Vec<String> {
        let rules = self.get(&self.rules_of(room));
        let text = |rule: &serde_json::Value| {
            let text = rule["expression"].as_str().expect("text").to_owned();
            if rule["enabled"] == true { text } else { format!("({text})") }
        };
        rules.as_array().expect("rules").iter().map(text).collect()
    }

    /// The version of a room's rules.
    fn version(&self, room: &str) -> String {
        let reply = self.call(Method::GET, &self.rules_of(room), &json!(null));
        reply.etag.expect("a version").trim_matches('"').to_owned()
    }
}

#[test]
fn a_rule_is_saved_as_a_draft_and_deployed() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let form = format!("/site/rooms/{}/new-rule", site.room("presale"));
    browser.get(&form).has("Save and deploy").has("Save as draft").has("data-check=").has("partners");
    let send = |path: &str, expression: &str, enabled: &str| {
        let version = site.version("presale");
        let fields = [("description", "VIPs"), ("expression", expression), ("enabled", enabled), ("version", &version)];
        browser.send(path, &fields)
    };
    let refused = send(&form, "ip.src in $nobody", "true");
    assert_eq!(refused.status, 400);
    refused.has("Filter parsing error (1:").has("^^^^").has("ip.src in $nobody</textarea>").has("value=\"VIPs\"");
    assert_eq!(site.expressions("presale"), Vec::<String>::new());
    assert_eq!(send(&form, "ssl", "false").to, format!("/dashboard{}", site.page_of("presale")));
    browser.get(&site.page_of("presale")).has("VIPs").has("Draft").has("–");
    let id = site.get(&site.rules_of("presale"))[0]["id"].as_str().expect("an id").to_owned();
    let rule = format!("{}/{id}", site.page_of("presale"));
    browser.get(&rule).has("Edit bypass rule").has("ssl</textarea>");
    assert_eq!(send(&rule, "ip.src in $admins", "true").status, 303);
    assert_eq!(site.expressions("presale"), ["ip.src in $admins"]);
    // What was sent of a rule that somebody else has deleted is not lost.
    site.call(Method::DELETE, &format!("{}/{id}", site.rules_of("presale")), &json!(null)).result();
    let gone = send(&rule, "not ssl", "true");
    assert_eq!(gone.status, 404);
    gone.has("Create new bypass rule").has("not ssl</textarea>");
}

#[test]
fn rules_are_ordered_switched_deleted_and_brought_back() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let page = site.page_of("ticketshop");
    site.call(Method::POST, &site.rules_of("ticketshop"), &rule("ssl")).result();
    let ids: Vec<String> = site
        .get(&site.rules_of("ticketshop"))
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| rule["id"].as_str().expect("an id").replace('/', "%2F"))
        .collect();
    let act = |rule: usize, what: &str, to: &str| {
        let version = site.version("ticketshop");
        browser.send(&format!("{page}/{}/{what}", ids[rule]), &[("version", version.as_str()), ("to", to)])
    };
    let order = || site.expressions("ticketshop");
    let [admins, partners, ssl] = ["ip.src in $admins", "(http.host in $partners)", "ssl"];
    assert_eq!(order(), [admins, partners, ssl]);
    // The rule is in focus on the page that follows, so that it can be moved on.
    assert_eq!(act(0, "move", "down").to, format!("/dashboard{page}?page=1#rule-admins"));
    assert_eq!(order(), [partners, admins, ssl]);
    act(2, "move", "up");
    assert_eq!(order(), [partners, ssl, admins]);
    act(0, "move", "1");
    assert_eq!(order(), [admins, partners, ssl]);
    act(0, "move", "up");
    assert_eq!(act(0, "move", "somewhere").status, 400);
    assert_eq!(order(), [admins, partners, ssl]);
    act(1, "enable", "");
    assert_eq!(order(), [admins, "http.host in $partners", ssl]);
    act(0, "disable", "");
    act(1, "disable", "");
    assert_eq!(order(), ["(ip.src in $admins)", partners, ssl]);

    let deleted = act(0, "delete", "");
    assert_eq!(order(), [partners, ssl]);
    let offer = browser.get(deleted.to.strip_prefix("/dashboard").expect("a page"));
    offer.has("The rule is deleted").has("Undo");
    let before = deleted.to.split('=').nth(1).expect("a version").to_owned();
    let restore = format!("/site/rooms/{}/restore/{before}", site.room("ticketshop"));
    assert!(offer.text.contains(&restore), "{}", offer.text);
    assert_eq!(browser.send(&restore, &[("version", &site.version("ticketshop"))]).status, 303);
    assert_eq!(order(), ["(ip.src in $admins)", partners, ssl]);
}

#[test]
fn hits_are_told_where_somebody_counts() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let named = json!({ "name": "gala", "host": "gala.example", "total_active_users": 200, "new_users_per_minute": 200,
        "velvetrope": { "event_id": "gala-2026" } });
    site.call(Method::POST, "/zones/site/waiting_rooms", &named).result();
    for room in ["gala", "presale"] {
        site.call(Method::POST, &site.rules_of(room), &rule("ssl")).result();
    }
    for (room, hits) in [("ticketshop", "71"), ("gala", "72"), ("presale", "–")] {
        browser.get(&site.page_of(room)).has(&format!("data-label=\"Hits\">{hits}</td>"));
    }
}

#[test]
fn two_people_do_not_overwrite_each_other() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let page = site.page_of("ticketshop");
    let version = site.version("ticketshop");
    let change = json!({ "expression": "ssl", "description": "theirs" });
    site.call(Method::PATCH, &format!("{}/admins", site.rules_of("ticketshop")), &change).result();
    let fields =
        [("version", version.as_str()), ("description", "mine"), ("expression", "not ssl"), ("enabled", "true")];
    let refused = browser.send(&format!("{page}/admins"), &fields);
    assert_eq!(refused.status, 412);
    refused.has("The rule as it is now").has("theirs").has("value=\"mine\"").has("not ssl</textarea>");
    for what in ["move", "disable", "delete"] {
        let refused = browser.send(&format!("{page}/admins/{what}"), &[("version", version.as_str()), ("to", "down")]);
        assert_eq!(refused.status, 412, "{what}");
        refused.has("Somebody else has changed this").has("theirs");
    }
    // Nor does a form that says nothing of what it has seen.
    assert_eq!(browser.send(&format!("{page}/admins/delete"), &[]).status, 412);
    assert_eq!(site.expressions("ticketshop")[0], "ssl");
    let again = site.version("ticketshop");
    let fields = [("version", again.as_str()), ("description", "mine"), ("expression", "not ssl"), ("enabled", "true")];
    assert_eq!(browser.send(&format!("{page}/admins"), &fields).status, 303);
    assert_eq!(site.expressions("ticketshop")[0], "not ssl");
}

#[test]
fn expressions_are_checked_and_tried_without_being_saved() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let check = format!("/site/rooms/{}/check", site.room("presale"));
    let said = |fields: &[(&str, &str)]| -> serde_json::Value {
        serde_json::from_str(&browser.send(&check, fields).text).expect("JSON")
    };
    let good = said(&[("expression", "http.host eq \"a.example\" and ssl")]);
    assert_eq!((&good["errors"], &good["rows"]["groups"][0][1]["field"]), (&json!([]), &json!("ssl")));
    let wrong = said(&[("expression", "http.hots eq \"a\"")]);
    let message = wrong["errors"][0].as_str().expect("a message");
    assert!(message.contains("^^^^") && message.contains("http.host"), "{message}");
    let no_rows = said(&[("expression", "len(http.host) > 3")]);
    assert!(no_rows["rows"].is_null() && no_rows["why_no_rows"].is_string(), "{no_rows}");
    let rows = json!({ "groups": [[{ "field": "ip.src", "operator": "in_list", "values": ["admins"] }]] });
    assert_eq!(said(&[("rows", &rows.to_string())])["expression"], "ip.src in $admins");
    let incomplete = json!({ "groups": [[{ "field": "ip.src", "operator": "equals", "values": [""] }]] });
    assert!(said(&[("rows", &incomplete.to_string())])["incomplete"].is_string());

    let attempt = |address: &str| {
        let version = site.version("presale");
        let fields = [
            ("version", version.as_str()),
            ("expression", "ip.src in $admins"),
            ("try_url", "https://tickets.example/presale/now"),
            ("try_method", "GET"),
            ("try_ip", address),
        ];
        browser.send(&format!("/site/rooms/{}/new-rule/try", site.room("presale")), &fields)
    };
    attempt("192.0.2.1").has("The request passes the waiting room by").has("saw <code>192.0.2.1</code>");
    attempt("192.0.2.2").has("No bypass rule is true");
    assert_eq!(attempt("nowhere").status, 400);
    assert_eq!(site.expressions("presale"), Vec::<String>::new());
    assert_eq!(site.version("presale"), "0");
}

#[test]
fn what_somebody_typed_is_never_a_part_of_the_page() {
    const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let site = Site::new();
    let browser = site.browser(&site.token);
    let list = json!({ "name": "evil", "kind": "ip", "description": EVIL });
    let list = site.call(Method::POST, "/accounts/site/rules/lists", &list).result();
    let list = list["id"].as_str().expect("an id");
    let items = json!([{ "ip": "192.0.2.77", "comment": EVIL }]);
    site.call(Method::POST, &format!("/accounts/site/rules/lists/{list}/items"), &items).result();
    site.run_operations();
    let expression = format!("http.user_agent contains {}", json!(EVIL));
    let wanted = json!({ "action": "bypass_waiting_room", "expression": expression, "description": EVIL });
    site.call(Method::POST, &site.rules_of("presale"), &wanted).result();
    let room = json!({ "description": EVIL, "custom_page_html": EVIL });
    let presale = format!("/zones/site/waiting_rooms/{}", site.room("presale"));
    let needed = json!({ "total_active_users": 300, "new_users_per_minute": 200 });
    site.call(Method::PATCH, &presale, &needed).result();
    site.call(Method::PATCH, &presale, &room).result();
    let id = site.get(&site.rules_of("presale"))[0]["id"].as_str().expect("an id").to_owned();
    let rules = site.page_of("presale");
    let version = site.version("presale");
    let form = [("version", version.as_str()), ("description", EVIL), ("expression", EVIL), ("try_headers", EVIL)];
    let room = format!("/site/rooms/{}", site.room("presale"));
    for page in [
        browser.get("/site/rooms"),
        browser.get(&room),
        browser.get(&rules),
        browser.get(&format!("{rules}/{id}")),
        browser.get("/site/lists"),
        browser.get(&format!("/site/lists/{list}?search=%3Cscript%3E")),
        browser.get(&format!("/site/lists/{list}")),
        browser.get("/site/audit"),
        browser.get(&format!("{room}/versions/1")),
        browser.get("/%3Cscript%3E/rooms"),
        browser.send(&format!("{rules}/{id}"), &form),
        browser.send(&format!("{rules}/{id}/try"), &form),
        browser.send("/site/new-room", &[("/name", EVIL), ("/velvetrope/when", EVIL)]),
        browser.send(&format!("/site/lists/{list}/items"), &[("items", EVIL)]),
    ] {
        assert!(page.text.contains("&lt;script&gt;"), "not there at all: {}", page.text);
        assert!(!page.text.contains("<script>") && !page.text.contains("<img"), "{}", page.text);
    }
    let saved = browser.send("/site/lists", &[("name", "<script>"), ("kind", "ip"), ("description", EVIL)]);
    assert_eq!(saved.status, 400);
    saved.has("&lt;script&gt;");
}

#[test]
fn a_list_is_created_filled_searched_and_deleted() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    browser.get("/site/lists").has("$admins").has("rule &quot;admins&quot; of room ticketshop");
    let wanted = [("name", "guests"), ("kind", "ip"), ("description", "Who is invited")];
    let created = browser.send("/site/lists", &wanted);
    let list = created.to.strip_prefix("/dashboard").expect("the list").to_owned();
    assert_eq!(browser.send("/site/lists", &wanted).status, 409);
    assert_eq!(browser.send(&list, &[("description", "Guests of honour")]).status, 303);
    browser.get(&list).has("Guests of honour").has("Nothing is here");

    let refused = browser.send(&format!("{list}/items"), &[("items", "192.0.2.7\r\nnowhere, Ann\r\n10.0.0.1/8")]);
    assert_eq!(refused.status, 400);
    refused.has("line 2: `nowhere` is not an address").has("line 3:").has("nowhere, Ann");
    assert_eq!(browser.send(&format!("{list}/items"), &[("items", " \n")]).status, 400);
    let many: String = (0..300).map(|host| format!("10.0.{}.{},\"host, {host}\"\n", host / 256, host % 256)).collect();
    let asked = browser.send(&format!("{list}/items"), &[("items", &many), ("how", "add")]);
    let operation = asked.to.strip_prefix("/dashboard").expect("a page").to_owned();
    browser.get(&operation).has("The change is under way").has("data-operation=");
    let id = operation.split('=').nth(1).expect("an id");
    browser.get(&format!("{list}/operations/{id}")).has("\"pending\"");
    site.run_operations();
    browser.get(&operation).has("The change is done").has("300 in all");

    let first = browser.get(&list);
    first.has("<th scope=\"row\">10.0.0.99</th>").has("Next page");
    assert!(!first.text.contains("10.0.0.100<"), "{}", first.text);
    let next = first.text.split("href=\"").find(|link| link.contains("after=")).expect("a link");
    let next = next.split('"').next().expect("a link").split('#').next().expect("a link").replace("&amp;", "&");
    browser.get(next.strip_prefix("/dashboard").expect("a page")).has("<th scope=\"row\">10.0.0.100</th>");
    let found = browser.get(&format!("{list}?search=10.0.1.43"));
    found.has("10.0.1.43").has("host, 299");
    let item = found.text.split("name=\"item\" value=\"").nth(1).expect("an item").split('"').next().expect("an id");
    assert_eq!(browser.send(&format!("{list}/remove"), &[]).status, 400);
    assert_eq!(browser.send(&format!("{list}/remove"), &[("item", item)]).status, 303);
    let replaced = browser.send(&format!("{list}/items"), &[("items", "192.0.2.1 # Ann\n"), ("how", "replace")]);
    assert_eq!(replaced.status, 303);
    site.run_operations();
    browser.get(&list).has("1 in all").has("192.0.2.1").has("Ann");

    let lists = site.get("/accounts/site/rules/lists");
    let admins = lists.as_array().expect("lists").iter().find(|list| list["name"] == "admins").expect("the list");
    let page = format!("/site/lists/{}", admins["id"].as_str().expect("an id"));
    let send = |page: &str| {
        let version = browser.get(page).hidden("version");
        browser.send(&format!("{page}/delete"), &[("sure", "yes"), ("version", &version)])
    };
    let in_use = send(&page);
    assert_eq!(in_use.status, 409);
    in_use.has("is used by rule");
    let asked = browser.send(&format!("{list}/delete"), &[]);
    assert_eq!(asked.status, 400);
    asked.has("tick the box to delete the list");
    let deleted = send(&list);
    assert_eq!(browser.get(&list).status, 404);
    let undo = deleted.to.strip_prefix("/dashboard").expect("a page").to_owned();
    browser.get(&undo).has("You deleted a list").has(">Undo<");
    let number = undo.split("done=").nth(1).expect("an entry");
    let back = browser.send(&format!("/site/audit/{number}/undo"), &[]);
    assert_eq!(back.to, format!("/dashboard{list}?undone"));
    browser.get(&list).has("1 in all").has("192.0.2.1").has("Ann");
}

#[test]
fn changes_of_a_list_are_told_item_by_item_and_undone() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let lists = site.get("/accounts/site/rules/lists");
    let admins = lists.as_array().expect("lists").iter().find(|list| list["name"] == "admins").expect("the list");
    let list = format!("/site/lists/{}", admins["id"].as_str().expect("an id"));
    let before = browser.get(&list).text.matches("name=\"item\"").count();
    let asked = browser.send(&format!("{list}/items"), &[("items", "10.1.2.3 # Bea"), ("how", "replace")]);
    site.run_operations();
    let operation = asked.to.strip_prefix("/dashboard").expect("a page").to_owned();
    browser.get(&operation).has("The change is done").has("You replaced the items of a list").has(">Undo<");
    browser.get("/site/audit").has("items changed").has("198.51.100.0/24").has("in the list: Bea");
    let number = browser.get(&operation).text;
    let number = number.split("/audit/").nth(1).expect("a link").split('/').next().expect("a number").to_owned();
    assert_eq!(browser.send(&format!("/site/audit/{number}/undo"), &[]).status, 303);
    let page = browser.get(&list);
    page.has("192.0.2.1").has("Ann");
    assert!(!page.text.contains("10.1.2.3"), "{}", page.text);
    assert_eq!(page.text.matches("name=\"item\"").count(), before);
    // What was undone cannot be undone twice.
    let twice = browser.send(&format!("/site/audit/{number}/undo"), &[]);
    assert_eq!(twice.status, 409);
    twice.has("changed again since").has("Audit trail");
}

#[test]
fn a_room_is_disabled_only_if_it_is_meant_and_comes_back() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let page = format!("/site/rooms/{}", site.room("presale"));
    let asked = browser.send(&format!("{page}/disable"), &[("version", "1")]);
    assert_eq!(asked.status, 200);
    asked.has("Disable room presale?").has("name=\"sure\"");
    browser.get("/site/rooms").has("Active");
    let fields = [
        ("/name", "presale"),
        ("/host", "tickets.example"),
        ("/path", "/presale"),
        ("/total_active_users", "300"),
        ("/new_users_per_minute", "200"),
        ("/suspended", "true"),
        ("version", "1"),
    ];
    let refused = browser.send(&page, &fields);
    assert_eq!(refused.status, 400);
    refused.has("name=\"sure\"").has("everybody is let in");
    let done = browser.send(&format!("{page}/disable"), &[("version", "1"), ("sure", "yes")]);
    let undo = done.to.strip_prefix("/dashboard").expect("a page").split('#').next().expect("a page").to_owned();
    browser.get(&undo).has("Disabled").has("You changed a room").has(">Undo<");
    let number = undo.split("done=").nth(1).expect("an entry");
    assert_eq!(browser.send(&format!("/site/audit/{number}/undo"), &[]).to, "/dashboard/site/rooms?undone");
    browser.get("/site/rooms?undone").has("Active").has("It is as it was before");
}

#[test]
fn a_rule_that_lets_everybody_pass_needs_a_tick() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let page = format!("/site/rooms/{}", site.room("presale"));
    let fields = [("expression", "http.host contains \"\""), ("enabled", "true"), ("version", "0")];
    let with = |more: &[(&'static str, &'static str)]| [fields.as_slice(), more].concat();
    let refused = browser.send(&format!("{page}/new-rule"), &fields);
    assert_eq!(refused.status, 400);
    refused.has("everybody would pass").has("name=\"everybody\"");
    let checked = browser.send(&format!("{page}/check"), &fields);
    checked.has("\"opens_for_everybody\":true").has("P0020");
    // To try it, nothing needs to be said.
    let tried = with(&[("try_url", "https://tickets.example/presale"), ("try_method", "GET")]);
    let tried = browser.send(&format!("{page}/new-rule/try"), &tried);
    assert_eq!(tried.status, 200, "{}", tried.text);
    tried.has("passes the waiting room by");
    assert_eq!(site.expressions("presale").len(), 0);
    // A draft is only doubtful; to deploy it, the tick is needed.
    let draft = [("expression", "true"), ("enabled", "false"), ("version", "0")];
    browser.send(&format!("{page}/new-rule"), &draft).has("The rule is saved").has("would let everybody pass");
    let id = site.get(&site.rules_of("presale"))[0]["id"].as_str().expect("an id").to_owned();
    let enable = browser.send(&format!("{page}/rules/{id}/enable"), &[("version", "1")]);
    assert_eq!(enable.status, 400);
    enable.has("everybody would pass");
    let ticked = [("expression", "true"), ("enabled", "true"), ("version", "1"), ("everybody", "yes")];
    browser.send(&format!("{page}/rules/{id}"), &ticked).has("The rule is saved").has("as it says");
    assert_eq!(site.get(&site.rules_of("presale"))[0]["velvetrope"]["opens_for_everybody"], true);
    browser.get(&format!("{page}/rules/{id}")).has("value=\"yes\" checked");
    // Rows without a value are no rule.
    let rows = r#"{"groups":[[{"field":"http.host","operator":"not_equal","values":[""]}]]}"#;
    let incomplete =
        browser.send(&format!("{page}/new-rule"), &[("rows", rows), ("enabled", "true"), ("version", "2")]);
    assert_eq!(incomplete.status, 400);
    incomplete.has("give a value for `http.host`");
}

#[test]
fn the_audit_trail_tells_of_changes_and_leads_back() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let change = json!({ "expression": "ssl", "position": { "index": 2 } });
    site.call(Method::PATCH, &format!("{}/admins", site.rules_of("ticketshop")), &change).result();
    let trail = browser.get("/site/audit");
    trail
        .has("tester")
        .has("changed a bypass rule")
        .has("<del><span class=\"unseen\">was </span>ip.src in $admins</del>");
    trail.has("<ins><span class=\"unseen\">is </span>ssl</ins>").has("2023-11-14 22:13:20 UTC");
    let of_room = browser.get(&format!("/site/audit?room={}", site.room("presale")));
    assert!(!of_room.text.contains("changed a bypass rule"), "{}", of_room.text);

    let now = site.version("ticketshop");
    let before = (now.parse::<i64>().expect("a number") - 1).to_string();
    let room = format!("/site/rooms/{}", site.room("ticketshop"));
    browser.get(&format!("{room}/versions/{now}")).has("In force").has("What it changed").has("rule");
    browser.get(&format!("{room}/versions/{before}")).has("Restore this version").has("ip.src in $admins");
    assert_eq!(browser.get(&format!("{room}/versions/99")).status, 404);
    assert_eq!(browser.send(&format!("{room}/restore/{before}"), &[("version", "0")]).status, 412);
    assert_eq!(browser.send(&format!("{room}/restore/{before}"), &[("version", &now)]).status, 303);
    assert_eq!(site.expressions("ticketshop")[0], "ip.src in $admins");
}

#[test]
fn what_files_manage_is_shown_and_not_changed() {
    let mut files = files();
    let settings = format!("managed = \"files\"\n{SETTINGS}");
    files.insert("velvetrope.toml".into(), settings.into_bytes());
    let site = Site::of(&files);
    let browser = site.browser(&site.token);
    let page = browser.get(&site.page_of("ticketshop"));
    page.has("managed by its files").has("ip.src in $admins");
    assert!(!page.text.contains("Create new bypass rule") && !page.text.contains(">Delete<"), "{}", page.text);
    let version = site.version("ticketshop");
    let delete = format!("{}/admins/delete", site.page_of("ticketshop"));
    assert_eq!(browser.send(&delete, &[("version", &version)]).status, 409);
    let list = site.get("/accounts/site/rules/lists")[0]["id"].as_str().expect("an id").to_owned();
    for what in ["items", "remove", "delete"] {
        let refused = browser.send(&format!("/site/lists/{list}/{what}"), &[("items", "192.0.2.9"), ("item", "a")]);
        assert_eq!(refused.status, 409, "{what}");
    }
    assert_eq!(site.expressions("ticketshop").len(), 2);
}

#[test]
fn a_recording_tells_what_stays_queued() {
    let site = Site::new();
    let browser = site.browser(&site.token);
    let har = r#"{"log": {"entries": [
        {"_resourceType": "document", "request": {"method": "GET", "url": "https://tickets.example/presale/vip"}},
        {"_resourceType": "script", "request": {"method": "GET", "url": "https://tickets.example/presale/<b>.js"}}]}}"#;
    let judge = |har: &str| {
        let expression = "http.request.uri.path eq \"/presale/vip\"";
        let fields = [("version", "0"), ("expression", expression), ("har", har)];
        browser.send(&format!("/site/rooms/{}/new-rule/recording", site.room("presale")), &fields)
    };
    judge(har).has("1 request of the recording would be queued").has("/presale/&lt;b&gt;.js").has("bypasses");
    let refused = judge("nothing");
    assert_eq!(refused.status, 400);
    refused.has("this is no HAR recording");
    assert_eq!(site.expressions("presale"), Vec::<String>::new());
}
