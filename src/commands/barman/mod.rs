//! Barman's own commands, with Barman's arguments, output and exit codes.

pub(super) mod conf_file;
pub mod cron;
pub mod list_servers;
mod sync;
pub mod sync_backup;
pub mod sync_info;
pub mod sync_wals;
