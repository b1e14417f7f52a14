//! What a step does, and how much it is, in two or three words.

use crate::plan::action::Action;
use crate::plan::order::graph::Phase;

use super::tree;
use super::units::bytes;

/// `ship 48 segments, 768 MiB`
pub fn step_words(action: &Action, phase: Phase) -> String {
    let words = action.change.deed(phase);
    if phase == Phase::Publish {
        return words.to_do.to_owned();
    }
    let size = match action.change.effect().published().filter(|copy| copy.reuse.is_some()) {
        // What is taken from another backup here does not come over the wire.
        Some(copy) => format!("{} of {}", bytes(action.bytes_to_copy()), bytes(copy.size)),
        None => tree::size(action),
    };
    if size.is_empty() { words.to_do.to_owned() } else { format!("{} {size}", words.to_do) }
}
