//! The JSON Schemas that are checked in are those of the types. Renew them with `VELVETROPE_RENEW=1 cargo test --test
//! engine schemas::`.

use std::fs;
use std::path::Path;

#[test]
fn schemas_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let renew = std::env::var_os("VELVETROPE_RENEW").is_some();
    let mut names = Vec::new();
    for (name, schema) in velvetrope::internal::policy::schemas() {
        let path = folder.join(name);
        if renew {
            fs::create_dir_all(&folder).and_then(|()| fs::write(&path, &schema)).expect("schemas can be written");
        }
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert!(checked_in == schema, "{} is out of date; run this test with VELVETROPE_RENEW=1", path.display());
        names.push(name);
    }
    let mut found: Vec<_> = fs::read_dir(&folder)
        .expect("schemas are checked in")
        .map(|entry| entry.expect("the folder can be read").file_name().into_string().expect("names are UTF-8"))
        .collect();
    found.sort();
    names.sort();
    assert_eq!(found, names, "nothing else is in the folder");
}
