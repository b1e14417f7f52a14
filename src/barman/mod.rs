//! Barman's formats: bytes to types and back, without any effect but the file locks.

pub mod backup_info;
pub mod barman_time;
pub mod history;
pub mod ids;
pub mod keep;
pub mod layout;
pub mod python_float;
pub mod python_literal;
pub mod sync_info;
pub mod version;
pub mod wal;
pub mod wal_entry;
pub mod wal_set;
pub mod xlogdb;
