//! Drills: a backup of a replica is restored, PostgreSQL replays WAL from the replica up to a point, and what came of it is
//! looked at. A copy that was never restored is a hope.
//!
//! ```text
//! way ─► files ─► recovery ─► databases ─► tables, indexes ─► checks ─► page checksums ─► Drill (barman::drill)
//!        restore   server,      psql         pg_amcheck        psql      pg_checksums       the note, reports
//!                  judge
//! ```
//!
//! The rules that are held here:
//!
//! - Proved is only what was tried and is right; what could not be tried is never proved, and says why.
//! - The catalog is only read, but for our note. The files are copies, or share blocks on a file system that can do that: a
//!   server writes into its files, so that no hard link is safe.
//! - The server talks to nobody: it has no address, archives nothing, follows and subscribes to nothing, and loads no library
//!   that the site file does not name. The configuration that was backed up is not read.
//! - It takes little: a low priority, 128 MiB of buffers, and no byte of the reserve of the disk.
//! - Whatever ends the drill ends the server too, and what it made is removed, by the next one after a kill.

mod ask;
pub mod fetched;
mod find;
mod judge;
mod kept;
mod log;
pub mod place;
mod point;
mod server;
mod settings;
mod work;

pub use kept::keep;
pub use point::Point;
pub use work::{Terms, drill};
