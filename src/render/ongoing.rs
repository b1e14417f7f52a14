//! Runs that are at work on replicas, in words.

use jiff::Timestamp;

use crate::plan::status::ongoing::{Doing, Ongoing};

use crate::barman::ids::ServerName;

use super::ink::clean;
use super::remarks::Remark;
use super::units::{bytes, duration, rate};
use crate::english::list;

/// The replicas of one run are named as long as they are no more than this.
const NAMED: usize = 4;

/// `process 4711 (antipode apply) has been at work here for 2 h 10 min; last progress 1 h 50 min ago`
pub fn ongoing(run: &Ongoing, now: Timestamp) -> String {
    let process = match (run.pid, &run.command) {
        (Some(pid), Some(command)) => format!("process {pid} ({})", clean(command)),
        (Some(pid), None) => format!("process {pid}"),
        (None, _) => "another process".to_owned(),
    };
    let (age, idle) = (duration(run.age(now)), duration(run.idle(now)));
    format!("{process} has been at work here for {age}; last progress {idle} ago")
}

/// `copying backup/20261122T030000: 3.0 GiB of 12.0 GiB, 51.2 MiB/s, for 1 min`
pub fn doing(step: &Doing, now: Timestamp) -> String {
    let seconds = step.age(now);
    let came = (step.total > 0).then(|| format!("{} of {}", bytes(step.arrived), bytes(step.total)));
    let fast = step.arrived.checked_div(seconds).filter(|rate| *rate > 0).map(rate);
    let told: Vec<String> = [came, fast].into_iter().flatten().chain([format!("for {}", duration(seconds))]).collect();
    format!("{}: {}", clean(&step.what), told.join(", "))
}

/// What a status says of them, of each process once: a warning of those replicas where somebody should look after it.
pub fn remarks<'a>(at_work: impl Iterator<Item = (&'a ServerName, &'a Ongoing)>, now: Timestamp) -> Vec<Remark> {
    let mut runs: Vec<(Ongoing, Vec<String>)> = Vec::new();
    for (replica, run) in at_work {
        let hangs = run.hangs(now);
        let is_same = |other: &Ongoing| (other.pid, &other.command, other.hangs(now)) == (run.pid, &run.command, hangs);
        match runs.iter_mut().find(|(other, _)| is_same(other)) {
            Some((other, names)) => {
                other.began = other.began.min(run.began);
                let of_progress = if hangs { Timestamp::min } else { Timestamp::max };
                other.last_progress = of_progress(other.last_progress, run.last_progress);
                names.push(replica.to_string());
            }
            None => runs.push((run.clone(), vec![replica.to_string()])),
        }
    }
    runs.iter().map(|(run, names)| remark(run, now).of(named(names))).collect()
}

fn named(replicas: &[String]) -> String {
    if replicas.len() > NAMED { format!("{} replicas", replicas.len()) } else { list(replicas) }
}

fn remark(run: &Ongoing, now: Timestamp) -> Remark {
    let sentence = ongoing(run, now);
    if !run.hangs(now) {
        return Remark::note(sentence);
    }
    Remark { label: "warning", sentence: format!("{sentence}; {}", advice(run)) }
}

/// What to do about a run that hangs.
pub fn advice(run: &Ongoing) -> String {
    // The id of a process that is not there may be anybody's soon.
    let pid = run.pid.filter(|_| run.command.is_some());
    let end = pid.map_or_else(|| "end it".to_owned(), |pid| format!("`kill {pid}` ends it"));
    format!("see what it waits for; {end}, and the next run goes on where it was")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_with_its_ages_and_one_that_hangs_with_what_to_do() {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let run = Ongoing {
            pid: Some(4711),
            command: Some("antipode apply".to_owned()),
            began: at("2026-11-22T10:00:00Z"),
            last_progress: at("2026-11-22T10:20:00Z"),
            doing: Vec::new(),
        };
        let told = |run: &Ongoing, now: &str| {
            let remark = remark(run, at(now));
            format!("{}: {}", remark.label, remark.sentence)
        };
        insta::assert_snapshot!(told(&run, "2026-11-22T10:20:30Z"), @"note: process 4711 (antipode apply) has been at work here for 20 min 30 s; last progress 30 s ago");
        insta::assert_snapshot!(told(&run, "2026-11-22T12:10:00Z"), @"warning: process 4711 (antipode apply) has been at work here for 2 h 10 min; last progress 1 h 50 min ago; see what it waits for; `kill 4711` ends it, and the next run goes on where it was");
        let gone = Ongoing { command: None, ..run.clone() };
        assert!(advice(&gone).ends_with("end it, and the next run goes on where it was"), "{}", advice(&gone));
        let unknown = Ongoing { pid: None, command: None, ..run };
        insta::assert_snapshot!(told(&unknown, "2026-11-22T10:00:00Z"), @"note: another process has been at work here for 0 s; last progress 0 s ago");
    }
    #[test]
    fn a_process_is_told_once_for_all_its_replicas_that_go_on_and_once_for_those_where_it_hangs() {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let run = |pid, last: &str| Ongoing {
            pid: Some(pid),
            command: Some("antipode cron".to_owned()),
            began: at("2026-11-22T10:00:00Z"),
            last_progress: at(last),
            doing: Vec::new(),
        };
        let (new, old) = ("2026-11-22T12:09:30Z", "2026-11-22T10:20:00Z");
        let runs = [("a", 7, new), ("b", 7, old), ("c", 7, "2026-11-22T12:09:00Z"), ("d", 8, new)];
        let runs = runs.map(|(name, pid, last)| (name.parse().unwrap(), run(pid, last)));
        let told = |runs: &[(ServerName, Ongoing)]| {
            let at_work = runs.iter().map(|(replica, run)| (replica, run));
            let remarks = remarks(at_work, at("2026-11-22T12:10:00Z")).into_iter();
            remarks.map(|remark| format!("{}: {}", remark.label, remark.sentence)).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(told(&runs), @r"
        note: a and c: process 7 (antipode cron) has been at work here for 2 h 10 min; last progress 30 s ago
        warning: b: process 7 (antipode cron) has been at work here for 2 h 10 min; last progress 1 h 50 min ago; see what it waits for; `kill 7` ends it, and the next run goes on where it was
        note: d: process 8 (antipode cron) has been at work here for 2 h 10 min; last progress 30 s ago
        ");
        insta::assert_snapshot!(told(&vec![runs[0].clone(); 5]), @"note: 5 replicas: process 7 (antipode cron) has been at work here for 2 h 10 min; last progress 30 s ago");
    }
}
