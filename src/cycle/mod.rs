//! The cycle of a site's replicas: both ends are observed, the difference is planned, the plan is applied.
//!
//! ```text
//! commands ──► cycle ──► observe ──► plan ──► apply
//! ```
//!
//! A [`Cycle`] is of one replica. It owns what it needs, and shares with others what they have in common and what outlives
//! it: the [`Lines`] to the primaries, and the slots, the bandwidth and the bytes of [`apply::Shared`](crate::apply::Shared).
//! A [`Session`] is one command over a site: the cycles of its replicas side by side. Those that no other run is at work on
//! go on together, as a [`Round`]; each of the others does when that run has ended.

mod apply;
mod lines;
mod replica;
mod round;
mod session;

pub use crate::apply::{Beside, Companion};
pub use lines::{Calls, Lines, Way};
pub use replica::{Cycle, Grant};
pub use round::{Locking, Round};
pub use session::{Planned, Session, unknown_server};
