//! One file for each command, and what they share: wiring only.
//!
//! A command has the name of its file; Barman's own are in `barman/`, and `apply/saved.rs` is `apply FILE`. What several
//! of them need:
//!
//! - `source` finds and reads the site file, `saved_plan` a saved plan; `kept_files` writes files that are ours to change,
//!   `metrics_file` the one for node_exporter.
//! - `record` leaves what a run did in the journal, with the commit that `checkout` finds.
//! - `terminal` is stdout and stderr, `audience` to whom an apply speaks, `interrupt` Ctrl-C and SIGTERM.

mod apply;
mod audience;
mod barman;
mod barman_conf;
mod checkout;
mod complete;
mod demo;
mod detach;
mod documents;
mod drill;
mod drill_reports;
mod drill_server;
mod explain;
mod foreign;
mod gate;
mod history;
mod init;
mod interrupt;
mod kept_files;
mod metrics_file;
mod plan;
mod record;
mod restore;
mod restore_wal;
mod run;
mod saved_plan;
mod scope;
mod source;
mod status;
mod suspend;
mod terminal;
mod validate;
mod verify;
mod watch;
mod watched;

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cli::{Cli, Command};
use crate::error::{Error, Exit, Kind};
use crate::stdout;

use interrupt::Interrupt;
use terminal::Terminal;

/// Runs a command to its end and says how it went.
fn run(cli: Cli) -> ExitCode {
    let terminal = Terminal::new(&cli.global);
    terminal.start_log();
    allow_open_files();
    let exit = ended(
        match runtime() {
            Ok(runtime) => {
                let barman_conf = cli.global.barman_conf.as_deref();
                let result = runtime.block_on(dispatch(cli.command, barman_conf, &terminal));
                // A thread that still waits for the answer to a prompt must not keep the program.
                runtime.shutdown_timeout(Duration::from_millis(100));
                result.unwrap_or_else(|error| terminal.error(&error))
            }
            Err(error) => terminal.error(&error),
        },
        &terminal,
    );
    ExitCode::from(exit.code())
}

/// Parses the command line and runs what it says.
pub fn main() -> ExitCode {
    if let Some(answered) = complete::answer() {
        return answered;
    }
    let parsed = Cli::try_parse();
    if let Some(refused) = foreign::refused(env::args_os(), parsed.as_ref().err()) {
        return ExitCode::from(Terminal::default().error(&refused).code());
    }
    match parsed {
        Ok(cli) => run(cli),
        Err(error) => answer(&error),
    }
}

/// Answers a command line that names no command to run: help and the version are answers, anything else is an error.
fn answer(asked: &clap::Error) -> ExitCode {
    if asked.use_stderr() {
        // Nobody is left to tell when the terminal itself is gone.
        let _ = asked.print();
        // Not clap's 2, which means that a plan has changes.
        return ExitCode::from(Exit::Error.code());
    }
    let terminal = Terminal::default();
    let text = asked.render();
    stdout::print(&if terminal.colour() { text.ansi().to_string() } else { text.to_string() });
    ExitCode::from(ended(Exit::Done, &terminal).code())
}

/// How a command ends that would have ended like this, once it is known whether its output arrived: an exit code that is an
/// answer is none without it, and one that says what happened to the site stays.
fn ended(exit: Exit, terminal: &Terminal) -> Exit {
    match (stdout::failure(), exit) {
        (Some(error), Exit::Done | Exit::Changes | Exit::ObjectiveMissed | Exit::Disproved) => terminal.error(&error),
        (Some(error), exit) => {
            terminal.error(&error);
            exit
        }
        (None, exit) => exit,
    }
}

/// Open files for a site of many replicas, each with its locks and copies: the usual soft limit of 1024 is for programs
/// that call select(2).
const OPEN_FILES: u64 = 65_536;

/// Lets this program have as many files open as it may need and its host allows.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        // Where it is refused the old limit holds, and what it is too low for fails by name.
        let _refused = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| Error::io("cannot start", error))
}

/// A file that is named and not read would be missed by nobody but the site that it is about.
fn refuse_barman_conf(command: &Command, barman_conf: Option<&Path>) -> Result<(), Error> {
    let Some(named) = barman_conf.filter(|_| !command.reads_barman_conf()) else { return Ok(()) };
    let message = format!("`-c {}` names a barman.conf, and this command reads none", named.display());
    Err(Error::new(Kind::Invalid, message)
        .hint("a site file is named with `-f FILE`; `-c` is for `sync-info`, `list-servers` and `gate`"))
}

async fn dispatch(command: Command, barman_conf: Option<&Path>, terminal: &Terminal) -> Result<Exit, Error> {
    refuse_barman_conf(&command, barman_conf)?;
    let interrupt = Interrupt::watch()?;
    // Of what goes on until it is told to end, that is no interruption.
    let goes_on = matches!(command, Command::Run(_));
    let result = match command {
        Command::Plan(arguments) => plan::run(&arguments, terminal, &interrupt).await,
        Command::Apply(arguments) => apply::run(&arguments, terminal, &interrupt).await,
        Command::Explain(arguments) => explain::run(&arguments, terminal, &interrupt).await,
        Command::Show(arguments) => plan::show_file(&arguments, terminal),
        Command::Status(arguments) => status::run(&arguments, terminal, &interrupt).await,
        Command::Verify(arguments) => verify::run(&arguments, terminal, &interrupt).await,
        Command::History(arguments) => history::run(&arguments, terminal),
        Command::Run(arguments) => run::run(&arguments, terminal, &interrupt).await,
        Command::Suspend(arguments) => suspend::run(&arguments, terminal),
        Command::Resume(arguments) => suspend::resume(&arguments, terminal),
        Command::Restore(arguments) => restore::run(&arguments, terminal, &interrupt).await,
        Command::Drill(arguments) => drill::run(&arguments, terminal, &interrupt).await,
        Command::DrillServer(arguments) => Err(drill_server::run(&arguments)),
        Command::RestoreWal(arguments) => Ok(restore_wal::run(&arguments, terminal)),
        Command::Detach(arguments) => detach::run(&arguments, terminal, &interrupt).await,
        Command::Validate(arguments) => validate::run(&arguments, terminal),
        Command::Schema(arguments) => {
            stdout::print(&arguments.of.text());
            Ok(Exit::Done)
        }
        Command::Init(arguments) => init::run(&arguments),
        Command::BarmanConf(arguments) => barman_conf::run(&arguments, terminal, &interrupt).await,
        Command::NothingToSync(arguments) => {
            stdout::print(arguments.answer());
            Ok(Exit::Done)
        }
        Command::SyncInfo(arguments) => barman::sync_info::run(&arguments, barman_conf, terminal, &interrupt).await,
        Command::SyncBackup(arguments) => barman::sync_backup::run(&arguments, terminal, &interrupt).await,
        Command::SyncWals(arguments) => barman::sync_wals::run(&arguments, terminal, &interrupt).await,
        Command::Cron(arguments) => barman::cron::run(&arguments, terminal, &interrupt).await,
        Command::ListServers(arguments) => barman::list_servers::run(&arguments, barman_conf),
        Command::Gate(arguments) => gate::run(&arguments, barman_conf, terminal, &interrupt).await,
        Command::Completions(arguments) => documents::completions(&arguments),
        Command::Man(arguments) => documents::man(&arguments),
        Command::Demo(arguments) => demo::run(&arguments, terminal, &interrupt).await,
    };
    match interrupt.exit().filter(|_| !goes_on) {
        // Whatever it was that an interruption broke off, the interruption is what happened.
        Some(exit) => {
            if let Err(error) = result {
                terminal.error(&error);
            }
            Ok(exit)
        }
        None => result,
    }
}
