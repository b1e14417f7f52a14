//! Whether bytes are what they claim to be: PostgreSQL's backup manifests and WAL page headers.

pub mod checksum;
pub mod manifest;
pub mod tablespaces;
pub mod tree;
pub mod wal_file;
pub mod wal_header;
