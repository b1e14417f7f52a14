//! What a site has when an apply begins that is disturbed, and what is to become of it all the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use antipode::barman::layout::{Layout, ServerDirs};
use antipode::demo::catalog::FIRST_BACKUP;
use antipode::demo::damage::Damage;
use walkdir::WalkDir;

use super::ground::{Ground, TestSite};
use super::readable::{assert_whole, published_bytes};

/// `last: 1`, and what that leaves out may be deleted.
const NEWEST_ONLY: &str = ", backups: [{last: 1}], prune: {unselected: true}, protect: {min_backups: 1}";

/// A catalog, and what is wanted of it.
pub struct Beginning {
    /// For messages.
    pub name: &'static str,
    /// Keys of its replica.
    keys: &'static str,
    /// The catalog as it is before.
    source: PathBuf,
    /// Whether all that it lists is whole.
    is_whole: bool,
    /// What an apply makes of it that nothing disturbs.
    becomes: TestSite,
    primary: ServerDirs,
}

impl Beginning {
    /// Those in which each kind of step of an apply occurs.
    pub async fn all(ground: &Ground) -> Vec<Self> {
        let keep = Layout::NEWEST.keep(&ground.primary_dirs(), FIRST_BACKUP.parse().unwrap());
        fs::remove_file(keep).unwrap();
        let nothing = ground.empty_site("nothing");
        fs::create_dir(&nothing.catalog).unwrap();
        let day_old = ground.day_old_site("of-yesterday");
        fs::remove_file(Layout::NEWEST.keep(&day_old.dirs(), FIRST_BACKUP.parse().unwrap())).unwrap();
        let damaged = ground.empty_site("damaged");
        damaged.converge().await;
        for damage in [Damage::CutWal, Damage::DoubledXlogDb, Damage::LostFile] {
            damage.inflict(&damaged.dirs()).unwrap();
        }
        let all = [
            ("a site that has nothing", "", &nothing, true),
            ("a site that had everything a day ago", "", &day_old, true),
            ("a site that replaces a backup by another", NEWEST_ONLY, &day_old, true),
            ("a site that is damaged", "", &damaged, false),
        ];
        let mut beginnings = Vec::new();
        for (name, keys, source, is_whole) in all {
            let becomes = ground.wanting(&ground.empty_site(&format!("becomes-{}", beginnings.len())), keys);
            fs::create_dir(&becomes.catalog).unwrap();
            let (source, primary) = (source.catalog.clone(), ground.primary_dirs());
            let beginning = Self { name, keys, source, is_whole, becomes, primary };
            beginning.fill(&beginning.becomes);
            beginning.converge(&beginning.becomes).await;
            beginnings.push(beginning);
        }
        beginnings
    }

    /// The same wanted of a catalog, of which nothing is there yet.
    pub fn wanted_of(&self, ground: &Ground, site: &TestSite) -> TestSite {
        ground.wanting(site, self.keys)
    }

    /// Puts a catalog, of which only the directory stays, back to the beginning.
    pub fn fill(&self, site: &TestSite) {
        for entry in fs::read_dir(&site.catalog).unwrap().map(Result::unwrap) {
            let is_directory = entry.file_type().unwrap().is_dir();
            let removed = if is_directory { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
            removed.unwrap();
        }
        // With its hard links and times.
        let mut copy = Command::new("cp");
        assert!(copy.args(["-a", "-T"]).arg(&self.source).arg(&site.catalog).status().unwrap().success());
    }

    /// Demands that what a site lists is whole, as far as it was in the beginning.
    pub fn assert_whole(&self, site: &TestSite) {
        if self.is_whole {
            assert_whole(&site.dirs(), &self.primary);
        }
    }

    /// An apply that nothing disturbs does the rest, sends nothing of what is listed, and leaves nothing to do.
    pub async fn finish(&self, site: &TestSite) {
        let listed = if self.is_whole { published_bytes(&site.dirs()) } else { 0 };
        let sent = self.converge(site).await;
        let most = self.becomes.bytes().max(listed) - listed.min(self.becomes.bytes());
        // A backup that is to go is listed too.
        let counts = self.is_whole && self.keys.is_empty();
        assert!(!counts || sent <= most, "{sent} bytes were sent, and {listed} are listed already");
        self.assert_become(site);
    }

    /// Demands that a site has all that it is to have, whole.
    pub fn assert_become(&self, site: &TestSite) {
        remove_unfinished(&site.catalog);
        assert_whole(&site.dirs(), &self.primary);
        site.assert_same(&self.becomes, self.name);
    }

    async fn converge(&self, site: &TestSite) -> u64 {
        if self.is_whole { site.converge().await } else { site.repair().await }
    }
}

/// Removes the temporary files of writes that did not come to their end. They go with the next apply that has something to
/// do, and Barman passes over them.
fn remove_unfinished(directory: &Path) {
    for entry in WalkDir::new(directory).into_iter().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy();
        if name.starts_with(".antipode-") && name.ends_with(".tmp") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}
