//! Barman's formats: bytes to types and back, without any effect.

pub mod history;
pub mod ids;
pub mod version;
pub mod wal;
pub mod wal_set;
