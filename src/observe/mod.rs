//! Observe: what the primary has and what the site holds, as plain data.

pub mod inventory;
