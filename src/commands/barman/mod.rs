//! Barman's own commands, with Barman's arguments, output and exit codes.

mod conf_file;
pub mod list_servers;
pub mod sync_info;
