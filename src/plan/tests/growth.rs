//! What a plan of many backups takes: `cargo test --release --lib -- --ignored --nocapture plan::tests::growth`.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use crate::barman::backup_info::Status;
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::keep::Keep;
use crate::barman::wal::{Segment, Timeline, WalName};
use crate::observe::inventory::{BackupFacts, BaseKind, BaseState, LocalBackup, PrimaryBackup, Published};
use crate::plan::scope::Scope;
use crate::site::model::{Rule, Selection};

use super::case::{Case, case, site};
use super::notation::{BARMAN, SIZE, entry, info, rooms};

/// A backup each ten minutes, with a segment each.
fn facts(number: u32, parent: Option<u32>) -> BackupFacts {
    let began = "1990-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
    let at = |number: u32| began + SignedDuration::from_secs(600 * i64::from(number));
    let id = |number: u32| -> BackupId { at(number).strftime("%Y%m%dT%H%M%S").to_string().parse().unwrap() };
    let wal = segment(number);
    BackupFacts {
        id: id(number),
        status: Status::Done,
        timeline: Timeline(1),
        begin_wal: Some(wal),
        end_wal: Some(wal),
        end_lsn: None,
        end_time: Some(at(number)),
        system: Some(SystemId(7)),
        size: Some(1000),
        segment_size: SIZE,
        tablespaces: Vec::new(),
        parent: parent.map(id),
    }
}

fn segment(number: u32) -> Segment {
    Segment { timeline: Timeline(1), log: 1 + number / 256, seg: number % 256 }
}

/// So many backups at the primary, each with the parent that it has, of which the site has the first `here`.
fn so_many(count: u32, here: u32, parent: impl Fn(u32) -> Option<u32>) -> Case {
    let mut case = case("@20 1/06 | 1/06", "@20 1/06 | 1/06");
    let (first, here_first) = (case.primary.backups.pop_first().unwrap(), case.here.backups.pop_first().unwrap());
    drop((first, here_first));
    let lines = |to: u32| (0..to).map(|number| entry(WalName::Segment(segment(number)), 16 << 20));
    (case.primary.wals, case.here.xlogdb.entries) = (lines(count).collect(), lines(here).collect());
    case.here.wals = lines(here).map(|line| (line.name, line.size)).collect();
    case.primary.last = lines(count).next_back().map(|line| (line.name, 0));
    case.here.sync_wals = case.primary.last;
    for number in 0..count {
        let facts = facts(number, parent(number));
        let info = info(&facts, &[]);
        if number < here {
            let info = info.for_site(&"main".parse().unwrap(), BARMAN, &[].into());
            let published = Published { facts: facts.clone(), info, damage: vec![], is_read: true };
            let local = LocalBackup {
                published: Some(published),
                looked_at: None,
                base: BaseState::Complete,
                unlinked: Vec::new(),
                keep: None,
                manifest: None,
            };
            case.here.backups.insert(facts.id, local);
        }
        let there = PrimaryBackup {
            info,
            base: BaseKind::Files,
            keep: None,
            going_away: false,
            manifest: None,
            facts: facts.clone(),
        };
        case.primary.backups.insert(facts.id, there);
    }
    case
}

/// What a backup builds on.
type Parent = fn(u32) -> Option<u32>;

/// The shapes that backups may have: all full; nine incremental ones behind each full one; all in one chain.
const SHAPES: [(&str, Parent); 3] = [
    ("full", |_| None),
    ("chains of ten", |number| (number % 10 > 0).then(|| number - 1)),
    ("one chain", |number| number.checked_sub(1)),
];

#[test]
#[ignore = "measures"]
fn a_plan_of_a_hundred_thousand_backups() {
    let counts = std::env::var("ANTIPODE_BACKUPS").unwrap_or_else(|_| "1000 10000 100000".to_owned());
    for (shape, parent) in SHAPES {
        for count in counts.split_whitespace().map(|count| count.parse::<u32>().unwrap()) {
            let half = Rule::Last((count / 2).try_into().unwrap());
            let prunes = |case: Case| {
                let case = case.prune_unselected();
                case.with(|case| case.replica.policy.backups = Selection::Union(vec![half]))
            };
            let keeps_all = |case: Case| {
                case.with(|case| case.primary.backups.values_mut().for_each(|backup| backup.keep = Some(Keep::Full)))
            };
            let no_room = |case: Case| case.with(|case| case.here.rooms = Some(rooms(16 << 20)));
            let half_here = || so_many(count, count / 2, parent);
            let all_here = || so_many(count, count, parent);
            let cases: [(&str, &dyn Fn() -> Case); 5] = [
                ("in sync", &all_here),
                ("half lacking", &half_here),
                ("half lacking and no room", &|| no_room(half_here())),
                ("half to prune", &|| prunes(all_here())),
                ("all kept", &|| keeps_all(prunes(all_here()))),
            ];
            for (what, make) in cases {
                let case = make();
                let (site, replicas, observation) = (site(), [case.replica.clone()], case.observation());
                let mut took = Vec::new();
                let mut timed =
                    |what: &'static str, begin: Instant| took.push(format!("{what} {:.2?}", begin.elapsed()));
                let begin = Instant::now();
                let plan = crate::plan::plan(&site, &replicas, &observation, case.now);
                timed("plan", begin);
                let begin = Instant::now();
                let actions = plan.replicas[0].actions.len();
                let steps = plan.graph().node_count();
                timed("order", begin);
                let begin = Instant::now();
                let status = crate::plan::status::status(&plan, &replicas, &observation, case.now);
                timed("status", begin);
                let begin = Instant::now();
                let scope = Scope { targets: vec!["main/wal".parse().unwrap()], ..Scope::default() };
                let part = crate::plan::part(&site, &replicas, &observation, &scope, case.now).unwrap();
                timed("part", begin);
                drop((status, part));
                println!("{shape}, {what}, {count}: {actions} actions, {steps} steps: {}", took.join(", "));
            }
        }
    }
}
