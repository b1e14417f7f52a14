//! The checked-in schemas are what the program's types say.

use std::fs;
use std::path::Path;

use antipode::schemas::Name;
use clap::ValueEnum;

#[test]
fn the_checked_in_schemas_are_current() {
    for name in Name::value_variants() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name.file());
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, name.text()).unwrap();
        }
        let is_current = fs::read_to_string(&path).unwrap_or_default() == name.text();
        assert!(is_current, "{} is not current: UPDATE_SCHEMAS=1 cargo test --test schemas", path.display());
    }
}

#[test]
fn every_schema_is_one() {
    for name in Name::value_variants() {
        let schema = serde_json::from_str(&name.text()).unwrap();
        jsonschema::meta::validate(&schema).unwrap();
    }
}
