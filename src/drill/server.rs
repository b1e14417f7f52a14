//! The PostgreSQL of a drill: started, listened to, asked, and ended with the drill.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::error::{Error, Kind};

use super::log::Log;
use super::place::Ground;
use super::settings;

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long it may take to end when it is asked to.
const FAREWELL: Duration = Duration::from_secs(120);
/// As much as is read of what a program says: more than the list of a hundred thousand databases.
const SAID: usize = 16 << 20;
/// The variable by which a program of PostgreSQL takes the current directory for that of the socket, however long its path is.
const HERE: &str = "/proc/self/cwd";

/// What a server is started from.
pub struct Start<'a> {
    /// This program, which starts it so that it ends with us.
    pub program: &'a Path,
    /// Where the programs of PostgreSQL are.
    pub programs: &'a Path,
    /// The release.
    pub release: &'a str,
    /// Where it lies.
    pub ground: &'a Ground,
    /// Who connects.
    pub user: &'a str,
    /// What the site file sets.
    pub settings: &'a BTreeMap<String, String>,
}

impl Start<'_> {
    /// A program of PostgreSQL that ends with us, writes nowhere else, and is told nothing by the environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(self.program);
        command.args(["drill-server", &std::process::id().to_string()]).arg(self.ground.file(""));
        command.arg("--").arg(program);
        for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env_remove("PSQLRC");
        command
    }
}

/// A server that was started.
pub struct Server<'a> {
    start: Start<'a>,
    child: Child,
    log: Log,
    heard: u64,
}

/// What a program said, and how it ended.
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// And to standard error.
    pub stderr: String,
}

/// Whether there is still time and room; the answer says why not.
pub type Bounds<'a> = &'a (dyn Fn() -> Result<(), Error> + Sync);

impl<'a> Server<'a> {
    /// Starts it.
    pub fn start(start: Start<'a>) -> Result<Self, Error> {
        let (ground, data) = (start.ground, start.ground.data());
        let written = |name: &str, text: &str| {
            let path = ground.file(name);
            fs::write(&path, text).map_err(|error| Error::io(format!("{} cannot be written", path.display()), error))
        };
        written("postgresql.conf", &settings::file(start.settings))?;
        written("pg_hba.conf", settings::HBA)?;
        written("pg_ident.conf", "")?;
        let failed = |error| Error::io("PostgreSQL cannot be started", error);
        let log = File::create(ground.file("log")).map_err(failed)?;
        let postgres = start.programs.join("postgres");
        let mut command = start.command(&postgres);
        command.args(settings::arguments(&data, &ground.file(""))).current_dir(&data);
        // A Ctrl-C at the terminal is for us, who end it.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { start, child, log: Log::default(), heard: 0 })
    }

    /// Whether a program is there beside it.
    pub fn has(&self, program: &str) -> bool {
        self.start.programs.join(program).is_file()
    }

    /// Whether something killed a process of it.
    pub fn was_killed(&self) -> bool {
        let log = fs::read_to_string(self.start.ground.file("log")).unwrap_or_default();
        log.contains("terminated by signal 9")
    }

    /// Waits until it takes connections or has ended; what it said by then.
    pub fn recover(&mut self, bounds: Bounds<'_>) -> Result<&Log, Error> {
        loop {
            let ended = self.child.try_wait().map_err(|error| Error::io("PostgreSQL cannot be waited for", error))?;
            self.listen()?;
            if self.log.is_ready || ended.is_some() {
                return Ok(&self.log);
            }
            bounds()?;
            sleep(POLL);
        }
    }

    fn listen(&mut self) -> Result<(), Error> {
        let failed = |error| Error::io("PostgreSQL's log cannot be read", error);
        let mut file = File::open(self.start.ground.file("log")).map_err(failed)?;
        file.seek(SeekFrom::Start(self.heard)).map_err(failed)?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line).map_err(failed)?;
            if line.pop_if(|last| *last == b'\n').is_none() {
                return Ok(());
            }
            self.heard += read as u64;
            self.log.hear(&String::from_utf8_lossy(&line));
        }
    }

    /// Runs a program of PostgreSQL against it, as far as bounds allow.
    pub fn ask(&self, program: &str, arguments: &[&str], database: &str, bounds: Bounds<'_>) -> Result<Said, Error> {
        let mut command = self.start.command(&self.start.programs.join(program));
        command.args(arguments).current_dir(self.start.ground.data());
        command.env("PGHOST", HERE).env("PGPORT", "5432").env("PGUSER", self.start.user).env("PGDATABASE", database);
        command.env("PGOPTIONS", settings::session(self.start.release, self.start.settings));
        command.env("PGCLIENTENCODING", "UTF8").env("PGAPPNAME", "antipode drill");
        said(self.start.ground, command, bounds)
    }

    /// Runs a program of PostgreSQL over the files of a server that has ended.
    pub fn look(start: &Start<'_>, program: &str, arguments: &[&str], bounds: Bounds<'_>) -> Result<Said, Error> {
        let mut command = start.command(&start.programs.join(program));
        command.args(arguments).arg("-D").arg(start.ground.data());
        said(start.ground, command, bounds)
    }

    /// Ends it; whether it did so well.
    pub fn stop(mut self) -> Result<bool, Error> {
        let until = Instant::now() + FAREWELL;
        self.signal(Signal::INT);
        while Instant::now() < until {
            if let Some(status) =
                self.child.try_wait().map_err(|error| Error::io("PostgreSQL cannot be ended", error))?
            {
                return Ok(status.success());
            }
            sleep(POLL);
        }
        Ok(false)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _gone = kill_process(pid, signal);
        }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::QUIT);
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            sleep(POLL);
        }
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Runs a program to its end, or until there is no more time.
fn said(ground: &Ground, mut command: Command, bounds: Bounds<'_>) -> Result<Said, Error> {
    let name = command.get_program().display().to_string();
    let failed = |error| Error::io(format!("{name} cannot be run"), error);
    let paths: [PathBuf; 2] = [ground.file("stdout"), ground.file("stderr")];
    let [stdout, stderr] = paths.each_ref().map(File::create);
    command.stdin(Stdio::null()).stdout(stdout.map_err(failed)?).stderr(stderr.map_err(failed)?).process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break Ok(status);
        }
        if let Err(why) = bounds() {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let _gone = group.map(|group| kill_process_group(group, Signal::KILL));
            let _ended = child.wait();
            break Err(why);
        }
        sleep(POLL);
    };
    let [stdout, stderr] = paths.each_ref().map(|path| beginning(path));
    let (stdout, stderr) = (stdout.map_err(failed)?, stderr.map_err(failed)?);
    ended.map(|status| Said { status, stdout, stderr })
}

/// As much of a file as is kept.
fn beginning(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    File::open(path)?.take(SAID as u64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Said {
    /// Its first lines, on one, safe to print.
    pub fn first_lines(&self) -> String {
        let lines = self.stderr.lines().chain(self.stdout.lines()).map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.take(4).map(|line| line.escape_debug().to_string()).collect();
        lines.join("; ")
    }

    /// Whether it ended well.
    pub fn is_good(&self) -> bool {
        self.status.success()
    }
}

/// The release of the PostgreSQL in a directory, as it says itself.
pub fn release(programs: &Path) -> Result<String, Error> {
    let postgres = programs.join("postgres");
    let failed = |what: String| Error::new(Kind::ProgramMissing, format!("{} {what}", postgres.display()));
    let output = Command::new(&postgres).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(format!("cannot be run: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`
    let number = text.split_once("(PostgreSQL) ").map(|(_, rest)| rest);
    let number = number.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    number
        .filter(|number| !number.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| failed("does not tell its version".to_owned()))
}
