//! A policy on disk.
//!
//! Read is only what `velvetrope.toml` names, by names that stay below its folder. Links are followed: whoever may
//! place a link in the folder may place a file there, and a mounted Kubernetes ConfigMap is made of links.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use velvetrope::internal::language::{Code, Diagnostic, Place};
use velvetrope::internal::policy::{SAVED_SUFFIX, SETTINGS_FILE, Sources, files_named_by};

/// The largest file that is read.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The texts of a policy, and where they came from.
#[derive(Debug)]
pub struct PolicyFiles {
    /// For [`velvetrope::internal::policy::Policy::compile`]. A file that cannot be read is not in it.
    pub sources: Sources,
    /// Why files cannot be read, other than that they do not exist, which compiling finds out itself.
    pub findings: Vec<Diagnostic>,
    /// The folder that the names are relative to; those of MMDB files, too.
    pub folder: PathBuf,
    /// Every file to watch for changes, whether it exists or not.
    pub watch: Vec<PathBuf>,
}

/// Why there is no policy at a path.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The path or the main file in it cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{0} is no policy: name a folder with a velvetrope.toml, that file, an integration `.json`, or a compiled `.vrp`"
    )]
    NotAPolicy(String),
}

/// Reads a policy: a folder with a `velvetrope.toml`, that file itself, a bare integration `.json`, or a saved policy
/// (`.vrp`), which is the only source then.
pub fn read(path: &Path) -> Result<PolicyFiles, ReadError> {
    let path = if path.is_dir() { path.join(SETTINGS_FILE) } else { path.to_owned() };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name != SETTINGS_FILE && !name.ends_with(".json") && !name.ends_with(SAVED_SUFFIX) {
        return Err(ReadError::NotAPolicy(path.display().to_string()));
    }
    let unreadable = |source| ReadError::Unreadable { path: path.display().to_string(), source };
    let main = read_file(&path).map_err(unreadable)?;
    let named = if name == SETTINGS_FILE { files_named_by(&String::from_utf8_lossy(&main)) } else { Vec::new() };

    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let sources = Sources::from([(name.to_owned(), main)]);
    let mut files = PolicyFiles { sources, findings: Vec::new(), folder, watch: vec![path.clone()] };
    named.into_iter().for_each(|name| files.add(name));
    Ok(files)
}

/// What a policy is called: of a folder its own name, also where its `velvetrope.toml` is named; of another file what
/// stands before the suffix.
pub fn policy_name(path: &Path) -> String {
    let folder = match path.file_name() {
        Some(name) if name == SETTINGS_FILE => path.parent().unwrap_or(path),
        _ if path.is_dir() => path,
        _ => return text(path.file_stem()),
    };
    // `.` and `..` have a name elsewhere.
    let elsewhere = || Path::new(".").join(folder).canonicalize().unwrap_or_default();
    match folder.file_name() {
        Some(name) => text(Some(name)),
        None => text(elsewhere().file_name()),
    }
}

fn text(name: Option<&OsStr>) -> String {
    name.unwrap_or(OsStr::new("policy")).to_string_lossy().into_owned()
}

impl PolicyFiles {
    fn add(&mut self, name: String) {
        if self.sources.contains_key(&name) {
            return;
        }
        let path = self.folder.join(&name);
        match read_file(&path) {
            Ok(bytes) => drop(self.sources.insert(name, bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.findings.push(unreadable(name, &error)),
        }
        self.watch.push(path);
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    if file.take(MAX_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
    }
    Ok(bytes)
}

fn unreadable(file: String, error: &io::Error) -> Diagnostic {
    let place = Place { file, ..Place::default() };
    Diagnostic { place, ..Diagnostic::error(Code::Unreadable, format!("the file cannot be read: {error}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str =
        "customer_id = \"c\"\nintegration = \"integration.json\"\n[lists]\na = \"../secret\"\nb = \"b\"";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SETTINGS_FILE), SETTINGS).unwrap();
        fs::write(folder.path().join("integration.json"), "{}").unwrap();
        fs::write(folder.path().join("unrelated"), "x").unwrap();
        folder
    }

    #[test]
    fn only_what_is_named_is_read() {
        let folder = folder();
        for path in [folder.path().to_owned(), folder.path().join(SETTINGS_FILE)] {
            let files = read(&path).unwrap();
            let names: Vec<_> = files.sources.keys().map(String::as_str).collect();
            assert_eq!(names, ["integration.json", SETTINGS_FILE]);
            assert_eq!(files.folder, folder.path());
            let watched: Vec<_> = files.watch.iter().map(|path| path.file_name().unwrap()).collect();
            assert_eq!(watched, [SETTINGS_FILE, "integration.json", "b"]);
        }
    }

    #[test]
    fn a_bare_integration_is_a_policy() {
        let folder = folder();
        let files = read(&folder.path().join("integration.json")).unwrap();
        assert_eq!(files.sources.keys().collect::<Vec<_>>(), ["integration.json"]);
    }

    #[test]
    fn a_saved_policy_is_a_policy() {
        let folder = folder();
        fs::write(folder.path().join("site.vrp"), [0xff]).unwrap();
        let files = read(&folder.path().join("site.vrp")).unwrap();
        assert_eq!(files.sources.keys().collect::<Vec<_>>(), ["site.vrp"]);
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        let folder = folder();
        assert!(matches!(read(&folder.path().join("unrelated")), Err(ReadError::NotAPolicy(_))));
        assert!(matches!(read(&folder.path().join("missing.json")), Err(ReadError::Unreadable { .. })));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(read(empty.path()), Err(ReadError::Unreadable { .. })));
    }

    #[test]
    fn a_named_file_that_is_none_is_a_finding() {
        let folder = folder();
        fs::create_dir(folder.path().join("b")).unwrap();
        let files = read(folder.path()).unwrap();
        assert_eq!(files.findings.len(), 1);
        assert_eq!(files.findings[0].place.file, "b");
    }
}
