//! Whether a program of this machine still does something, measured by the kernel and not told by anybody.
//!
//! rsync's own `--timeout` is no help: while nothing arrives its generator goes on to greet the other side, and each
//! greeting that the system takes counts for it as activity, so that a frozen primary is waited for without end; and a
//! primary that greets back keeps it alive on purpose. Here a transfer is alive when its programs have read what is worth
//! the name since the last look, from the line or from the disk (a long comparison of what is here already moves no
//! byte over the line), have printed as much, or have used a processor for more than greetings take. That holds for the
//! list of files as well, before the first file: a primary whose disk brings so little of it in that time is lost.
//!
//! Where the primary reads all its files before it says anything of them, to compare contents, its greetings are all that
//! tells it from a frozen one, and count there.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Looks without any activity, one after the other, that make a silence. Looks are counted and not the time: after a
/// machine was suspended nobody has had a chance to send anything.
const LOOKS: u32 = 10;

/// Bytes a second that are more than greetings: those are 4 bytes each.
const BYTES_A_SECOND: u64 = 128;

/// Enough in any time: a line of this speed in bytes per idle timeout is alive.
const ENOUGH: u64 = 4096;

/// How long, and in what way, a program may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// For how long.
    pub(super) idle: Duration,
    /// Whether the greetings of the other side are enough.
    pub(super) greetings_count: bool,
}

impl Allowance {
    /// Bytes within that time that make a side alive.
    fn enough(self) -> u64 {
        if self.greetings_count { 1 } else { (self.idle.as_secs().max(1) * BYTES_A_SECOND).min(ENOUGH) }
    }
}

/// Processor time that is more than greetings take, in ticks of a hundredth of a second.
const TICKS: u64 = 5;

/// What a program and its children have done since they were started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Work {
    /// Bytes read, from pipes, sockets and files.
    read: u64,
    /// Bytes printed.
    printed: u64,
    /// Ticks of processor time.
    ticks: u64,
}

impl Work {
    /// What the kernel counts for a process and its children, as far as it tells.
    fn of(process: u32, printed: u64) -> Self {
        let mut work = Self { printed, ..Self::default() };
        let mut family = vec![process];
        while let Some(process) = family.pop() {
            work.read += bytes_read(process).unwrap_or(0);
            work.ticks += ticks(process).unwrap_or(0);
            family.extend(children(process));
        }
        work
    }

    /// Whether it is worth calling activity that this became that. A child that ended takes its counts along.
    fn is_activity(self, later: Self, enough: u64) -> bool {
        let bytes = later.read.saturating_sub(self.read) + later.printed.saturating_sub(self.printed);
        bytes >= enough || later.ticks.saturating_sub(self.ticks) >= TICKS || later.read < self.read
    }
}

/// Returns when a program and its children have done nothing for as long as they may. `printed` counts what they print.
pub(super) async fn silence(process: u32, allowance: Allowance, printed: &AtomicU64) {
    let enough = allowance.enough();
    let look = || Work::of(process, printed.load(Ordering::Relaxed));
    let (mut last, mut looks) = (look(), 0);
    while looks < LOOKS {
        tokio::time::sleep(allowance.idle / LOOKS).await;
        let now = look();
        if last.is_activity(now, enough) {
            (last, looks) = (now, 0);
        } else {
            looks += 1;
        }
    }
}

/// The line `rchar: N` of proc(5)'s `io`.
fn bytes_read(process: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

/// `utime` and `stime` of proc(5)'s `stat`, its fields 14 and 15; the second field is a name that may contain anything.
fn ticks(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_name, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

fn children(process: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn greetings_are_no_activity_and_work_of_any_sort_is() {
        let allowance = |seconds, greetings_count| Allowance { idle: Duration::from_secs(seconds), greetings_count };
        let enough = [allowance(1, false), allowance(10, false), allowance(600, false), allowance(600, true)];
        assert_eq!(enough.map(Allowance::enough), [128, 1280, 4096, 1]);
        let before = Work { read: 1000, printed: 50, ticks: 7 };
        for (read, printed, ticks, is_activity) in [
            (1000, 50, 7, false),
            (1127, 50, 7, false),
            (1128, 50, 7, true),
            (1000, 178, 7, true),
            (1000, 50, 11, false),
            (1000, 50, 12, true),
            // The child that had read the rest has ended.
            (300, 50, 3, true),
        ] {
            let later = Work { read, printed, ticks };
            assert_eq!(before.is_activity(later, BYTES_A_SECOND), is_activity, "{later:?}");
        }
    }

    #[tokio::test]
    async fn a_child_that_reads_counts_for_the_program_and_one_that_sleeps_does_not() {
        let allowance = Allowance { idle: Duration::from_secs(2), greetings_count: false };
        let start = |script: &str| Command::new("sh").args(["-c", script]).stdout(Stdio::null()).spawn().unwrap();
        let mut busy = start("while :; do head -c 20K /dev/zero; sleep 0.05; done");
        let mut still = start("sleep 60; true");
        let printed = AtomicU64::new(0);
        tokio::select! {
            () = silence(still.id(), allowance, &printed) => {}
            () = silence(busy.id(), allowance, &printed) => panic!("it reads all the time"),
        }
        for child in [&mut busy, &mut still] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
