//! Whole applies: one call of the store goes wrong, the power fails, or something came that is not what arrived before.

mod ground;
mod mishaps;
mod noted;
#[path = "../../../tests/support/stages.rs"]
mod stages;
