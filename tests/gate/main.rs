//! `antipode gate` in front of a key, against a real sshd and rsync: what a site asks for gets through, and nothing else.

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod names;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::sshd::Sshd;

/// What nobody may get who has the key.
const SECRET: &str = "the secret of this house";

/// A primary with two servers, of which a key serves `main`, and secrets around them.
struct Ground {
    sshd: Sshd,
}

impl Ground {
    /// A key that serves `main`.
    fn new() -> Self {
        Self::serving("--server main")
    }

    /// A key with these arguments of `gate`.
    fn serving(arguments: &str) -> Self {
        let ground = Self { sshd: Sshd::start() };
        let home = ground.home();
        for (name, text) in [
            ("main/base/20261122T030000/data/PG_VERSION", "17\n"),
            ("main/wals/0000000100000000/00000001000000000000000A", "wal"),
            ("main/meta/20261122T030000-backup.info", "status=DONE\n"),
            ("other/meta/20261122T030000-backup.info", SECRET),
            (".pgpass", SECRET),
            ("main.secret", SECRET),
        ] {
            ground.sshd.write(&format!("home/{name}"), text);
        }
        ground.sshd.write("outside/secret", SECRET);
        let data = home.join("main/base/20261122T030000/data");
        for (link, target) in [("file", "outside/secret"), ("directory", "outside"), ("other", "home/other")] {
            symlink(ground.sshd.path(target), data.join(link)).unwrap();
        }
        symlink("../../../../.pgpass", data.join("relative")).unwrap();
        let section = "conninfo = host=pg\nbackup_method = postgres\narchiver = on\n";
        let conf = format!("[barman]\nbarman_home = {}\n[main]\n{section}[other]\n{section}", home.display());
        ground.sshd.write("barman.conf", conf);
        ground.tie(arguments);
        ground
    }

    /// Ties the key to the gate.
    fn tie(&self, arguments: &str) {
        let key = fs::read_to_string(self.sshd.path("client_key.pub")).unwrap();
        let gate = format!(
            "{} gate -c {} --log {} {arguments}",
            env!("CARGO_BIN_EXE_antipode"),
            self.sshd.path("barman.conf").display(),
            self.log_file().display()
        );
        self.sshd.write("authorized_keys", format!("restrict,command=\"{gate}\" {key}"));
    }

    /// `barman_home`.
    fn home(&self) -> PathBuf {
        self.sshd.path("home")
    }

    /// A base of `main`, with links that lead out.
    fn data(&self) -> PathBuf {
        self.home().join("main/base/20261122T030000/data")
    }

    fn log_file(&self) -> PathBuf {
        self.sshd.path("gate.log")
    }

    /// What the gate noted.
    fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A path in the directory of everything.
    fn path(&self, name: &str) -> PathBuf {
        self.sshd.path(name)
    }

    /// Whatever is told of the host's own directories comes out of no answer, and nothing of the primary changed.
    fn assert_nothing_got_out(what: &str, output: &Output, arrived: &Path) {
        let told = [&output.stdout[..], &output.stderr[..]].concat();
        assert!(!String::from_utf8_lossy(&told).contains(SECRET), "{what}: {}", String::from_utf8_lossy(&told));
        for file in files(arrived) {
            let content = fs::read(&file).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&content).contains(SECRET), "{what}: {} arrived", file.display());
        }
    }

    /// Every file of the primary with its content.
    fn primary(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let roots = [self.home(), self.path("outside")];
        let files = roots.iter().flat_map(|root| files(root));
        files.map(|file| (file.clone(), fs::read(file).unwrap_or_default())).collect()
    }

    fn ssh_words(&self) -> Vec<String> {
        let primary = self.sshd.primary();
        match primary.access {
            antipode::site::model::Access::Ssh { words } => words,
            antipode::site::model::Access::Path(_) => unreachable!("it is reached by ssh"),
        }
    }

    /// What a client gets that asks for this command line.
    fn ask(&self, options: &[&str], asked: &str) -> Output {
        let words = self.ssh_words();
        let (destination, ssh) = words.split_last().unwrap();
        let mut command = Command::new(&ssh[0]);
        command.args(&ssh[1..]).arg("-T").args(options).arg(destination);
        command.args((!asked.is_empty()).then_some(asked)).stdin(std::process::Stdio::null()).output().unwrap()
    }

    /// rsync with these arguments through the gate; names for `--files-from=-` on its standard input.
    fn rsync(&self, arguments: &[&str], names: &str) -> Output {
        let words = self.ssh_words();
        let (_, ssh) = words.split_last().unwrap();
        let list = self.sshd.write("names", names);
        let mut command = Command::new("rsync");
        command.arg("-e").arg(ssh.join(" ")).args(arguments);
        command.stdin(fs::File::open(list).unwrap()).output().unwrap()
    }

    /// A directory of the primary as rsync names it.
    fn remote(&self, directory: &Path) -> String {
        let words = self.ssh_words();
        format!("{}:{}/", words.last().unwrap(), directory.display())
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().flatten();
    entries.filter(|entry| !entry.file_type().is_dir()).map(walkdir::DirEntry::into_path).collect()
}
