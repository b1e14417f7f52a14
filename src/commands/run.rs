//! `antipode run`: keeps the site by itself until it is told to end.

mod board;
mod listen;
mod service;
mod told;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use crate::cli::{self, SiteFile};
use crate::controller::{Controller, Follower, Start};
use crate::cycle::Session;
use crate::error::{Error, Exit, Kind};
use crate::site::Site;
use crate::store::home;

use super::drill;
use super::interrupt::Interrupt;
use super::record::Recorder;
use super::source::{self, Source};
use super::terminal::{self, Terminal};
use board::Board;
use service::Service;
use told::Told;

/// How often it is looked whether the site file says something else.
const LOOKS: Duration = Duration::from_secs(1);

/// Runs the command.
pub async fn run(arguments: &cli::Run, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let declared = source::read(&arguments.site)?.declared(terminal)?;
    let site = &declared.site;
    home::prepare(&site.catalog.path)?;
    let _alone = home::keep(&site.catalog.path)?;
    drill::remove_leftovers(site, terminal);
    let listener = match arguments.listen {
        Some(address) => Some(listen::bind(address).await?),
        None => None,
    };
    terminal.warn_of_rsync(site).await;
    let (declare, sites) = unbounded_channel();
    let mut session = Session::open(site, &interrupt.token, terminal::told()).await;
    session.mirror_what_is_here()?;
    let board = Arc::new(Board::new(&session));
    let recorder = Recorder::of("run", &declared, terminal);
    let told = Arc::new(Told::new(*terminal, Service::of_this_run(), Arc::clone(&board), recorder));
    let catalog = site.catalog.path.clone();
    let source = declared.into_source();
    let file = SiteFile { file: Some(source.name.clone().into()) };
    let watch = Watch { file, terminal: *terminal, told: Arc::clone(&told), catalog, last: source };
    let watching = tokio::spawn(watch.watch(hangups()?, declare));
    let answering = listener.map(|listener| {
        if let Ok(address) = listener.local_addr().map(|address| format!("http://{address}/")) {
            terminal::tell(&format!("antipode run: listens on {address}\n"));
        }
        tokio::spawn(listen::answer(listener, board, interrupt.token.clone()))
    });
    let follower = Arc::<Told>::clone(&told);
    let start = Start { session, sites, follower, cancel: interrupt.token.clone() };
    Controller::new(start).run().await;
    watching.abort();
    told.finish(&interrupt.token).await;
    answering.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(Exit::Done)
}

fn hangups() -> Result<tokio::signal::unix::Signal, Error> {
    signal(SignalKind::hangup()).map_err(|error| Error::io("cannot watch for signals", error))
}

/// Looks whether the site file says something else.
struct Watch {
    file: SiteFile,
    terminal: Terminal,
    told: Arc<Told>,
    /// The catalog that is kept.
    catalog: PathBuf,
    /// What it said last, valid or not.
    last: Source,
}

impl Watch {
    /// Tells of each change that is valid, and says what is wrong with one that is not. Its content is compared, so that it
    /// does not matter how it comes to its place: written, renamed, or behind a link that is moved.
    async fn watch(mut self, mut hangups: tokio::signal::unix::Signal, declare: UnboundedSender<Site>) {
        let mut is_missed = false;
        loop {
            let is_asked = tokio::select! {
                () = sleep(LOOKS) => false,
                Some(()) = hangups.recv() => true,
            };
            if is_asked {
                Service::reloading();
            }
            let file = self.file.clone();
            match tokio::task::spawn_blocking(move || source::read(&file)).await {
                Ok(Ok(read)) => {
                    is_missed = false;
                    if is_asked || !read.says_the_same(&self.last) {
                        self.read(read, &declare);
                    }
                }
                // While something replaces it, it may be away for a moment.
                Ok(Err(error)) if is_missed || is_asked => self.refuse(&error),
                Ok(Err(_)) => is_missed = true,
                Err(_) => {}
            }
            if is_asked {
                Service::ready();
            }
        }
    }

    fn read(&mut self, read: Source, declare: &UnboundedSender<Site>) {
        self.last = read.clone();
        match read.declared(&self.terminal) {
            Ok(declared) if declared.site.catalog.path != self.catalog => {
                self.refuse(&another_catalog(&declared.site, &self.catalog));
            }
            Ok(declared) => {
                terminal::tell(&format!("{}: read again; it holds from now on\n", self.last.name));
                self.told.record_as(Recorder::of("run", &declared, &self.terminal));
                let _ended = declare.send(declared.site);
            }
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&self, error: &Error) {
        self.told.site_error(error);
        terminal::tell("  What it said before holds until it is mended.\n");
    }
}

/// Its lock, its journal and what runs are of the one that is kept.
fn another_catalog(site: &Site, kept: &Path) -> Error {
    let (named, kept) = (site.catalog.path.display(), kept.display());
    Error::new(Kind::Invalid, format!("`catalog.path` is {named} now, and this keeps {kept}"))
        .hint("end this run and begin another one")
}
