//! An apply as it is followed: bars on a terminal, plain lines elsewhere, JSON for programs.

mod bars;
mod board;
mod json;
mod lines;
mod record;
mod running;

pub use bars::{Bars, above, clear, tell, write_above};
pub use json::Json;
pub use lines::Lines;
pub use record::Record;

use crate::events::Event;
use crate::render::units;
use crate::transport::patience::Wait;

/// The line that tells an event.
fn line(event: &Event) -> String {
    match event {
        Event::Started { address, deed, total: 0, .. } => format!("{address}: {}...", deed.doing),
        Event::Started { address, deed, total, .. } => format!("{address}: {} {}...", deed.doing, units::bytes(*total)),
        Event::Retrying { address, primary, error, wait } => {
            format!("{address}: {error}; {}", waiting(primary, *wait))
        }
        Event::Finished { address, deed, elapsed, transferred } => {
            let after = units::duration(elapsed.as_secs());
            match transferred {
                0 => format!("{address}: {} after {after}", deed.done),
                bytes => format!("{address}: {} after {after} ({} transferred)", deed.done, units::bytes(*bytes)),
            }
        }
        Event::Failed { address, error } => match &error.hint {
            Some(hint) => format!("{address}: failed: {}\n  hint: {hint}", error.message),
            None => format!("{address}: failed: {}", error.message),
        },
        Event::Skipped { address, because } => format!("{address}: skipped: {because}"),
        Event::Interrupted => {
            "Interrupted: nothing new is started, running transfers end and keep what they have...".to_owned()
        }
    }
}

/// How long a line has been waited for, and how long until it is tried again.
pub fn waiting(primary: &str, wait: Wait) -> String {
    let again = units::duration(wait.pause.as_secs().max(1));
    match wait.waited.as_secs() {
        0 => format!("waiting for the line to {primary}, trying again in {again}"),
        waited => format!("waiting for the line to {primary}, {}, trying again in {again}", units::duration(waited)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::{Error, Kind};
    use crate::plan::action::Address;
    use crate::plan::action::words::Deed;
    use crate::transport::ByteCounter;

    #[test]
    fn events_are_told_in_whole_sentences() {
        let address: Address = "main/backup/20261122T092435".parse().unwrap();
        let deed = Deed::new("copy", "copying", "copied and verified");
        let started = |total| Event::Started { address: address.clone(), deed, total, counter: ByteCounter::default() };
        let finished =
            Event::Finished { address: address.clone(), deed, elapsed: Duration::from_secs(183), transferred: 2 << 30 };
        let error = Error::new(Kind::NoSpace, "the disk is full").hint("free space");
        let lost = |waited| Event::Retrying {
            address: address.clone(),
            primary: "frankfurt".to_owned(),
            error: Error::new(Kind::Lost, "the connection was lost"),
            wait: Wait { waited: Duration::from_secs(waited), pause: Duration::from_millis(30_400) },
        };
        for (event, text) in [
            (started(0), "main/backup/20261122T092435: copying..."),
            (started(3 << 30), "main/backup/20261122T092435: copying 3 GiB..."),
            (
                lost(0),
                "main/backup/20261122T092435: the connection was lost; waiting for the line to frankfurt, trying again \
                 in 30 s",
            ),
            (
                lost(130),
                "main/backup/20261122T092435: the connection was lost; waiting for the line to frankfurt, 2 min 10 s, \
                 trying again in 30 s",
            ),
            (finished, "main/backup/20261122T092435: copied and verified after 3 min 3 s (2 GiB transferred)"),
            (
                Event::Failed { address: address.clone(), error },
                "main/backup/20261122T092435: failed: the disk is full\n  hint: free space",
            ),
        ] {
            assert_eq!(line(&event), text);
        }
    }
}
