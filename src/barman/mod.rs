//! Barman's formats: bytes to types and back, without any effect. Beside them stands what is our own
//! in a catalog, in places that Barman ignores: `damage`, `detachment`, `findings`, `last_apply` and `verified`.

pub mod arrival;
pub mod backup_info;
pub mod barman_time;
pub mod compression;
pub mod conf;
pub mod damage;
pub mod detachment;
pub mod drill;
pub mod encryption;
pub mod findings;
pub mod history;
pub mod identity;
pub mod ids;
pub mod keep;
pub mod last_apply;
pub mod layout;
pub mod python_float;
pub mod python_literal;
pub mod secret;
pub mod server_config;
pub mod sync_info;
pub mod sync_wals;
pub mod verified;
pub mod version;
pub mod wal;
pub mod wal_entry;
pub mod wal_list;
pub mod wal_map;
pub mod wal_set;
pub mod words;
pub mod xlogdb;
