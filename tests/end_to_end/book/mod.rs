//! The book in `docs/`: its tables are those of the code, its links lead somewhere, and so do those of comments.

mod expressions;
mod generated;
mod links;
mod markdown;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the repository: the one with the book.
fn root() -> &'static Path {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find(|folder| folder.join("docs/book.toml").is_file()).expect("the book is in the repository")
}

/// Text of a file of the repository.
#[track_caller]
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of the repository whose name has one of these endings, but for what others wrote and what is built.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    const SKIPPED: [&str; 5] = ["target", "node_modules", "vectors", "generated", ".git"];
    let mut folders = vec![root().to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("folders can be read") {
            let path = entry.expect("folders can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !SKIPPED.contains(&name) && !(name.starts_with("build") && folder == root()) {
                folders.push(path);
            } else if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
