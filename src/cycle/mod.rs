//! The cycle of a site's replicas: both ends are observed, the difference is planned, the plan is applied.
//!
//! ```text
//! commands ──► cycle ──► observe ──► plan ──► apply
//! ```
//!
//! Every command that looks at primaries goes through a [`Session`]. It owns what it needs, so that it can outlive the
//! command line that asked for it; what a terminal shows meanwhile is told by whoever opens it.

mod apply;
mod session;

pub use apply::Bounds;
pub use session::{Planned, Session, lock_directory, unknown_server};
