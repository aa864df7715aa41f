//! The checked-in types of the ext_proc protocol are what its .proto files say. `VELVETROPE_RENEW=1 cargo test --test
//! end_to_end protocol::` writes them anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SERVICE: &str = "envoy/service/ext_proc/v3/external_processor.proto";

#[test]
fn the_generated_types_are_current() {
    let protos = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("crates/serve/src/ext_proc/proto");
    let generated = protos.join("generated");
    let fresh = tempfile::tempdir().expect("a folder");
    let descriptors = protox::compile([SERVICE], [&protos]).expect("good protos");
    tonic_prost_build::configure()
        .build_client(false)
        .btree_map(".")
        .out_dir(fresh.path())
        .include_file("mod.rs")
        .compile_fds(descriptors)
        .expect("types");
    let fresh = texts(fresh.path());
    if std::env::var_os("VELVETROPE_RENEW").is_some() {
        std::fs::create_dir_all(&generated).expect("a folder");
        for (name, text) in &fresh {
            std::fs::write(generated.join(name), text).expect("a file");
        }
    }
    let checked_in = texts(&generated);
    assert_eq!(checked_in.keys().collect::<Vec<_>>(), fresh.keys().collect::<Vec<_>>());
    for (name, text) in &fresh {
        assert!(checked_in[name] == *text, "{} is not what the .proto files say", name.display());
    }
}

fn texts(folder: &Path) -> BTreeMap<PathBuf, String> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let text = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).expect("a text");
        (file.file_name().expect("a name").into(), text)
    };
    files.map(text).collect()
}
