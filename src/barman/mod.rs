//! Barman's formats: bytes to types and back, without any effect.

pub mod ids;
pub mod version;
