//! The recovery point objective: what would be lost now, and whether that is within it. A plan's warning and a status
//! judge alike, as both ask here.
//!
//! Nothing is kept that nobody can show: a time in the future, or times that disagree with the order of the segments,
//! are no evidence.

use std::time::Duration;

use jiff::Timestamp;

use super::branch::is_ahead;
use crate::plan::recovery::Recovery;

/// The recovery point objective of a replica, and how it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objective {
    /// `objective.rpo`, in seconds.
    pub rpo: u64,
    /// Seconds that would be lost: the lag or, where the primary did not say, at most the age of the newest WAL. Where the
    /// primary is a copy itself, at most the lag against the origin and the time since that was looked at.
    pub loss: Option<u64>,
    /// Whether that is within the objective.
    pub kept: bool,
}

/// How long nothing has shown that a replica follows its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// `objective.max_silence`, in seconds.
    pub most: u64,
    /// For how many seconds; `None` where nothing tells.
    pub silent: Option<u64>,
    /// Whether that is not too long.
    pub kept: bool,
}

/// How long it has been since a replica was known to follow its primary, where that is watched. What lies in the future
/// shows nothing.
pub fn silence(most: Option<Duration>, followed: &[Option<Timestamp>], now: Timestamp) -> Option<Silence> {
    let most = most?.as_secs();
    let newest = followed.iter().flatten().filter(|time| !is_ahead(**time, now)).max();
    let silent = newest.map(|time| u64::try_from(now.as_second() - time.as_second()).unwrap_or_default());
    Some(Silence { most, silent, kept: silent.is_some_and(|silent| silent <= most) })
}

/// How an objective is kept, where there is one.
pub fn judge(rpo: Option<Duration>, recovery: &Recovery, now: Timestamp) -> Option<Objective> {
    let (rpo, loss) = (rpo?.as_secs(), loss(recovery, now));
    Some(Objective { rpo, loss, kept: loss.is_some_and(|loss| loss <= rpo) })
}

/// Seconds since the end of the window; `None` where that lies in the future.
pub fn age(recovery: &Recovery, now: Timestamp) -> Option<u64> {
    let to = recovery.to.filter(|to| !is_ahead(*to, now))?;
    Some(u64::try_from(now.as_second() - to.as_second()).unwrap_or_default())
}

/// Seconds that would be lost; `None` when nothing can be recovered, or nobody can say.
fn loss(recovery: &Recovery, now: Timestamp) -> Option<u64> {
    recovery.window?;
    let lag = match recovery.lag {
        Some(lag) => u64::try_from(lag.seconds?).ok()?,
        None => return age(recovery, now),
    };
    let Some(origin) = recovery.origin else { return Some(lag) };
    // Both bound it, where both are known.
    let bounds = origin.loss(now).into_iter().chain(age(recovery, now));
    Some(bounds.min()?.max(lag))
}
