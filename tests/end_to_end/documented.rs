//! What the documentation shows was run: every `console` block of the book and of the README, as it stands.
//!
//! The commands of a page run in order, in one shell, in a folder that holds the examples. Below a command stands what
//! it prints; `…` is anything in a line, and a line of its own is any number of lines.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command of a page, and what it should print.
struct Step {
    line: usize,
    command: String,
    printed: Vec<String>,
}

#[test]
fn pages_print_what_they_show() {
    let mut wrong = Vec::new();
    for page in pages() {
        let steps = steps(&fs::read_to_string(&page).expect("pages are UTF-8"));
        if steps.is_empty() {
            continue;
        }
        for (step, printed) in steps.iter().zip(run(&steps)) {
            if !step.command.trim_end().ends_with('&') && !matches(&step.printed, &lines(&printed)) {
                let printed: String = printed.chars().take(3_000).collect();
                wrong.push(format!("{}:{}: $ {}\n{printed}", page.display(), step.line, step.command));
            }
        }
    }
    assert!(wrong.is_empty(), "these print something else:\n\n{}", wrong.join("\n"));
}

#[test]
fn the_command_line_page_has_every_command() {
    let page = fs::read_to_string(root().join("docs/commands.md")).expect("the page is there");
    let help = help(&[]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for line in commands.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let command = line.split_whitespace().next().expect("the line has a word");
        assert!(command == "help" || page.contains(&format!("`{command}")), "docs/commands.md lacks `{command}`");
    }
}

/// The folder of the repository: the one with the book.
fn root() -> &'static Path {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find(|folder| folder.join("docs/book.toml").is_file()).expect("the book is in the repository")
}

#[test]
fn the_files_of_the_policy_page_are_accepted() {
    let page = fs::read_to_string(root().join("docs/policy.md")).expect("the page is there");
    let blocks = |kind: &str| {
        let fence = format!("```{kind}\n");
        let blocks = page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
        blocks.map(str::to_owned).collect::<Vec<_>>()
    };
    let ([settings, cases], [rules, rooms], [list]) = (&blocks("toml")[..], &blocks("json")[..], &blocks("text")[..])
    else {
        panic!("the page shows settings, cases, rules, rooms and a list");
    };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("files can be written");
    for below in ["rules", "lists"] {
        fs::create_dir(folder.path().join(below)).expect("a folder can be made");
    }
    write("velvetrope.toml", settings);
    write("rules/staff.json", rules);
    write("rooms.json", rooms);
    write("lists/admins.txt", list);
    // What the page does not show: a room `checkout` of `acme`, and the rest empty.
    let published = fs::read_to_string(root().join("examples/ticketing/integration.json")).expect("it is there");
    write("integration.json", &published.replace("ticketshop", "checkout").replace("ticketing", "acme"));
    write("rules/checkout.json", "[]");
    write("rules/payment.json", "[]");
    write("lists/partners.txt", "64496");
    succeeds(Command::new(env!("CARGO_BIN_EXE_velvetrope")).arg("check").arg(folder.path()));
    write("cases.toml", cases);
    let example = root().join("examples/ticketing");
    succeeds(
        Command::new(env!("CARGO_BIN_EXE_velvetrope")).arg("test").args([&example, &folder.path().join("cases.toml")]),
    );
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let ended = command.output().expect("it runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()));
}

#[test]
fn flags_that_pages_name_are_flags() {
    let mut helps = String::new();
    let mut commands = vec![Vec::new()];
    while let Some(command) = commands.pop() {
        let help = help(&command);
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        for line in listed.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
            let name = line.split_whitespace().next().expect("the line has a word").to_owned();
            if name != "help" {
                commands.push([command.clone(), vec![name]].concat());
            }
        }
        helps.push_str(&help);
    }
    for page in pages().iter().filter(|page| !page.ends_with("CONTRIBUTING.md")) {
        let text = fs::read_to_string(page).expect("pages are UTF-8");
        for span in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
            let flags = span.split(|letter: char| !(letter.is_alphanumeric() || letter == '-'));
            for flag in flags.filter(|flag| flag.starts_with("--") && !span.starts_with("cargo ") && flag.len() > 2) {
                assert!(helps.contains(flag), "{}: `{span}`: no command knows {flag}", page.display());
            }
        }
    }
}

fn help(command: &[String]) -> String {
    let ended = Command::new(env!("CARGO_BIN_EXE_velvetrope")).args(command).arg("--help").output().expect("it runs");
    String::from_utf8(ended.stdout).expect("it prints UTF-8")
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the book is there") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The commands in the `console` blocks of a page. One that ends with `\` goes on in the next line.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut goes_on) = (false, false);
    for (index, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            inside = !inside && line.trim() == "```console";
        } else if inside && goes_on {
            let step = steps.last_mut().expect("a command was begun");
            step.command = format!("{}\n{line}", step.command);
            goes_on = line.ends_with('\\');
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            steps.push(Step { line: index + 1, command: command.to_owned(), printed: Vec::new() });
            goes_on = command.ends_with('\\');
        } else if inside {
            steps.last_mut().expect("a block begins with a command").printed.push(line.to_owned());
        }
    }
    steps
}

/// What each command prints, errors included.
fn run(steps: &[Step]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for name in ["examples", "deploy"] {
        copy(&root().join(name), &folder.path().join(name));
    }
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).expect("a folder can be made");
    symlink(env!("CARGO_BIN_EXE_velvetrope"), programs.join("velvetrope")).expect("a link can be made");
    let mut script = String::from("trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
    for (index, step) in steps.iter().enumerate() {
        script.push_str(&format!("{{ {}\n}} >.printed-{index} 2>&1\n", step.command));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let ended = shell()
        .arg(&script)
        .env_clear()
        .envs([("PATH", format!("{}:{path}", programs.display())), ("LANG", "C.UTF-8".into())])
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .status();
    assert!(ended.expect("a shell runs").code().is_some_and(|code| code != 124), "the page did not come to its end");
    let printed = |index: usize| fs::read_to_string(folder.path().join(format!(".printed-{index}")));
    (0..steps.len()).map(|index| printed(index).unwrap_or_else(|error| error.to_string())).collect()
}

/// A shell with ports of its own, where the system lets us: pages name them, and others may have them.
fn shell() -> Command {
    let mut command = Command::new("timeout");
    command.arg("300");
    let alone = ["unshare", "--net", "--map-root-user"];
    let mut trial = Command::new(alone[0]);
    trial.args(&alone[1..]).args(["ip", "link", "set", "lo", "up"]);
    if trial.output().is_ok_and(|ended| ended.status.success()) {
        command.args(alone).args(["bash", "-c", "ip link set lo up && exec bash -c \"$0\""]);
    } else {
        command.args(["bash", "-c"]);
    }
    command
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the examples are there") {
        let path = entry.expect("the folder can be read").path();
        let target = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            if !path.ends_with("build") {
                copy(&path, &target);
            }
        } else {
            fs::copy(&path, &target).expect("files can be copied");
        }
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().collect()
}

/// Whether lines are as they are shown.
fn matches(shown: &[String], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "…" => (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..])),
        Some((first, rest)) => {
            printed.split_first().is_some_and(|(line, others)| line_matches(first, line) && matches(rest, others))
        }
    }
}

/// Whether a line is as it is shown, each `…` being anything.
fn line_matches(shown: &str, printed: &str) -> bool {
    let mut pieces = shown.trim_end().split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = printed.trim_end().strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let found = if pieces.peek().is_none() {
            rest.ends_with(piece).then_some(rest.len())
        } else {
            rest.find(piece).map(|at| at + piece.len())
        };
        match found {
            Some(end) => rest = &rest[end..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn what_is_left_out_is_anything() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&shown("a\n…\nz"), &["a", "b", "c", "z"]));
    assert!(matches(&shown("…\nsaw … here"), &["x", "saw it here"]));
    assert!(!matches(&shown("a"), &["a", "b"]));
    assert!(!matches(&shown("saw … here"), &["saw it there"]));
}
