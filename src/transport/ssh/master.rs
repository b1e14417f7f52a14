//! The connections to one primary: ssh processes that others share through a socket (`ControlMaster`).
//!
//! - A master serves [`SESSIONS`] programs at a time; another is opened when more are needed, and for copies as soon as
//!   there are [`COPIES`]: the window of its TCP connection and the processor that enciphers it bound them all. They are
//!   opened one by one, as an sshd takes no more than a few that have not logged in yet.
//! - A master that died is replaced at the next use: that is what makes a lost connection worth a retry.
//! - One that a program waits for in vain is retired: those who still hear from it go on, and the next use opens another.
//! - No master outlives the run. It is told to exit at the end; and it exits by itself soon after nobody is connected to
//!   its socket. Each run keeps one idle connection there (the lifeline), which the kernel closes when the run dies.
//!   One that is frozen hears nothing of that: it is ended by a signal.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openssh::Session;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::process::Command;
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};
use crate::site::model::{Primary, Timeouts};

use super::cipher;
use super::diagnosis::{Destination, diagnose};
use super::identity;
use crate::transport::private_dir::{NAME_LENGTH, PrivateDir};

/// Programs at a time through one master: two fewer than the `MaxSessions` of a stock sshd.
const SESSIONS: usize = 8;

/// Copies at a time through one master before another is opened.
const COPIES: usize = 4;

/// How long a master stays when nobody is connected to its socket.
const PERSIST: &str = "ControlPersist=5";

/// A socket's path must be shorter than this; ssh first binds a temporary name with 17 bytes more.
const SOCKET_PATH_LIMIT: usize = 107 - 17;

/// All masters of one primary.
pub(in crate::transport) struct Masters {
    primary: String,
    words: Vec<String>,
    timeouts: Timeouts,
    runtime_dir: PathBuf,
    cancel: CancellationToken,
    /// The value of `Ciphers`, from the first connection on.
    ciphers: OnceCell<Option<String>>,
    slots: Vec<Slot>,
    /// Whose turn it is to open a connection.
    opening: Mutex<()>,
    /// Bounds the leases of all slots: who holds one of these finds a free slot.
    leases: Arc<Semaphore>,
}

/// The place of one master.
struct Slot {
    sessions: Arc<Semaphore>,
    master: Mutex<Option<Arc<Master>>>,
}

/// The right to run one program through a master that was alive a moment ago.
pub(in crate::transport) struct Lease {
    master: Arc<Master>,
    // In this order: the slot is free before the next one is let in.
    _session: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Lease {
    /// The session to run commands in.
    pub(super) fn session(&self) -> &Session {
        &self.master.session
    }

    /// The words of an ssh that runs a command through this master, and fails instead of dialling anew.
    pub(in crate::transport) fn remote_shell(&self) -> Vec<OsString> {
        through(&self.master.program, &self.master.socket)
    }

    /// Nothing comes through this master any more: nobody else is to begin with it.
    pub(in crate::transport) fn retire(&self) {
        self.master.is_retired.store(true, Ordering::Relaxed);
    }

    /// Returns when the master does not answer any more. It is asked every so often.
    pub(super) async fn frozen(&self, every: Duration, patience: Duration) {
        loop {
            tokio::time::sleep(every).await;
            if !self.master.answers(patience).await {
                return;
            }
        }
    }
}

impl Masters {
    /// Opens the first connection to a primary.
    pub(in crate::transport) async fn open(
        primary: &Primary,
        words: &[String],
        runtime_dir: &Path,
        cancel: &CancellationToken,
    ) -> Result<Arc<Self>, Error> {
        identity::check(Destination { primary: &primary.name, words })?;
        // The streams, and one command beside them.
        let wanted = usize::try_from(primary.streams.get()).unwrap_or(SESSIONS).saturating_add(1);
        let count = wanted.div_ceil(COPIES);
        let masters = Self {
            primary: primary.name.clone(),
            words: words.to_vec(),
            timeouts: primary.timeouts,
            runtime_dir: runtime_dir.to_owned(),
            cancel: cancel.clone(),
            ciphers: OnceCell::new(),
            slots: (0..count)
                .map(|_| Slot { sessions: Arc::new(Semaphore::new(SESSIONS)), master: Mutex::new(None) })
                .collect(),
            opening: Mutex::new(()),
            leases: Arc::new(Semaphore::new(count * SESSIONS)),
        };
        drop(masters.lease().await?);
        Ok(Arc::new(masters))
    }

    /// The primary's name in the site file.
    pub(in crate::transport) fn primary(&self) -> &str {
        &self.primary
    }

    /// Fires when the run is interrupted.
    pub(in crate::transport) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Waits for a free session for a question, and makes sure that its master lives.
    pub(in crate::transport) async fn lease(&self) -> Result<Lease, Error> {
        self.lease_beside(SESSIONS).await
    }

    /// The same for a copy.
    pub(in crate::transport) async fn lease_for_copy(&self) -> Result<Lease, Error> {
        self.lease_beside(COPIES).await
    }

    /// A session of the first master that serves less than so many programs, or else of any.
    async fn lease_beside(&self, many: usize) -> Result<Lease, Error> {
        let closed = || Error::new(Kind::Lost, format!("primary {}: the connection is closed", self.primary));
        let turn = Arc::clone(&self.leases).acquire_owned().await.map_err(|_closed| closed())?;
        let (slot, session) = self.slot(many).ok_or_else(closed)?;
        let master = self.living(slot).await?;
        Ok(Lease { master, _session: session, _turn: turn })
    }

    fn slot(&self, many: usize) -> Option<(&Slot, OwnedSemaphorePermit)> {
        let is_roomy = |slot: &&Slot| slot.sessions.available_permits() > SESSIONS - many;
        let all = self.slots.iter().filter(is_roomy).chain(&self.slots);
        all.into_iter().find_map(|slot| Some((slot, Arc::clone(&slot.sessions).try_acquire_owned().ok()?)))
    }

    async fn living(&self, slot: &Slot) -> Result<Arc<Master>, Error> {
        let mut place = slot.master.lock().await;
        if let Some(master) = place.as_ref() {
            let is_retired = master.is_retired.load(Ordering::Relaxed);
            if !is_retired && master.answers(self.timeouts.connect).await {
                return Ok(Arc::clone(master));
            }
            tracing::debug!(primary = self.primary, "the connection is gone, opening another");
        }
        let _turn = self.opening.lock().await;
        let master = Arc::new(self.start().await?);
        *place = Some(Arc::clone(&master));
        Ok(master)
    }

    /// Runs `ssh -f`, which returns when the primary has let us in.
    async fn start(&self) -> Result<Master, Error> {
        tracing::info!(primary = self.primary, "opens a connection");
        let (directory, socket) = self.socket()?;
        let program = self.words.first().cloned().unwrap_or_else(|| "ssh".to_owned());
        let ciphers = self.ciphers.get_or_init(|| cipher::preference(&self.words)).await.as_deref();
        // A file and not a pipe: the master in the background may hold stderr open for ever.
        let log = directory.path().join("stderr");
        let stderr = File::create(&log).map_err(|error| self.unusable(directory.path(), &error))?;
        let mut child = Command::new(&program)
            .args(arguments(&self.words, &socket, &self.timeouts, ciphers))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.no_ssh(&program, &error))?;
        // ssh's own timeout does not cover authentication, nor a jump host.
        let patience = self.timeouts.connect * 2 + Duration::from_secs(5);
        let status = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Error::interrupted()),
            status = tokio::time::timeout(patience, child.wait()) => status,
        };
        let said = fs::read(&log).unwrap_or_default();
        let destination = Destination { primary: &self.primary, words: &self.words };
        match status {
            Err(_elapsed) => Err(destination.timed_out(patience, &said)),
            Ok(Ok(status)) if status.success() => {
                let adopted = tokio::time::timeout(self.timeouts.connect, Master::adopt(program, socket, directory));
                let adopted = adopted.await.map_err(|_elapsed| destination.timed_out(self.timeouts.connect, &said))?;
                adopted.map_err(|error| destination.gone_at_once(&error))
            }
            Ok(Ok(status)) => Err(diagnose(destination, status.code(), &said)),
            Ok(Err(error)) => Err(self.no_ssh(&program, &error)),
        }
    }

    /// A private directory for the socket, in the runtime directory or, where the path would be too long, in `/tmp`.
    fn socket(&self) -> Result<(PrivateDir, PathBuf), Error> {
        let name = NAME_LENGTH + "//ssh".len();
        let fits = self.runtime_dir.as_os_str().len() + name < SOCKET_PATH_LIMIT;
        let parent = if fits { self.runtime_dir.as_path() } else { Path::new("/tmp") };
        let directory = PrivateDir::make_in(parent).map_err(|error| self.unusable(parent, &error))?;
        let socket = directory.path().join("ssh");
        Ok((directory, socket))
    }

    fn unusable(&self, directory: &Path, error: &std::io::Error) -> Error {
        let message = format!("primary {}: no socket can be made in {}: {error}", self.primary, directory.display());
        Error::new(Kind::from(error), message).hint("set XDG_RUNTIME_DIR to a directory of yours")
    }

    fn no_ssh(&self, program: &str, error: &std::io::Error) -> Error {
        let message = format!("primary {}: `{program}` cannot be run on this machine: {error}", self.primary);
        Error::new(Kind::ProgramMissing, message).hint("install the OpenSSH client")
    }

    /// Ends every master.
    pub(in crate::transport) async fn close(&self) {
        self.leases.close();
        for slot in &self.slots {
            if let Some(master) = slot.master.lock().await.take() {
                master.exit().await;
            }
        }
    }
}

/// One ssh in the background.
struct Master {
    session: Session,
    program: String,
    socket: PathBuf,
    /// The process itself, where this machine's kernel can hold on to one (Linux 5.3).
    process: Option<OwnedFd>,
    is_retired: AtomicBool,
    /// Held open, never used.
    _lifeline: UnixStream,
    _directory: PrivateDir,
}

impl Master {
    async fn adopt(program: String, socket: PathBuf, directory: PrivateDir) -> std::io::Result<Self> {
        let lifeline = UnixStream::connect(&socket)?;
        // Who is asked through the socket is there as long as the lifeline is: its id is nobody else's.
        let process = process_behind(&socket).await.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let session = Session::resume_mux(socket.clone().into_boxed_path(), None);
        let is_retired = AtomicBool::new(false);
        Ok(Self { session, program, socket, process, is_retired, _lifeline: lifeline, _directory: directory })
    }

    async fn answers(&self, patience: Duration) -> bool {
        matches!(tokio::time::timeout(patience, self.session.check()).await, Ok(Ok(())))
    }

    /// Ends it whatever it is doing, also when it is frozen: it puts itself away as soon as it runs. One that has ended
    /// is no error.
    fn end(&self) {
        for signal in [Signal::TERM, Signal::CONT] {
            let _gone = self.process.as_ref().map(|process| pidfd_send_signal(process, signal));
        }
    }

    /// Ends the ssh in the background.
    async fn exit(&self) {
        let mut words = through(&self.program, &self.socket);
        words.extend(["-O", "exit", "none"].map(OsString::from));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let _ended = tokio::time::timeout(Duration::from_secs(5), command.status()).await;
        self.end();
        let _removed = fs::remove_file(&self.socket);
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.end();
    }
}

/// The process that listens on a master's socket.
async fn process_behind(socket: &Path) -> Option<Pid> {
    let mut connection = openssh_mux_client::Connection::connect(socket).await.ok()?;
    let pid = connection.send_alive_check().await.ok()?;
    Pid::from_raw(i32::try_from(pid.get()).ok()?)
}

/// The arguments of the ssh that becomes a master.
///
/// For `-o`, ssh keeps the first value it is given: what must hold comes before the user's words, what is a default after.
/// For `-S` it is the last.
fn arguments(words: &[String], socket: &Path, timeouts: &Timeouts, ciphers: Option<&str>) -> Vec<OsString> {
    let (destination, options) = match words {
        [_program, options @ .., destination] => (destination.as_str(), options),
        _ => ("", [].as_slice()),
    };
    let option = |text: &str| [OsString::from("-o"), OsString::from(text)];
    let mut arguments: Vec<OsString> = ["-M", "-N", "-f", "-T", "-x", "-a"].map(OsString::from).to_vec();
    for must in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        PERSIST,
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "RemoteCommand=none",
    ] {
        arguments.extend(option(must));
    }
    arguments.extend(options.iter().map(OsString::from));
    arguments.extend([OsString::from("-S"), socket.as_os_str().to_owned()]);
    arguments.extend(option(&format!("ConnectTimeout={}", timeouts.connect.as_secs().max(1))));
    arguments.extend(option(&format!("ServerAliveInterval={}", (timeouts.idle.as_secs() / 3).clamp(5, 60))));
    arguments.extend(option("ServerAliveCountMax=3"));
    arguments.extend(ciphers.into_iter().flat_map(|ciphers| option(&format!("Ciphers={ciphers}"))));
    arguments.extend(["--", destination].map(OsString::from));
    arguments
}

/// An ssh through an existing master. No configuration file has a say, and a dead socket is an error.
fn through(program: &str, socket: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = [program, "-F", "/dev/null", "-S"].map(OsString::from).to_vec();
    words.push(socket.as_os_str().to_owned());
    words.extend(["-o", "ControlMaster=no", "-o", "ProxyCommand=false", "-o", "BatchMode=yes"].map(OsString::from));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts() -> Timeouts {
        let seconds = Duration::from_secs;
        Timeouts { connect: seconds(15), idle: seconds(120), sync_info: seconds(600) }
    }

    #[test]
    fn what_must_hold_comes_before_the_users_words_and_defaults_after() {
        let words = ["ssh", "-p", "22", "-o", "StrictHostKeyChecking=no", "barman@host"].map(String::from);
        let arguments = arguments(&words, Path::new("/run/a/ssh"), &timeouts(), Some("a,b"));
        let text: Vec<_> = arguments.iter().map(|word| word.to_str().unwrap()).collect();
        let position = |word: &str| text.iter().position(|other| *other == word).unwrap();
        assert!(position("StrictHostKeyChecking=yes") < position("StrictHostKeyChecking=no"));
        assert!(position("-p") < position("ConnectTimeout=15"));
        assert!(position("-p") < position("-S"));
        assert!(position("-p") < position("Ciphers=a,b"));
        assert_eq!(text[text.len() - 2..], ["--", "barman@host"]);
        assert!(text.contains(&"ServerAliveInterval=40"));
    }

    /// As on a host so busy that nobody comes to the socket while the master waits for somebody.
    #[tokio::test]
    async fn a_master_that_ends_before_it_is_used_is_a_lost_line() {
        let text = "version: 1\nsite: lisbon\ncatalog: {path: /b}\nprimaries: {frankfurt: {ssh_command: ssh barman@host}}\n\
                    replicas: {main: {primary: frankfurt}}\n";
        let site = crate::site::load("site.yaml", text, None).unwrap().site;
        let (runtime, cancel) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let words = ["true", "host"].map(String::from);
        let opened = Masters::open(&site.primaries["frankfurt"], &words, runtime.path(), &cancel).await;
        assert_eq!(opened.err().map(|error| error.kind), Some(Kind::Lost));
    }

    #[test]
    fn a_dead_socket_is_not_replaced_by_a_new_connection() {
        let words = through("ssh", Path::new("/run/a b/ssh"));
        let text: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(text[..5], ["ssh", "-F", "/dev/null", "-S", "/run/a b/ssh"]);
        assert!(text.contains(&"ProxyCommand=false"));
    }
}
