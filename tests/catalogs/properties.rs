//! What holds for every case, at each look and across each apply.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use antipode::plan::action::Change;
use antipode::plan::status::Verdict;
use antipode::plan::{Outcome, ReplicaPlan};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::case::{Backups, Case, Followed, WalsFrom};
use super::ground::{Applied, Ground, Look, directory, imprint};
use super::judge::Judged;
use super::primary::{Primary, SERVER, wal_path};
use super::wal::{self, Place};

/// Lets a case happen, and looks at everything on the way.
pub fn hold(case: &Case) -> Result<(), TestCaseError> {
    let directory = directory();
    let (here, there) = (directory.path().join("lisbon"), directory.path().join("frankfurt"));
    let mut primary = Primary::create(&there, case.there);
    let ground = Ground::new(&here, &case.site_file(&here, &there));
    case.past.iter().for_each(|event| primary.live(event));
    match case.followed {
        Followed::Not => {}
        Followed::Until(events) => {
            ground.apply(now(&primary), Some(events.into()));
        }
        Followed::Wholly => round(case, &ground, &primary)?,
    }
    case.since.iter().for_each(|event| primary.live(event));
    case.at_primary.iter().for_each(|mishap| mishap.happen(&mut primary));
    case.at_site.iter().for_each(|mishap| mishap.happen(&here));
    round(case, &ground, &primary)
}

fn now(primary: &Primary) -> Timestamp {
    Timestamp::from_second(primary.now()).unwrap()
}

/// A look, an apply, and another look.
fn round(case: &Case, ground: &Ground, primary: &Primary) -> Result<(), TestCaseError> {
    let now = now(primary);
    let untouched = imprint(&primary.home);
    let before = Judged::read(&ground.catalog);
    let look = ground.look(now);
    what_is_said_is_so(&look, &before)?;
    in_sync_is_in_sync(case, &look, primary, &before, ground)?;

    let applied = ground.apply(now, None);
    prop_assert_eq!(&untouched, &imprint(&primary.home), "the primary was changed");
    let after = Judged::read(&ground.catalog);
    let next = ground.look(now);
    what_is_said_is_so(&next, &after)?;
    in_sync_is_in_sync(case, &next, primary, &after, ground)?;
    nothing_is_lost(&applied, &before, &after)?;
    failures_are_named(&applied)?;
    the_next_plan_agrees(&applied, &next)?;
    if applied.is_success() {
        promises_are_kept(&applied, &after)?;
    }
    Ok(())
}

fn replica(plan: &antipode::plan::Plan) -> &ReplicaPlan {
    &plan.replicas[0]
}

/// The actions of a plan, for a message.
fn words(plan: &ReplicaPlan) -> Vec<String> {
    plan.actions.iter().map(|action| format!("{} ({:?})", action.address, action.reason)).collect()
}

/// What is called recoverable is.
fn what_is_said_is_so(look: &Look, here: &Judged) -> Result<(), TestCaseError> {
    let said = replica(&look.plan).before;
    let recoverable = here.recoverable();
    prop_assert!(
        said.backups <= recoverable.len(),
        "{} backups are said to be recoverable, and {recoverable:?} are: {:?}",
        said.backups,
        here.backups.keys().map(|id| here.restores(id)).collect::<Vec<_>>()
    );
    let Some(window) = said.window else { return Ok(()) };
    let oldest = window.oldest.to_string();
    prop_assert!(recoverable.contains(&oldest), "the window begins with {:?}", here.restores(&oldest));
    let reached = here.reach(&oldest);
    let end = reached.get(&window.end.timeline.0);
    prop_assert!(
        end.is_some_and(|end| *end >= window.end.number),
        "the window of {oldest} is said to end at {:?}: {reached:?}",
        window.end
    );
    Ok(())
}

/// Nothing that could be recovered is lost, unless the plan said so.
fn nothing_is_lost(applied: &Applied, before: &Judged, after: &Judged) -> Result<(), TestCaseError> {
    let plan = replica(&applied.plan);
    let mut removed = BTreeSet::new();
    let mut wals_go = false;
    for action in &plan.actions {
        match &action.change {
            Change::RemoveBackup { id, .. } => {
                removed.insert(id.to_string());
            }
            Change::RemoveWals { .. } => wals_go = true,
            _ => {}
        }
    }
    let still = after.recoverable();
    for id in before.recoverable() {
        if removed.contains(&id) {
            continue;
        }
        prop_assert!(still.contains(&id), "{:?} after {:?}", after.restores(&id), words(plan));
        let (reached, reaches) = (before.reach(&id), after.reach(&id));
        let falls_short = reached.iter().find(|(timeline, end)| reaches.get(timeline).is_none_or(|now| now < end));
        prop_assert!(
            wals_go || falls_short.is_none(),
            "{id} reached {reached:?}, and reaches {reaches:?} after {:?}",
            words(plan)
        );
    }
    let any_before = !before.recoverable().is_empty();
    prop_assert!(!any_before || !still.is_empty(), "nothing is recoverable after {:?}", words(plan));
    Ok(())
}

/// What a plan said would be recoverable is, when all of it was done.
fn promises_are_kept(applied: &Applied, after: &Judged) -> Result<(), TestCaseError> {
    let plan = replica(&applied.plan);
    let recoverable = after.recoverable();
    prop_assert!(
        plan.after.backups <= recoverable.len(),
        "{} backups were promised, {recoverable:?} came of {:?}",
        plan.after.backups,
        words(plan)
    );
    let Some(window) = plan.after.window else { return Ok(()) };
    let oldest = window.oldest.to_string();
    prop_assert!(recoverable.contains(&oldest), "a window from {:?} was promised", after.restores(&oldest));
    let reached = after.reach(&oldest);
    let end = reached.get(&window.end.timeline.0);
    prop_assert!(end.is_some_and(|end| *end >= window.end.number), "{:?} was promised: {reached:?}", window.end);
    Ok(())
}

/// Each failure is of an action of the plan, and says something.
fn failures_are_named(applied: &Applied) -> Result<(), TestCaseError> {
    let addresses: BTreeSet<_> = replica(&applied.plan).actions.iter().map(|action| &action.address).collect();
    for (address, failure) in &applied.summary.failed {
        prop_assert!(addresses.contains(address), "{address} is not of the plan");
        prop_assert!(!failure.message.is_empty(), "{address} failed without a word");
    }
    Ok(())
}

/// After an apply that did everything the next plan is empty, and after one that did not it is not.
fn the_next_plan_agrees(applied: &Applied, next: &Look) -> Result<(), TestCaseError> {
    let (plan, left) = (replica(&applied.plan), replica(&next.plan));
    if applied.is_success() {
        prop_assert!(left.actions.is_empty(), "after {:?} there is still {:?}", words(plan), words(left));
        prop_assert!(!next.plan.is_blocked(), "{:?} after {:?}", left.outcome, words(plan));
    } else if !applied.summary.failed.is_empty() {
        let is_settled = left.actions.is_empty() && left.outcome == Outcome::Planned;
        prop_assert!(!is_settled, "{:?} failed, and nothing is left to do", applied.summary.failed);
    }
    Ok(())
}

/// In sync is only what has all that is wanted, with the primary's own bytes.
fn in_sync_is_in_sync(
    case: &Case,
    look: &Look,
    primary: &Primary,
    here: &Judged,
    ground: &Ground,
) -> Result<(), TestCaseError> {
    if look.status.replicas[0].verdict != Verdict::InSync {
        return Ok(());
    }
    let there = Judged::read(&primary.home);
    let wanted = wanted_backups(case, primary, &there, here);
    for id in &wanted {
        prop_assert!(here.restores(id).is_ok(), "in sync without {id}: {:?}", here.restores(id));
    }
    for name in wanted_wals(case, &wanted, &there) {
        let read = |home: &std::path::Path| fs::read(home.join(SERVER).join(wal_path(&name))).unwrap_or_default();
        let (ours, theirs) = (read(&ground.catalog), read(&primary.home));
        prop_assert!(ours == theirs || wal::unpack(&ours) == wal::unpack(&theirs), "in sync without {name}");
    }
    Ok(())
}

/// The backups that are wanted, of those that can be had.
fn wanted_backups(case: &Case, primary: &Primary, there: &Judged, here: &Judged) -> BTreeSet<String> {
    let is_going = |id: &String| primary.server().join(primary.layout.annotation(id, "delete_this")).exists();
    let can_be_had: BTreeMap<&String, _> = there
        .backups
        .iter()
        .filter(|(id, _)| there.restores(id).is_ok() && !is_going(id))
        .chain(here.backups.iter().filter(|(id, _)| here.restores(id).is_ok()))
        .collect();
    let full: Vec<&String> =
        can_be_had.iter().filter(|(_, backup)| backup.parent().is_none()).map(|(id, _)| *id).collect();
    match case.wanted.backups {
        Backups::All => can_be_had.into_keys().cloned().collect(),
        Backups::Last(count) => full.into_iter().rev().take(count.max(1).into()).cloned().collect(),
        // Which ones these are depends on the moment.
        Backups::Within(_) => full.into_iter().next_back().cloned().into_iter().collect(),
    }
}

/// The names of the primary's whole segments that are wanted with these backups.
fn wanted_wals(case: &Case, backups: &BTreeSet<String>, there: &Judged) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for id in backups {
        let Some(backup) = there.backups.get(id) else { continue };
        let Some((first, last)) = backup.span() else { continue };
        let descendants = there.descendants(first.timeline);
        let goes_on = match case.wanted.wals_from {
            WalsFrom::OldestBackup => true,
            WalsFrom::NewestBackup => backups.last() == Some(id),
            WalsFrom::BackupsOnly => false,
        };
        for (name, header) in &there.segments {
            let Some(place) = Place::of_name(name, backup.segment_size()) else { continue };
            let is_of_it = header.system == backup.system()
                && header.address == place.number * backup.segment_size()
                && header.timeline <= place.timeline
                && descendants.contains(&place.timeline)
                && place.number >= first.number;
            let is_inside = place.timeline == first.timeline && place.number <= last.number;
            if is_of_it && (goes_on || is_inside) {
                names.insert(name.clone());
            }
        }
    }
    names
}
