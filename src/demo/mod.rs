//! `antipode demo`: a small primary catalog, and the damage that is done to copies of it.
//!
//! The catalog is one that Barman 3.19.1 could have written, and everything that is done with it goes through the same
//! code as with a real one. Tests use it as well.

mod base;
pub mod catalog;
pub mod damage;
pub(crate) mod files;
pub(crate) mod wal;
