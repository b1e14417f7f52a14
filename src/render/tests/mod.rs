//! What every format makes of the same situations, as golden files, and what holds for any plan.
//!
//! `INSTA_UPDATE=always cargo test render` writes the golden files anew; read them.

mod dot;
mod drill;
mod explain;
mod history;
mod markdown;
pub(crate) mod situations;
mod status;
mod verification;

use std::num::NonZeroUsize;

use crate::error::{Error, Kind};
use crate::plan::tests::build::*;

use super::{Form, Style, Whys, plan as render};
use crate::plan::cost::estimate::Pace;
use crate::plan::cost::totals::Totals;
use crate::plan::reason::{HeldPrune, Note, Warning};
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::{Narrowed, Outcome, Plan, ReplicaPlan};

/// A text for people of a plan of which nothing else is known.
fn human(plan: &Plan, style: Style) -> String {
    super::human(plan, style, &Whys::default())
}

fn golden(name: &str, plan: &Plan) {
    golden_in(name, plan, Style::default());
}

fn golden_in(name: &str, plan: &Plan, style: Style) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        insta::assert_snapshot!(name, human(plan, style));
    });
}

#[test]
fn every_format_of_every_situation() {
    let plain = Style::default();
    let max_chars = NonZeroUsize::new(60_000).unwrap();
    let few_chars = NonZeroUsize::new(900).unwrap();
    let forms = [
        ("human", Form::Human(plain)),
        ("narrow", Form::Human(Style { width: Some(60), ..plain })),
        ("colour", Form::Human(Style { colour: true, width: Some(100), ..plain })),
        ("verbose", Form::Human(Style { verbose: true, ..plain })),
        ("markdown", Form::Markdown { max_chars, verbose: false }),
        ("markdown-short", Form::Markdown { max_chars: few_chars, verbose: false }),
        ("dot", Form::Dot),
        ("mermaid", Form::Mermaid),
    ];
    for (format, form) in forms {
        situations::golden(format, |situation| {
            let whys = if format == "verbose" { situation.whys() } else { Whys::default() };
            render(&situation.plan, form, &whys)
        });
    }
}

/// The same plan, with what is known of how fast bytes arrive.
fn at_pace(mut plan: Plan, pace: Pace) -> Plan {
    for target in plan.replicas.iter_mut().filter_map(|replica| replica.target.as_mut()) {
        target.pace = pace;
    }
    plan
}

#[test]
fn how_long_a_copy_takes_is_estimated_from_what_was_measured_or_from_a_limit() {
    let measured = Pace { measured: Some(70 * MIB), ..Pace::default() };
    golden("measured_pace", &at_pace(situations::named("catching_up").plan.clone(), measured));
    let limited = Pace { primary: Some(200 * MIB), ..Pace::default() };
    golden("limited_bandwidth", &at_pace(situations::named("catching_up").plan.clone(), limited));
    golden("limited_bandwidth_upper_bound", &at_pace(situations::named("two_timelines").plan.clone(), limited));
}

#[test]
fn no_line_ends_with_a_space_and_a_narrow_terminal_is_never_left() {
    for situation in situations::all() {
        let narrow = Style { width: Some(60), ..Style::default() };
        let longest_word = 45;
        for line in human(&situation.plan, narrow).lines() {
            let is_one_word = line.trim().split(' ').any(|word| super::ink::width(word) > longest_word);
            assert!(super::ink::width(line) <= 60 || is_one_word, "{line}");
        }
        for line in human(&situation.plan, Style::default()).lines() {
            assert!(!line.ends_with(' '), "{line:?} ends with a space");
        }
    }
}

#[test]
fn no_width_is_too_small() {
    for situation in situations::all() {
        for width in [0, 1, 7, 20] {
            human(&situation.plan, Style { width: Some(width), ..Style::default() });
        }
    }
}

#[test]
fn colour_says_nothing_of_its_own() {
    for situation in situations::all() {
        let colour = Style { colour: true, ..Style::default() };
        let stripped = anstream::adapter::strip_str(&human(&situation.plan, colour)).to_string();
        assert_eq!(stripped, human(&situation.plan, Style::default()));
    }
}

#[test]
fn nothing_that_moves_a_cursor_gets_through() {
    for situation in situations::all() {
        let style = Style { verbose: true, ..Style::default() };
        let max_chars = NonZeroUsize::new(60_000).unwrap();
        for form in [Form::Human(style), Form::Markdown { max_chars, verbose: true }, Form::Dot, Form::Mermaid] {
            let text = render(&situation.plan, form, &situation.whys());
            assert!(text.chars().all(|c| c == '\n' || !crate::barman::ids::is_unprintable(c)), "{form:?}");
        }
    }
}

fn wal(name: &str) -> crate::barman::wal::WalName {
    name.parse().unwrap()
}

#[test]
fn nothing_more_can_be_had() {
    let mut main = replica("main");
    main.before.lag = Some(lag(12, 863));
    main.after = main.before;
    main.notes = vec![
        Note::KeptHereOnly { count: 3, first: id("1101") },
        Note::EmptyThere { count: 1, first: wal("00000001000001A300000008") },
        Note::OtherSizeThere {
            server: main.server.clone(),
            count: 1,
            first: wal("00000001000001A300000009"),
            listed: 16 << 20,
            on_disk: 81_234,
        },
        Note::OtherSizeThere {
            server: main.server.clone(),
            count: 7,
            first: wal("00000001000001A300000009"),
            listed: 16 << 20,
            on_disk: 81_234,
        },
        Note::NotListedThere { server: main.server.clone(), count: 1, first: wal("00000001000001A30000000A") },
        Note::NotListedThere { server: main.server.clone(), count: 31, first: wal("00000001000001A30000000A") },
    ];
    main.shortfalls = vec![
        Shortfall::WalMissing { backup: id("1120"), ranges: vec![range(1, 0x1A310, 0x1A31B)] },
        Shortfall::WalDamaged { count: 2, first: "00000001000001A300000007".parse().unwrap() },
    ];
    golden("nothing_more_can_be_had", &site(vec![main]));
}

#[test]
fn what_all_replicas_have_in_common_is_said_once() {
    let mut replicas: Vec<ReplicaPlan> = (0..6).map(|i| replica(&format!("crm-{i:02}"))).collect();
    for replica in &mut replicas {
        replica.warnings.push(Warning::PassiveCron);
    }
    golden("fleet_in_sync", &site(replicas));
}

#[test]
fn a_plan_without_any_change_beside_an_unreachable_primary() {
    let unreachable = ReplicaPlan {
        primary: "madrid".into(),
        outcome: Outcome::Unobserved(Error::new(Kind::Unreachable, "Connection refused")),
        ..replica("crm")
    };
    golden("unreachable_only", &site(vec![unreachable, replica("main")]));
}

#[test]
fn scattered_segments_are_a_few_lines() {
    // Every second segment is missing: nothing can be merged.
    let scattered = || (0..50_000_u64).map(|i| wals(range(1, 0x1000 + 2 * i, 0x1000 + 2 * i), None));
    let plan = site(vec![replica("main").behind("2026-11-22 09:12:03", 50_000, 863_000).of(scattered())]);
    golden("scattered_segments", &plan);
    let lines = human(&plan, Style { verbose: true, ..Style::default() }).lines().count();
    assert!(lines > 50_000, "-v shows all, not {lines}");
}

#[test]
fn every_warning_says_what_to_do() {
    let mut main = replica("main").of([add(copy("1122", 412 * GIB))]);
    main.after.lag = Some(lag(2, 60));
    main.warnings = vec![
        Warning::NotConfigured { included: Some("/etc/barman.d".into()) },
        Warning::NotConfigured { included: None },
        Warning::BehindObjective { lag: Some(79_200), rpo: 900, mended: true, of_origin: false },
        Warning::BehindObjective { lag: Some(79_200), rpo: 900, mended: false, of_origin: false },
        Warning::BehindObjective { lag: Some(79_200), rpo: 900, mended: false, of_origin: true },
        Warning::BehindObjective { lag: None, rpo: 900, mended: false, of_origin: false },
        Warning::AppliedAhead("2026-11-24T00:00:00Z".parse().unwrap()),
        Warning::RefusedBefore { backup: id("1003"), why: "global/pg_control is missing".to_owned() },
        Warning::PruneHeld(HeldPrune { count: 3, first: id("1001"), most: 1 }),
    ];
    main.shortfalls = vec![
        Shortfall::BackupDamaged { backup: id("1010"), files: 0 },
        Shortfall::BackupDamaged { backup: id("1011"), files: 2 },
        Shortfall::BackupUnreadable { backup: id("1009") },
        Shortfall::DamagedThere { backup: id("1010") },
        Shortfall::ParentMissing { backup: id("1008"), parent: id("1007") },
        Shortfall::ParentNotRecoverable { backup: id("1006"), parent: id("1005") },
        Shortfall::WalUnknown { backup: id("1004") },
        Shortfall::WalHeld { backup: id("1003"), first: "00000001000001A300000007".parse().unwrap() },
        Shortfall::NoRoom { backup: id("1003"), needed: 412 * GIB, left: 100 * GIB },
        Shortfall::NoRoomForWal {
            count: 1,
            first: "00000001000001A300000011".parse().unwrap(),
            needed: SEGMENT,
            left: 0,
        },
        Shortfall::NoRoomForWal {
            count: 5,
            first: "00000001000001A300000012".parse().unwrap(),
            needed: 5 * SEGMENT,
            left: GIB / 64,
        },
        Shortfall::WalGone { count: 1, first: "00000001000001A300000008".parse().unwrap() },
        Shortfall::WalGone { count: 3, first: "00000001000001A300000009".parse().unwrap() },
    ];
    main.notes = vec![
        Note::AcceptsNothing("main/wal/00000001000001A300000008".to_owned()),
        Note::LinksLeftOut { backup: id("1016"), count: 1, first: "data/postgresql.conf".to_owned() },
        Note::LinksLeftOut { backup: id("1017"), count: 2, first: "data/pg_hba.conf".to_owned() },
        Note::Unlisted { backup: id("1016"), count: 1, first: "data/base/5/evil".to_owned() },
        Note::Unlisted { backup: id("1017"), count: 3, first: "data/evil.conf".to_owned() },
        Note::GoingAway(id("1012")),
        Note::CloudSnapshot(id("1013")),
        Note::OrphanedBase(id("1014")),
        Note::Unselected(1),
        Note::TimeStandsStill { count: 1, newest: "2026-11-27T03:02:00Z".parse().unwrap() },
        Note::TimeStandsStill { count: 2, newest: "2026-11-27T03:02:00Z".parse().unwrap() },
        Note::KeptHereOnly { count: 4, first: id("1101") },
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
    let mut plan = situations::named("catching_up").plan.clone();
    plan.narrowed = Some(narrowed(&["main/xlog.db", "main/backup"]));
    plan.replicas[1].left_out = 4;
    plan.replicas[1].actions.truncate(1);
    golden_in("narrowed", &plan, Style { width: Some(100), ..Style::default() });
    plan.replicas[1].actions.clear();
    plan.replicas[1].before.lag = Some(lag(0, 0));
    golden_in("narrowed_to_nothing", &plan, Style { width: Some(100), ..Style::default() });
}

#[test]
fn a_site_of_nothing() {
    golden("no_replicas", &site(vec![]));
}

#[test]
fn totals_count_what_the_rows_show() {
    let totals = Totals::of(&situations::named("catching_up").plan);
    assert_eq!((totals.add.backups, totals.add.wal_segments, totals.add.total()), (1, 51, 52));
    assert_eq!((totals.repair.total(), totals.update.total(), totals.prune.backups), (2, 0, 1));
    assert_eq!(totals.bytes_freed - 427_349_245_952, 6 * SEGMENT);
}
