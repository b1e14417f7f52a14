//! A catalog on a POSIX file system: reading without following links, changes that a power cut cannot halve, and what a
//! disk tells of lost writes.

pub mod disk;
pub mod durable;
pub mod files;
