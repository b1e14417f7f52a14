//! `antipode run`: keeps the site by itself until it is told to end.

mod service;
mod told;

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use crate::cli::{self, SiteFile};
use crate::controller::{Controller, Start};
use crate::cycle::Session;
use crate::error::{Error, Exit};
use crate::site::Site;
use crate::store::home;

use super::interrupt::Interrupt;
use super::source::{self, Source};
use super::terminal::{self, Terminal};
use service::Service;
use told::Told;

/// How often it is looked whether the site file says something else.
const LOOKS: Duration = Duration::from_secs(1);

/// Runs the command.
pub async fn run(arguments: &cli::Run, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let source = source::read(&arguments.site)?;
    let site = source.site(terminal)?;
    home::prepare(&site.catalog.path)?;
    let _alone = home::keep(&site.catalog.path)?;
    let service = Arc::new(Service::of_this_run());
    let told = Arc::new(Told::new(*terminal, Arc::clone(&service)));
    let (declare, sites) = unbounded_channel();
    let mut session = Session::open(&site, &interrupt.token, terminal::told()).await;
    session.mirror_what_is_here()?;
    let watch =
        Watch { file: SiteFile { file: Some(source.name.clone().into()) }, terminal: *terminal, service, last: source };
    let watching = tokio::spawn(watch.watch(hangups()?, declare));
    let start = Start { session, sites, follower: told, cancel: interrupt.token.clone() };
    Controller::new(start).run().await;
    watching.abort();
    Ok(Exit::Done)
}

fn hangups() -> Result<tokio::signal::unix::Signal, Error> {
    signal(SignalKind::hangup()).map_err(|error| Error::io("cannot watch for signals", error))
}

/// Looks whether the site file says something else.
struct Watch {
    file: SiteFile,
    terminal: Terminal,
    service: Arc<Service>,
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
                self.service.reloading();
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
                self.service.ready();
            }
        }
    }

    fn read(&mut self, read: Source, declare: &UnboundedSender<Site>) {
        match read.site(&self.terminal) {
            Ok(site) => {
                terminal::tell(&format!("{}: read again; it holds from now on\n", read.name));
                let _ended = declare.send(site);
            }
            Err(error) => self.refuse(&error),
        }
        self.last = read;
    }

    fn refuse(&self, error: &Error) {
        self.terminal.error(error);
        terminal::tell("  What it said before holds until it is mended.\n");
    }
}
