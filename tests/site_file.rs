//! The site file from outside: the examples, the checked-in schema, and that schema and reader judge alike.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use antipode::site::{self, Loaded};
use serde_json::Value;

/// A file with one part replaced by what a case wants to try.
const BASE: &str = "version: 1
site: lisbon
catalog: {path: /var/lib/barman}
primaries:
  fra: {ssh: {destination: barman@fra}}
replicas:
  main: {primary: fra}
";

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
    assert_eq!(known, written);
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
    serde_yaml::from_str_with_options(text, serde_yaml::options! { strict_booleans: true }).unwrap()
}

/// Replaces a line of `BASE`, or adds one.
fn with(line: &str) -> String {
    let key = line.split(':').next().unwrap();
    let mut text = String::new();
    let mut skipping = false;
    for old in BASE.lines() {
        if !old.starts_with(' ') {
            skipping = old.split(':').next() == Some(key);
        }
        if !skipping {
            text.push_str(old);
            text.push('\n');
        }
    }
    text + line + "\n"
}

const VALID: &[&str] = &[
    "site: a.b-c_1",
    "catalog: {path: /b, config: /etc/barman.conf, barman: auto}",
    "catalog: {path: /b, barman: \"3.10\"}",
    "catalog: {path: /b, barman: 3.19.1}",
    "primaries: {fra: {ssh_command: ssh -p 22 barman@fra}}",
    "primaries: {fra: {path: /mnt/fra}}",
    "primaries: {fra: {path: /mnt, barman: {command: sudo barman, config: /etc/b.conf}, streams: 64, bandwidth: unlimited}}",
    "primaries: {fra: {path: /mnt, timeouts: {connect: 1s, idle: 2h 30m, sync_info: 1 week}, bandwidth: 1.5GiB/s}}",
    "primaries: {fra: {ssh: {destination: h, port: 65535, identity_file: ~/.ssh/id, jump: \"a,b\", options: {Ciphers: x, ServerAliveInterval: 30}}}}",
    "defaults: {}",
    "defaults: {backups: all, accept_systems: [7423456789012345678, \"7423456789012345678\"]}",
    "defaults: {backups: [{last: 1}, {within: 1 month}, {retention: redundancy 3}, {retention: Recovery Window Of 2 weeks}]}",
    "defaults: {wals: {from: backups-only, unfinished: false}, prune: {unselected: true, gone_at_primary: false}}",
    "defaults: {protect: {min_backups: 0, max_prune: 100%}, transfer: {streams: 1, bandwidth: 80MB/s, reuse: reflink}, objective: {rpo: none}}",
    "replicas: {}",
    "replicas: {main: {primary: fra, server: main db}, 15: {primary: fra}, pg.prod: {primary: fra, server: main}}",
    "mirrors: []",
    "mirrors: [{primary: fra, except: [\"a*\", b?], backups: [{last: 1}]}]",
];

const INVALID: &[&str] = &[
    "version: 2",
    "version: \"1\"",
    "site: a b",
    "site:",
    "site: 15",
    "sites: x",
    "catalog: {}",
    "catalog: /var/lib/barman",
    "catalog: {path: var/lib/barman}",
    "catalog: {path: /b, barman: 3.12}",
    "catalog: {path: /b, barman: latest}",
    "catalog: {path: /b, config: barman.conf}",
    "primaries: {}",
    "primaries: {fra: {}}",
    "primaries: {\"f ra\": {path: /mnt}}",
    "primaries: {fra: {path: /mnt, ssh_command: ssh h}}",
    "primaries: {fra: {ssh: {}}}",
    "primaries: {fra: {ssh: {destination: -oProxyCommand=x}}}",
    "primaries: {fra: {ssh: {destination: h, port: 0}}}",
    "primaries: {fra: {ssh: {destination: h, port: \"22\"}}}",
    "primaries: {fra: {ssh: {destination: h, identity_file: id}}}",
    "primaries: {fra: {ssh: {destination: h, jump: -x}}}",
    "primaries: {fra: {ssh: {destination: h, options: {Compression: true}}}}",
    "primaries: {fra: {ssh: {destination: h, options: {\"a b\": x}}}}",
    "primaries: {fra: {ssh_command: rsync h}}",
    "primaries: {fra: {path: /mnt, streams: 0}}",
    "primaries: {fra: {path: /mnt, streams: 65}}",
    "primaries: {fra: {path: /mnt, streams: 2.5}}",
    "primaries: {fra: {path: /mnt, bandwidth: 200}}",
    "primaries: {fra: {path: /mnt, bandwidth: 200Mbit/s}}",
    "primaries: {fra: {path: /mnt, timeouts: {connect: 0s}}}",
    "primaries: {fra: {path: /mnt, timeouts: {connect: 15}}}",
    "primaries: {fra: {path: /mnt, barman: {command: \" \"}}}",
    "defaults:",
    "defaults: {primary: fra}",
    "defaults: {backups: none}",
    "defaults: {backups: []}",
    "defaults: {backups: {last: 7}}",
    "defaults: {backups: [7]}",
    "defaults: {backups: [{}]}",
    "defaults: {backups: [{last: 0}]}",
    "defaults: {backups: [{last: 7, within: 30d}]}",
    "defaults: {backups: [{within: 30}]}",
    "defaults: {backups: [{retention: 30d}]}",
    "defaults: {wals: {from: oldest}}",
    "defaults: {wals: {unfinished: yes}}",
    "defaults: {protect: {max_prune: 101%}}",
    "defaults: {protect: {max_prune: 25}}",
    "defaults: {protect: {min_backups: -1}}",
    "defaults: {transfer: {reuse: hardlink}}",
    "defaults: {objective: {rpo: 0s}}",
    "defaults: {accept_systems: [abc]}",
    "defaults: {accept_systems: 7423456789012345678}",
    "replicas: {main: {}}",
    "replicas: {main: fra}",
    "replicas: {a/b: {primary: fra}}",
    "replicas: {.a: {primary: fra}}",
    "replicas: {main: {primary: fra, server: -x}}",
    "mirrors: {primary: fra}",
    "mirrors: [{except: []}]",
    "mirrors: [{primary: fra, except: [a/b]}]",
    "mirrors: [{primary: fra, server: main}]",
];

/// Mistakes that a schema cannot see: between two keys, or inside a text that a pattern describes too roughly.
const ONLY_THE_READER_SEES: &[&str] = &[
    "replicas: {main: {primary: frb}}",
    "mirrors: [{primary: frb}]",
    "mirrors: [{primary: fra}, {primary: fra}]",
    "primaries: {fra: {path: /var/lib/barman/x}}",
    "catalog: {path: /var/../b}",
    "primaries: {fra: {ssh_command: ssh -o StrictHostKeyChecking=no h}}",
    "primaries: {fra: {ssh_command: ssh h true}}",
    "primaries: {fra: {ssh_command: \"ssh 'h\"}}",
    "primaries: {fra: {ssh: {destination: h, options: {StrictHostKeyChecking: accept-new}}}}",
    "primaries: {fra: {ssh: {destination: h, options: {ControlPath: /tmp/x}}}}",
    "primaries: {fra: {path: /mnt, barman: {command: \"'barman\"}}}",
    "replicas: {all: {primary: fra}}",
    "replicas: {main: {primary: fra, wals: {unfinished: true}}}",
    "defaults: {accept_systems: [\"99999999999999999999\"]}",
];

#[test]
fn schema_and_reader_accept_the_same_files() {
    let schema = validator();
    for line in VALID {
        let text = with(line);
        if let Err(mistakes) = load(&text) {
            panic!("the reader refuses {line}\n{}", mistakes.render(&text, false, 100));
        }
        assert!(schema.is_valid(&json(&text)), "the schema refuses {line}: {:?}", schema.validate(&json(&text)));
    }
}

#[test]
fn schema_and_reader_refuse_the_same_files() {
    let schema = validator();
    for line in INVALID {
        assert!(load(&with(line)).is_err(), "the reader accepts {line}");
        assert!(!schema.is_valid(&json(&with(line))), "the schema accepts {line}");
    }
    for line in ONLY_THE_READER_SEES {
        assert!(load(&with(line)).is_err(), "the reader accepts {line}");
        assert!(schema.is_valid(&json(&with(line))), "the schema sees {line} after all");
    }
}

#[test]
fn every_mistake_has_a_place_and_a_remedy() {
    for line in INVALID.iter().chain(ONLY_THE_READER_SEES) {
        for mistake in load(&with(line)).unwrap_err().list() {
            let span = mistake.span.unwrap_or_else(|| panic!("{line}: {mistake:?} has no place"));
            assert!(span.line > 0 && mistake.help.is_some(), "{line}: {mistake:?}");
        }
    }
}
