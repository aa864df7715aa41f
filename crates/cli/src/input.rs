//! What commands read: files, and standard input for `-`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::output::Failure;

/// The most that is read of one file, in bytes.
const MOST: u64 = 64 << 20;

/// Whether standard input is meant.
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// How a file is called in messages.
pub fn name(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// The whole of a text file.
pub fn text(path: &Path) -> Result<String, Failure> {
    let name = name(path);
    String::from_utf8(bytes(path)?).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
        Failure::new(format!("{name}, line {line}: this is not UTF-8 text")).help("save the file in UTF-8")
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| Failure::new(format!("cannot read {}: {error}", name(path)));
    let read = |source: &mut dyn Read| {
        let mut bytes = Vec::new();
        source.take(MOST + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes =
        if is_stdin(path) { read(&mut io::stdin().lock()) } else { read(&mut File::open(path).map_err(failed)?) };
    let bytes = bytes.map_err(failed)?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::new(format!("{} is larger than {} MiB", name(path), MOST >> 20)));
    }
    Ok(bytes)
}

/// An argument that may be given as `-` to be read from standard input, so that it does not end up in a shell's
/// history.
pub fn argument(given: &str) -> Result<String, Failure> {
    if given == "-" { Ok(text(Path::new("-"))?.trim().to_owned()) } else { Ok(given.to_owned()) }
}
