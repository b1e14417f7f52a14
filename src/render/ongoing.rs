//! A run that is at work on the catalog, in words.

use jiff::Timestamp;

use crate::plan::status::ongoing::Ongoing;

use super::ink::clean;
use super::remarks::Remark;
use super::units::duration;

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

/// What a status says of it: a warning where somebody should look after it.
pub fn remark(run: &Ongoing, now: Timestamp) -> Remark {
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
}
