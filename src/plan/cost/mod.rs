//! How much and how long: the bytes of an action and of a plan, and the time that they take.

pub mod compress;
pub mod delta;
pub mod estimate;
pub mod parts;
pub mod streams;
pub mod totals;
