//! The site file from outside: the examples, the checked-in schema, and that schema and reader judge alike.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use antipode::site::{self, Loaded};
use serde_json::Value;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn load(text: &str) -> Result<Loaded, antipode::diag::Diagnostics> {
    site::load("site.yaml", text, Some(Path::new("/home/dba")))
}

fn examples() -> Vec<(String, String)> {
    let files = fs::read_dir(root("examples")).unwrap().map(|entry| entry.unwrap().path());
    let sites = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    sites.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn every_example_is_valid_and_names_its_schema() {
    let schema = validator();
    assert!(examples().len() >= 4);
    for (name, text) in examples() {
        assert!(text.starts_with("# yaml-language-server: $schema=../schemas/site.schema.json\n"), "{name}");
        if let Err(mistakes) = load(&text) {
            panic!("{}", mistakes.render(&text, false, 100));
        }
        assert!(schema.is_valid(&json(&text)), "{name}");
    }
}

#[test]
fn full_yaml_mentions_every_key() {
    let schema: Value = serde_json::from_str(&site::schema()).unwrap();
    let text = fs::read_to_string(root("examples/full.yaml")).unwrap();
    let (mut known, mut written) = (BTreeSet::new(), BTreeSet::new());
    schema_keys(&schema, "", &mut known);
    file_keys(&json(&text), &schema, "", &mut written);
    // The defaults are a policy; its keys are all shown below a replica.
    known.retain(|key| !key.starts_with(".defaults."));
    written.retain(|key| !key.starts_with(".defaults."));
    // A mirror's rules are a replica's.
    known.retain(|key| !key.starts_with(".mirrors[].backups[]."));
    written.retain(|key| !key.starts_with(".mirrors[].backups[]."));
    // Who is told is told alike of everything.
    let of_any = |keys: BTreeSet<String>| -> BTreeSet<String> {
        let hook = |key: &str| Some(format!(".on.*[].{}", key.strip_prefix(".on.")?.split_once("[].")?.1));
        keys.into_iter().map(|key| hook(&key).unwrap_or(key)).collect()
    };
    assert_eq!(of_any(known), of_any(written));
}

/// Every key path that the schema knows, `*` for a name of the user's choice and `[]` for an item.
fn schema_keys(schema: &Value, path: &str, keys: &mut BTreeSet<String>) {
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        keys.insert(format!("{path}.{key}"));
        schema_keys(value, &format!("{path}.{key}"), keys);
    }
    if schema["additionalProperties"].is_object() {
        schema_keys(&schema["additionalProperties"], &format!("{path}.*"), keys);
    }
    if schema["items"].is_object() {
        schema_keys(&schema["items"], &format!("{path}[]"), keys);
    }
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        schema_keys(choice, path, keys);
    }
}

/// Every key path that a file has, in the same form.
fn file_keys(value: &Value, schema: &Value, path: &str, keys: &mut BTreeSet<String>) {
    let choice = |kind: &str| {
        schema["anyOf"].as_array().and_then(|choices| choices.iter().find(|choice| choice["type"] == kind))
    };
    match value {
        Value::Object(map) => {
            let schema = choice("object").unwrap_or(schema);
            for (key, value) in map {
                match schema["properties"].get(key) {
                    Some(schema) => {
                        keys.insert(format!("{path}.{key}"));
                        file_keys(value, schema, &format!("{path}.{key}"), keys);
                    }
                    None => file_keys(value, &schema["additionalProperties"], &format!("{path}.*"), keys),
                }
            }
        }
        Value::Array(items) => {
            let schema = choice("array").unwrap_or(schema);
            for item in items {
                file_keys(item, &schema["items"], &format!("{path}[]"), keys);
            }
        }
        _ => {}
    }
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(&site::schema()).unwrap()).unwrap()
}

/// The file as a program that knows only YAML and JSON sees it, an editor for example.
fn json(text: &str) -> Value {
    let options = serde_yaml::options! {
        strict_booleans: true,
        duplicate_keys: serde_yaml::DuplicateKeyPolicy::LastWins,
    };
    serde_yaml::from_str_with_options(text, options).unwrap()
}

/// The corpus: small files, each about one thing, valid or not. Their names say what.
fn corpus(kind: &str) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(root("tests/corpus/site").join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Mistakes that a JSON Schema cannot see, and why.
const ONLY_THE_PROGRAM_SEES: &[(&str, &str)] = &[
    ("replica-of-an-unknown-primary", "a name that must stand elsewhere in the file"),
    ("mirror-of-an-unknown-primary", "a name that must stand elsewhere in the file"),
    ("mirror-twice", "two items that have a value in common"),
    ("primary-is-the-own-catalog", "two paths, one inside the other"),
    ("duplicate-key", "JSON has no map with a key twice"),
    ("duplicate-replica", "JSON has no map with a key twice"),
    ("streams-with-a-point", "2.0 is an integer to JSON Schema"),
    ("replica-name-too-long", "a pattern counts characters, a file system bytes"),
    ("ssh-option-trusts-any-host", "the names of ssh's options have no case, and the value depends on the name"),
    ("ssh-option-asks", "the names of ssh's options have no case, and the value depends on the name"),
    ("ssh-command-trusts-any-host", "the words of a shell"),
    ("ssh-command-runs-something", "the words of a shell"),
    ("ssh-command-with-an-open-quote", "the words of a shell"),
    ("ssh-command-with-a-flag-that-breaks-it", "the words of a shell"),
    ("barman-command-with-an-open-quote", "the words of a shell"),
];

/// Files that no schema is ever asked about, as they are not YAML of one document.
const NOT_YAML: &[&str] = &["bracket-not-closed", "indented-with-a-tab", "two-documents", "unknown-alias"];

/// The schema as an editor applies it, without asserting formats, and as a stricter program does.
fn validators() -> [jsonschema::Validator; 2] {
    let schema = serde_json::from_str(&site::schema()).unwrap();
    [false, true].map(|formats| jsonschema::options().should_validate_formats(formats).build(&schema).unwrap())
}

#[test]
fn program_and_schema_accept_the_same_files() {
    let files = corpus("valid");
    assert!(files.len() >= 20, "{}", files.len());
    let schemas = validators();
    for (name, text) in files {
        if let Err(mistakes) = load(&text) {
            panic!("the program refuses {name}\n{}", mistakes.render(&text, false, 100));
        }
        for schema in &schemas {
            let error = schema.validate(&json(&text)).err().map(|error| error.to_string());
            assert_eq!(error, None, "the schema refuses {name}");
        }
    }
}

#[test]
fn program_and_schema_refuse_the_same_files_but_for_what_a_schema_cannot_say() {
    let files = corpus("invalid");
    assert!(files.len() >= 80, "{}", files.len());
    let schemas = validators();
    let mut unseen = BTreeSet::new();
    for (name, text) in &files {
        assert!(load(text).is_err(), "the program accepts {name}");
        if NOT_YAML.contains(&name.as_str()) {
            continue;
        }
        let verdicts = [&schemas[0], &schemas[1]].map(|schema| schema.is_valid(&json(text)));
        assert_eq!(verdicts[0], verdicts[1], "it depends on formats what the schema says of {name}");
        if verdicts[0] {
            unseen.insert(name.as_str());
        }
    }
    assert_eq!(unseen, ONLY_THE_PROGRAM_SEES.iter().map(|(name, _)| *name).collect());
}

#[test]
fn what_is_said_of_each_invalid_file() {
    insta::with_settings!({
        snapshot_path => "corpus/site/said", prepend_module_to_snapshot => false, omit_expression => true
    }, {
        for (name, text) in corpus("invalid") {
            let mistakes = load(&text).unwrap_err();
            insta::assert_snapshot!(name, mistakes.render(&text, false, 100));
        }
    });
}

#[test]
fn every_mistake_has_a_place_and_a_remedy() {
    for (name, text) in corpus("invalid") {
        for mistake in load(&text).unwrap_err().list() {
            let span = mistake.span.unwrap_or_else(|| panic!("{name}: {mistake:?} has no place"));
            assert!(span.line > 0 && mistake.help.is_some(), "{name}: {mistake:?}");
        }
    }
}
