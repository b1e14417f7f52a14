//! A piece of a file that is larger than a run may copy: the transfer ends at a number of bytes, and what arrived stays
//! as a partial file that the next run goes on with.
//!
//! How much arrived is told about once a second, so the rate is held to a fifth of the piece a second, and the transfer
//! ends when the next two reports could exceed it. What is in flight then fits.

use std::convert::Infallible;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::transport::ByteCounter;

/// Between two looks at the counter.
const EVERY: Duration = Duration::from_millis(50);

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
    /// The rate that lets it be cut off in time.
    pub fn bandwidth(self, limit: Option<u64>) -> u64 {
        let slow = (self.bytes / SECONDS).max(1);
        limit.map_or(slow, |limit| limit.min(slow))
    }

    /// What of these counted bytes crossed the wire. Those that were here already are counted too, and so are those that
    /// rsync finds elsewhere in the part that is here.
    pub fn arrived(self, counted: u64) -> u64 {
        counted.saturating_sub(self.here).min(self.bytes)
    }

    /// Cancels when enough has arrived; never ends before.
    pub async fn watch(self, counter: &ByteCounter, cancel: &CancellationToken) -> Infallible {
        let start = counter.get();
        let (mut arrived, mut most) = (0, 0);
        loop {
            let now = counter.get().saturating_sub(start).saturating_sub(self.here);
            most = now.saturating_sub(arrived).max(most);
            arrived = now;
            if arrived.saturating_add(most.saturating_mul(2)) >= self.bytes {
                cancel.cancel();
                return std::future::pending().await;
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
