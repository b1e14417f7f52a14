//! One site, one primary that says what a test wants, and the program under test.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::demo;
use crate::support::executable::write_program;
use crate::support::sshd::Sshd;
use crate::sync_info::sync_info;

/// What the shell at the primary finds in its PATH.
const PROGRAMS: [&str; 6] = ["sh", "cat", "sleep", "printf", "rm", "rsync"];

/// A `barman` that prints the file of a server, or runs its script.
const BARMAN: &str = r#"
case "$1 $2" in
"list-servers --minimal") cat SERVERS ;;
"sync-info "*)
    if [ -f "$2.sh" ]; then . "./$2.sh"
    elif [ -f "$2" ]; then cat "$2"
    else echo "ERROR: Unknown server '$2'" >&2; exit 1
    fi ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"#;

/// A site and a primary behind an sshd, in one directory.
pub struct Bench {
    sshd: Sshd,
}

impl Bench {
    /// The primary has the demo's server `main`, and says so. The site has an empty catalog.
    pub fn start() -> Self {
        let sshd = Sshd::start_with(|at| format!("SetEnv PATH={}\n", at.join("bin").display()));
        let bench = Self { sshd };
        fs::create_dir(bench.path("bin")).unwrap();
        for name in PROGRAMS {
            symlink(which(name), bench.path("bin").join(name)).unwrap();
        }
        for directory in ["answers", "catalog", "outside"] {
            fs::create_dir(bench.path(directory)).unwrap();
        }
        fs::write(bench.path("outside/canary"), "alive").unwrap();
        bench.program("barman", &format!("cd '{}' || exit 1{BARMAN}", bench.path("answers").display()));
        demo::write_whole(&bench.path("primary"));
        bench.says("main", &bench.sync_info("main"));
        bench.declare(&bench.usual_site());
        bench
    }

    /// The same, and the site has already what the primary has.
    pub fn in_sync() -> Self {
        let bench = Self::start();
        bench.antipode(&["apply", "--auto-approve"]).expect(0);
        bench
    }

    /// A path in the directory of everything.
    pub fn path(&self, name: &str) -> PathBuf {
        self.sshd.path(name)
    }

    /// The site's `barman_home`.
    pub fn catalog(&self) -> PathBuf {
        self.path("catalog")
    }

    /// The sshd of the primary.
    pub fn sshd(&self) -> &Sshd {
        &self.sshd
    }

    /// What Barman would answer for a server of the primary.
    pub fn sync_info(&self, server: &str) -> Value {
        sync_info(&self.path("primary"), server)
    }

    /// Makes the primary answer this for a server.
    pub fn says(&self, server: &str, answer: &Value) {
        self.prints(server, answer.to_string());
    }

    /// Makes the primary print this for a server.
    pub fn prints(&self, server: &str, answer: impl AsRef<[u8]>) {
        fs::write(self.path("answers").join(server), answer).unwrap();
    }

    /// Makes the primary run this for a server; its own answer is in the file of its name.
    pub fn runs(&self, server: &str, script: &str) {
        fs::write(self.path("answers").join(format!("{server}.sh")), script).unwrap();
    }

    /// Makes the primary list these servers.
    pub fn lists(&self, servers: &str) {
        fs::write(self.path("answers/SERVERS"), servers).unwrap();
    }

    /// Puts a shell script in the place of a program of the primary.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        let _absent = fs::remove_file(&path);
        write_script(&path, script);
    }

    /// The ssh command that reaches the primary.
    pub fn ssh_command(&self) -> String {
        self.ssh_command_with("client_key", "known_hosts", self.sshd.port())
    }

    /// The same with another key, other known hosts, another port.
    pub fn ssh_command_with(&self, key: &str, known_hosts: &str, port: u16) -> String {
        let primary = self.sshd.primary_with(key, known_hosts, port);
        let antipode::site::model::Access::Ssh { words } = primary.access else { unreachable!("it is behind an sshd") };
        shell_words::join(words)
    }

    /// A site file with this ssh command, and more lines for the primary `frankfurt`.
    pub fn site_with(&self, ssh_command: &str, more: &str) -> String {
        format!(
            "version: 1\nsite: lisbon\ncatalog: {{path: '{}', deep_every: always, reserve: none, barman: '3.19.1'}}\nprimaries:\n  frankfurt:\n    \
             ssh_command: {ssh_command}\n    barman: {{command: '{}'}}\n{more}",
            self.catalog().display(),
            self.path("bin/barman").display(),
        )
    }

    /// A site file that copies the server `main`.
    pub fn usual_site(&self) -> String {
        self.site_with(&self.ssh_command(), "replicas: {main: {primary: frankfurt}}\n")
    }

    /// Writes the site file.
    pub fn declare(&self, yaml: &str) {
        fs::write(self.path("antipode.yaml"), yaml).unwrap();
    }

    /// The command line `antipode ARGUMENTS` in the directory of the site file.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.path(""), arguments);
        command.env("XDG_RUNTIME_DIR", self.sshd.runtime());
        command
    }

    /// Runs `antipode ARGUMENTS`.
    #[track_caller]
    pub fn antipode(&self, arguments: &[&str]) -> Finished {
        run(&mut self.command(arguments))
    }

    /// The catalog, without what our own directories remember of what was looked at, and of what it is called.
    pub fn kept(&self) -> BTreeMap<PathBuf, String> {
        let mut kept = snapshot(&self.catalog());
        kept.retain(|path, _| !path.components().any(|part| part.as_os_str() == ".antipode"));
        kept
    }

    /// Runs `plan`, which must exit with 1, leave the catalog as it was, and say all these.
    #[track_caller]
    pub fn refuses_to_plan(&self, said: &[&str]) -> Finished {
        let before = self.kept();
        let planned = self.antipode(&["plan"]);
        planned.expect(1).says(said);
        assert_eq!(self.kept(), before, "{planned}");
        planned
    }

    /// Nothing beside the catalog was touched.
    #[track_caller]
    pub fn outside_is_untouched(&self) {
        let outside = snapshot(&self.path("outside"));
        let names: Vec<_> = outside.keys().filter_map(|path| path.to_str()).collect();
        assert_eq!(names, ["canary"]);
        assert_eq!(fs::read(self.path("outside/canary")).unwrap(), b"alive");
    }
}

/// `antipode ARGUMENTS`, about to be run in a directory, with nothing of the machine's language and colours.
pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("HOME", directory)
        .env("RUST_BACKTRACE", "0")
        .current_dir(directory)
        .stdin(Stdio::null());
    command
}

/// A program that has ended.
pub struct Finished {
    command: String,
    /// Its exit code.
    pub code: Option<i32>,
    /// All that it wrote to both outputs.
    pub output: String,
    /// How long it took.
    pub took: Duration,
}

/// Runs a command to its end. No control character may be in what it writes.
#[track_caller]
pub fn run(command: &mut Command) -> Finished {
    let begin = Instant::now();
    let output = command.output().unwrap();
    let bytes = [output.stdout, b"--- stderr\n".to_vec(), output.stderr].concat();
    let finished = Finished {
        command: format!("{:?}", command.get_args().collect::<Vec<_>>()),
        code: output.status.code(),
        output: String::from_utf8(bytes).expect("the output is UTF-8"),
        took: begin.elapsed(),
    };
    let is_harmless = |c: char| c == '\n' || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}'));
    assert!(finished.output.chars().all(is_harmless), "control characters in {:?}", finished.output);
    finished
}

impl Finished {
    /// It must have ended with this exit code.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// It must have written all these, wherever lines were broken.
    #[track_caller]
    pub fn says(&self, texts: &[&str]) -> &Self {
        let output = self.output.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in texts {
            assert!(output.contains(text), "it does not say {text:?}\n{self}");
        }
        self
    }

    /// It must not have written this.
    #[track_caller]
    pub fn never_says(&self, text: &str) -> &Self {
        assert!(!self.output.contains(text), "it says {text:?}\n{self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "antipode {} ended with {:?} after {:?}\n{}", self.command, self.code, self.took, self.output)
    }
}

/// Everything below a directory, by its path: mode, time and content.
pub fn snapshot(directory: &Path) -> BTreeMap<PathBuf, String> {
    let walk = walkdir::WalkDir::new(directory).min_depth(1).into_iter().map(Result::unwrap);
    walk.map(|entry| {
        let metadata = fs::symlink_metadata(entry.path()).unwrap();
        let content = match metadata.file_type() {
            kind if kind.is_file() => crc32c::crc32c(&fs::read(entry.path()).unwrap()).to_string(),
            kind if kind.is_symlink() => fs::read_link(entry.path()).unwrap().display().to_string(),
            _ => String::new(),
        };
        let path = entry.path().strip_prefix(directory).unwrap().to_owned();
        (path, format!("{:o} {}.{} {content}", metadata.mode(), metadata.mtime(), metadata.mtime_nsec()))
    })
    .collect()
}

/// Writes an executable shell script.
pub fn write_script(path: &Path, script: &str) {
    write_program(path, format!("#!/bin/sh\n{script}\n"));
}

/// Where a program of this machine is.
pub fn which(name: &str) -> PathBuf {
    let found = ["/usr/bin", "/bin", "/usr/local/bin"].map(|directory| Path::new(directory).join(name));
    found.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("this machine has no {name}"))
}

/// A port that nobody listens on.
pub fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
