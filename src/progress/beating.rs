//! Progress as other runs see it: what arrives and ends is noted as its replica's pulse, beside what somebody else is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::apply::Pulse;
use crate::events::{Event, Observer};
use crate::plan::action::Address;
use crate::transport::ByteCounter;

use super::running::Running;

/// How often it is looked whether bytes arrived.
const EVERY: Duration = Duration::from_secs(5);

/// Where the progress of each replica is noted, by its name.
pub type Pulses = BTreeMap<String, Pulse>;

/// Passes events on, and notes progress.
pub struct Beating<'a> {
    told: Box<dyn Observer + 'a>,
    pulses: Arc<Pulses>,
    running: Running<Arriving>,
}

/// What arrives for one step.
struct Arriving {
    counter: ByteCounter,
    seen: u64,
}

impl Arriving {
    /// Whether more is here than when it was last asked.
    fn has_grown(&mut self) -> bool {
        let bytes = self.counter.get();
        std::mem::replace(&mut self.seen, bytes) != bytes
    }
}

impl<'a> Beating<'a> {
    /// Begins to note. Needs a tokio runtime.
    pub fn new(told: Box<dyn Observer + 'a>, pulses: Pulses) -> Self {
        pulses.values().for_each(Pulse::beat);
        let pulses = Arc::new(pulses);
        let noted = Arc::clone(&pulses);
        let tick = move |address: &Address, step: &mut Arriving| {
            if step.has_grown() {
                beat(&noted, address);
            }
        };
        Self { told, pulses, running: Running::new(EVERY, tick) }
    }
}

fn beat(pulses: &Pulses, address: &Address) {
    if let Some(pulse) = pulses.get(address.replica()) {
        pulse.beat();
    }
}

impl Observer for Beating<'_> {
    fn notice(&self, event: &Event) {
        match event {
            Event::Started { address, counter, .. } => {
                self.running.begin(address, Arriving { counter: counter.clone(), seen: counter.get() });
                beat(&self.pulses, address);
            }
            Event::Finished { address, .. } | Event::Failed { address, .. } | Event::Skipped { address, .. } => {
                self.running.end(address);
                beat(&self.pulses, address);
            }
            // To try again is no progress.
            Event::Retrying { .. } | Event::Interrupted => {}
        }
        self.told.notice(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_progress_once() {
        let counter = ByteCounter::default();
        let mut step = Arriving { counter: counter.clone(), seen: 0 };
        assert!(!step.has_grown());
        counter.add(5);
        assert!(step.has_grown() && !step.has_grown());
    }
}
