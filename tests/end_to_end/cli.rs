//! The command line, run as a user runs it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The root of the repository, in which commands are run.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const TICKETING: &str = "examples/ticketing";
const BROKEN: &str = "tests/cli/broken";
const FIXED_TIME: &str = "2026-11-22T20:00:00Z";

/// How a run of the command ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn ends_with(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in\n{}", self.out))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("the command prints UTF-8");
        Ran { code: output.status.code().expect("it exits"), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The command without what the environment of the tests could tell it.
fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_velvetrope"));
    command.args(arguments).current_dir(ROOT);
    for name in ["VELVETROPE_SECRET", "VELVETROPE_SECRET_PREVIOUS", "NO_COLOR", "CLICOLOR_FORCE", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command
}

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ran {
    command(arguments).stdin(Stdio::null()).output().expect("the command runs").into()
}

fn run_with_secret<S: AsRef<OsStr>>(secret: &str, arguments: impl IntoIterator<Item = S>) -> Ran {
    let mut command = command(arguments);
    command.env("VELVETROPE_SECRET", secret).stdin(Stdio::null()).output().expect("the command runs").into()
}

fn run_with_input<S: AsRef<OsStr>>(input: impl AsRef<[u8]>, arguments: impl IntoIterator<Item = S>) -> Ran {
    let piped = || Stdio::piped();
    let mut child =
        command(arguments).stdin(piped()).stdout(piped()).stderr(piped()).spawn().expect("the command runs");
    child.stdin.take().expect("it has an input").write_all(input.as_ref()).expect("it reads its input");
    child.wait_with_output().expect("it ends").into()
}

/// Compares with a snapshot beside the fixtures; renewed with `INSTA_UPDATE=always`.
#[track_caller]
fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../cli/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A copy of a policy that a test may change.
fn copy_of(policy: &str) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("folders can be made");
        for entry in std::fs::read_dir(from).expect("the policy can be read") {
            let path = entry.expect("the policy can be read").path();
            let target = to.join(path.file_name().expect("entries have names"));
            if path.is_dir() {
                copy(&path, &target);
            } else {
                std::fs::copy(path, target).expect("files can be copied");
            }
        }
    }
    let folder = tempfile::tempdir().expect("folders can be made");
    copy(&Path::new(ROOT).join(policy), folder.path());
    folder
}

fn written(folder: &tempfile::TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("files can be written");
    path
}

mod usage {
    use super::*;

    #[test]
    fn help_names_every_command_and_the_exit_codes() {
        let ran = run(["--help"]).ends_with(0);
        let commands = "check explain eval fmt test show bench token serve ext-proc demo schema completions man"
            .split_ascii_whitespace();
        for command in commands {
            assert!(ran.out.contains(&format!("\n  {command} ")), "{command} is not in\n{}", ran.out);
            let help = run([command, "--help"]).ends_with(0);
            assert!(help.out.contains("Usage: velvetrope"), "{}", help.out);
        }
        assert!(ran.out.contains("Exit codes:"), "{}", ran.out);
    }

    #[test]
    fn wrong_usage_ends_with_2() {
        for arguments in [&[][..], &["chekc"], &["check"], &["check", "--nope", "x"], &["fmt"], &["explain", TICKETING]]
        {
            let ran = run(arguments).ends_with(2);
            assert!(ran.out.is_empty() && !ran.err.is_empty(), "{arguments:?}: {}{}", ran.out, ran.err);
        }
    }

    #[test]
    fn completions_name_the_commands() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            assert!(run(["completions", shell]).ends_with(0).out.contains("explain"), "{shell}");
        }
        run(["completions", "abacus"]).ends_with(2);
    }

    #[test]
    fn every_command_has_a_manual_page() {
        let folder = tempfile::tempdir().expect("folders can be made");
        let path = folder.path().to_str().expect("a path");
        assert!(run(["man", path]).ends_with(0).out.is_empty());
        for (page, says) in [("velvetrope.1", "Exit codes"), ("velvetrope-token-sign.1", "SECRET")] {
            let text = std::fs::read_to_string(folder.path().join(page)).expect(page);
            assert!(text.contains(says), "{page}: {text}");
        }
        run(["man", &format!("{path}/nowhere")]).ends_with(2);
    }

    #[test]
    fn colour_is_for_terminals_and_never_against_no_color() {
        let coloured = |environment: &[(&str, &str)]| {
            let mut command = command(["check", BROKEN]);
            let output = command.envs(environment.iter().copied()).output().expect("the command runs");
            Ran::from(output).out.contains('\x1b')
        };
        assert!(!coloured(&[]));
        assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
        assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure() {
        let mut child = command(["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        Ran::from(child.wait_with_output().unwrap()).ends_with(0);
    }

    #[cfg(unix)]
    #[test]
    fn arguments_that_are_no_text_are_refused_or_named() {
        use std::os::unix::ffi::OsStrExt;
        let odd = OsStr::from_bytes(b"\xff\xfe");
        run([OsStr::new("check"), odd]).ends_with(2);
        run([OsStr::new("eval"), odd, OsStr::new("https://a.example/")]).ends_with(2);
        run([OsStr::new("fmt"), odd]).ends_with(2);
    }

    #[test]
    fn schemas_are_named_and_printed() {
        let names = run(["schema"]).ends_with(0).out;
        assert!(names.lines().any(|name| name == "rules"), "{names}");
        for name in names.lines() {
            assert!(run(["schema", name]).ends_with(0).json().is_object(), "{name}");
        }
        run(["schema", "nope"]).ends_with(2);
    }
}

mod check {
    use super::*;

    #[test]
    fn a_good_policy_has_no_problems() {
        let ran = run(["check", TICKETING, "--deny-warnings"]).ends_with(0);
        assert_eq!(ran.out, "no problems\n");
    }

    #[test]
    fn every_problem_is_told_in_one_run() {
        assert_snapshot("check_broken", &run(["check", BROKEN]).ends_with(1).out);
    }

    #[test]
    fn findings_are_data() {
        let report = run(["check", BROKEN, "--format", "json"]).ends_with(1).json();
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len() as u64, report["errors"].as_u64().unwrap() + report["warnings"].as_u64().unwrap());
        let rule = findings.iter().find(|found| found["code"] == "E0113").unwrap();
        assert_eq!(rule["file"], "tests/cli/broken/rules.json");
        assert_eq!((rule["line"].as_u64(), rule["severity"].as_str()), (Some(10), Some("error")));
        assert!(rule["help"].as_str().unwrap().contains("starts_with(http.request.uri.path"));
    }

    #[test]
    fn warnings_fail_only_where_they_are_denied() {
        let policy = copy_of(TICKETING);
        let rule = r#"[{"action": "bypass_waiting_room", "expression": "http.request.uri.path eq \"shop\""}]"#;
        written(&policy, "rules/ticketshop.json", rule);
        let policy = policy.path().as_os_str();
        run([OsStr::new("check"), policy]).ends_with(0);
        run([OsStr::new("check"), policy, OsStr::new("--deny-warnings")]).ends_with(1);
    }

    #[test]
    fn a_target_refuses_what_it_cannot_know() {
        let policy = copy_of(TICKETING);
        let rule = r#"[{"action": "bypass_waiting_room", "expression": "cf.client.bot"}]"#;
        written(&policy, "rules/ticketshop.json", rule);
        let policy = policy.path().as_os_str();
        let target = |name: &'static str| run([OsStr::new("check"), policy, OsStr::new("--target"), OsStr::new(name)]);
        target("worker").ends_with(0);
        for other in ["proxy", "google-cloud"] {
            assert!(target(other).ends_with(1).out.contains("cf.client.bot"));
        }
        target("mainframe").ends_with(2);
    }

    #[test]
    fn what_is_no_policy_cannot_be_read() {
        run(["check", "no/such/policy"]).ends_with(2);
        run(["check", "src"]).ends_with(2);
        run(["check", "Cargo.toml"]).ends_with(2);
    }

    #[test]
    fn an_integration_comes_from_standard_input() {
        let good = std::fs::read(Path::new(ROOT).join(TICKETING).join("integration.json")).unwrap();
        run_with_input(good, ["check", "-"]).ends_with(0);
        run_with_input("{\"Version\": ", ["check", "-"]).ends_with(1);
        run_with_input([0xff, 0xfe], ["check", "-"]).ends_with(2);
    }
}

mod explain {
    use super::*;

    fn explained(more: &[&str]) -> Ran {
        run(["explain", TICKETING, "--at", FIXED_TIME].iter().chain(more)).ends_with(0)
    }

    #[test]
    fn a_first_visit_waits() {
        assert_snapshot("explain_first_visit", &explained(&["http://127.0.0.1:8080/shop"]).out);
    }

    #[test]
    fn without_a_secret_it_is_said_that_tokens_and_sessions_are_not_judged_by_it() {
        let missing = "VELVETROPE_SECRET is not set";
        assert!(explained(&["http://127.0.0.1:8080/shop?queueittoken=e_x"]).out.contains(missing));
        assert!(explained(&["http://127.0.0.1:8080/shop", "-H", "Cookie: a=b"]).out.contains(missing));
        assert!(!explained(&["http://127.0.0.1:8080/shop"]).out.contains(missing));
    }

    #[test]
    fn a_ticket_link_walks_past() {
        assert_snapshot(
            "explain_ticket_link",
            &explained(&["http://127.0.0.1:8080/shop/tickets/4711/userverified", "--ip", "203.0.113.9"]).out,
        );
    }

    #[test]
    fn an_address_in_a_list_walks_past() {
        let report = explained(&["http://127.0.0.1:8080/shop", "--ip", "192.0.2.10", "--format", "json"]).json();
        assert_eq!(report["verdict"]["kind"], "bypassed");
        assert_eq!(report["verdict"]["rule"], "admins");
        assert_eq!(report["decision"]["label"], "bypass");
        assert_eq!(report["decision"]["cookies"], serde_json::json!([]));
    }

    #[test]
    fn a_token_is_judged_by_the_secret_of_the_environment() {
        let sign = ["token", "sign", "--event", "ticketshop", "--expires", "2026-11-22T20:05:00Z"];
        let token = run_with_secret("k1", sign).ends_with(0).out;
        let url = format!("http://127.0.0.1:8080/shop?queueittoken={}", token.trim());
        let explain = ["explain", TICKETING, url.as_str(), "--at", FIXED_TIME, "--format", "json"];
        let good = run_with_secret("k1", explain).ends_with(0).json();
        assert_eq!(good["decision"]["label"], "token");
        assert_eq!(good["decision"]["redirect"], "http://127.0.0.1:8080/shop");
        let cookie = good["decision"]["cookies"][0].as_str().unwrap();
        assert!(cookie.starts_with("QueueITAccepted-SDFrts345E-V3_ticketshop="), "{cookie}");
        assert!(cookie.contains('…'), "a session that can be used is printed: {cookie}");
        let bad = run_with_secret("k2", explain).ends_with(0).json();
        assert_eq!(bad["decision"]["label"], "error");
        assert!(!good.to_string().contains(token.trim()) && !bad.to_string().contains(token.trim()));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for arguments in [
            &["/shop"][..],
            &["http://127.0.0.1:8080/shop", "-H", "no colon"],
            &["http://127.0.0.1:8080/shop", "--ip", "300.1.1.1"],
            &["http://127.0.0.1:8080/shop", "--at", "tomorrow"],
            &["http://127.0.0.1:8080/shop", "--field", "http.host=x"],
        ] {
            run(["explain", TICKETING].iter().chain(arguments)).ends_with(2);
        }
    }

    #[test]
    fn a_policy_with_errors_cannot_be_explained() {
        let ran = run(["explain", BROKEN, "https://tickets.example/"]).ends_with(2);
        assert!(ran.err.contains("E0113") && ran.out.is_empty(), "{}", ran.err);
    }
}

mod eval {
    use super::*;

    /// Each expression with what is said of the request, and what every host would say.
    #[test]
    fn the_desk_says_what_hosts_say() {
        for (expression, more, expected) in [
            (r#"any(http.request.headers.names[*] == "x-staff-key")"#, &["-H", "X-Staff-Key: 1"][..], true),
            (r#"any(http.request.headers.names[*] == "X-Staff-Key")"#, &["-H", "X-Staff-Key: 1"], false),
            ("ip.src eq 192.0.2.1", &["--ip", "::ffff:192.0.2.1"], true),
            ("ip.src eq ::ffff:192.0.2.1", &["--ip", "192.0.2.1"], true),
            ("ip.src in {::ffff:192.0.2.0/120}", &["--ip", "192.0.2.77"], true),
            ("ip.src in $l", &["--ip", "::ffff:192.0.2.1", "--list", "l=192.0.2.1"], true),
            ("ip.src in $l", &["--ip", "192.0.2.1", "--list", "l=::ffff:192.0.2.0/120"], true),
            ("cf.edge.server_ip eq 192.0.2.1", &["--field", "cf.edge.server_ip=::ffff:192.0.2.1"], true),
            (r#"http.request.version eq "HTTP/1.1""#, &[], true),
            (r#"http.request.version eq "HTTP/3""#, &["--http-version", "3"], true),
            (r#"http.request.version eq "HTTP/3""#, &["--field", "http.request.version=HTTP/3"], true),
            (r#"ip.src.continent eq "EU" and ip.src.is_in_european_union"#, &["--country", "de"], true),
            (r#"ip.src.continent eq "EU" and not ip.src.is_in_european_union"#, &["--country", "CH"], true),
            (r#"ip.src.continent eq "AS""#, &["--country", "DE", "--field", "ip.src.continent=AS"], true),
            ("not ip.src.is_in_european_union", &[], true),
            (r#"cf.tls_client_auth.cert_serial ne "0A1B2C""#, &["--target", "worker"], true),
            (r#"cf.tls_client_auth.cert_serial ne "0A1B2C""#, &["--target", "proxy"], false),
            (r#"cf.tls_client_auth.cert_issuer_dn eq """#, &["--target", "worker"], true),
            (r#"cf.worker.upstream_zone eq """#, &["--target", "worker"], true),
            (r#"not cf.worker.upstream_zone in {"" "shop.example"}"#, &["--target", "worker"], false),
            (r#"cf.worker.upstream_zone eq "a.example""#, &["--target", "worker", "-H", "CF-Worker: a.example"], true),
            ("cf.edge.l4.delivery_rate eq 0", &["--target", "worker"], true),
            ("not cf.edge.client_tcp", &["--target", "worker", "--http-version", "3"], true),
        ] {
            let ran = run(["eval", expression, "https://shop.example/"].iter().chain(more));
            assert_eq!(ran.code, i32::from(!expected), "{expression} {more:?}\n{}{}", ran.out, ran.err);
        }
        for (option, value) in [
            ("--http-version", "4"),
            ("--country", "Germany"),
            ("--ip", "192.0.2.0/24"),
            ("--field", "http.request.version=4"),
            ("--field", "cf.edge.server_port=8443"),
        ] {
            run(["eval", "ssl", "https://shop.example/", option, value]).ends_with(2);
        }
    }

    const URL: &str = "https://tickets.example/shop/seats?row=7";

    #[test]
    fn true_and_false_are_told_apart_by_the_exit_code() {
        let ran = run(["eval", "http.host eq \"tickets.example\" and ssl", URL]).ends_with(0);
        assert!(ran.out.starts_with("true\n"), "{}", ran.out);
        let ran = run(["eval", "http.request.uri.path contains \"/admin\"", URL]).ends_with(1);
        assert!(ran.out.starts_with("false\n") && ran.out.contains("/shop/seats"), "{}", ran.out);
    }

    #[test]
    fn the_trace_tells_what_was_seen() {
        let expression =
            "(http.host eq \"tickets.example\" or ssl) and not any(http.request.uri.args[\"row\"][*] eq \"7\")";
        assert_snapshot("eval_trace", &run(["eval", expression, URL, "--at", FIXED_TIME]).ends_with(1).out);
    }

    #[test]
    fn everything_about_a_request_can_be_given() {
        let expression = "http.request.method eq \"POST\" and http.user_agent eq \"curl\" and ip.src eq 192.0.2.7 \
            and ip.src.country eq \"DE\" and ip.src.asnum eq 64500 and cf.client.bot \
            and http.request.timestamp.sec eq 1795377600";
        let request = [
            "-X",
            "POST",
            "-H",
            "User-Agent: curl",
            "--ip",
            "192.0.2.7",
            "--country",
            "DE",
            "--asn",
            "64500",
            "--field",
            "cf.client.bot=true",
            "--at",
            "1795377600",
        ];
        run(["eval", expression, URL].iter().chain(&request)).ends_with(0);
    }

    #[test]
    fn lists_are_given_as_members_or_as_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = written(&folder, "office.txt", "192.0.2.0/24 # the office\n\n2001:db8::/32\n");
        for (list, code) in [
            ("office=192.0.2.0/24,198.51.100.1".to_owned(), 0),
            ("office=198.51.100.1".to_owned(), 1),
            (format!("office={}", file.display()), 0),
            ("office=192.0.2.0/33".to_owned(), 2),
            ("office".to_owned(), 2),
        ] {
            run(["eval", "ip.src in $office", URL, "--ip", "192.0.2.7", "--list", &list]).ends_with(code);
        }
        run(["eval", "http.host in $hosts", URL, "--list", "hosts=*.example"]).ends_with(0);
        run(["eval", "ip.src.asnum in $nets", URL, "--asn", "64500", "--list", "nets=64500"]).ends_with(0);
    }

    #[test]
    fn what_is_no_expression_is_explained() {
        let ran = run(["eval", "http.uri.path eq", URL]).ends_with(2);
        assert!(ran.err.contains("http.request.uri.path") && ran.out.is_empty(), "{}", ran.err);
        run(["eval", "", URL]).ends_with(2);
        run(["eval", &"(".repeat(5000), URL]).ends_with(2);
        run(["eval", "ssl", "tickets.example"]).ends_with(2);
    }

    #[test]
    fn what_show_prints_of_triggers_can_be_tried() {
        let expression = "upper_unicode(trigger.page_path) contains \"/SEATS\" and trigger.page_url eq \"https://tickets.example/shop/seats\"";
        run(["eval", expression, "https://tickets.example/shop/seats?queueittoken=x"]).ends_with(0);
    }

    #[test]
    fn traps_are_pointed_out() {
        let expression = "starts_with(http.request.uri.path, \"shop\")";
        assert!(run(["eval", expression, URL]).ends_with(1).out.contains("warning[W"));
        let report = run(["eval", expression, URL, "--format", "json"]).ends_with(1).json();
        assert!(report["warnings"][0]["code"].as_str().unwrap().starts_with('W'));
    }

    #[test]
    fn expressions_come_from_standard_input() {
        run_with_input("ssl\n", ["eval", "-", URL]).ends_with(0);
        run_with_input("not ssl\n", ["eval", "-", URL]).ends_with(1);
    }

    #[test]
    fn the_result_is_data() {
        let report = run(["eval", "ssl and not ssl", URL, "--format", "json"]).ends_with(1).json();
        assert_eq!((&report["result"], &report["expression"]), (&Value::from(false), &Value::from("ssl and not ssl")));
        assert_eq!(report["trace"]["parts"].as_array().map(Vec::len), Some(2));
    }
}

mod fmt {
    use super::*;

    #[test]
    fn an_expression_is_printed_in_canonical_form() {
        let ran = run(["fmt", "-e", "http.host==\"a.example\"&&!ssl"]).ends_with(0);
        assert_eq!(ran.out, "http.host eq \"a.example\" and not ssl\n");
        assert_eq!(run(["fmt", "-e", ran.out.trim(), "--check"]).ends_with(0).code, 0);
        run(["fmt", "-e", "ssl&&ssl", "--check"]).ends_with(1);
        run(["fmt", "-e", "ssl and"]).ends_with(2);
        run(["fmt", "-e", "ssl", "some.json"]).ends_with(2);
    }

    #[test]
    fn rules_are_rewritten_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let before = "[ {\"description\":\"a \\u00e9 b\",\n\t\"expression\" : \"ssl&&http.host==\\\"a\\\"\" , \"x\":1e3},\n{\"expression\":\"ssl\"}]\n\n";
        let after = before.replace("ssl&&http.host==", "ssl and http.host eq ");
        let file = written(&folder, "rules.json", before);
        let fmt = |more: &[&str]| run(["fmt", file.to_str().unwrap()].iter().chain(more));
        fmt(&["--check"]).ends_with(1);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "--check changes nothing");
        fmt(&[]).ends_with(0);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), after);
        fmt(&["--check"]).ends_with(0);
    }

    #[test]
    fn standard_input_is_printed() {
        assert_eq!(run_with_input("ssl  ||  ssl\n", ["fmt", "-"]).ends_with(0).out, "ssl or ssl\n");
        let rules = "[{\"expression\": \"!ssl\"}]";
        assert_eq!(run_with_input(rules, ["fmt", "-"]).ends_with(0).out, "[{\"expression\": \"not ssl\"}]");
    }

    #[test]
    fn the_example_is_formatted() {
        run(["fmt", "--check", TICKETING]).ends_with(0);
    }

    #[test]
    fn what_is_not_text_or_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = written(&folder, "bytes", [0x73, 0x73, 0x0a, 0xff]);
        let ran = run([OsStr::new("fmt"), bytes.as_os_str()]).ends_with(2);
        assert!(ran.err.contains("line 2"), "{}", ran.err);
        let broken = written(&folder, "broken.json", "[{\"expression\": ");
        run([OsStr::new("fmt"), broken.as_os_str()]).ends_with(2);
        run(["fmt", "no/such/file"]).ends_with(2);
    }
}

mod test {
    use super::*;

    #[test]
    fn the_examples_cases_pass() {
        let ran = run(["test", TICKETING, "--deny-unmatched"]).ends_with(0);
        assert!(ran.out.contains(" passed, 0 failed"), "{}", ran.out);
    }

    const CASES: &str = r#"
        [[case]]
        name = "wrong in every way"
        url = "http://127.0.0.1:8080/shop"
        [case.expect]
        decision = "pass"
        integration = ""
        room = "other"
        rule = "admins"
        status = 200
        redirect = "https://elsewhere.example"
        cookies = ["a"]
        headers = { x-queueit-connector = "worker" }
        request_headers = { x-velvetrope-verdict = "pass" }
    "#;

    #[test]
    fn failures_are_explained_and_what_nobody_matched_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let cases = written(&folder, "cases.toml", CASES);
        let ran = run([OsStr::new("test"), OsStr::new(TICKETING), cases.as_os_str()]).ends_with(1);
        assert_snapshot("test_failures", &ran.out.replace(&cases.display().to_string(), "cases.toml"));
    }

    #[test]
    fn json_lines_and_standard_input() {
        let good = r#"{"url": "http://127.0.0.1:8080/", "expect": {"decision": "pass", "integration": ""}}"#;
        let report = run_with_input(good, ["test", TICKETING, "-", "--format", "json"]).ends_with(0).json();
        assert_eq!((report["passed"].as_u64(), report["failed"].as_u64()), (Some(1), Some(0)));
        assert!(report["unmatched"]["rules"].as_array().unwrap().len() > 1);
        run_with_input(good, ["test", TICKETING, "-", "--deny-unmatched"]).ends_with(1);
        let bad = format!("{good}\n\n{{\"url\": 1}}");
        assert!(run_with_input(bad, ["test", TICKETING, "-"]).ends_with(2).err.contains("line 3"));
    }

    #[test]
    fn junit_is_written_for_ci() {
        let folder = tempfile::tempdir().unwrap();
        let (cases, junit) = (written(&folder, "cases.toml", CASES), folder.path().join("junit.xml"));
        run([OsStr::new("test"), OsStr::new(TICKETING), cases.as_os_str(), OsStr::new("--junit"), junit.as_os_str()])
            .ends_with(1);
        let xml = std::fs::read_to_string(junit).unwrap();
        assert!(xml.contains("failures=\"1\"") && xml.contains("wrong in every way"), "{xml}");
    }

    #[test]
    fn what_is_no_case_is_refused() {
        for text in ["", "[[case]]\nname = \"no url\"", "[[case]]\nurl = \"/x\"\nexpect = {}", "[[cases]]", "= = ="] {
            run_with_input(text, ["test", TICKETING, "-"]).ends_with(2);
        }
        let typing = "[[case]]\nurl = \"http://a.example/\"\nexpect = { decison = \"pass\" }";
        assert!(run_with_input(typing, ["test", TICKETING, "-"]).ends_with(2).err.contains("decison"));
        let indifferent = run_with_input(r#"{"url": "http://a.example/"}"#, ["test", TICKETING, "-"]).ends_with(2);
        assert!(indifferent.err.contains("expects nothing"), "{}", indifferent.err);
        run(["test", TICKETING, "src"]).ends_with(2);
        let policy = copy_of(TICKETING);
        std::fs::remove_file(policy.path().join("cases.toml")).unwrap();
        run([OsStr::new("test"), policy.path().as_os_str()]).ends_with(2);
    }
}

mod bench {
    use super::*;

    fn decisions(report: &Value) -> Vec<&str> {
        let requests = report["requests"].as_array().expect("there are requests").iter();
        requests.map(|request| request["decision"].as_str().expect("each is decided")).collect()
    }

    #[test]
    fn a_policy_is_measured_with_its_cases() {
        let report = run(["bench", TICKETING, "--decisions", "50", "--format", "json"]).ends_with(0).json();
        assert!(report["origin"].as_str().unwrap().ends_with("cases.toml"));
        assert!(report["decisions"].as_u64().unwrap() >= 50);
        assert!(report["decisions_per_second"].as_f64().unwrap() > 0.0);
        let times = ["p50", "p90", "p99", "p99_9", "max"].map(|name| report["time_ns"][name].as_u64().unwrap());
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(report["allocations_per_decision"].is_null(), cfg!(not(feature = "count-allocations")));
        let wanted = ["pass", "queue", "token", "error", "session", "bypass", "cancel", "ignore"];
        let found = decisions(&report);
        assert!(wanted.iter().all(|label| found.contains(label)), "{found:?}");
        let expensive = report["most_expensive"].as_array().unwrap();
        let costs: Vec<_> = expensive.iter().map(|rule| rule["median_ns"].as_u64().unwrap()).collect();
        assert!(costs.len() == 5 && costs.is_sorted_by(|a, b| a >= b), "{costs:?}");
        assert!(report["rules"].as_u64().unwrap() > 5);
    }

    #[test]
    fn without_cases_requests_are_made_up() {
        let policy = copy_of(TICKETING);
        std::fs::remove_file(policy.path().join("cases.toml")).unwrap();
        let bench = [OsStr::new("bench"), policy.path().as_os_str(), OsStr::new("--decisions"), OsStr::new("1")];
        let json = [OsStr::new("--format"), OsStr::new("json")];
        let report = run(bench.iter().chain(&json)).ends_with(0).json();
        assert!(report["origin"].as_str().unwrap().starts_with("made up"));
        let found = decisions(&report);
        for label in ["pass", "bypass", "queue", "token", "session"] {
            assert!(found.contains(&label), "{label} is not among {found:?}");
        }
        let text = run(bench).ends_with(0).out;
        for part in ["Decisions ", "Time ", "Allocations ", "\nRequests\n", "  queue ", "integration 3 Shop"] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }

    #[test]
    fn requests_need_not_expect_anything() {
        let requests = "{\"url\": \"http://127.0.0.1:8080/\"}\n{\"url\": \"http://127.0.0.1:8080/shop\"}";
        let bench = ["bench", TICKETING, "-", "--decisions", "1", "--format", "json"];
        let report = run_with_input(requests, bench).ends_with(0).json();
        assert_eq!(decisions(&report), ["pass", "queue"]);
        assert_eq!(report["origin"], "standard input");
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        run(["bench", TICKETING, "--decisions", "0"]).ends_with(2);
        run(["bench", BROKEN]).ends_with(2);
        run(["bench", TICKETING, "no-such-file.toml"]).ends_with(2);
        run_with_input("", ["bench", TICKETING, "-"]).ends_with(2);
    }
}

mod show {
    use super::*;

    #[test]
    fn a_policy_is_text() {
        assert_snapshot("show_ticketing", &run(["show", TICKETING]).ends_with(0).out);
    }

    #[test]
    fn a_policy_is_data() {
        let report = run(["show", TICKETING, "--format", "json"]).ends_with(0).json();
        assert_eq!(report["customer_id"], "ticketing");
        assert!(report["integrations"].as_array().unwrap().iter().all(|found| found["when"].is_string()));
        assert_eq!(report["lists"]["admins"]["kind"], "ip");
    }

    #[test]
    fn a_policy_with_errors_cannot_be_shown() {
        run(["show", BROKEN]).ends_with(2);
    }
}

mod publish {
    use super::*;

    #[test]
    fn the_uploads_are_written_and_the_commands_printed() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("a folder").display().to_string();
        let more = ["--integration", "--into", &into, "--format", "json", "--", "--config", "w.toml"];
        let shown = run(["publish", TICKETING].iter().chain(&more)).ends_with(0).json();
        assert_eq!(shown["published"], false);
        let upload = &shown["uploads"][0];
        let file = format!("{into}/policy.json");
        let command = format!(
            "npx wrangler kv key put policy --path '{file}' --binding IntegrationConfigKV --remote --config w.toml"
        );
        assert_eq!((upload["file"].as_str(), upload["command"].as_str()), (Some(&*file), Some(&*command)));
        let texts: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let rules = std::fs::read_to_string(Path::new(ROOT).join(TICKETING).join("rules/ticketshop.json")).unwrap();
        assert_eq!(texts["rules/ticketshop.json"], rules.as_str());
        assert_eq!(shown["uploads"][1]["key"], "info");
        let integration = std::fs::read(Path::new(ROOT).join(TICKETING).join("integration.json")).unwrap();
        assert_eq!(std::fs::read(format!("{into}/info.json")).unwrap(), integration);
        let ran = run(["publish", TICKETING, "--into", &into, "--", "--local"]).ends_with(0);
        assert!(ran.out.ends_with(" --local\n") && !ran.out.contains("--remote"), "{}", ran.out);
    }

    #[test]
    fn only_a_policy_that_works_on_a_worker_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("upload");
        let ran = run(["publish", BROKEN, "--into", &into.display().to_string()]).ends_with(2);
        assert!(ran.err.contains("error[") && !into.exists(), "{}", ran.err);
    }

    #[test]
    fn without_wrangler_it_says_what_to_do() {
        let ran: Ran = command(["publish", TICKETING]).env("PATH", "").output().expect("the command runs").into();
        let ran = ran.ends_with(2);
        assert!(ran.err.contains("npx") && ran.err.contains("--into"), "{}", ran.err);
    }
}

mod compile {
    use super::*;

    fn compiled(folder: &tempfile::TempDir) -> String {
        let file = folder.path().join("site.vrp").display().to_string();
        let ran = run(["compile", TICKETING, "-o", &file]).ends_with(0);
        let size = std::fs::metadata(&file).unwrap().len();
        assert!(ran.out.starts_with(&format!("{file}: {size} bytes, ")), "{}", ran.out);
        file
    }

    #[test]
    fn what_was_compiled_stands_in_for_the_policy() {
        let folder = tempfile::tempdir().unwrap();
        let file = compiled(&folder);
        assert_eq!(run(["check", &file]).ends_with(0).out, "no problems\n");
        let shown = run(["show", &file, "--format", "json"]).ends_with(0).json();
        let policy = run(["show", TICKETING, "--format", "json"]).ends_with(0).json();
        assert_eq!(shown["lists"], policy["lists"]);
        assert_eq!(shown["integrations"][0]["name"], policy["integrations"][0]["name"]);
        assert!(shown["compiled"] == true && shown["integrations"][0]["when"].is_null());
        assert!(run(["show", &file]).ends_with(0).out.contains("compiled: "));
        run(["bench", &file, "--decisions", "10"]).ends_with(0);
    }

    #[test]
    fn what_was_compiled_cannot_be_explained() {
        let folder = tempfile::tempdir().unwrap();
        let file = compiled(&folder);
        for more in [&["https://tickets.example/"][..], &["--plan"]] {
            let ran = run(["explain", file.as_str()].iter().chain(more)).ends_with(2);
            assert!(ran.err.contains("holds no texts"), "{}", ran.err);
        }
    }

    #[test]
    fn the_same_bytes_go_to_standard_output() {
        let folder = tempfile::tempdir().unwrap();
        let file = compiled(&folder);
        let output = command(["compile", TICKETING, "-o", "-"]).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.stdout, std::fs::read(file).unwrap());
    }

    #[test]
    fn what_does_not_work_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let ran = run(["compile", BROKEN, "-o", &file("broken.vrp")]).ends_with(2);
        assert!(ran.err.contains("error[") && !Path::new(&file("broken.vrp")).exists(), "{}", ran.err);
        assert!(run(["compile", TICKETING, "-o", &file("site")]).ends_with(2).err.contains("does not end in .vrp"));
        let saved = compiled(&folder);
        let half = std::fs::read(&saved).unwrap().split_off(40);
        std::fs::write(&saved, half).unwrap();
        assert!(run(["check", &saved]).ends_with(1).out.contains("this is no compiled policy"));
        assert!(run(["show", &saved]).ends_with(2).err.contains("this is no compiled policy"));
    }
}

mod token {
    use super::*;

    #[test]
    fn a_token_that_was_made_stands_every_check() {
        let sign =
            ["token", "sign", "--event", "shop", "--queue-id", "q1", "--ip", "192.0.2.7", "--cookie-validity", "9"];
        let token = run_with_secret("k1", sign).ends_with(0).out;
        let token = token.trim();
        let inspect =
            |secret: &str, more: &[&str]| run_with_secret(secret, ["token", "inspect", token].iter().chain(more));
        assert!(inspect("k1", &["--event", "shop", "--ip", "192.0.2.7"]).ends_with(0).out.contains("q1"));
        inspect("k2", &[]).ends_with(1);
        inspect("k1", &["--event", "other"]).ends_with(1);
        inspect("k1", &["--ip", "192.0.2.8"]).ends_with(1);
        let late = inspect("k1", &["--at", "2100-01-01T00:00:00Z", "--format", "json"]).ends_with(1).json();
        assert_eq!((&late["valid"], &late["queue_id"]), (&Value::from(false), &Value::from("q1")));
        assert_eq!(late["checks"][1]["code"], "timestamp");
    }

    #[test]
    fn the_secret_before_is_accepted() {
        let token = run_with_secret("old", ["token", "sign", "--event", "shop"]).ends_with(0).out;
        let mut command = command(["token", "inspect", token.trim(), "--secret-env", "ROPE"]);
        command.env("ROPE", "new").env("ROPE_PREVIOUS", "old");
        Ran::from(command.output().unwrap()).ends_with(0);
    }

    #[test]
    fn tokens_come_from_standard_input() {
        let mut child = command(["token", "inspect", "-"]);
        let token = run_with_secret("k1", ["token", "sign", "--event", "shop"]).ends_with(0).out;
        let child = child.env("VELVETROPE_SECRET", "k1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        Ran::from(child.wait_with_output().unwrap()).ends_with(0);
    }

    #[test]
    fn there_is_no_token_without_a_secret() {
        let ran = run(["token", "sign", "--event", "shop"]).ends_with(2);
        assert!(ran.err.contains("VELVETROPE_SECRET"), "{}", ran.err);
        run(["token", "inspect", "e_shop"]).ends_with(2);
        run_with_secret("", ["token", "sign", "--event", "shop"]).ends_with(2);
    }

    #[test]
    fn what_a_token_cannot_carry_is_refused() {
        run_with_secret("k1", ["token", "sign", "--event", "my_shop"]).ends_with(2);
        run_with_secret("k1", ["token", "sign", "--event", "shop", "--queue-id", "a~b"]).ends_with(2);
        run_with_secret("k1", ["token", "sign", "--event", "shop", "--valid-for", "soon"]).ends_with(2);
        run_with_secret("k1", ["token", "sign", "--event", "shop", "--valid-for", "5m", "--expires", "0"]).ends_with(2);
    }

    #[test]
    fn odd_tokens_have_an_answer() {
        for token in ["", "~", "h_", "-x", "e_\u{1b}[31mshop~ts_9e99~h_é"] {
            let ran = run_with_secret("k1", ["token", "inspect", token]).ends_with(1);
            assert!(!ran.out.contains('\x1b'), "{}", ran.out);
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = "a-secret-that-nobody-may-see";
        for arguments in [
            &["token", "sign", "--event", "shop"][..],
            &["token", "inspect", "e_shop~h_x"],
            &["explain", TICKETING, "http://127.0.0.1:8080/shop"],
            &["show", TICKETING],
        ] {
            let ran = run_with_secret(secret, arguments);
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{arguments:?}");
        }
    }
}

/// What serves until it is told to stop.
#[cfg(unix)]
mod servers {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Child;

    use super::*;

    /// A running command that does not outlive its test.
    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    impl Server {
        fn start(arguments: &[&str]) -> Server {
            let mut command = command(arguments);
            command.env("VELVETROPE_SECRET", "k1").env_remove("VELVETROPE_LOG").stdin(Stdio::null());
            Server(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command runs"))
        }

        /// Ends it as an init system does, and gives its exit code.
        fn terminate(mut self) -> Option<i32> {
            let killed = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
            assert!(killed.expect("there is a kill").success());
            self.0.wait().expect("it ends").code()
        }
    }

    /// Reads lines up to the one that holds `wanted`.
    #[track_caller]
    fn until(lines: impl Read, wanted: &str) -> (String, impl BufRead) {
        let mut lines = BufReader::new(lines);
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).expect("it prints text") > 0, "no {wanted} in\n{seen}");
            seen += &line;
            if line.contains(wanted) {
                return (line, lines);
            }
        }
    }

    #[test]
    fn serve_serves_until_it_is_terminated() {
        let arguments = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"];
        let mut server = Server::start(&[&["serve", TICKETING], &arguments[..]].concat());
        let (line, logs) = until(server.0.stderr.take().unwrap(), "\"serving\"");
        let (_, _logs) = until(logs, "listening to signals");
        let log: Value = serde_json::from_str(&line).expect("logs are JSON");
        let mut admin = std::net::TcpStream::connect(log["admin"].as_str().unwrap()).expect("it listens");
        write!(admin, "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        admin.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(server.terminate(), Some(0));
    }

    #[test]
    fn serve_refuses_what_it_cannot_serve() {
        run(["serve", "no/such/policy"]).ends_with(2);
        run(["serve", TICKETING, "--listen", "localhost"]).ends_with(2);
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        run_with_secret("k1", ["serve", TICKETING, "--listen", &address, "--admin", "127.0.0.1:0"]).ends_with(2);
    }

    #[test]
    fn without_a_secret_nothing_is_served() {
        for command in
            [["serve", TICKETING, "--listen", "127.0.0.1:0"], ["ext-proc", TICKETING, "--listen", "127.0.0.1:0"]]
        {
            for ran in [run(command), run_with_secret("", command)] {
                assert!(ran.err.contains("set the environment variable VELVETROPE_SECRET"), "{}", ran.err);
                assert!(!ran.err.contains("\"serving\"") && !ran.err.contains(" serving "), "{}", ran.err);
                ran.ends_with(2);
            }
        }
    }

    #[test]
    fn a_short_secret_is_told_of_before_anything_is_served() {
        let arguments = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"];
        let mut server = Server::start(&[&["serve", TICKETING], &arguments[..]].concat());
        let mut logs = BufReader::new(server.0.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("listening to signals") {
            assert!(logs.read_line(&mut seen).expect("it prints text") > 0, "{seen}");
        }
        let [warned, served] = ["the secret is shorter than 32 characters", "\"serving\""].map(|text| seen.find(text));
        assert!(warned.is_some() && warned < served && !seen.contains("k1"), "{seen}");
        assert_eq!(server.terminate(), Some(0));
    }

    /// Who passes is said, and nobody has to wait: nothing is signed.
    #[test]
    fn a_policy_that_signs_nothing_needs_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = "customer_id = \"acme\"\nrooms = \"rooms.json\"\nrules = { \"*\" = \"rules.json\" }\n\
                        [proxy]\norigin = \"http://127.0.0.1:9\"\n";
        let rooms = r#"[{"name": "winter", "host": "tickets.example", "suspended": true}]"#;
        let rules = r#"[{"action": "bypass_waiting_room", "expression": "ip.src in {192.0.2.1}"}]"#;
        for (file, text) in [("velvetrope.toml", settings), ("rooms.json", rooms), ("rules.json", rules)] {
            std::fs::write(folder.path().join(file), text).expect("a file");
        }
        let policy = folder.path().to_str().expect("UTF-8");
        let arguments = ["serve", policy, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"];
        let mut server = command(arguments);
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut server = Server(server.spawn().expect("the command runs"));
        let (_, logs) = until(server.0.stderr.take().unwrap(), "there is no secret");
        let (_, _logs) = until(logs, "listening to signals");
        assert_eq!(server.terminate(), Some(0));
    }

    #[test]
    fn the_demo_says_what_to_try_and_ends_when_it_is_told_to() {
        let mut server = Server::start(&["demo"]);
        let (line, _lines) = until(server.0.stdout.take().unwrap(), "/shop");
        assert!(line.contains("http://127.0.0.1:"), "{line}");
        assert_eq!(server.terminate(), Some(0));
    }
}
