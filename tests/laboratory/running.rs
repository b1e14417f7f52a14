//! Programs that run on this machine, and an apply over a slow link.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::antipode;
use crate::converge::site_file;
use crate::ground::Lab;
use crate::primary::Primary;
use crate::process::Daemon;
use crate::site::Site;
use crate::sshd::{Manners, Sshd};

/// A process and its command line.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its words.
    pub words: Vec<String>,
}

impl Process {
    /// Ends it without asking.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // It may have ended by itself meanwhile.
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("a process id");
        let _ = kill_process(pid, signal);
    }

    /// Whether it still runs, or waits to run.
    pub fn is_there(&self) -> bool {
        Path::new("/proc").join(self.pid.to_string()).join("exe").exists()
    }

    /// Whether that process started it, or started what did.
    pub fn descends_from(&self, ancestor: u32) -> bool {
        let parent = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
        };
        std::iter::successors(Some(self.pid), |pid| parent(*pid).filter(|parent| *parent > 1))
            .any(|pid| pid == ancestor)
    }

    /// Whether it is rsync at a primary.
    pub fn is_rsync_server(&self) -> bool {
        self.words.first().is_some_and(|word| word.ends_with("rsync"))
            && self.words.get(1).is_some_and(|w| w == "--server")
    }

    /// Whether it is the connection that others share.
    pub fn is_ssh_master(&self) -> bool {
        self.words.iter().any(|word| word == "-M") || self.words.first().is_some_and(|word| word.contains("[mux]"))
    }
}

/// The processes in whose command lines a text occurs.
pub fn processes(text: &str) -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("read /proc").flatten();
    let process = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(text).then(|| Process { pid, words: line.split('\0').map(str::to_owned).collect() })
    };
    entries.filter_map(process).collect()
}

/// A primary behind an sshd of its own, and a site that is declared with limits.
pub struct Link {
    /// The primary's sshd.
    pub sshd: Sshd,
    /// The site.
    pub site: Site,
    /// Keys of the replica, such as `transfer: {reuse: none}`.
    pub replica_keys: &'static str,
}

impl Link {
    /// An empty site. `limits` are keys of the primary, such as `bandwidth: 4MiB/s, streams: 2`.
    pub fn new(lab: &Lab, primary: &Primary, limits: &[&str]) -> Self {
        Self::with(lab, primary, limits, &Manners::default())
    }

    /// The same with an sshd that behaves in some other way.
    pub fn with(lab: &Lab, primary: &Primary, limits: &[&str], manners: &Manners) -> Self {
        let sshd = Sshd::start_with(&lab.join("sshd"), &primary.barman, manners);
        let site = Site::new(lab, primary.barman.version, primary, &sshd);
        let link = Self { sshd, site, replica_keys: "" };
        link.limit(limits);
        link
    }

    /// Declares the site anew. Nothing is compressed on its way, so that as much is sent as there are bytes in files.
    pub fn limit(&self, limits: &[&str]) {
        let keys: String = limits.iter().flat_map(|limit| ["    ", limit, "\n"]).collect();
        let text = site_file(&self.site, &self.sshd);
        let text = format!("{text}    {}\ndefaults: {{transfer: {{compress: none}}}}\n", self.replica_keys);
        self.site.declare(&text.replace("    ssh_command:", &format!("{keys}    ssh_command:")));
    }

    /// Starts an apply.
    pub fn start(&self) -> Daemon {
        antipode::start(&self.site.directory, &["apply", "--auto-approve"])
    }

    /// Starts an apply, and waits until it copies.
    #[track_caller]
    pub fn start_copying(&self) -> Daemon {
        let mut apply = self.start();
        let staging = self.site.server_staging();
        apply.wait_until("a backup is copied", || holds_files(&staging));
        apply
    }

    /// Applies to the end, without limits; it must do everything.
    #[track_caller]
    pub fn finish(&self) {
        self.limit(&[]);
        let applied = antipode::antipode(&self.site.directory, &["apply", "--auto-approve"]);
        assert_eq!(applied.code(), 0, "{applied}");
        let planned = antipode::antipode(&self.site.directory, &["plan", "--detailed-exitcode"]);
        assert_eq!(planned.code(), 0, "{planned}");
    }

    /// Panics when a program that serves this site's copies still runs after some seconds.
    #[track_caller]
    pub fn assert_no_orphans(&self) {
        // A connection stays for five seconds after the last command at its other end.
        let deadline = Instant::now() + Duration::from_secs(30);
        let port = format!("-p\0{}", self.sshd.port());
        let catalog = self.site.catalog().display().to_string();
        loop {
            let left: Vec<Process> = processes(&catalog)
                .into_iter()
                .chain(processes(&port))
                .filter(|process| process.words.iter().any(|word| word.contains("rsync")) || process.is_ssh_master())
                .collect();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "orphans: {left:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Whether there is any file below a directory.
pub fn holds_files(directory: &Path) -> bool {
    walkdir::WalkDir::new(directory).into_iter().flatten().any(|entry| entry.file_type().is_file())
}
