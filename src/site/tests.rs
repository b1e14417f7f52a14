//! What a person sees for a mistake: golden files in `snapshots/`, one for each case.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::model::{Access, Rule, Selection, WalsFrom};
use super::{KeyPath, Loaded, load};

const HOME: &str = "/home/dba";

fn loaded(text: &str) -> Loaded {
    load("site.yaml", text, Some(Path::new(HOME)))
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(text, false, 100)))
}

/// The mistakes of a text as a terminal of 100 columns without colour shows them.
fn rendered(text: &str) -> String {
    let mistakes =
        load("site.yaml", text, Some(Path::new(HOME))).err().map(|mistakes| mistakes.render(text, false, 100));
    format!("{text}\n{}", mistakes.unwrap_or_else(|| "no mistake".to_owned()))
}

macro_rules! golden {
    ($($name:ident: $text:expr;)+) => {
        $(
            #[test]
            fn $name() {
                insta::assert_snapshot!(stringify!($name), rendered($text));
            }
        )+
    };
}

golden! {
    an_empty_file: "";
    not_yaml: "version: 1\nsite: [lisbon\ncatalog: {path: /b}\n";
    two_documents: "version: 1\n---\nversion: 1\n";
    a_list_instead_of_a_file: "- site: lisbon\n";
    several_unknown_keys: "\
version: 1
sitte: lisbon
catalog: {path: /b, compression: gzip}
primaries:
  fra:
    ssh: {destination: barman@fra, identityfile: ~/.ssh/id}
replicas:
  main:
    primary: fra
    backup: all
    transfer: {stream: 3}
";
    wrong_types: "\
version: \"1\"
site: 15
catalog: /var/lib/barman
primaries: [fra]
defaults:
replicas: {main: {primary: fra, wals: {unfinished: yes}, backups: {last: 7}}}
";
    bad_scalars: "\
version: 1
site: lisbon
catalog: {path: barman, barman: 3.10}
primaries:
  fra: {path: /mnt/fra, bandwidth: 200MiB, streams: 0, timeouts: {connect: 15, idle: 2 fortnights}}
replicas:
  main:
    primary: fra
    backups: [{last: 0}, {retention: 30 DAYS}, {last: 7, within: 30d}]
    protect: {max_prune: 120%}
  other: {primary: fra, backups: []}
";
    duplicate_keys: "\
version: 1
site: lisbon
site: porto
catalog: {path: /b}
primaries:
  fra: {path: /mnt/fra}
replicas:
  main: {primary: fra}
  main: {primary: fra, server: other}
";
    bad_names: "\
version: 1
site: lisbon
catalog: {path: /b}
primaries:
  frank furt: {path: /mnt/fra}
replicas:
  ../etc: {primary: frank furt}
  all: {primary: frank furt}
  main: {primary: frank furt, server: a/b}
";
    unknown_primary: "\
version: 1
site: lisbon
catalog: {path: /b}
primaries: {frankfurt: {path: /mnt/fra}, tokyo: {path: /mnt/tyo}}
replicas:
  main: {primary: frankfort}
mirrors:
  - primary: osaka
";
    retired_and_a_replica: "\
version: 1
site: lisbon
catalog: {path: /b}
primaries: {frankfurt: {path: /mnt/fra}}
replicas:
  main: {primary: frankfurt}
retired: [old, main]
";
    access_not_one_of_three: "\
version: 1
site: lisbon
catalog: {path: /b}
primaries:
  none: {streams: 2}
  both: {path: /mnt/x, ssh_command: ssh barman@x}
";
    dangerous_ssh: "\
version: 1
site: lisbon
catalog: {path: /b}
primaries:
  a: {ssh: {destination: -oProxyCommand=evil}}
  b: {ssh: {destination: barman@b, options: {StrictHostKeyChecking: accept-new}}}
  c: {ssh: {destination: barman@c, options: {ControlPath: /tmp/x}}}
  d: {ssh_command: ssh -o StrictHostKeyChecking=no barman@d}
  e: {ssh_command: ssh barman@e true}
  f: {ssh_command: rsh barman@f}
";
    mistakes_of_both_stages_at_once: "\
version: 1
site: lisbon
catalog: {path: /var/lib/barman}
primaries:
  fra: {path: /var/lib/barman/fra, bandwith: 1MiB/s}
mirrors:
  - primary: fra
  - primary: fra
    objectives: {rpo: 1h}
";
    missing_keys: "\
version: 1
catalog: {config: /etc/barman.conf}
primaries:
  fra: {ssh: {port: 22}}
replicas:
  main: {server: main}
";
    characters_that_are_not_ascii: "\
version: 1
site: lisbon
catalog: {path: /b}
primaries: {fra: {path: /mnt/zürich/ä, bändwidth: 1MiB/s}}
";
}

const FULL: &str = include_str!("../../examples/full.yaml");

#[test]
fn every_key_arrives_in_the_model() {
    let site = loaded(FULL).site;
    let main = &site.replicas[&"main".parse().unwrap()];
    let seven = NonZeroU32::new(7).unwrap();
    let days = NonZeroU32::new(28).unwrap();
    let rules = vec![Rule::Last(seven), Rule::Within(Duration::from_secs(30 * 86_400)), Rule::RecoveryWindow { days }];
    assert_eq!(main.policy.backups, Selection::Union(rules));
    assert_eq!(main.policy.rpo, Some(Duration::from_secs(900)));
    assert_eq!(main.policy.transfer.bandwidth, Some(80 << 20));
    let mirror = &site.mirrors[0];
    assert_eq!((mirror.policy.rpo, mirror.policy.wals_from), (None, WalsFrom::NewestBackup));
    insta::assert_debug_snapshot!("full_yaml", site);
}

#[test]
fn ssh_keys_and_ssh_commands_become_words_with_the_home_directory_in_them() {
    let site = loaded(FULL).site;
    let words = |name: &str| match &site.primaries[name].access {
        Access::Ssh { words } => words.join(" "),
        Access::Path(path) => path.display().to_string(),
    };
    assert_eq!(
        words("frankfurt"),
        "ssh -p 22 -i /home/dba/.ssh/id_dr -o IdentitiesOnly=yes -J bastion.example.com \
         -o Ciphers=aes128-gcm@openssh.com -o ServerAliveInterval=30 barman@barman.fra.example.com"
    );
    assert_eq!(words("tokyo"), "ssh -p 2222 -i /home/dba/.ssh/id_dr barman@barman.tyo.example.com");
    assert_eq!(words("mount"), "/mnt/fra/barman");
}

#[test]
fn without_a_home_directory_a_tilde_is_a_mistake() {
    let mistakes = load("site.yaml", FULL, None).unwrap_err();
    let codes: Vec<_> = mistakes.list().iter().map(|mistake| mistake.code).collect();
    assert_eq!(codes, ["no-home", "no-home"]);
}

#[test]
fn what_the_file_does_not_say_is_as_documented() {
    let text = include_str!("../../examples/minimal.yaml");
    insta::assert_debug_snapshot!("minimal_yaml", loaded(text).site);
}

#[test]
fn a_line_can_be_named_for_what_decided() {
    let text = include_str!("../../examples/fleet.yaml");
    let lines = loaded(text).lines;
    let line = |keys: &[&str]| lines.line(&KeyPath::new(keys.iter().copied()));
    let line_with = |words: &str| text.lines().position(|line| line.contains(words)).map(|index| index + 1);
    assert_eq!(line(&["replicas", "ledger", "backups"]), line_with("12 MONTHS"));
    assert_eq!(line(&["replicas", "main", "backups"]), line_with("{within: 30d}"));
    assert_eq!(line(&["replicas", "main", "wals"]), None);
    assert_eq!(lines.line(&KeyPath::new(["mirrors"]).item(1).key("wals").key("from")), line_with("newest-backup"));
}

#[test]
fn line_ends_and_a_byte_order_mark_of_another_system_do_no_harm() {
    let text = format!("\u{feff}{}", include_str!("../../examples/minimal.yaml").replace('\n', "\r\n"));
    assert_eq!(loaded(&text).site.name, "lisbon");
    let wrong = text.replace("primary: frankfurt", "primary: frankfort");
    let mistakes = load("site.yaml", &wrong, None).unwrap_err();
    let marked: Vec<_> = mistakes.list().iter().map(|mistake| mistake.span.unwrap().of(&wrong)).collect();
    assert_eq!(marked, ["frankfort"]);
}

proptest! {
    #[test]
    fn whatever_is_written_there_is_an_answer(at in 0..FULL.len(), cut in 0..40_usize, put in "[ -~äé\n]{0,12}") {
        let (start, end) = (boundary(at), boundary(at + cut));
        let text = format!("{}{put}{}", &FULL[..start], &FULL[end..]);
        if let Err(mistakes) = load("site.yaml", &text, None) {
            prop_assert!(!mistakes.render(&text, false, 80).is_empty());
        }
    }
}

/// The nearest place to an offset that is not inside a character.
fn boundary(offset: usize) -> usize {
    (0..=offset.min(FULL.len())).rev().find(|offset| FULL.is_char_boundary(*offset)).unwrap_or(0)
}

#[test]
fn anchors_and_merge_keys_are_understood() {
    let text = "\
version: 1
site: lisbon
catalog: {path: /b}
primaries: {fra: {path: /mnt/fra}}
replicas:
  a: &a {primary: fra, backups: [{last: 3}]}
  b: {<<: *a, server: c}
";
    let site = loaded(text).site;
    let [a, b] = ["a", "b"].map(|name| &site.replicas[&name.parse().unwrap()]);
    assert_eq!(a.policy, b.policy);
    assert_eq!(b.server.as_str(), "c");
}
