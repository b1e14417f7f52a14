//! What a plan comes to, said in a few lines.

use crate::plan::cost::estimate::{self, Basis, Estimate};
use crate::plan::cost::totals::{Things, Totals};
use crate::plan::recovery::Recovery;
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::{Outcome, Plan, ReplicaPlan};

use super::ink::width;
use super::units::{bytes, rate, rough_duration, timestamp};
use crate::english::{count, exact, list};

/// The windows of more replicas than this are not all told.
const MANY: usize = 20;

/// In words: `1 backup and 111 WAL segments`.
pub fn things(things: &Things) -> String {
    let mut kinds = vec![
        (things.servers, "server"),
        (things.backups, "backup"),
        (things.wal_segments, "WAL segment"),
        (things.history_files, "history file"),
        (things.keep_annotations, "keep annotation"),
        (things.metadata_files, "metadata file"),
        (things.interrupted_copies, "interrupted copy"),
    ];
    // The labels that every backup leaves in the archive are worth a word only when they are all there is.
    if things.wal_segments == 0 {
        kinds.push((things.wal_files, "WAL file"));
    }
    let words: Vec<String> = kinds.into_iter().filter(|(n, _)| *n > 0).map(|(n, noun)| count(n, noun)).collect();
    list(&words)
}

/// A sentence of the summary: a head that is set off, and what follows it.
pub type Sentence = (&'static str, String);

/// The last lines of a plan.
pub fn sentences(plan: &Plan, verbose: bool) -> Vec<Sentence> {
    let totals = Totals::of(plan);
    let mut lines = vec![headline(plan, &totals)];
    lines.extend(not_planned(plan));
    lines.extend(held(plan));
    lines.extend(no_room(plan));
    lines.extend(detached(plan));
    lines.extend(traffic(plan, &totals));
    lines.extend(after(plan, verbose));
    lines
}

fn headline(plan: &Plan, totals: &Totals) -> Sentence {
    if plan.is_empty() {
        return no_changes(plan);
    }
    ("Plan:", format!("{}.", changes(totals).join(", ")))
}

/// What is done, in a few words for each kind of change.
pub fn changes(totals: &Totals) -> Vec<String> {
    let mut parts = Vec::new();
    if totals.add.total() > 0 {
        parts.push(format!("{} to add", things(&totals.add)));
    }
    for (things, verb) in [(&totals.repair, "to repair"), (&totals.update, "to update")] {
        if things.total() > 0 {
            parts.push(format!("{} {verb}", exact(things.total())));
        }
    }
    if totals.prune.total() > 0 {
        parts.push(format!("{} to prune", things(&totals.prune)));
    }
    parts
}

/// What is to be done, in a few words: `add 1 backup and prune 2 WAL segments`; `None` where that is nothing.
pub fn to_do(totals: &Totals) -> Option<String> {
    let kinds = [("add", totals.add), ("repair", totals.repair), ("update", totals.update), ("prune", totals.prune)];
    let some = kinds.iter().filter(|(_, things)| things.total() > 0);
    let words: Vec<String> = some.map(|(verb, of)| format!("{verb} {}", things(of))).collect();
    (!words.is_empty()).then(|| list(&words))
}

/// What a narrowed plan does not do, where it is narrower than the whole.
pub fn left_out(plan: &Plan) -> Option<String> {
    let narrowed = plan.narrowed.as_ref()?;
    let mut parts = Vec::new();
    if plan.left_out() > 0 {
        parts.push(count(plan.left_out() as u64, "action"));
    }
    if narrowed.replicas > 0 {
        parts.push(count(narrowed.replicas as u64, "replica"));
    }
    if parts.is_empty() {
        return None;
    }
    let is_one = plan.left_out() + narrowed.replicas == 1;
    let options = [("--target", &narrowed.targets), ("--exclude", &narrowed.excluded)];
    let options: Vec<String> =
        options.iter().flat_map(|(option, values)| values.iter().map(move |v| format!("`{option} {v}`"))).collect();
    Some(format!(
        "this is a part of the plan: {} {} left out by {}. It is for exceptional situations, not for routine use: \
         plan without {} afterwards",
        list(&parts),
        if is_one { "is" } else { "are" },
        list(&options),
        if options.len() == 1 { "it" } else { "them" },
    ))
}

fn no_changes(plan: &Plan) -> Sentence {
    if left_out(plan).is_some() {
        return ("No changes", "in the part of the plan that was asked for.".to_owned());
    }
    let planned: Vec<&ReplicaPlan> = plan.replicas.iter().filter(|r| r.outcome == Outcome::Planned).collect();
    let lacking: Vec<&&ReplicaPlan> = planned.iter().filter(|replica| !replica.is_in_sync()).collect();
    let text = match (planned.len(), plan.replicas.len()) {
        (_, 0) => "The site file names no replica, and its mirrors found no server.",
        (0, _) => return ("Nothing", "could be planned.".to_owned()),
        (1, all) if all > 1 => return ("No changes", "to the replica that could be planned.".to_owned()),
        (n, all) if n < all => return ("No changes", format!("to the {n} replicas that could be planned.")),
        _ if lacking.is_empty() => "The site has everything it should.",
        _ if planned.iter().any(|replica| !replica.held.is_empty()) => "What differs waits for a person.",
        _ => return ("No changes.", format!("{}.", incomplete(&lacking))),
    };
    ("No changes.", text.to_owned())
}

/// What a plan without actions leaves lacking.
fn incomplete(replicas: &[&&ReplicaPlan]) -> String {
    let things: usize = replicas.iter().map(|replica| replica.shortfalls.len()).sum();
    let names: Vec<String> = replicas.iter().map(|replica| replica.name.to_string()).collect();
    let is_of_room = replicas.iter().flat_map(|replica| &replica.shortfalls).all(Shortfall::is_of_room);
    let what = if things == 0 {
        "Nothing here can be recovered from yet".to_owned()
    } else if is_of_room {
        format!("What the warnings name does not fit ({})", count(things as u64, "thing"))
    } else {
        format!("What the warnings name is lacking ({}), and no apply can bring it", count(things as u64, "thing"))
    };
    format!("{what}: {}", list(&names))
}

/// Which replicas the plan says nothing about.
fn not_planned(plan: &Plan) -> Option<Sentence> {
    let word = |replica: &ReplicaPlan| match &replica.outcome {
        Outcome::Planned | Outcome::Inactive(_) => None,
        Outcome::Blocked(_) => Some(format!("{} (blocked)", replica.name)),
        Outcome::Unobserved(_) => Some(format!("{} (not observed)", replica.name)),
    };
    let names: Vec<String> = plan.replicas.iter().filter_map(word).collect();
    (!names.is_empty()).then(|| ("Not planned:", format!("{}.", list(&names))))
}

/// What waits for a person.
fn held(plan: &Plan) -> Option<Sentence> {
    let names: Vec<String> = plan.replicas.iter().filter_map(held_of).collect();
    (!names.is_empty()).then(|| ("Held:", format!("{}.", list(&names))))
}

/// What does not fit here.
fn no_room(plan: &Plan) -> Option<Sentence> {
    let names: Vec<String> = plan.replicas.iter().filter_map(no_room_of).collect();
    (!names.is_empty()).then(|| ("Does not fit:", format!("{}.", list(&names))))
}

/// What is copied no longer and stays, as somebody said.
fn detached(plan: &Plan) -> Option<Sentence> {
    let names: Vec<&str> = plan.detached.iter().take(MANY).map(|one| one.name.as_str()).collect();
    let more = plan.detached.len() - names.len();
    let more = if more > 0 { format!(" and {} more", exact(more as u64)) } else { String::new() };
    let backups: usize = plan.detached.iter().filter_map(|one| one.holds.backups).sum();
    let stay = if backups == 1 { "stays" } else { "stay" };
    let (servers, backups) = (count(plan.detached.len() as u64, "server"), count(backups as u64, "backup"));
    let text = || format!("{servers}, of which {backups} {stay}: {}{more}.", names.join(", "));
    (!names.is_empty()).then(|| ("Detached:", text()))
}

fn no_room_of(replica: &ReplicaPlan) -> Option<String> {
    let lacking = |shortfall: &&Shortfall| matches!(shortfall, Shortfall::NoRoom { .. });
    let backups = replica.shortfalls.iter().filter(lacking).count() as u64;
    let wals = replica.shortfalls.iter().find_map(|shortfall| match shortfall {
        Shortfall::NoRoomForWal { count, .. } => Some(*count),
        _ => None,
    });
    let backups = (backups > 0).then(|| count(backups, "backup"));
    let things: Vec<String> = backups.into_iter().chain(wals.map(|wals| count(wals, "WAL file"))).collect();
    (!things.is_empty()).then(|| format!("{} of {}", list(&things), replica.name))
}

fn held_of(replica: &ReplicaPlan) -> Option<String> {
    let n = replica.held.len() as u64;
    (n > 0).then(|| format!("{} of {}", count(n, "thing"), replica.name))
}

/// How much is copied and freed, and how much room there is.
fn traffic(plan: &Plan, totals: &Totals) -> Option<Sentence> {
    let copied = copied(plan, totals);
    let free = free(plan).map(|free| format!("; {free}")).unwrap_or_default();
    let freed = bytes(totals.bytes_freed);
    match (copied, totals.bytes_freed > 0) {
        (None, false) => None,
        (None, true) => Some(("Frees", format!("up to {freed}{free}."))),
        (Some(copied), false) => Some(("Copies", format!("{copied}{free}."))),
        (Some(copied), true) => Some(("Copies", format!("{copied}, frees up to {freed}{free}."))),
    }
}

/// How much comes over the wire; `None` when nothing does.
pub fn copied(plan: &Plan, totals: &Totals) -> Option<String> {
    if totals.bytes_to_copy > 0 {
        let bound = if totals.copy_is_upper_bound { "up to " } else { "" };
        let time = estimate::of_plan(plan).map(|estimate| time(estimate, totals.copy_is_upper_bound));
        return Some(format!("{bound}{}{}", bytes(totals.bytes_to_copy), time.unwrap_or_default()));
    }
    // Without a manifest only the copy finds out how much is damaged.
    (totals.repair.backups > 0).then(|| format!("the damaged files of {}", count(totals.repair.backups, "backup")))
}

/// ` (about 6 min at 70 MiB/s)`. Where part of the bytes may be here already, it is the time of all of them.
fn time(estimate: Estimate, is_upper_bound: bool) -> String {
    let all = if is_upper_bound { "all of it " } else { "" };
    let word = match estimate.basis {
        Basis::Limit => "at least",
        Basis::Measured => "about",
    };
    format!(" ({all}{word} {} at {})", rough_duration(estimate.seconds), rate(estimate.rate))
}

/// The room at the site. Replicas may be on different file systems; then the least is told.
fn free(plan: &Plan) -> Option<String> {
    let copies = plan.replicas.iter().filter(|r| r.actions.iter().any(|action| action.bytes_to_copy() > 0));
    let rooms: Vec<u64> = copies.filter_map(|replica| replica.target.as_ref()?.free).collect();
    let (least, most) = (rooms.iter().min()?, rooms.iter().max()?);
    let same = bytes(*least) == bytes(*most);
    Some(format!("{}{} free", if same { "" } else { "at least " }, bytes(*least)))
}

/// What recovery will reach, for each replica that the plan changes.
pub fn after(plan: &Plan, verbose: bool) -> Vec<Sentence> {
    let changed: Vec<&ReplicaPlan> = plan.replicas.iter().filter(|replica| !replica.actions.is_empty()).collect();
    let shown = if verbose || changed.len() <= MANY { changed.len() } else { MANY };
    let names: Vec<&str> = changed.iter().take(shown).map(|replica| replica.name.as_str()).collect();
    let column = names.iter().map(|name| width(name)).max().unwrap_or_default();
    let outlook = |(name, replica): (&&str, &&ReplicaPlan)| {
        let gap = " ".repeat(column - width(name));
        format!("{name}{gap} {}.", outlook(&replica.before, &replica.after))
    };
    let mut lines: Vec<String> = names.iter().zip(&changed).map(outlook).collect();
    if changed.len() > shown {
        lines.push(format!("… and {} more replicas; `-v` shows them.", exact((changed.len() - shown) as u64)));
    }
    let head = |i| if i == 0 { "After it:" } else { "         " };
    lines.into_iter().enumerate().map(|(i, line)| (head(i), line)).collect()
}

/// The window to come, and the present one where it differs.
fn outlook(before: &Recovery, after: &Recovery) -> String {
    if after.window.is_none() {
        return "is not recoverable".to_owned();
    }
    let now = match (before.window.is_some(), before.from == after.from, before.to == after.to) {
        (false, ..) => Some("now not at all".to_owned()),
        (true, true, true) => None,
        (true, true, false) => before.to.map(|to| format!("now to {}", timestamp(to))),
        (true, false, true) => before.from.map(|from| format!("now from {}", timestamp(from))),
        (true, false, false) => {
            before.from.zip(before.to).map(|(from, to)| format!("now from {} to {}", timestamp(from), timestamp(to)))
        }
    };
    let now = now.map(|now| format!(" ({now})")).unwrap_or_default();
    let lag = after.lag.filter(|lag| lag.segments > 0);
    let behind = lag.map(|lag| format!(", {} behind", count(lag.segments, "segment"))).unwrap_or_default();
    format!("{}{now}{behind}", window(after))
}

/// `recoverable from … to …`, as far as the times are known.
pub fn window(recovery: &Recovery) -> String {
    let from = recovery.from.map(|time| format!(" from {}", timestamp(time))).unwrap_or_default();
    let to = recovery.to.map(|time| format!(" to {}", timestamp(time))).unwrap_or_default();
    format!("recoverable{from}{to}")
}

/// A plan in one line, without the site's name: what is done, what is not planned, what is copied and freed.
pub fn verdict(plan: &Plan) -> String {
    let totals = Totals::of(plan);
    let mut parts = vec![if plan.is_empty() { idle(plan).to_owned() } else { changes(&totals).join(", ") }];
    parts.extend(unplanned(plan));
    let copies = copied(plan, &totals).map(|copied| format!("copies {copied}"));
    let frees = (totals.bytes_freed > 0).then(|| format!("frees up to {}", bytes(totals.bytes_freed)));
    let traffic: Vec<String> = copies.into_iter().chain(frees).collect();
    parts.extend((!traffic.is_empty()).then(|| traffic.join(", ")));
    parts.join("; ")
}

/// Of a plan without actions.
fn idle(plan: &Plan) -> &'static str {
    let mut planned = plan.replicas.iter().filter(|replica| replica.outcome == Outcome::Planned).peekable();
    if plan.replicas.is_empty() {
        "no replicas"
    } else if planned.peek().is_none() {
        "nothing could be planned"
    } else if plan.replicas.iter().any(|replica| !replica.held.is_empty()) {
        "nothing to do unasked"
    } else if planned.all(ReplicaPlan::is_in_sync) {
        "in sync"
    } else {
        "nothing to do, and what is wanted is not all here"
    }
}

/// How many replicas the plan says nothing about.
fn unplanned(plan: &Plan) -> Option<String> {
    let number = |wanted: fn(&Outcome) -> bool| plan.replicas.iter().filter(|r| wanted(&r.outcome)).count() as u64;
    let kinds = [
        (number(|outcome| matches!(outcome, Outcome::Blocked(_))), "blocked"),
        (number(|outcome| matches!(outcome, Outcome::Unobserved(_))), "not observed"),
        (plan.replicas.iter().filter(|replica| !replica.held.is_empty()).count() as u64, "held"),
    ];
    let kinds: Vec<String> =
        kinds.iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("{} {how}", count(*n, "replica"))).collect();
    (!kinds.is_empty()).then(|| kinds.join(", "))
}
