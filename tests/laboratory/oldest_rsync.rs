//! The oldest rsync that is supported, at the site, at the primary and at both: a first copy, a next backup that reuses files
//! of the one before it, WAL, and a repair.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::account::ACCOUNT;
use crate::antipode::command;
use crate::barman::SERVER;
use crate::catalog_compare::{assert_same_told, differing_files};
use crate::converge::site_file;
use crate::ground::Lab;
use crate::process::{Finished, program, run};
use crate::scenario::{self, write_chapter};
use crate::site::Site;
use crate::sshd::{Manners, Sshd};
use crate::tools::{BarmanVersion, oldest_rsync};

const OLDEST: &str = "3.2.3";

/// A site whose rsync is of some version, and its way to a primary.
struct Pair {
    site: Site,
    /// The directory that has the site's rsync, where it is not that of the host.
    programs: Option<PathBuf>,
}

impl Pair {
    #[track_caller]
    fn antipode(&self, arguments: &[&str], code: i32) -> Finished {
        let mut command = command(&self.site.directory, arguments);
        if let Some(programs) = &self.programs {
            command.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
        }
        let finished = run(&mut command);
        assert_eq!(finished.code(), code, "{finished}");
        finished
    }

    /// There are changes, they are made, and then there are none. What was planned, and what was said of it.
    #[track_caller]
    fn converge(&self) -> String {
        let planned = self.antipode(&["plan", "--detailed-exitcode"], 2);
        self.antipode(&["apply", "--auto-approve"], 0);
        self.antipode(&["plan", "--detailed-exitcode"], 0);
        planned.stdout + &planned.stderr
    }
}

/// Flips a bit in the middle of the largest file below a directory, and keeps its size and time.
fn rot_largest(below: &Path) {
    let files = WalkDir::new(below).into_iter().map(|entry| entry.expect("walk").into_path());
    let size = |path: &PathBuf| fs::metadata(path).expect("metadata").len();
    let largest = files.filter(|path| path.is_file()).max_by_key(size).expect("a file");
    let file = File::options().read(true).write(true).open(&largest).expect("open a file");
    let before = file.metadata().expect("metadata");
    let mut byte = [0];
    file.read_exact_at(&mut byte, before.len() / 2).expect("read a byte");
    file.write_all_at(&[byte[0] ^ 0x10], before.len() / 2).expect("write a byte");
    file.set_modified(before.modified().expect("a time")).expect("set the time");
}

/// Fills a site, lets it follow, and has it repair what rots; `here` and `there` say which end has the oldest rsync.
#[track_caller]
fn lives_with_it(here: bool, there: bool) {
    let rsync = oldest_rsync();
    let version = run(program(&rsync).arg("--version")).expect_success();
    assert!(version.starts_with(&format!("rsync  version {OLDEST} ")), "{version}");

    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let manners = Manners { rsync: there.then(|| rsync.clone()), ..Manners::default() };
    let sshd = Sshd::start_with(&lab.join("sshd"), &primary.barman, &manners);
    let site = Site::new(&lab, BarmanVersion::Newest, &primary, &sshd);
    site.declare(&site_file(&site, &sshd));
    let programs = here.then(|| {
        let programs = ACCOUNT.make_directory(&lab.join("programs"));
        symlink(&rsync, programs.join("rsync")).expect("link rsync");
        programs
    });
    let pair = Pair { site, programs };

    let first = pair.converge();
    assert_eq!(first.contains(&format!("could use rsync {OLDEST} against this site")), here, "{first}");
    let live = primary.start();
    let id = live.back_up(&[]);
    let live = write_chapter(live, "after the backup");
    let next = pair.converge();
    assert!(next.contains(&format!("+ backup {id}")) && next.contains("reuses") && next.contains("+ wal"), "{next}");

    rot_largest(&pair.site.base(&id).join("data/base"));
    pair.antipode(&["verify", "--all"], 1);
    let mended = pair.converge();
    assert!(mended.contains(&format!("~ backup {id}")) && mended.contains("its checksum is"), "{mended}");
    pair.antipode(&["verify", "--all"], 0);

    let none: [String; 0] = [];
    assert_eq!(differing_files(&live.barman, &pair.site.barman), none);
    assert_same_told(&live.barman, &pair.site.barman);
    pair.site.judge().expect(&["verify-backup", SERVER, &id]);
}

#[test]
fn a_site_with_the_oldest_rsync_is_filled_and_follows_and_repairs_and_is_warned_of_it() {
    lives_with_it(true, false);
}

#[test]
fn a_primary_with_the_oldest_rsync_is_copied_and_followed_and_repairs_with() {
    lives_with_it(false, true);
}

#[test]
fn two_of_the_oldest_rsync_understand_each_other() {
    lives_with_it(true, true);
}
