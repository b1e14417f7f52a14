//! System calls that the kernel refuses, each in every process and thread of an apply: the call of a sort that comes
//! as the Nth one, or all from the Nth one on, as on a disk that was remounted read-only. strace refuses them.
//!
//! `src/apply/tests` fails each call of the store; here it is what these are made of, and all that is called beside
//! them. `write` is left out: by it threads wake each other as well, which no disk refuses. A disk that is full refuses it in
//! `full_disks`, one that is away in `power_cuts`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::beginnings::Beginning;
use super::ground::{Ground, TestSite};

/// How many calls are refused, each in an apply of its own, or `all`; instead of [`REFUSALS`].
const MANY: &str = "ANTIPODE_REFUSALS";
/// What the random choice is made of.
const SEED: &str = "ANTIPODE_SEED";
const REFUSALS: usize = 68;

/// Calls that are one thing, and what a kernel answers them.
struct Sort {
    calls: &'static str,
    answers: &'static [&'static str],
}

const SORTS: [Sort; 16] = [
    Sort { calls: "copy_file_range,sendfile,pwrite64", answers: &["ENOSPC", "EIO", "EDQUOT"] },
    Sort { calls: "fsync,fdatasync,syncfs", answers: &["EIO", "ENOSPC"] },
    Sort { calls: "rename,renameat,renameat2", answers: &["EIO", "ENOSPC", "EROFS"] },
    Sort { calls: "link,linkat", answers: &["EIO", "ENOSPC", "EPERM", "EMLINK", "EROFS"] },
    Sort { calls: "symlink,symlinkat", answers: &["EIO", "ENOSPC", "EROFS"] },
    Sort { calls: "unlink,unlinkat", answers: &["EIO", "EROFS"] },
    Sort { calls: "rmdir", answers: &["EIO", "EROFS", "EBUSY"] },
    Sort { calls: "mkdir,mkdirat", answers: &["EIO", "ENOSPC", "EROFS", "EDQUOT"] },
    Sort { calls: "chmod,fchmod,fchmodat", answers: &["EIO", "EROFS", "EPERM"] },
    Sort { calls: "utimensat", answers: &["EIO", "EROFS"] },
    Sort { calls: "ftruncate,fallocate", answers: &["EIO", "ENOSPC"] },
    Sort { calls: "open,openat", answers: &["EIO", "ENOSPC", "EROFS", "ESTALE", "EMFILE"] },
    Sort { calls: "flock", answers: &["EIO", "ENOLCK", "ESTALE"] },
    Sort { calls: "getdents64", answers: &["EIO", "ESTALE"] },
    Sort { calls: "stat,lstat,newfstatat,statx", answers: &["EIO", "ESTALE"] },
    Sort { calls: "read,pread64,fadvise64", answers: &["EIO", "ESTALE"] },
];

/// All that changes a disk.
const CHANGES: &str = "pwrite64,copy_file_range,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,\
                       rmdir,mkdir,mkdirat,chmod,fchmod,fchmodat,utimensat,ftruncate,fallocate,fsync,fdatasync,syncfs";

/// A call that is refused in each thread.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    calls: &'static str,
    answer: &'static str,
    /// Which one of a thread, counted from 1.
    number: usize,
    /// Whether all that follow are refused too.
    for_good: bool,
}

/// Applies with some words for strace, which writes down the calls that it traces.
fn apply_traced(site: &TestSite, words: &[String], log: &Path) -> std::process::ExitStatus {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "--seccomp-bpf", "-o"]).arg(log).args(words);
    strace.arg(env!("CARGO_BIN_EXE_antipode")).args(["apply", "--auto-approve", "-f"]).arg(&site.file);
    let output = strace.output().unwrap_or_else(|error| panic!("cannot run strace: {error}; ./test installs it"));
    output.status
}

/// How many calls of a sort the busiest thread of an apply makes.
fn most_of_a_thread(beginning: &Beginning, site: &TestSite, calls: &str, log: &Path) -> usize {
    beginning.fill(site);
    assert!(apply_traced(site, &[format!("-etrace={calls}")], log).success());
    let mut of_threads = BTreeMap::<String, usize>::new();
    for line in std::fs::read_to_string(log).unwrap().lines().filter(|line| !line.contains(" resumed>")) {
        *of_threads.entry(line.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    of_threads.into_values().max().unwrap_or(0)
}

/// Applies with a refusal: what is listed then is whole, a good exit code is true, and the next apply does the rest. Whether
/// a call was refused: threads differ in how many they make.
async fn refuse(refusal: Refusal, beginning: &Beginning, site: &TestSite, log: &Path) -> bool {
    beginning.fill(site);
    let Refusal { calls, answer, number, for_good } = refusal;
    let when = format!("{number}{}", if for_good { "+" } else { "" });
    let words = [format!("-etrace={calls}"), format!("-einject={calls}:error={answer}:when={when}")];
    let status = apply_traced(site, &words, log);
    let traced = std::fs::read_to_string(log).unwrap();
    let refused = traced.matches("(INJECTED)").count();
    println!("{refusal:?} of {}: {refused} refused, {status}", beginning.name);
    // That something was panicked about would be seen by nobody but the reader of a log.
    assert_ne!(status.code(), Some(101), "it panicked");
    beginning.assert_whole(site);
    if status.success() {
        let calls: Vec<&str> = traced.lines().filter(|line| line.ends_with("(INJECTED)")).collect();
        assert!(site.plan().await.is_empty(), "it said that it is done, although these were refused: {calls:#?}");
        beginning.assert_become(site);
    }
    beginning.finish(site).await;
    refused > 0
}

/// Every refusal that there is at some beginning.
fn refusals(beginning: &Beginning, site: &TestSite, log: &Path) -> Vec<Refusal> {
    let mut all = Vec::new();
    for Sort { calls, answers } in SORTS {
        let most = most_of_a_thread(beginning, site, calls, log);
        for number in 1..=most {
            all.extend(answers.iter().map(|answer| Refusal { calls, answer, number, for_good: false }));
        }
    }
    let most = most_of_a_thread(beginning, site, CHANGES, log);
    for answer in ["EROFS", "EIO", "ENOSPC"] {
        all.extend((1..=most).map(|number| Refusal { calls: CHANGES, answer, number, for_good: true }));
    }
    all
}

/// As many of each sort of calls: there are far more of some than of others.
fn chosen(all: Vec<Refusal>, many: usize, random: &mut fastrand::Rng) -> Vec<Refusal> {
    let mut of_sorts = BTreeMap::<(&str, bool), Vec<Refusal>>::new();
    for refusal in all {
        of_sorts.entry((refusal.calls, refusal.for_good)).or_default().push(refusal);
    }
    let of_each = many.div_ceil(of_sorts.len());
    of_sorts.into_values().flat_map(|sort| random.choose_multiple(sort, of_each)).collect()
}

/// The usual choice is the same each time, so that what it shows is of the change that is tested; a longer run is another one
/// each time.
fn usual_seed() -> u64 {
    if std::env::var_os(MANY).is_some() { fastrand::u64(..) } else { 7_157_181_152_592_335_658 }
}

#[tokio::test]
async fn a_catalog_is_whole_whatever_the_kernel_refuses() {
    let many = std::env::var(MANY).unwrap_or_else(|_| REFUSALS.to_string());
    let seed = std::env::var(SEED).map_or_else(|_| usual_seed(), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let ground = Ground::new().await;
    let beginnings = Beginning::all(&ground).await;
    let site = ground.empty_site("site");
    std::fs::create_dir(&site.catalog).unwrap();
    let log = ground.path().join("strace.log");
    let mut done = 0;
    for beginning in &beginnings {
        let site = beginning.wanted_of(&ground, &site);
        let all = refusals(beginning, &site, &log);
        println!("{}: {} refusals", beginning.name, all.len());
        let of_each = many.parse().ok().map(|many: usize| many / beginnings.len());
        let chosen = match of_each {
            Some(of_each) => chosen(all, of_each, &mut random),
            None => all,
        };
        for refusal in chosen {
            done += usize::from(refuse(refusal, beginning, &site, &log).await);
        }
    }
    println!("{done} applies met a refusal");
    assert!(done >= SORTS.len(), "only {done} applies met one");
}
