//! What several end-to-end tests start.

#![allow(dead_code, reason = "no test uses all of it")]

pub mod executable;
pub mod sshd;
