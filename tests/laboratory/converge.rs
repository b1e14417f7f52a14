//! A site whose desired state is declared, and the program under test that
//! brings it there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::antipode::antipode;
use crate::barman::SERVER;
use crate::ground::Lab;
use crate::primary::Primary;
use crate::process::Finished;
use crate::site::Site;
use crate::sshd::Sshd;
use crate::tools::BarmanVersion;

/// A site file that copies everything from a primary behind our sshd.
pub fn site_file(site: &Site, sshd: &Sshd) -> String {
    format!(
        "version: 1
site: lisbon
catalog:
  path: {catalog}
  config: {config}
  barman: \"{version}\"
  deep_every: always
  reserve: none
primaries:
  frankfurt:
    ssh_command: {ssh}
replicas:
  {SERVER}:
    primary: frankfurt
",
        catalog = site.catalog().display(),
        config = site.coexisting.config.display(),
        version = site.barman.version.number(),
        ssh = sshd.command_line(),
    )
}

/// An empty site that is to have everything that a primary has.
pub fn empty_site(lab: &Lab, primary: &Primary, version: BarmanVersion) -> (Sshd, Site) {
    let sshd = Sshd::start(&lab.join("sshd"), &primary.barman);
    let site = Site::new(lab, version, primary, &sshd);
    site.declare(&site_file(&site, &sshd));
    (sshd, site)
}

/// A site that has everything that a primary has.
pub fn filled_site(lab: &Lab, primary: &Primary, version: BarmanVersion) -> (Sshd, Site) {
    let (sshd, site) = empty_site(lab, primary, version);
    site.converge();
    (sshd, site)
}

impl Site {
    /// Declares everything from a primary, with settings of the replica: YAML
    /// lines without their indent.
    pub fn declare_with(&self, sshd: &Sshd, settings: &[&str]) {
        let lines: String = settings.iter().map(|line| format!("    {line}\n")).collect();
        self.declare(&(site_file(self, sshd) + &lines));
    }

    /// Runs `plan --detailed-exitcode`.
    #[track_caller]
    pub fn plan(&self) -> Finished {
        antipode(&self.directory, &["plan", "--detailed-exitcode"])
    }

    /// A plan that must have changes: what it prints.
    #[track_caller]
    pub fn expect_changes(&self) -> String {
        let planned = self.plan();
        assert_eq!(planned.code(), 2, "{planned}");
        planned.stdout
    }

    /// A plan that must have none.
    #[track_caller]
    pub fn expect_no_changes(&self) -> String {
        let planned = self.plan();
        assert_eq!(planned.code(), 0, "{planned}");
        planned.stdout
    }

    /// An apply that must succeed; returns what it prints.
    #[track_caller]
    pub fn apply(&self) -> String {
        let applied = antipode(&self.directory, &["apply", "--auto-approve"]);
        assert_eq!(applied.code(), 0, "{applied}");
        applied.stdout
    }

    /// There are changes, they are made, and then there are none. Returns the
    /// plan that was carried out.
    #[track_caller]
    pub fn converge(&self) -> String {
        let plan = self.expect_changes();
        self.apply();
        self.expect_no_changes();
        plan
    }

    /// The directory of a backup's files.
    pub fn base(&self, id: &str) -> PathBuf {
        self.barman.server_directory().join("base").join(id)
    }
}

/// What tells whether a file was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    inode: u64,
    changed: (i64, i64),
    size: u64,
}

/// The identities of all regular files of base backups, but for Barman's own.
pub fn identities(bases: &Path) -> BTreeMap<PathBuf, Identity> {
    regular_files(bases)
        .filter(|path| !path.ends_with("backup.info") && !path.ends_with("annotations/keep"))
        .map(|path| {
            let file = fs::metadata(&path).expect("stat a file of a backup");
            let identity =
                Identity { inode: file.ino(), changed: (file.mtime(), file.mtime_nsec()), size: file.size() };
            (path, identity)
        })
        .collect()
}

/// Every file of a catalog with its content and times, but for what Barman's
/// cron writes for itself (locks, a passive node's `primary.info`, the queue of
/// changes to its own configuration), and what is Antipode's own.
pub fn contents(catalog: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64)> {
    regular_files(catalog)
        .filter(|path| !path.components().any(|part| part.as_os_str() == ".antipode"))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            let is_lock = name.starts_with('.') && path.extension().is_some_and(|end| end == "lock");
            !is_lock && !["primary.info", "cfg_changes.queue"].contains(&name)
        })
        .map(|path| {
            let content = fs::read(&path).expect("read a file of the catalog");
            let changed = fs::metadata(&path).expect("stat a file of the catalog").mtime();
            (path, (content, changed))
        })
        .collect()
}

fn regular_files(below: &Path) -> impl Iterator<Item = PathBuf> {
    WalkDir::new(below)
        .into_iter()
        .map(|entry| entry.expect("read the catalog"))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().to_owned())
}
