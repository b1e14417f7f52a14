//! What makes a saved plan stale: every fact that its actions rely on, and every key that decides.

use std::num::NonZeroU32;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::SystemId;
use crate::barman::keep::Keep;
use crate::barman::wal::{SegmentSize, WalName};
use crate::error::{Error, Kind};
use crate::observe::inventory::{BaseState, Observed, PrimaryBackup, SiteSection};
use crate::plan::saved::stale::{self, Present};
use crate::site::model::{Rule, Selection, WalsFrom};

use super::case::{Case, case, site};
use super::notation::{self, edit, id, segment};

const BOTH: &str = "@18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/02..0A";

/// What is said when a plan of one situation is applied in another; nothing when it is accepted.
pub fn said(planned: &Case, now: &Case) -> String {
    now.refuses(&planned.saved()).map(|refusal| crate::render::refusal(&refusal)).unwrap_or_default()
}

/// A plan is refused after a change, and all these are said.
#[track_caller]
fn refused(planned: &Case, change: impl FnOnce(&mut Case), expected: &[&str]) {
    let said = said(planned, &planned.clone().with(change));
    assert!(!planned.plan().actions.is_empty());
    for text in expected {
        assert!(said.contains(text), "{text:?} is not in:\n{said}");
    }
}

fn wal(word: &str) -> WalName {
    WalName::Segment(segment(word))
}

/// The same end with what another text says of it.
fn there(text: &'static str) -> impl FnOnce(&mut Case) {
    move |case| case.primary = notation::primary(text)
}

fn here(text: &'static str) -> impl FnOnce(&mut Case) {
    move |case| case.here = notation::replica(text, &case.primary)
}

fn set_info(backup: &mut PrimaryBackup, line: &str) {
    let text = String::from_utf8(backup.info.write()).unwrap();
    let key = line.split('=').next().unwrap();
    let rest: String = text.lines().filter(|l| !l.starts_with(key)).map(|l| format!("{l}\n")).collect();
    backup.info = BackupInfo::parse(format!("{rest}{line}\n").as_bytes()).unwrap();
}

#[test]
fn an_added_backup_is_refused_when_it_appeared_here_or_is_another_at_the_primary() {
    let planned = case("@20 1/06  @21 1/08 | 1/06..0A", "@20 1/06 | 1/06..0A");
    let address = "main/backup/20261121T000000: ";
    refused(&planned, here(BOTH), &[address, "the backup, here: planned: absent; now: published, 1 000 bytes"]);
    refused(&planned, here("@20 1/06 @21 1/08 bare | 1/06..0A"), &[address, "now: an unpublished base"]);
    refused(&planned, here("@20 1/06 @21 1/08 syncing | 1/06..0A"), &["now: never finished (SYNCING)"]);
    refused(
        &planned,
        there("@20 1/06 | 1/06..0A"),
        &[address, "the backup, at the primary: planned: DONE", "now: absent"],
    );
    refused(&planned, there("@20 1/06 @21 1/08 leaving | 1/06..0A"), &[address, "now: being deleted"]);
    refused(&planned, there("@20 1/06 @21 1/08 failed | 1/06..0A"), &[address, "now: FAILED, begin_wal"]);
    refused(
        &planned,
        there("@20 1/06 @21 1/09 | 1/06..0A"),
        &[
            "begin_wal 000000010000000000000008",
            "begin_wal 000000010000000000000009",
            "different in `begin_wal`, `end_wal`",
        ],
    );
    refused(&planned, there("@20 1/06 @21 1/08 size=5 | 1/06..0A"), &["1 000 bytes", "5 bytes", "different in `size`"]);
    refused(
        &planned,
        |case| set_info(case.primary.backups.get_mut(&id("21")).unwrap(), "timeline=9"),
        &["its metadata, at the primary: planned: as the plan has it; now: different in `timeline`"],
    );
    refused(
        &planned,
        |case| assert!(case.here.wals.remove(wal("1/08")).is_some()),
        &["the WAL that it needs, here: planned: all of 1 segment", "now: 0 of 1 segment"],
    );
}

#[test]
fn what_an_added_backup_builds_on_or_shares_must_still_be_here() {
    let planned = case("@20 1/06  @21<20 1/08 files=ab | 1/06..0A", "@20 1/06 files=ab | 1/06..0A");
    let planned = planned
        .with(|case| case.primary.backups.get_mut(&id("20")).unwrap().manifest = Some(notation::manifest("ab").into()));
    refused(
        &planned,
        |case| drop(case.here.backups.remove(&id("20"))),
        &["the backup that it builds on, here: planned: 20261120T000000: published", "20261120T000000: absent"],
    );
    let damage = |case: &mut Case| case.here.backups.get_mut(&id("20")).unwrap().base = BaseState::Absent;
    refused(&planned, damage, &["the backup whose files it shares, here", "here and whole", "damaged"]);
}

#[test]
fn wal_is_refused_when_a_file_appeared_here_or_is_gone_at_the_primary() {
    let planned = case("@21 1/08 | 1/08..0C", "@21 1/08 | 1/08..0A");
    let address = "main/wal/00000001000000000000000B..0C: ";
    refused(
        &planned,
        here("@21 1/08 | 1/08..0B"),
        &[address, "the files, here: planned: none of 2 files; now: 1 of 2 files, 16 777 216 bytes"],
    );
    refused(
        &planned,
        there("@21 1/08 | 1/08..0B"),
        &[
            address,
            "planned: 2 files with the planned 33 554 432 bytes; now: 1 of 2 files as planned; 00000001000000000000000C is gone",
        ],
    );
    refused(&planned, there("@21 1/08 | 1/08..0C 1/0B=7"), &["00000001000000000000000B has 7 bytes"]);
    refused(&planned, |case| case.primary.gone.extend([wal("1/0C")]), &["00000001000000000000000C is gone"]);
}

#[test]
fn a_wal_repair_is_refused_when_the_file_here_is_another() {
    let planned = case("@21 1/08 | 1/08..0C", "@21 1/08 | 1/08..0C 1/0B=5");
    refused(
        &planned,
        |case| case.here.wals.extend([(wal("1/0B"), 6)]),
        &["main/wal/", "now: 0 of 1 file as planned; 00000001000000000000000B has 6 bytes"],
    );
}

#[test]
fn a_history_file_is_refused_when_either_end_has_another() {
    let planned = case("@21 1/08 | 1/08..0A h2<1/0A", "@21 1/08 | 1/08..0A");
    refused(
        &planned,
        here("@21 1/08 | 1/08..0A h2<1/0A"),
        &["main/history/00000002: the history file, here: planned: absent; now: 42 bytes"],
    );
    refused(
        &planned,
        there("@21 1/08 | 1/08..0A h2<1/09"),
        &["left timeline 1 at 0/A000028", "left timeline 1 at 0/9000028"],
    );
}

#[test]
fn what_is_written_anew_is_refused_when_it_is_another_by_now() {
    use crate::observe::inventory::XlogFinding;
    let doubled = case(BOTH, BOTH).with(|case| case.here.xlogdb.findings = vec![XlogFinding::Doubled(3)]);
    refused(
        &doubled,
        |case| case.here.xlogdb.findings.clear(),
        &["main/xlog.db: xlog.db, here", "3 lines doubled; now: 9 lines to read"],
    );
    refused(
        &doubled,
        |case| edit(&mut case.here.xlogdb.entries, |lines| lines.truncate(8)),
        &["9 lines to read", "8 lines to read"],
    );
    let behind = case(BOTH, BOTH).with(|case| case.here.sync_wals = Some((wal("1/03"), 64)));
    refused(
        &behind,
        |case| case.here.sync_wals = None,
        &["main/sync-wals.info", "000000010000000000000003 at 64", "absent or unreadable"],
    );
    let new = case(BOTH, "");
    refused(
        &new,
        |case| case.here.exists = true,
        &["main/server: the server's directory, here: planned: absent; now: present"],
    );
}

#[test]
fn metadata_is_refused_when_either_end_says_something_else() {
    let planned =
        case(BOTH, BOTH).with(|case| set_info(case.primary.backups.get_mut(&id("21")).unwrap(), "hba_file=/x"));
    let address = "main/info/20261121T000000: ";
    let here = |case: &mut Case| {
        let published = case.here.backups.get_mut(&id("21")).unwrap().published.as_mut().unwrap();
        published.info = published.info.with_status(crate::barman::backup_info::Status::Failed);
    };
    refused(
        &planned,
        here,
        &[address, "its backup.info, here: planned: as the plan has it; now: different in `status`"],
    );
    refused(
        &planned,
        |case| set_info(case.primary.backups.get_mut(&id("21")).unwrap(), "hba_file=/y"),
        &[address, "different in `hba_file`"],
    );
    let keep = case("@21 1/08 k | 1/08..0A", "@21 1/08 | 1/08..0A");
    refused(
        &keep,
        |case| case.primary.backups.get_mut(&id("21")).unwrap().keep = None,
        &["main/keep/20261121T000000: its keep annotation, at the primary: planned: full; now: none"],
    );
    refused(
        &keep,
        |case| case.here.backups.get_mut(&id("21")).unwrap().keep = Some(Keep::Standalone),
        &["its keep annotation, here: planned: none; now: standalone"],
    );
    let unlinked = case(BOTH, "@18 1/02  @19 1/04  @20 1/06  @21 1/08 unlinked | 1/02..0A");
    refused(
        &unlinked,
        |case| case.here.backups.get_mut(&id("21")).unwrap().unlinked.clear(),
        &["tablespaces that no link leads to, here: planned: 16384; now: none"],
    );
}

#[test]
fn a_mended_backup_is_refused_when_its_damage_or_its_source_is_another() {
    let planned = case("@21 1/08 | 1/08..0A", "@21 1/08 damaged | 1/08..0A");
    let mend = |case: &mut Case| case.here.backups.get_mut(&id("21")).unwrap().base = BaseState::Complete;
    refused(
        &planned,
        mend,
        &[
            "main/backup/20261121T000000: its files, here: planned: 1 file missing or of another size, the first data/base/1/2; now: complete",
        ],
    );
    refused(&planned, there("| 1/08..0A"), &["the backup, at the primary", "now: absent"]);
}

#[test]
fn a_removal_is_refused_when_its_reason_no_longer_holds() {
    let unselected = case(BOTH, BOTH).last(2).prune_unselected();
    let address = "main/backup/20261118T000000: ";
    // Of what is wanted the newest is gone at both ends: an older one takes its place.
    let fewer = |case: &mut Case| {
        case.primary = notation::primary("@18 1/02  @19 1/04 | 1/02..0A");
        case.here.backups.remove(&id("21"));
        case.here.backups.remove(&id("20"));
    };
    refused(&unselected, fewer, &[address, "the selection, by the site file: planned: left out; now: selected"]);
    refused(
        &unselected,
        |case| case.primary.backups.get_mut(&id("18")).unwrap().keep = Some(Keep::Full),
        &["its keep annotation, at the primary: planned: none; now: full"],
    );
    refused(
        &unselected,
        |case| case.here.backups.get_mut(&id("18")).unwrap().keep = Some(Keep::Full),
        &["its keep annotation, here: planned: none; now: full"],
    );
    refused(
        &unselected,
        |case| drop(case.here.backups.remove(&id("18"))),
        &["the backup, here: planned: published, 1 000 bytes; now: absent"],
    );
    refused(
        &unselected,
        |case| case.here.wals.extend([(wal("1/03"), 5)]),
        &["main/wal/000000010000000000000002..05: the files, here", "000000010000000000000003 has 5 bytes"],
    );
    let child = |case: &mut Case| {
        let mut new = case.here.backups[&id("21")].clone();
        let facts = &mut new.published.as_mut().unwrap().facts;
        (facts.id, facts.parent) = (id("22"), Some(id("18")));
        case.here.backups.insert(id("22"), new);
    };
    refused(
        &unselected,
        child,
        &[address, "what builds on it, here: planned: nothing that stays; now: backup 20261122T000000"],
    );

    let gone = case("@20 1/06  @21 1/08 | 1/06..0A", BOTH).prune_gone();
    refused(&gone, there(BOTH), &["the backup, at the primary: planned: absent; now: DONE"]);
}

#[test]
fn a_removal_is_refused_when_less_would_be_left_than_was_planned() {
    let planned = case(BOTH, BOTH).last(2).prune_unselected();
    refused(
        &planned,
        |case| assert!(case.here.wals.remove(wal("1/06")).is_some()),
        &["what stays recoverable, here: planned: 2 full backups or more; now: 1 full backup"],
    );
    refused(
        &planned,
        |case| case.here.backups.get_mut(&id("20")).unwrap().base = BaseState::Absent,
        &["what stays recoverable, here", "now: 1 full backup"],
    );
    let lost = |case: &mut Case| {
        case.here.backups.retain(|backup, _| [id("18"), id("19")].contains(backup));
        case.replica.policy.protect.max_prune_percent = 50;
    };
    refused(&planned, lost, &["`replicas.main.protect.max_prune`: planned with `100%`, now `50%`"]);
}

#[test]
fn a_staging_that_is_removed_must_be_there_for_its_reason() {
    let planned =
        case("@21 1/08 | 1/08..0A", "@21 1/08 | 1/08..0A").with(|case| case.here.staged = [(id("20"), 0)].into());
    refused(
        &planned,
        |case| case.here.staged.clear(),
        &["main/staging/20261120T000000: what an interrupted copy left, here: planned: present; now: absent"],
    );
    refused(
        &planned,
        there("@20 1/08 @21 1/08 | 1/08..0A"),
        &["the backup, at the primary: planned: absent; now: DONE"],
    );
}

#[test]
fn a_target_that_is_another_is_refused_once_for_all_actions() {
    let planned = case("@20 1/06  @21 1/08 | 1/06..0C", "@20 1/06 | 1/06..0A");
    for (change, expected) in [
        (
            (|case| case.here.directories.wals_directory = "/elsewhere".into()) as fn(&mut Case),
            "its directories, here: planned: /site/main",
        ),
        (
            |case| case.primary.directories.wals_directory = "/elsewhere".into(),
            "its directories, at the primary: planned: /primary/main",
        ),
        (
            |case| case.here.barman = "3.12.1".parse().unwrap(),
            "the Barman that reads them, here: planned: 3.19.1; now: 3.12.1",
        ),
        (
            |case| {
                case.primary.backups.get_mut(&id("21")).unwrap().facts.segment_size =
                    SegmentSize::new(1 << 20).unwrap();
            },
            "its segment size, at the primary: planned: 16 777 216 bytes; now: 1 048 576 bytes",
        ),
        (
            |case| case.primary.backups.get_mut(&id("21")).unwrap().facts.system = Some(SystemId(8)),
            "what forbids a change, here: planned: nothing; now: backup 20261121T000000 is of the new system 8",
        ),
        (
            |case| {
                case.here.site_barman.section = SiteSection::Present;
                case.here.site_barman.active = true;
            },
            "the site's own Barman takes backups of a server with this name",
        ),
    ] {
        let said = said(&planned, &planned.clone().with(change));
        assert!(said.contains(expected) && !said.contains("main/wal/"), "{expected:?} is not in:\n{said}");
    }
}

#[test]
fn an_empty_site_is_refused_a_primary_that_is_another_cluster_by_now() {
    let planned = case("@21 1/08 | 1/08..0A", "");
    refused(
        &planned,
        there("@21 1/08 system=8 | 1/08..0A"),
        &["main: its systems, at the primary: planned: 7; now: 8"],
    );
}

#[test]
fn a_cluster_that_no_backup_tells_of_any_more_is_not_said_to_have_another_segment_size() {
    let planned = case("@21 1/08 | 1/08..0A", "").with(|case| {
        case.primary.backups.get_mut(&id("21")).unwrap().facts.segment_size = SegmentSize::new(1 << 20).unwrap();
    });
    let said = said(&planned, &planned.clone().with(|case| case.primary.backups.clear()));
    assert!(said.contains("main: its systems, at the primary: planned: 7; now: not known any more"), "{said}");
    assert!(!said.contains("segment size"), "{said}");
}

#[test]
fn a_key_that_decides_is_named_with_both_values() {
    let planned = case(BOTH, "@21 1/08 | 1/08..0A").last(2);
    let last = |count| Selection::Union(vec![Rule::Last(NonZeroU32::new(count).unwrap())]);
    refused(
        &planned,
        |case| case.replica.policy.backups = last(3),
        &["`replicas.main.backups`: planned with `last: 2`, now `last: 3`"],
    );
    refused(
        &planned,
        |case| case.replica.policy.wals_from = WalsFrom::BackupsOnly,
        &["`replicas.main.wals.from`: planned with `oldest-backup`, now `backups-only`"],
    );
    refused(
        &planned,
        |case| case.replica.policy.prune.unselected = true,
        &["`replicas.main.prune.unselected`: planned with `false`, now `true`"],
    );
    refused(
        &planned,
        |case| case.replica.server = "other".parse().unwrap(),
        &["`replicas.main.server`: planned with `main`, now `other`"],
    );
    refused(
        &planned,
        |case| case.replica.policy.accept_systems.extend([SystemId(9)]),
        &["`replicas.main.accept_systems`: planned with `[]`, now `[9]`"],
    );
    refused(
        &planned,
        |case| case.replica.name = "else".parse().unwrap(),
        &["`replicas.main`: planned with `primary: frankfurt`, now nothing"],
    );
}

#[test]
fn another_access_is_refused_and_another_spelling_is_not() {
    let planned = case(BOTH, "@21 1/08 | 1/08..0A");
    let at = |text: &str| crate::site::load("x", text, None).unwrap().site;
    let head = "version: 1\nsite: lisbon\ncatalog: {path: /site}\nreplicas: {main: {primary: frankfurt}}\nprimaries: {frankfurt: ";
    let ssh = at(&format!("{head}{{ssh: {{destination: barman@pg, port: 22}}}}}}"));
    let check = |made_with: &crate::site::Site, site: &crate::site::Site| {
        let saved = crate::plan::saved::SavedPlan {
            desired: crate::plan::saved::desired::Desired::of(made_with, std::slice::from_ref(&planned.replica)),
            ..planned.saved()
        };
        let (observation, replicas) = (planned.observation(), [planned.replica.clone()]);
        let present = Present { site, replicas: &replicas, observation: &observation, now: planned.now };
        stale::check(&saved, &present).map_err(|refusal| crate::render::refusal(&refusal)).err().unwrap_or_default()
    };
    let respelled = "# Reviewed.\nprimaries:\n  frankfurt:\n    ssh_command: ssh -p 22 barman@pg\n    bandwidth: 5MiB/s\n    streams: 9\n\
                     replicas:\n  main: {primary: frankfurt, objective: {rpo: 1h}}\nsite: lisbon\ncatalog: {path: /site}\nversion: 1\n";
    assert_eq!(check(&ssh, &at(respelled)), "");
    let moved = at(&format!("{head}{{ssh: {{destination: barman@other, port: 22}}}}}}"));
    let said = check(&ssh, &moved);
    assert!(said.contains("`primaries.frankfurt.ssh`: planned with `sha256 "), "{said}");
    let mounted = at(&format!("{head}{{path: /mnt}}}}"));
    let said = check(&ssh, &mounted);
    assert!(said.contains("`primaries.frankfurt.path`: planned with nothing, now `/mnt`"), "{said}");
    let elsewhere = at(&format!("{head}{{ssh: {{destination: barman@pg, port: 22}}}}}}").replace("/site", "/else"));
    let said = check(&ssh, &elsewhere);
    assert!(said.contains("`catalog.path`: planned with `/site`, now `/else`"), "{said}");
    let porto = at(&format!("{head}{{ssh: {{destination: barman@pg}}}}}}").replace("lisbon", "porto"));
    assert_eq!(check(&ssh, &porto), "it is a plan of site lisbon, and the site file is of porto");
}

#[test]
fn a_primary_that_does_not_answer_is_told_apart_from_a_stale_plan() {
    let planned = case(BOTH, "@21 1/08 | 1/08..0A");
    let (saved, site, replicas) = (planned.saved(), site(), [planned.replica.clone()]);
    let refusal = |primary| {
        let mut observation = planned.observation();
        observation.replicas.values_mut().for_each(|ends| ends.primary = Observed::clone(&primary));
        stale::check(&saved, &Present { site: &site, replicas: &replicas, observation: &observation, now: planned.now })
            .unwrap_err()
    };
    let error = Error::new(Kind::Unreachable, "no route to host").hint("call the network people");
    let failed = refusal(Observed::Failed(error));
    assert_eq!(crate::render::refusal(&failed), "replica main could not be looked at again: no route to host");
    assert_eq!(crate::render::advice_on_refusal(&failed), "call the network people");
    let inactive = refusal(Observed::Inactive("Skipping inactive server main\n".to_owned()));
    assert!(
        crate::render::refusal(&inactive).contains("main: the server, at the primary: planned: active; now: Skipping"),
        "{inactive:?}"
    );
}

#[test]
fn a_handful_of_changes_is_named() {
    let planned =
        case("@14 1/01 @15 1/01 @16 1/01  @18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/01..0A", "@21 1/08 | 1/01..0A");
    let said = said(&planned, &planned.clone().with(there("@21 1/08 | 1/01..0A")));
    assert!(
        said.starts_with("it is stale: 6 things that it relies on have changed\n  main/backup/20261120T000000: "),
        "{said}"
    );
    assert!(said.lines().count() == 7 && said.ends_with("\n  … and 1 more"), "{said}");
}
