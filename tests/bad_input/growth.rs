//! More than was said: files that are large beyond all sense, a base that grows, a sender that sends more than it told.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::bench::{Bench, Finished, run, which};

const BACKUP: &str = "20261122T030000";

/// Makes a file that has so many bytes and takes no room.
fn sparse(path: &Path, bytes: u64) {
    File::options().create(true).truncate(false).write(true).open(path).unwrap().set_len(bytes).unwrap();
}

/// Has rsync at the primary run a script before each copy of files, not before it lists any.
fn before_each_copy(bench: &Bench, script: &str) {
    let rsync = bench.path("bin/real-rsync");
    symlink(which("rsync"), &rsync).unwrap();
    symlink(which("truncate"), bench.path("bin/truncate")).unwrap();
    let run = format!(
        "case \"$*\" in *--list-only*) ;; *--files-from*/base/{BACKUP}/*) {script} ;; esac\nexec real-rsync \"$@\""
    );
    bench.program("rsync", &run);
}

#[test]
fn small_files_that_are_huge_cost_no_more_than_their_name() {
    for (file, code, said) in [
        (format!("meta/{BACKUP}-keep"), 0, "is passed over: it has 3221225472 bytes"),
        (format!("base/{BACKUP}/data/backup_manifest"), 0, BACKUP),
        ("wals/main-xlog.db".to_owned(), 1, "its xlog.db has more than 320 MiB"),
        ("wals/00000002.history".to_owned(), 0, "00000002.history is left out: it has 3221225472 bytes"),
    ] {
        let bench = Bench::start();
        sparse(&bench.path("primary/main").join(&file), 3 << 30);
        bench.antipode(&["plan"]).expect(code).says(&[said]);
    }
}

#[test]
fn a_base_that_grew_beyond_what_was_announced_is_not_copied() {
    let bench = Bench::start();
    sparse(&bench.path(&format!("primary/main/base/{BACKUP}/data/base/5/filler")), 2 << 30);
    let applied = bench.antipode(&["apply", "--auto-approve"]);
    applied.expect(4).says(&[BACKUP, "its backup.info says", "data/base/5/filler"]);
    assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
    assert!(bench.path("catalog/main/meta/20261121T030000-backup.info").exists());
    let copied =
        walkdir::WalkDir::new(bench.catalog()).into_iter().map(|entry| entry.unwrap().metadata().unwrap().len());
    assert!(copied.sum::<u64>() < 1 << 30);
}

#[test]
fn files_that_no_manifest_lists_are_named_as_long_as_the_backup_is_here() {
    let bench = Bench::start();
    fs::write(bench.path(&format!("primary/main/base/{BACKUP}/data/base/evil")), "x").unwrap();
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    let told = ["has 1 file that its backup_manifest does not list", "data/base/evil"];
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0).says(&told);
    bench.antipode(&["status"]).says(&told);
}

#[test]
fn a_sender_that_sends_more_than_it_told_is_cut_off() {
    let bench = Bench::start();
    let data = bench.path(&format!("primary/main/base/{BACKUP}/data"));
    let grows = format!("truncate -s 2G '{}'", data.join("PG_VERSION").display());
    before_each_copy(&bench, &grows);
    let applied = bench.antipode(&["apply", "--auto-approve"]);
    applied.expect(4).says(&[BACKUP, "more came of a file than there was", "PG_VERSION"]);
    assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
    let largest =
        walkdir::WalkDir::new(bench.catalog()).into_iter().map(|entry| entry.unwrap().metadata().unwrap().len());
    assert!(largest.max().unwrap() < 64 << 20, "{applied}");
}

/// Runs `plan`, and tells the most memory that a process of it held, in bytes.
fn plan_measured(bench: &Bench) -> (Finished, u64) {
    const MEASURE: &str = "import resource, subprocess, sys\n\
        code = subprocess.run(sys.argv[1:]).returncode\n\
        print('most', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, flush=True)\n\
        sys.exit(code)";
    let asked = bench.command(&["plan"]);
    let mut command = std::process::Command::new("python3");
    command.args(["-c", MEASURE]).arg(asked.get_program()).arg("plan").current_dir(bench.path("")).env_clear();
    for (name, value) in asked.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let ran = run(&mut command);
    let most = ran.output.lines().find_map(|line| line.strip_prefix("most ")).expect("it is printed");
    let most = most.parse::<u64>().unwrap() << 10;
    (ran, most)
}

#[test]
fn no_answer_costs_more_memory_than_is_there_for_all() {
    const MOST: u64 = 512 << 20;
    let bench = Bench::start();
    for name in ["yes", "head", "tr"] {
        symlink(which(name), bench.path("bin").join(name)).unwrap();
    }
    let backup = |key: &str, repeated: &str, mib: usize| {
        let bytes = mib << 20;
        format!(
            "printf '%s' '{{\"last_position\":0,\"last_name\":\"\",\"backups\":{{\"{BACKUP}\":{{\"{key}\":'; \
             printf '%s' '{}'; yes '{repeated}' | tr -d '\\n' | head -c {bytes}",
            if repeated == "a" { "\"" } else { "[" }
        )
    };
    let wal = "{\"name\":\"000000010000000000000001\",\"size\":1,\"time\":1},";
    let wals = format!("printf '%s' '{{\"backups\":{{}},\"wals\":['; yes '{wal}' | head -c {}", 250 << 20);
    for (what, script, said) in [
        ("a list that does not end", backup("copy_stats", "0,", 600), "answered more than 256 MiB"),
        ("a long list", backup("copy_stats", "0,", 100), "far more to say"),
        ("a long text", backup("error", "a", 250), "sync-info"),
        ("unknown keys", backup("x", "{\"a\":[]},", 100), "far more to say"),
        ("ten million WAL files", wals, "WAL files"),
    ] {
        bench.runs("main", &script);
        let (planned, most) = plan_measured(&bench);
        println!("{what}: {} MiB in {:?}", most >> 20, planned.took);
        planned.expect(1).says(&[said]);
        assert!(most < MOST, "{what}: {} MiB\n{planned}", most >> 20);
    }
}

#[test]
#[ignore = "measures"]
fn no_list_of_wal_costs_more_memory_than_is_there_for_all() {
    let bench = Bench::start();
    let lines = |from: u32, to: u32, odd: bool| {
        let size = |n: u32| if odd { n * 7 % 1_000_003 } else { 16 << 20 };
        let line = move |n: u32| format!("00000001{:08X}{:08X}\t{}\t1795352352.{n}\tNone\n", n / 256, n % 256, size(n));
        (from..to).map(line).collect::<String>()
    };
    for (what, odd, count) in
        [("regular", false, 3_500_000), ("with odd sizes", true, 3_500_000), ("too long", true, 6_000_000)]
    {
        let path = bench.path("primary/main/wals/main-xlog.db");
        let mut file = File::create(&path).unwrap();
        for from in (0..count).step_by(100_000) {
            std::io::Write::write_all(&mut file, lines(from, from + 100_000, odd).as_bytes()).unwrap();
        }
        drop(file);
        let (planned, most) = plan_measured(&bench);
        println!("{what}: {} MiB in {:?}, {:?}", most >> 20, planned.took, planned.code);
        fs::remove_file(&path).unwrap();
    }
}
