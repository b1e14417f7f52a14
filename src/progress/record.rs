//! The lines of `apply --json`: what programs are told, one event a line.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Exit, Kind};
use crate::plan::Outcome as Planning;
use crate::plan::Plan;
use crate::plan::ReplicaPlan;
use crate::plan::action::words::Verb;
use crate::plan::action::{Action, Address};
use crate::plan::cost::totals::Totals;
use crate::render;

/// The version of the format.
const FORMAT_VERSION: u32 = 1;

/// One line of `antipode apply --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "Antipode event")]
pub struct Record {
    /// The version of this format: 1.
    #[schemars(extend("const" = 1))]
    format_version: u32,
    /// When it happened, in UTC.
    #[schemars(extend("format" = "date-time"))]
    time: String,
    /// What happened.
    #[serde(flatten)]
    what: Happening,
}

impl Record {
    /// What happened at a time, which is given in RFC 3339.
    pub fn new(time: String, what: Happening) -> Self {
        Self { format_version: FORMAT_VERSION, time, what }
    }
}

/// What happened.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Happening {
    /// What will be done. Before everything else, unless there was no plan; another one for each replica that another run
    /// was still at work on, when that has ended.
    Plan(Box<Planned>),
    /// A step began. It ends with one of `finished`, `failed` and `skipped`; a backup is copied in one step and published
    /// in another.
    Started {
        /// Its action.
        address: String,
        /// What is being done: `copying`.
        doing: String,
        /// Bytes that it will bring at the most; 0 for a step that brings none.
        total_bytes: u64,
    },
    /// A step goes on.
    Progress {
        /// Its action.
        address: String,
        /// Bytes that are here, those of files that it goes on with included.
        bytes: u64,
        /// Bytes that it will bring at the most.
        total_bytes: u64,
        /// Seconds since it began.
        seconds: u64,
    },
    /// Something failed that is tried again.
    Retrying {
        /// The action.
        address: String,
        /// The primary whose line is waited for.
        primary: String,
        /// What sort of thing failed.
        kind: Kind,
        /// What failed.
        message: String,
        /// Seconds for which nothing has arrived.
        waited_seconds: u64,
        /// Seconds until then.
        pause_seconds: u64,
    },
    /// A step ended well.
    Finished {
        /// Its action.
        address: String,
        /// What was done: `copied and verified`.
        done: String,
        /// Bytes that crossed the wire.
        bytes: u64,
        /// How long it took.
        seconds: u64,
    },
    /// A step failed.
    Failed {
        /// Its action.
        address: String,
        /// What sort of thing went wrong.
        kind: Kind,
        /// What happened.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// A step was not begun because of what it needs, or it ended early because of an interruption or `--max-bytes`.
    Skipped {
        /// Its action.
        address: String,
        /// Why.
        reason: String,
    },
    /// Ctrl-C or SIGTERM: nothing new is started any more.
    Interrupted,
    /// Something that no action is to blame for, such as a stale plan or a locked catalog.
    Error(Error),
    /// What it came to. Always the last line.
    Summary(Outcome),
}

/// What will be done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Planned {
    /// The site's name.
    pub site: String,
    /// What all actions come to.
    pub totals: Totals,
    /// In the order in which they are worth doing: newest recoverable point first.
    pub actions: Vec<PlannedAction>,
    /// Replicas that could not be planned.
    pub unplanned: Vec<Unplanned>,
    /// How many actions `--target` and `--exclude` leave out.
    pub left_out: usize,
}

/// What an apply came to.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Outcome {
    /// How many actions were done.
    pub done: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were not begun or not finished.
    pub skipped: usize,
    /// Bytes that crossed the wire.
    pub bytes: u64,
    /// How long the whole run took.
    pub seconds: u64,
    /// The `--max-bytes` that left actions for the next run.
    pub stopped_at: Option<u64>,
    /// With what the program exits.
    pub exit_code: u8,
}

/// An action that will be done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PlannedAction {
    /// Its address.
    address: String,
    /// What it comes to, in one word.
    verb: Verb,
    /// Why, in words.
    reason: String,
    /// Bytes that come from the primary, as an upper bound.
    bytes: u64,
}

/// A replica that could not be planned.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Unplanned {
    /// Its name.
    replica: String,
    /// What sort of thing went wrong when it was observed; null when it was, and the plan may not do what it would.
    kind: Option<Kind>,
    /// Why, in words.
    reason: String,
}

impl Happening {
    /// A plan.
    pub fn plan(plan: &Plan) -> Self {
        let replicas = || plan.replicas.iter();
        Self::Plan(Box::new(Planned {
            site: plan.site.clone(),
            totals: Totals::of(plan),
            actions: replicas().flat_map(|replica| &replica.actions).map(PlannedAction::of).collect(),
            unplanned: replicas().filter_map(Unplanned::of).collect(),
            left_out: plan.left_out(),
        }))
    }

    /// A failure of a step.
    pub fn failed(address: &Address, error: &Error) -> Self {
        Self::Failed {
            address: address.to_string(),
            kind: error.kind,
            message: lines(&error.message),
            hint: error.hint.as_deref().map(lines),
        }
    }

    /// An error of the whole run.
    pub fn error(error: &Error) -> Self {
        Self::Error(error.clone().rewritten(lines))
    }
}

impl Outcome {
    /// The same with the code that the program exits with.
    #[must_use]
    pub fn with_exit(self, exit: Exit) -> Self {
        Self { exit_code: exit.code(), ..self }
    }
}

impl Unplanned {
    fn of(plan: &ReplicaPlan) -> Option<Self> {
        let (kind, reason) = match &plan.outcome {
            Planning::Planned | Planning::Inactive(_) => return None,
            Planning::Blocked(blockers) => {
                let told: Vec<String> = blockers.iter().map(|blocker| render::blocker(plan, blocker)).collect();
                (None, told.join("; "))
            }
            Planning::Unobserved(error) => (Some(error.kind), error.message.clone()),
        };
        Some(Self { replica: plan.name.to_string(), kind, reason: render::clean(&reason) })
    }
}

impl PlannedAction {
    fn of(action: &Action) -> Self {
        Self {
            address: action.address.to_string(),
            verb: action.verb(),
            reason: render::clean(&render::why(action, None)),
            bytes: action.bytes_to_copy(),
        }
    }
}

/// A message of several lines, each without what a terminal would obey.
fn lines(text: &str) -> String {
    text.lines().map(render::clean).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_lines_and_loses_its_escapes() {
        let error = Error::new(Kind::Stale, "it is stale:\n  main: gone\u{1b}[2J").hint("plan again\r\nand apply");
        let Happening::Error(Error { message, hint, .. }) = Happening::error(&error) else {
            panic!("an error is an error event")
        };
        assert_eq!(message, "it is stale:\n  main: gone\\u{1b}[2J");
        assert_eq!(hint.as_deref(), Some("plan again\nand apply"));
    }
    #[test]
    fn a_failure_of_any_kind_is_told_with_its_kind() {
        let address = "main/backup/20261122T092435".parse().unwrap();
        for kind in crate::error::all_kinds() {
            let told = serde_json::to_value(Happening::failed(&address, &Error::new(kind, "no"))).unwrap();
            assert_eq!((&told["type"], &told["kind"]), (&"failed".into(), &kind.label().into()), "{told}");
        }
    }
}
