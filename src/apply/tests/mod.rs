//! Whole applies in which one call of the store goes wrong, or the power fails.

mod ground;
mod mishaps;
#[path = "../../../tests/support/stages.rs"]
mod stages;
