//! Who wants to hear of what happens at a site is told: programs, and addresses on the web.
//!
//! ```text
//!   a run that ended ──► Event ──► the queue of each hook ──► a program's standard input
//!   a look                              (bounded)         └─► a POST
//! ```
//!
//! Nothing that is copied ever waits for it. Each hook is told of one event at a time, in their order, in a time that is
//! limited, by a task of its own; one that is too slow for what happens misses events, which is said.

mod command;
pub mod event;
mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Kind};
use crate::site::hooks::{self as declared, Hook, Occasion, Way};

pub use event::{Event, Missed};

/// Events that wait for one hook at the most.
const QUEUE: usize = 64;

/// Hears of hooks that could not be told.
pub type Complain = Arc<dyn Fn(&Error) + Send + Sync>;

/// The hooks of a site.
pub struct Hooks {
    /// The hooks of each occasion, by their place among all.
    of: BTreeMap<Occasion, Vec<usize>>,
    all: Mutex<Vec<Queue>>,
    complain: Complain,
}

/// A hook, and what is to be told to it.
struct Queue {
    name: String,
    /// `None` when nothing more is to be told.
    events: Option<Sender<Arc<[u8]>>>,
    worker: JoinHandle<()>,
    is_behind: bool,
}

impl Hooks {
    /// Those that are declared.
    pub fn new(declared: &declared::Hooks, complain: Complain) -> Self {
        let (mut known, mut of): (Vec<&Hook>, BTreeMap<Occasion, Vec<usize>>) = (Vec::new(), BTreeMap::new());
        for (occasion, hooks) in declared {
            for hook in hooks {
                let place = known.iter().position(|other| *other == hook).unwrap_or_else(|| {
                    known.push(hook);
                    known.len() - 1
                });
                of.entry(*occasion).or_default().push(place);
            }
        }
        let all = known.into_iter().map(|hook| Queue::of(hook.clone(), Arc::clone(&complain))).collect();
        Self { of, all: Mutex::new(all), complain }
    }

    /// Whether anybody wants to hear of it.
    pub fn wants(&self, occasion: Occasion) -> bool {
        self.of.contains_key(&occasion)
    }

    /// Tells whoever wants to hear of it, and waits for nobody.
    pub fn tell(&self, event: &Event) {
        let Some(places) = self.of.get(&event.event) else { return };
        let text: Arc<[u8]> = event.text_form().into();
        let behind: Vec<String> = {
            let mut all = self.all();
            let mut push = |place: &usize| {
                let queue = all.get_mut(*place)?;
                (!queue.push(Arc::clone(&text))).then(|| queue.name.clone())
            };
            places.iter().filter_map(&mut push).collect()
        };
        for name in behind {
            let message = format!("{name} is told of events too slowly: some are left out");
            (self.complain)(&Error::new(Kind::TimedOut, message));
        }
    }

    /// Waits until all are told of all, but no longer than this; what is not told then, nobody hears of.
    pub async fn finish(&self, within: Duration) {
        let queues: Vec<Queue> = std::mem::take(&mut *self.all());
        let end = Instant::now() + within;
        let mut untold = Vec::new();
        for Queue { name, events, mut worker, .. } in queues {
            drop(events);
            if timeout_at(end, &mut worker).await.is_err() {
                worker.abort();
                untold.push(name);
            }
        }
        for name in untold {
            let message = format!("{name} was not told of every event: this run ended before");
            (self.complain)(&Error::new(Kind::TimedOut, message));
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Queue>> {
        // Nothing in here can leave it half-changed.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn of(hook: Hook, complain: Complain) -> Self {
        let (sender, receiver) = channel(QUEUE);
        let name = hook.to_string();
        Self { name, events: Some(sender), worker: tokio::spawn(work(hook, receiver, complain)), is_behind: false }
    }

    /// Whether it could be taken; of those that could not, the first one is told.
    fn push(&mut self, event: Arc<[u8]>) -> bool {
        let Some(events) = &self.events else { return true };
        let is_behind = events.try_send(event).is_err();
        let was_behind = std::mem::replace(&mut self.is_behind, is_behind);
        !is_behind || was_behind
    }
}

async fn work(hook: Hook, mut events: Receiver<Arc<[u8]>>, complain: Complain) {
    while let Some(event) = events.recv().await {
        let told = match &hook.way {
            Way::Command(words) => command::tell(words, &event, hook.timeout).await,
            Way::Webhook(address) => webhook::tell(address, &event, hook.timeout).await,
            Way::WebhookFile(path) => match webhook::address_in(path).await {
                Ok(address) => webhook::tell(&address, &event, hook.timeout).await,
                Err(error) => Err(error),
            },
        };
        if let Err(error) = told {
            complain(&error.of(format_args!("{hook} could not be told")));
        }
    }
}

#[cfg(test)]
mod tests;
