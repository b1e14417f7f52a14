//! What several end-to-end tests start.

pub mod sshd;
