//! A piece of a file that is larger than a run may copy: the transfer ends at a number of bytes, and what arrived stays
//! as a partial file that the next run goes on with.
//!
//! How much arrived is told about once a second, so the rate is held to a fifth of the piece a second, and the transfer
//! ends when the next two reports could exceed it. What is in flight then fits.

use tokio_util::sync::CancellationToken;

use crate::transport::ByteCounter;

/// A piece takes at least as long.
const SECONDS: u64 = 5;

/// A transfer that is cut off.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// Bytes that may arrive.
    pub bytes: u64,
    /// Bytes of the file that are here already; the transport counts them when it finds them.
    pub here: u64,
}

impl Piece {
    /// The rate that lets it be cut off in time, in bytes per second.
    pub fn bandwidth(self) -> u64 {
        (self.bytes / SECONDS).max(1)
    }

    /// What of these counted bytes crossed the wire. Those that were here already are counted too, and so are those that
    /// rsync finds elsewhere in the part that is here.
    pub fn arrived(self, counted: u64) -> u64 {
        counted.saturating_sub(self.here).min(self.bytes)
    }

    /// What listens to the counter of a transfer that begins, and cancels it when enough has arrived.
    pub fn cuts_off(self, counter: &ByteCounter, cancel: &CancellationToken) -> impl FnMut(u64) + Send + use<> {
        let (before, cancel) = (counter.get().saturating_add(self.here), cancel.clone());
        let (mut arrived, mut most) = (0, 0);
        move |all| {
            let now = all.saturating_sub(before);
            most = now.saturating_sub(arrived).max(most);
            arrived = now;
            if arrived.saturating_add(most.saturating_mul(2)) >= self.bytes {
                cancel.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_cut_off_before_the_next_two_reports_could_exceed_the_piece() {
        let (counter, cancel) = (ByteCounter::default(), CancellationToken::new());
        counter.add(7);
        let piece = Piece { bytes: 100, here: 50 };
        let _listening = counter.listen(piece.cuts_off(&counter, &cancel));
        // What is here is counted too, and crossed no wire.
        for (bytes, is_cut_off) in [(50, false), (20, false), (20, false), (19, false), (1, true)] {
            counter.add(bytes);
            assert_eq!(cancel.is_cancelled(), is_cut_off, "{}", counter.get());
        }
        assert_eq!(piece.arrived(counter.get() - 7), 60);
    }
}
