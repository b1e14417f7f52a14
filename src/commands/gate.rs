//! `antipode gate`: the forced command of a key at a primary.

mod bounds;
mod jail;
mod told;

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli;
use crate::error::{Error, Exit, Kind};
use crate::gate::{Refusal, Request, Sending, read};
use crate::transport::gated::REFUSES;

use super::barman::conf_file::ConfFile;
use super::barman::{list_servers, sync_info};
use super::interrupt::Interrupt;
use super::terminal::Terminal;

use bounds::Bounds;
use told::Log;

/// Where sshd puts what the client asked for ("sshd(8)", `command=`).
const ASKED: &str = "SSH_ORIGINAL_COMMAND";

/// Where programs are looked for: what the client's environment says of it is not asked.
const PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Runs the command.
pub async fn run(
    arguments: &cli::Gate,
    barman_conf: Option<&Path>,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    let asked = env::var_os(ASKED).unwrap_or_default();
    let log = Log::open(arguments.log.as_deref())?;
    let answer = answer(arguments, barman_conf, &asked, &log);
    match answer {
        Ok(answer) => answer.give(arguments, barman_conf, terminal, interrupt).await,
        Err(Denied::Refusal(refusal)) => {
            log.refused(&refusal, &asked);
            eprintln!("{REFUSES}{refusal}");
            Ok(Exit::Error)
        }
        Err(Denied::Error(error)) => Err(error),
    }
}

/// Why nothing is answered.
enum Denied {
    Refusal(Refusal),
    Error(Error),
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What is let through, ready to be done.
enum Answer {
    SyncInfo(cli::SyncInfo),
    ListServers(Bounds),
    Send(Command),
}

/// Finds out whether what is asked for is let through. Nothing is done yet but looking, and noting it in the log.
fn answer(arguments: &cli::Gate, barman_conf: Option<&Path>, asked: &OsString, log: &Log) -> Result<Answer, Denied> {
    let request = read(asked)?;
    let file = ConfFile::read(barman_conf)?;
    let bounds = Bounds::of(&file, arguments)?;
    let answer = match request {
        Request::SyncInfo { conf, server, last_wal, last_position } => {
            bounds::check_conf(&file, conf.as_deref())?;
            bounds.check_server(&server)?;
            Answer::SyncInfo(cli::SyncInfo {
                primary: false,
                server: server.to_string(),
                last_wal: last_wal.map(|name| name.to_string()),
                last_position: last_position.map(|position| position.to_string()),
                site: cli::SiteFile::default(),
            })
        }
        Request::ListServers { conf } => {
            bounds::check_conf(&file, conf.as_deref())?;
            Answer::ListServers(bounds)
        }
        Request::Send(sending) => Answer::Send(sender(&sending, &bounds, arguments)?),
    };
    log.let_through(asked);
    Ok(answer)
}

impl Answer {
    /// Answers; what rsync or a Barman says and how it ends is the answer.
    async fn give(
        self,
        arguments: &cli::Gate,
        barman_conf: Option<&Path>,
        terminal: &Terminal,
        interrupt: &Interrupt,
    ) -> Result<Exit, Error> {
        match (self, &arguments.barman) {
            (Self::SyncInfo(asked), None) => sync_info::run(&asked, barman_conf, terminal, interrupt).await,
            (Self::SyncInfo(asked), Some(program)) => {
                let words = ["sync-info".to_owned(), asked.server];
                let known = asked.last_wal.into_iter().chain(asked.last_position);
                Err(replaced_by(barman(program, barman_conf).args(words).args(known)))
            }
            (Self::ListServers(bounds), _) => Ok(list_servers::print_names(bounds.names())),
            (Self::Send(mut command), _) => Err(replaced_by(&mut command)),
        }
    }
}

fn barman(program: &Path, barman_conf: Option<&Path>) -> Command {
    let mut command = Command::new(program);
    if let Some(conf) = barman_conf {
        command.arg("-c").arg(conf);
    }
    command
}

/// rsync as it is asked for, which can open nothing but what the key serves.
fn sender(sending: &Sending, bounds: &Bounds, arguments: &cli::Gate) -> Result<Command, Denied> {
    let program = match &arguments.rsync {
        Some(program) => program.clone(),
        None => rsync()?,
    };
    let confined = jail::confine(&program, &sending.directory, bounds, arguments.confine)?;
    let mut command = Command::new(&program);
    command.env_clear().env("PATH", PATH.join(":")).env("LC_ALL", "C");
    command.args(["--server", "--sender"]).args(&sending.options).args(confined);
    command.arg(".").arg(&sending.directory);
    Ok(command)
}

fn rsync() -> Result<PathBuf, Error> {
    let found = PATH.iter().map(|directory| Path::new(directory).join("rsync")).find(|program| program.exists());
    found.ok_or_else(|| {
        Error::new(Kind::ProgramMissing, "there is no program `rsync` at the primary").hint("install it there")
    })
}

/// Becomes another program; returns only when it cannot.
fn replaced_by(command: &mut Command) -> Error {
    let error = command.exec();
    Error::io(format!("cannot run {}", command.get_program().display()), error)
}
