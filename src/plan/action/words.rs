//! The words for what is done. Which kind of change has which is in `kinds`.

use schemars::JsonSchema;
use serde::Serialize;

use super::Address;

/// What an action comes to, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// The site does not have it.
    #[default]
    Add,
    /// It is damaged.
    Repair,
    /// It was right once, and follows the primary.
    Update,
    /// It is deleted.
    Prune,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 4] = [Self::Add, Self::Repair, Self::Update, Self::Prune];

    /// As programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Repair => "repair",
            Self::Update => "update",
            Self::Prune => "prune",
        }
    }
}

/// What a step of an action does to its thing, in the words that a plan and its progress are told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    /// Before it is done: `copy`.
    pub to_do: &'static str,
    /// While it is done: `copying`.
    pub doing: &'static str,
    /// When it is done: `copied and verified`.
    pub done: &'static str,
}

impl Deed {
    /// What is being done, without the name of the replica: `copying backup/20261122T030000`.
    pub fn at_work_on(self, address: &Address) -> String {
        let thing = address.as_str().split_once('/').map_or(address.as_str(), |(_, thing)| thing);
        format!("{} {thing}", self.doing)
    }

    /// The words for before, while and when it is done.
    pub const fn new(to_do: &'static str, doing: &'static str, done: &'static str) -> Self {
        Self { to_do, doing, done }
    }
}
