//! A private sshd on a loopback port, run by the current user, with a fake `barman` behind it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use antipode::site::model::{Access, Primary, Timeouts};
use rustix::process::Pid;
use tempfile::TempDir;

use super::executable::write_program;

/// Answers like Barman, banner included. Its path has a space and a quote.
const BARMAN: &str = r#"#!/bin/sh
[ "$1" = -c ] && { echo "config=$2"; shift 2; }
case "$1 $2" in
"sync-info fails") printf 'ERROR: \033[31mUnknown server\n' >&2; exit 1 ;;
"sync-info killed") kill -9 $$ ;;
"sync-info slow") sleep 30 ;;
"sync-info nap") sleep 0.7 ;;
"sync-info "*) echo "Welcome to this machine"; echo '{"server": "'"$2"'"}'; echo "WARNING: noise" >&2 ;;
"list-servers --minimal") echo main; echo archive ;;
esac
"#;

/// A running sshd; everything of it is in one temporary directory.
pub struct Sshd {
    directory: PathBuf,
    port: u16,
    /// `None` for one that another process has started.
    owned: Option<(Child, TempDir)>,
}

impl Sshd {
    /// Starts it with fresh keys, and a `known_hosts` that knows its host key.
    pub fn start() -> Self {
        Self::start_with(|_| String::new())
    }

    /// Starts one with more lines in its configuration, made from its directory.
    pub fn start_with(more: impl FnOnce(&Path) -> String) -> Self {
        // Short, for the sockets; and readable by sshd whoever runs it.
        let directory = tempfile::Builder::new().prefix("ap").tempdir_in("/tmp").unwrap();
        let at = |name: &str| directory.path().join(name);
        for key in ["host_key", "client_key", "other_key"] {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(key)));
        }
        fs::copy(at("client_key.pub"), at("authorized_keys")).unwrap();
        fs::create_dir(at("run")).unwrap();
        write_program(&at("bar'man x"), BARMAN);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        write_known_hosts(&at("known_hosts"), port, &at("host_key.pub"));
        fs::write(at("port"), port.to_string()).unwrap();
        let daemon = start_daemon(directory.path(), port, &more(directory.path()));
        Self { directory: directory.path().to_owned(), port, owned: Some((daemon, directory)) }
    }

    /// One that another process has started in this directory.
    pub fn resume(directory: &Path) -> Self {
        let port = fs::read_to_string(directory.join("port")).unwrap().parse().unwrap();
        Self { directory: directory.to_owned(), port, owned: None }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Where the sockets go.
    pub fn runtime(&self) -> PathBuf {
        self.path("run")
    }

    /// The masters' sockets that exist now.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.runtime()).unwrap();
        entries.map(|entry| entry.unwrap().path().join("ssh")).collect()
    }

    /// A primary that is reached through it.
    pub fn primary(&self) -> Primary {
        self.primary_with("client_key", "known_hosts", self.port)
    }

    /// The same with another key, other known hosts, another port.
    pub fn primary_with(&self, key: &str, known_hosts: &str, port: u16) -> Primary {
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        let known_hosts = format!("UserKnownHostsFile={}", self.path(known_hosts).display());
        let (port, key, destination) =
            (port.to_string(), self.path(key).display().to_string(), format!("{}@127.0.0.1", user.trim()));
        let words = ["ssh", "-F", "/dev/null", "-p", &port, "-i", &key, "-o", "IdentitiesOnly=yes", "-o", &known_hosts];
        let words = words.into_iter().chain([destination.as_str()]).map(str::to_owned).collect();
        let seconds = Duration::from_secs;
        Primary {
            name: "frankfurt".into(),
            access: Access::Ssh { words },
            barman_command: vec![self.path("bar'man x").display().to_string()],
            barman_config: None,
            timeouts: Timeouts { connect: seconds(5), idle: seconds(20), sync_info: seconds(10) },
            refresh_after: seconds(3600),
            bandwidth: None,
            streams: NonZeroU32::MIN,
            windows: Vec::new(),
        }
    }

    /// Writes a file below its directory.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Makes an empty directory.
    pub fn mkdir(&self, name: &str) -> PathBuf {
        fs::create_dir_all(self.path(name)).unwrap();
        self.path(name)
    }

    /// Makes `known_hosts.changed`, which has another key for this host.
    pub fn write_changed_known_hosts(&self) {
        write_known_hosts(&self.path("known_hosts.changed"), self.port, &self.path("other_key.pub"));
    }

    /// The command lines of running programs that mention a path.
    pub fn programs_about(path: &Path) -> Vec<String> {
        Self::processes_about(path).into_iter().map(|(_, line)| line).collect()
    }

    /// The same with their process ids.
    pub fn processes_about(path: &Path) -> Vec<(Pid, String)> {
        let path = path.display().to_string();
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            Some((pid, String::from_utf8_lossy(&line).replace('\0', " ")))
        });
        processes.filter(|(_, line)| line.contains(&path)).collect()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if let Some((daemon, _directory)) = &mut self.owned {
            let _ended = daemon.kill();
            let _reaped = daemon.wait();
        }
    }
}

fn write_known_hosts(path: &Path, port: u16, key: &Path) {
    fs::write(path, format!("[127.0.0.1]:{port} {}", fs::read_to_string(key).unwrap())).unwrap();
}

fn start_daemon(directory: &Path, port: u16, more: &str) -> Child {
    let at = |name: &str| directory.join(name).display().to_string();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\n{more}",
        at("host_key"),
        at("authorized_keys"),
    );
    fs::write(directory.join("sshd_config"), config).unwrap();
    if rustix::process::geteuid().is_root() {
        // Where sshd locks itself up before authentication; the package's service makes it at boot.
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let log = fs::File::create(directory.join("sshd.log")).unwrap();
    let daemon = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f", &at("sshd_config")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("openssh-server is installed");
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "sshd does not start: {}", at("sshd.log"));
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}
