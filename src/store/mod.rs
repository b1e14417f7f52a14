//! The store: where a catalog lies at the site, and how it is read, changed and locked there.

pub mod cache;
pub mod locks;
pub mod parallel;
pub mod posix;
pub mod staging;
