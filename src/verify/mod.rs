//! Whether bytes are what they claim to be: base backups with their manifests, and WAL with its page headers.

pub mod arrival;
pub mod base;
pub mod checksum;
pub mod control_file;
pub mod fault;
pub mod filenode_map;
pub mod manifest;
pub mod page;
pub mod tar;
pub mod tree;
pub mod wal_file;
pub mod wal_form;
pub mod wal_header;
pub mod wal_log;
pub mod wal_proof;
