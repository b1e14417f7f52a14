//! Golden files: each shows a plan as people see it. `INSTA_UPDATE=always cargo test render` writes them anew; read them.

pub(crate) mod build;
mod status;

use build::*;

use super::{Style, Totals, human};
use crate::barman::backup_info::Status;
use crate::barman::ids::SystemId;
use crate::barman::keep::Keep;
use crate::barman::version::BarmanVersion;
use crate::plan::action::{Change, Lag, Narrowed, Outcome, Plan, Recovery, ReplicaPlan};
use crate::plan::estimate::Pace;
use crate::plan::reason::{Blocker, Note, Reason, Warning, XlogFinding};

fn golden(name: &str, plan: &Plan) {
    golden_in(name, plan, Style::default());
}

fn golden_in(name: &str, plan: &Plan, style: Style) {
    // An escape would be invisible in a golden file.
    let text = human(plan, style).replace('\u{1b}', "␛");
    for line in text.lines() {
        assert!(!line.ends_with(' '), "{line:?} ends with a space");
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        insta::assert_snapshot!(name, text);
    });
}

fn narrow() -> Style {
    Style { width: Some(60), ..Style::default() }
}

/// The plan of DESIGN.md, as far as one value can be it.
fn catching_up() -> Plan {
    let rules = Reason::Unselected("`last: 7`, `within: 30d`".into());
    let mut newest = copy("1122", 443_025_991_270);
    newest.reuse = Some(reusing("1121", 417_793_014_988));
    let main = replica("main").behind("2026-11-22 09:12:03", 63, 863).of([
        action("xlog.db", Change::RepairXlogDb { entries: vec![] }, Reason::XlogDb(vec![XlogFinding::Doubled(131)])),
        add(newest),
        wals(range(1, 0x1A410, 0x1A43F), Some("1122")),
        wals(range(1, 0x1A440, 0x1A47E), None),
        truncated(range(1, 0x1A307, 0x1A307), 5_242_880),
        remove("1020", Some(427_349_245_952), rules),
    ]);
    site(vec![replica("archive"), main])
}

fn empty_site() -> Plan {
    let mut kept = copy("1115", 398 * GIB);
    kept.resume = true;
    let main = replica("main").new_here().of([
        create(),
        history(2),
        add(copy("1122", 443_025_991_270)),
        wals(range(2, 0x1A410, 0x1A43F), Some("1122")),
        wals(range(2, 0x1A440, 0x1A47E), None),
        add(kept),
        action(
            "keep/20261115T030000",
            Change::SetKeep { id: id("1115"), from: None, to: Keep::Full },
            Reason::KeptAtPrimary,
        ),
        wals(range(1, 0x19FF0, 0x1A001), Some("1115")),
        wals(range(1, 0x1A002, 0x1A40F), None),
    ]);
    site(vec![main])
}

/// The same plan, with what is known of how fast bytes arrive.
fn at_pace(mut plan: Plan, pace: Pace) -> Plan {
    for target in plan.replicas.iter_mut().filter_map(|replica| replica.target.as_mut()) {
        target.pace = pace;
    }
    plan
}

#[test]
fn the_design() {
    let measured = Pace { measured: Some(70 * MIB), ..Pace::default() };
    golden("the_design", &at_pace(catching_up(), measured));
}

#[test]
fn a_declared_bandwidth_tells_how_long_a_copy_takes_at_least() {
    let limited = Pace { primary: Some(200 * MIB), ..Pace::default() };
    golden("limited_bandwidth", &at_pace(catching_up(), limited));
    golden("limited_bandwidth_upper_bound", &at_pace(empty_site(), limited));
}

#[test]
fn an_empty_site_is_filled_newest_first() {
    golden("empty_site", &empty_site());
}

#[test]
fn in_sync() {
    golden("in_sync", &site(vec![replica("archive"), replica("main")]));
}

#[test]
fn nothing_more_can_be_had() {
    let mut main = replica("main");
    main.before.lag = lag(12, 863);
    main.after = main.before;
    main.notes = vec![
        Note::GoneAtBothEnds { backup: id("1120"), ranges: vec![range(1, 0x1A310, 0x1A31B)] },
        Note::TruncatedAndGone { count: 2, first: "00000001000001A300000007".into() },
        Note::KeptHereOnly(3),
    ];
    golden("nothing_more_can_be_had", &site(vec![main]));
}

/// Every kind of damage and drift.
fn drift() -> Plan {
    let label = |text: &str| format!("backup_label={text}\nchildren_backup_ids=20261122T060000\nsize=1\nstatus=DONE\n");
    let once =
        "'START WAL LOCATION: 1A4/10000028 (file 00000001000001A400000010)\\nCHECKPOINT LOCATION: 1A4/10000060\\n'";
    let twice = format!("\"{once}\"");
    let mut damaged = copy("1121", 389 * GIB);
    damaged.reuse = Some(reusing("1120", 200 * GIB));
    let damaged = action(
        "backup/20261121T030000",
        Change::RepairBackup(Box::new(damaged)),
        Reason::FilesDamaged { count: 3, first: "data/base/16384/16397".into() },
    );
    let groundwork = [
        action(
            "xlog.db",
            Change::RepairXlogDb { entries: vec![] },
            Reason::XlogDb(vec![
                XlogFinding::Doubled(131),
                XlogFinding::Unsorted(1),
                XlogFinding::NotListed(2),
                XlogFinding::NotOnDisk(1),
                XlogFinding::Differs(1),
                XlogFinding::TooManyFields(48),
            ]),
        ),
        action(
            "sync-wals.info",
            Change::RewriteSyncWals { from: None, to: (wal("00000001000001A40000007E"), 5_242_880) },
            Reason::SyncWalsBroken,
        ),
    ];
    let main = replica("main").of(groundwork).of([
        update(
            "1122",
            &label(&twice).replace("20261122T060000", "2,0,2,6,1,1,2,2,T,0,6,0,0,0,0"),
            &label(once),
            Reason::EncodedTwice(vec!["backup_label".into(), "children_backup_ids".into()]),
        ),
        action(
            "keep/20261122T030000",
            Change::SetKeep { id: id("1122"), from: Some(Keep::Standalone), to: Keep::Full },
            Reason::KeptAtPrimary,
        ),
        damaged,
        update("1121", "size=1\nstatus=DONE\n", "size=2\nstatus=DONE\n", Reason::InfoDiffers(vec!["size".into()])),
        truncated(range(1, 0x1A307, 0x1A307), 5_242_880),
        truncated(range(1, 0x1A310, 0x1A312), 0),
        update("1120", "size=1\n", "size=1\n", Reason::NotReadBy(BarmanVersion::new(3, 12, 1))),
    ]);
    let archive = replica("archive").of([action(
        "sync-wals.info",
        Change::RewriteSyncWals {
            from: Some((wal("00000001000001A400000040"), 77)),
            to: (wal("00000001000001A40000007E"), 88),
        },
        Reason::SyncWalsBehind,
    )]);
    site(vec![archive, main])
}

#[test]
fn drift_is_repaired() {
    golden("drift", &drift());
}

#[test]
fn verbose_cuts_nothing() {
    golden_in("drift_verbose", &drift(), Style { verbose: true, ..Style::default() });
}

#[test]
fn a_prune_names_what_allows_it() {
    let rules = || Reason::Unselected("`last: 7`, `within: 30d`".into());
    let unneeded = range(1, 0x19F00, 0x1A00F);
    let files = batch(unneeded, None).entries.iter().map(|entry| (entry.name, entry.size)).collect();
    let unneeded =
        action("wal/00000001000001", Change::RemoveWals { range: Some(unneeded), files }, Reason::NoBackupNeedsIt);
    let mut main = replica("main").of([
        action(
            "backup/20261118T030000",
            Change::RemoveBackup { id: id("1118"), size: None, parent: None },
            Reason::InterruptedAndGone,
        ),
        action("staging/20261119T030000", Change::RemoveStaging { id: id("1119") }, Reason::InterruptedAndUnselected),
        remove("1018", Some(397 * GIB), Reason::GoneAtPrimary),
        remove("1020", Some(398 * GIB), rules()),
        unneeded,
    ]);
    main.after = reached("2026-10-23 03:04:11", "2026-11-22 09:26:26");
    main.notes = vec![Note::PruneLater(2)];
    golden("prune", &site(vec![main]));
}

#[test]
fn blocked_replicas_say_what_would_settle_it() {
    let blocked = |name: &str, blocker: Blocker| ReplicaPlan {
        outcome: Outcome::Blocked(vec![blocker]),
        target: None,
        ..replica(name)
    };
    let plan = site(vec![
        blocked(
            "billing",
            Blocker::OtherSystem {
                here: vec![SystemId(7_575_757_575_757_575_757)],
                new: SystemId(7_676_767_676_767_676_767),
                backup: id("1122"),
            },
        ),
        blocked("crm", Blocker::TooFewLeft { left: 1, minimum: 2 }),
        blocked("main", Blocker::RunHere),
        blocked("web", Blocker::NotPassive { backup: id("1122"), mode: "rsync-concurrent".into() }),
    ]);
    golden("blocked", &plan);
}

#[test]
fn an_unreachable_primary_stands_beside_a_good_one() {
    let unreachable = |name: &str| ReplicaPlan {
        primary: "madrid".into(),
        outcome: Outcome::Unobserved {
            message: "ssh: connect to host barman.mad.example.com port 22: Connection refused".into(),
            hint: Some("see whether `ssh barman@barman.mad.example.com true` works from here".into()),
        },
        ..replica(name)
    };
    let inactive = ReplicaPlan {
        outcome: Outcome::Inactive("Skipping inactive server 'old'".into()),
        before: Recovery::default(),
        ..replica("old")
    };
    let good = replica("main").behind("2026-11-22 09:12:03", 3, 863).of([wals(range(1, 0x1A47C, 0x1A47E), None)]);
    golden("unreachable", &site(vec![unreachable("crm"), good, inactive, unreachable("web")]));
    golden("unreachable_only", &site(vec![unreachable("crm"), replica("main")]));
}

#[test]
fn two_timelines_and_a_chain_of_incrementals() {
    let incremental = |day: &str, parent: &str| {
        let mut copy = copy(day, 3 * GIB + 77);
        copy.parent = Some(id(parent));
        add(copy)
    };
    let mut adopted = copy("1120", 390 * GIB);
    adopted.adopt = true;
    let adopted =
        action("backup/20261120T030000", Change::AddBackup(Box::new(adopted)), Reason::Interrupted(Status::Syncing));
    let mut main = replica("main").new_here().of([
        history(2),
        incremental("1122", "1121"),
        wals(range(2, 0x1A410, 0x1A410), Some("1122")),
        wals(range(2, 0x1A411, 0x1A47E), None),
        incremental("1121", "1120"),
        wals(range(2, 0x1A3FF, 0x1A400), Some("1121")),
        adopted,
        wals(range(1, 0x1A2F0, 0x1A300), Some("1120")),
        wals(range(1, 0x1A302, 0x1A303), Some("1120")),
        wals(range(1, 0x1A304, 0x1A3FE), None),
    ]);
    main.server = server("pg-main");
    main.notes = vec![
        Note::Renamed(server("pg-main")),
        Note::NotDone { backup: id("1123"), status: Status::WaitingForWals },
        Note::NotDone { backup: id("1119"), status: Status::Failed },
        Note::ParentMissing { backup: id("1118"), parent: id("1117") },
    ];
    golden("timelines", &site(vec![main]));
}

fn fleet() -> Plan {
    let names = ["accounts", "billing", "crm", "data-warehouse-eu"];
    let mut replicas: Vec<ReplicaPlan> =
        (0..40).map(|i| replica(&format!("{}-{:02}", names[i % names.len()], i / names.len()))).collect();
    replicas.sort_by(|a, b| a.name.cmp(&b.name));
    for replica in &mut replicas {
        replica.warnings.push(Warning::PassiveCron);
    }
    replicas[7].warnings.push(Warning::OwnRetention("RECOVERY WINDOW OF 14 DAYS".into()));
    let behind = std::mem::replace(&mut replicas[21], replica("crm-01"));
    replicas[21] = behind.behind("2026-11-22 09:12:03", 63, 863).of([wals(range(1, 0x1A440, 0x1A47E), None)]);
    site(replicas)
}

#[test]
fn forty_servers_are_a_line_each() {
    golden("fleet", &fleet());
    let mut idle = fleet();
    idle.replicas.retain(|replica| replica.actions.is_empty() && replica.warnings.len() == 1);
    idle.replicas.truncate(6);
    golden("fleet_in_sync", &idle);
}

#[test]
fn a_hundred_thousand_segments_are_a_few_lines() {
    let whole = replica("main").new_here().of([
        add(copy("1122", 412 * GIB)),
        wals(range(1, 0x1A410, 0x1A43F), Some("1122")),
        wals(range(1, 0x01DA0, 0x1A40F), None),
    ]);
    golden("many_segments", &site(vec![whole]));
    // Every second segment is missing: nothing can be merged.
    let scattered = || (0..50_000_u64).map(|i| wals(range(1, 0x1000 + 2 * i, 0x1000 + 2 * i), None));
    let plan = site(vec![replica("main").behind("2026-11-22 09:12:03", 50_000, 863_000).of(scattered())]);
    golden("scattered_segments", &plan);
    let lines = human(&plan, Style { verbose: true, ..Style::default() }).lines().count();
    assert!(lines > 50_000, "-v shows all, not {lines}");
}

#[test]
fn hostile_texts_are_harmless() {
    let mut main = replica("main");
    main.notes = vec![Note::Primary("\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}drowssap\nerror: \tall is lost".into())];
    main.warnings = vec![Warning::OwnRetention("REDUNDANCY \u{9b}31m1".into())];
    let mut gone = replica("other");
    gone.outcome = Outcome::Unobserved { message: "line one\r\nline two\u{8}\u{8}".into(), hint: None };
    let plan = site(vec![main, gone]);
    golden("hostile", &plan);
    let text = human(&plan, Style { verbose: true, ..Style::default() });
    assert!(text.chars().all(|c| c == '\n' || !crate::barman::ids::is_unprintable(c)));
}

#[test]
fn a_narrow_terminal_stacks_the_columns() {
    golden_in("narrow", &catching_up(), narrow());
    golden_in("narrow_empty_site", &empty_site(), narrow());
    for plan in [catching_up(), empty_site(), fleet()] {
        for line in human(&plan, narrow()).lines() {
            assert!(super::ink::width(line) <= 60, "{line}");
        }
    }
    golden_in("eighty_columns", &catching_up(), Style { width: Some(80), ..Style::default() });
}

#[test]
fn no_width_is_too_small() {
    for width in [0, 1, 7, 20] {
        human(&drift(), Style { width: Some(width), ..Style::default() });
    }
}

#[test]
fn colour_says_nothing_of_its_own() {
    let colour = Style { colour: true, ..Style::default() };
    golden_in("colour", &catching_up(), colour);
    let stripped = anstream::adapter::strip_str(&human(&drift(), colour)).to_string();
    assert_eq!(stripped, human(&drift(), Style::default()));
}

#[test]
fn every_warning_says_what_to_do() {
    let mut main = replica("main").of([add(copy("1122", 412 * GIB))]);
    main.after.lag = Lag { segments: 2, bytes: 2 * SEGMENT, seconds: Some(60) };
    main.warnings = vec![
        Warning::NotConfigured { included: Some("/etc/barman.d".into()) },
        Warning::NotConfigured { included: None },
        Warning::BehindObjective { lag: 79_200, rpo: 900 },
        Warning::NoSpace { needed: 412 * GIB, free: 100 * GIB },
        Warning::DamagedAndGone { backup: id("1010"), files: 0 },
        Warning::DamagedAndGone { backup: id("1011"), files: 2 },
    ];
    main.notes = vec![
        Note::GoingAway(id("1012")),
        Note::CloudSnapshot(id("1013")),
        Note::OrphanedBase(id("1014")),
        Note::Unselected(1),
        Note::KeptHereOnly(4),
    ];
    golden("warnings", &site(vec![main]));
}

#[test]
fn a_part_of_a_plan_says_what_it_leaves() {
    let narrowed = |targets: &[&str]| Narrowed {
        targets: targets.iter().map(ToString::to_string).collect(),
        excluded: vec!["main/wal".into()],
        replicas: 1,
    };
    let mut plan = catching_up();
    plan.narrowed = Some(narrowed(&["main/xlog.db", "main/backup"]));
    plan.replicas[1].left_out = 4;
    plan.replicas[1].actions.truncate(1);
    golden_in("narrowed", &plan, Style { width: Some(100), ..Style::default() });
    plan.replicas[1].actions.clear();
    plan.replicas[1].before.lag = Lag::default();
    golden_in("narrowed_to_nothing", &plan, Style { width: Some(100), ..Style::default() });
}

#[test]
fn a_site_of_nothing() {
    golden("no_replicas", &site(vec![]));
}

#[test]
fn totals_count_what_the_rows_show() {
    let totals = Totals::of(&catching_up());
    assert_eq!((totals.add.backups, totals.add.wal_segments, totals.add.total()), (1, 111, 112));
    assert_eq!((totals.repair.total(), totals.update.total(), totals.prune.backups), (2, 0, 1));
    assert_eq!(totals.bytes_to_copy, 443_025_991_270 - 417_793_014_988 + 112 * SEGMENT);
    assert_eq!(totals.bytes_freed, 427_349_245_952);
}
