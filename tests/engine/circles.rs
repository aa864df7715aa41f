//! The files of a folder can be put in an order in which each uses only those before it.
//!
//! For each folder, its files and the folders in it are what counts: what stands in `a/b.rs` is `a`'s to the folder that
//! holds `a`. What a module re-exports is where it was declared. Tests may look anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module's path in its crate.
type Module = Vec<String>;

/// A crate's modules, and their texts without comments and tests.
type Sources = BTreeMap<Module, String>;

/// Where names are from that a module re-exports.
type Exports = BTreeMap<(Module, String), Module>;

#[test]
fn no_files_of_a_folder_use_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut crates = vec![root.join("src")];
    if let Ok(members) = fs::read_dir(root.join("crates")) {
        crates.extend(members.map(|member| member.expect("a folder").path().join("src")));
    }
    let mut circles = Vec::new();
    for folder in crates {
        let mut sources = Sources::new();
        read(&folder, &mut Vec::new(), &mut sources);
        assert!(!sources.is_empty(), "{} has no files", folder.display());
        circles.extend(circles_of(&sources).into_iter().map(|circle| format!("{}: {circle}", folder.display())));
    }
    assert!(circles.is_empty(), "these files use each other:\n{}", circles.join("\n"));
}

#[test]
fn circles_are_found_however_they_are_written() {
    let circles = |files: &[(&str, &str)]| {
        let module = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        circles_of(&files.iter().map(|(path, text)| (module(path), (*text).to_owned())).collect())
    };
    let parent = ("", "mod a; mod b; mod c;");
    for (a, b, is_circle) in [
        ("use super::b::B;", "pub struct B;", false),
        ("use super::b::B;", "use super::a::A;", true),
        ("use super::b::{self, B};", "use crate::{c::C, a};", true),
        ("fn f() { super::b::f() }", "fn f() { crate::a::f() }", true),
        ("use super::b;", "use super::c;", false),
    ] {
        let found = circles(&[parent, ("a", a), ("b", b), ("c", "")]);
        assert_eq!(!found.is_empty(), is_circle, "{a} {b}: {found:?}");
    }
    // By a third, through a re-export, and from deeper within.
    assert_eq!(circles(&[parent, ("a", "use super::b;"), ("b", "use super::c;"), ("c", "use super::a;")]).len(), 1);
    assert_eq!(circles(&[("", "pub use b::B;"), ("a", "use super::B;"), ("b", "use super::a::A;")]).len(), 1);
    assert_eq!(circles(&[parent, ("a", ""), ("a/d", "use crate::b;"), ("b", "use super::a::d::D;")]).len(), 1);
    assert_eq!(circles(&[parent, ("a", "use self::d::D;"), ("a/d", "use super::A;"), ("b", "")]), [""; 0]);
}

fn read(folder: &Path, module: &mut Module, sources: &mut Sources) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        if path.is_dir() {
            module.push(name);
            read(&path, module, sources);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let own = if ["mod", "lib", "main"].contains(&name.as_str()) { vec![] } else { vec![name] };
            sources.entry([module.clone(), own].concat()).or_default().push_str(&code_of(&text));
        }
    }
}

/// A file's text without comments and without the tests at its end.
fn code_of(text: &str) -> String {
    let text = text.split_once("\n#[cfg(test)]\nmod tests {").map_or(text, |(code, _)| code);
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Each circle as a text; one for those that are in each other's.
fn circles_of(sources: &Sources) -> Vec<String> {
    let exports = exports_of(sources);
    let uses: Vec<_> =
        sources.iter().map(|(module, text)| (module, used_by(module, text, sources, &exports))).collect();
    let folders: BTreeSet<&[String]> =
        sources.keys().flat_map(|module| (0..module.len()).map(|length| &module[..length])).collect();
    folders.into_iter().flat_map(|folder| circles_in(folder, &uses)).collect()
}

fn circles_in(folder: &[String], uses: &[(&Module, BTreeSet<Module>)]) -> Vec<String> {
    let file = |module: &[String]| module.strip_prefix(folder)?.first().cloned();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, used) in uses {
        let Some(own) = file(module) else { continue };
        let others = used.iter().filter_map(|used| file(used)).filter(|other| *other != own);
        graph.entry(own.clone()).or_default().extend(others);
    }
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|file| (file, reached(file, &graph))).collect();
    let in_circle = |one: &String, other: &String| reached[one].contains(other) && reached[other].contains(one);
    let circle = |file: &String| graph.keys().filter(|other| in_circle(file, other)).cloned().collect::<Vec<_>>();
    let circles: BTreeSet<_> = graph.keys().map(circle).filter(|circle| !circle.is_empty()).collect();
    circles.iter().map(|circle| format!("{}/ {}", folder.join("/"), circle.join(", "))).collect()
}

/// What a file comes to, in one step or more.
fn reached<'g>(file: &str, graph: &'g BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'g String> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![file]);
    while let Some(file) = open.pop() {
        for next in graph.get(file).into_iter().flatten() {
            if reached.insert(next) {
                open.push(next);
            }
        }
    }
    reached
}

fn exports_of(sources: &Sources) -> Exports {
    let mut exports = Exports::new();
    for (module, text) in sources {
        for (_, tree) in use_trees(text).filter(|(before, _)| before.starts_with("pub")) {
            for path in paths_of(tree) {
                if let Some((from, Some(name))) = resolve(module, &path, sources) {
                    exports.insert((module.clone(), name), from);
                }
            }
        }
    }
    exports
}

/// The modules of whose items a module's text speaks.
fn used_by(module: &Module, text: &str, sources: &Sources, exports: &Exports) -> BTreeSet<Module> {
    let imported = use_trees(text).flat_map(|(_, tree)| paths_of(tree));
    let named = ["super::", "crate::"].into_iter().flat_map(|start| {
        text.match_indices(start).map(|(at, _)| {
            let length = text[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            text[at..].get(..length.unwrap_or(text.len() - at)).unwrap_or_default().trim_end_matches(':').to_owned()
        })
    });
    let declared = |mut place: (Module, Option<String>)| {
        while let Some(from) = place.1.as_ref().and_then(|name| exports.get(&(place.0.clone(), name.clone()))) {
            if *from == place.0 {
                break;
            }
            place.0 = from.clone();
        }
        place.0
    };
    imported.chain(named).filter_map(|path| resolve(module, &path, sources)).map(declared).collect()
}

/// The module that a path leads to, and the item in it that it names; `None` where that is in another crate.
fn resolve(module: &[String], path: &str, sources: &Sources) -> Option<(Module, Option<String>)> {
    let mut parts = path.split("::").map(str::trim).peekable();
    let mut place = module.to_vec();
    match *parts.peek()? {
        "crate" => place.clear(),
        "super" | "self" => {}
        first if sources.contains_key(&[&place[..], &[first.to_owned()]].concat()) => {}
        _ => return None,
    }
    while let Some(part) = parts.next_if(|part| ["crate", "super", "self"].contains(part)) {
        if part == "super" {
            place.pop();
        }
    }
    while let Some(part) = parts.next_if(|part| sources.contains_key(&[&place[..], &[(*part).to_owned()]].concat())) {
        place.push(part.to_owned());
    }
    Some((place, parts.next().map(str::to_owned)))
}

/// Each `use` of a text: what stands before it in its line, and what it uses.
fn use_trees(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("use ").filter_map(|(at, _)| {
        let before = text[..at].rsplit('\n').next()?.trim();
        let is_use = before.is_empty() || before.starts_with("pub") || before.ends_with(['{', ';']);
        let tree = text[at + "use ".len()..].split(';').next()?;
        is_use.then_some((before, tree))
    })
}

/// The paths of a `use` with its braces multiplied out.
fn paths_of(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, within)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or(tree).to_owned()];
    };
    let within = within.rsplit_once('}').map_or(within, |(within, _)| within);
    let mut depth = 0;
    let parts = within.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts = parts.filter(|part| !part.trim().is_empty());
    let whole =
        |part: String| if part == "self" { before.trim_end_matches(':').to_owned() } else { format!("{before}{part}") };
    parts.flat_map(paths_of).map(whole).collect()
}
