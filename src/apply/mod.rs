//! Apply: a plan is carried out, and what it brings is published.

pub mod durable;
pub mod events;
mod executor;
mod failure;
mod replica_run;
mod slots;
mod xlogdb;
