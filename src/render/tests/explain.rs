//! Why actions are planned, in the situations where they are.

use super::situations::{self, Situation};
use crate::plan::explain::Explained;
use crate::render::{Origin, explain, explain_thing};
use crate::site::mirror;

/// Of the terminal of the golden files.
const COLUMNS: usize = 110;
/// Of one on which every item has a line.
const WIDE: usize = 300;

/// The explanation of an address that the plan has.
fn why(situation: &Situation, address: &str) -> String {
    let explainer = situation.explainer();
    let (replica, action) = explainer.find(address).unwrap_or_else(|| panic!("{address} in {}", situation.name));
    let known: Explained<'_> = explainer.of(replica, action).unwrap();
    let origin = mirror::origin(&situation.declared.site, &situation.replicas[replica]);
    explain(&known, Origin { file: situation.quotes(), replica: &origin }, WIDE)
}

/// The explanation of something that no action is about.
fn thing(situation: &Situation, address: &str) -> Option<String> {
    let (name, thing) = address.split_once('/').unwrap();
    let replica = situation.plan.replicas.iter().position(|replica| replica.name.as_str() == name).unwrap();
    let (sort, name) = thing.split_once('/').map_or((thing, None), |(sort, name)| (sort, Some(name)));
    let (preconditions, asked_by) = situation.explainer().of_thing(replica, sort, name)?;
    let origin = mirror::origin(&situation.declared.site, &situation.replicas[replica]);
    let origin = Origin { file: situation.quotes(), replica: &origin };
    Some(explain_thing(address, &preconditions, &asked_by, &[], origin, WIDE))
}

#[test]
fn every_action_of_every_situation_is_explained() {
    situations::golden("explain", |situation| {
        let explainer = situation.explainer();
        let mut text = String::new();
        for (index, replica) in situation.plan.replicas.iter().enumerate() {
            let origin = mirror::origin(&situation.declared.site, &situation.replicas[index]);
            let known: Vec<Explained<'_>> = explainer.of_replica(index).collect();
            assert_eq!(known.len(), replica.actions.len());
            for known in known {
                text.push_str(&explain(&known, Origin { file: situation.quotes(), replica: &origin }, COLUMNS));
                text.push_str("\n\n");
            }
        }
        text
    });
}

#[test]
fn a_backup_is_explained_by_the_rules_that_select_it() {
    let text = why(situations::named("catching_up"), "main/backup/20261122T000000");
    assert!(text.contains("`last: 2` of `backups` selects it (lisbon.yaml:12: - last: 2)"), "{text}");
    assert!(text.contains("`within: 1d` of `backups` selects it (lisbon.yaml:13: - within: 1d)"), "{text}");
    let after = "\n  published after  main/xlog.db\n                   main/wal/00000001000000000000001C..1D\n";
    assert!(text.contains(after), "{text}");
}

#[test]
fn a_rule_in_defaults_and_a_mirror_are_quoted() {
    let inherited = why(situations::named("drift"), "main/backup/20261121T000000");
    assert!(inherited.contains("(lisbon.yaml:8: backups: [{last: 7}])"), "{inherited}");
    let situation = situations::named("forty_servers");
    let mirrored = why(situation, "crm-01/wal/000000010000000000000020..2F");
    assert!(mirrored.contains("as lisbon.yaml says nothing else"), "{mirrored}");
    let backup = thing(situation, "crm-01/backup/20261122T000000").unwrap();
    assert!(backup.contains("`last: 3` of `backups` selects it (lisbon.yaml:9: backups: [{last: 3}])"), "{backup}");
}

#[test]
fn a_single_wal_file_is_explained_by_the_action_that_ships_it() {
    let text = why(situations::named("many_segments"), "main/wal/000000010000001200000034");
    assert!(
        text.starts_with("main/wal/0000000100000000000000") && text.contains("`wals.from: oldest-backup`"),
        "{text}"
    );
}

#[test]
fn a_prune_names_what_allows_it() {
    let text = why(situations::named("prune"), "main/backup/20261118T000000");
    assert!(text.contains("`prune.unselected` allows to delete what `backups` leaves out"), "{text}");
    assert!(text.contains("lisbon.yaml:11: prune: {unselected: true, gone_at_primary: true}"), "{text}");
}

#[test]
fn damaged_files_are_named_up_to_a_number() {
    let text = why(situations::named("drift"), "main/backup/20261121T000000");
    assert!(
        text.contains(
            "30 missing or damaged: data/base/16384/16385, data/base/16384/16386, data/base/16384/16387 and 27 more\n"
        ),
        "{text}"
    );
}

#[test]
fn what_needs_nothing_is_said_to_be_there() {
    let situation = situations::named("in_sync");
    let text = thing(situation, "main/backup/20261122T000000").unwrap();
    assert!(text.starts_with("main/backup/20261122T000000\n  nothing is planned for it\n"), "{text}");
    assert!(text.contains("`backups: all` asks for it (the default, as lisbon.yaml says nothing else)"), "{text}");
    let wal = thing(situation, "main/wal/000000010000000000000010").unwrap();
    assert_eq!(
        wal,
        "main/wal/000000010000000000000010\n  nothing is planned for it\n\n  \
         at the primary  the file: 16 777 216 bytes\n  here            the file: 16 777 216 bytes"
    );
    for address in ["main/backup/20251122T000000", "main/wal/00000001000000000000FFFF", "main/wal", "main/x/y", "main/"]
    {
        assert_eq!(thing(situation, address), None, "{address}");
    }
}
