//! The controller: keeps a site by itself, for as long as it is let.
//!
//! ```text
//!   site file ──► Controller ──► turn (the replicas of a primary that are due) ──► each replica: leave ──► apply
//!                     ▲                                                                     │
//!                     └────────────────────────── Report ◄──────────────────────────────────┘
//! ```
//!
//! [`Controller`] alone knows what time it is and what is due. A turn looks at both ends of the replicas of one primary that
//! are due, and goes on with each as soon as it is observed: what one of them takes delays no other. Each is due again by
//! its schedule or, when it failed, after a [`pause`]. What may be done without a person is decided by
//! [`Leave`](crate::plan::scope::leave::Leave). While an apply goes on, which takes hours where a base is copied, its replica is
//! looked at on its schedule all the same, and WAL that was archived since is brought beside it ([`meanwhile`]). What lies
//! here is verified as it goes, where no apply is at work ([`scrubbing`]). Whoever follows hears of it as a [`Follower`].

mod drilling;
mod keeper;
mod look;
mod meanwhile;
mod pause;
mod scrubbing;
mod standing;
mod turn;

pub use keeper::{Controller, Start};
pub use standing::{Applied, Looked, Report, Standing, State};

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::barman::drill::Drill;
use crate::barman::ids::ServerName;
use crate::cycle::Session;
use crate::error::Error;
use crate::events::{Listener, Summary};
use crate::plan::Plan;
use crate::plan::scope::leave::Waiting;
use crate::schedule::Suspension;
use crate::scrub::Outcome;
use crate::site::model::Replica;

/// What was done of each replica of a plan, while it is being done.
pub type Work<'a> = BoxFuture<'a, Result<BTreeMap<ServerName, Summary>, Error>>;

/// Somebody who follows what a controller does.
#[async_trait]
pub trait Follower: Send + Sync {
    /// It goes on; said twice a second.
    fn alive(&self);
    /// It is told to end, and waits for what runs.
    fn ending(&self);
    /// What is kept from now on.
    fn keeps(&self, session: &Session);
    /// It may have changed what is here that no replica copies.
    fn rest(&self, session: &Session);
    /// Something is wrong with the site as a whole.
    fn site_error(&self, error: &Error);
    /// What a replica's state is now, where it is another one than before.
    fn state(&self, replica: &ServerName, state: &State);
    /// Somebody suspended a replica, or resumed it.
    fn suspended(&self, replica: &ServerName, suspension: Option<&Suspension>);
    /// Both ends of a replica were looked at, and what waits of its plan; what may be done now is about to be.
    fn looked(&self, looked: &Looked, waiting: &Waiting, took: Duration);
    /// An apply begins: who hears of its steps.
    fn apply(&self, plan: &Plan) -> Box<dyn Listener>;
    /// Lets work on a plan be done, and keeps a record of it.
    async fn recorded(&self, plan: &Plan, work: Work<'_>) -> Result<BTreeMap<ServerName, Summary>, Error>;
    /// WAL that was archived while an apply goes on was brought beside it, or could not be.
    fn meanwhile(&self, report: &Report);
    /// What lies here of a replica was read, as far as it was due, or could not be.
    fn verified(&self, replica: &ServerName, outcome: &Result<Outcome, Error>);
    /// A drill of a replica was made, or could not be; or what it came to could not be kept.
    fn drilled(&self, replica: &Replica, outcome: &Result<Drill, Error>, unkept: Option<&Error>);
    /// A turn of a replica ended, and when the next one is due.
    fn report(&self, report: &Report, due: Timestamp);
}
