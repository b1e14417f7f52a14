//! Metrics: how a site stands and what runs came to, in Prometheus' text format 0.0.4.
//!
//! ```text
//! plan::status, plan ──► state ──┐
//!                                ├──► exposition ──► text
//! plans, applies, runs ► ledger ─┘         │
//!            ▲                             ▼
//!            └────────── kept ◄───── an earlier text
//! ```
//!
//! | question | room |
//! | --- | --- |
//! | which series there are, and what they mean | [`series`] |
//! | how a site stands, as samples | [`state`] |
//! | what the runs so far came to | [`ledger`], [`durations`] |
//! | what an earlier text holds of that | [`kept`] |
//! | how samples become text | [`exposition`] |
//!
//! All samples are made anew from values each time, so that nothing stays of a replica that is gone. What nobody knows has
//! no sample: a zero would be a word without proof.

pub mod durations;
pub mod exposition;
pub mod kept;
pub mod ledger;
pub mod series;
pub mod state;

use crate::error::Error;

use exposition::Exposition;
use ledger::Ledger;
use state::State;

/// What an HTTP answer says that it is.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The metrics of a site: how it stands, where that is known, and what the ledger holds.
pub fn text(site: &str, state: Option<&State<'_>>, ledger: &Ledger) -> Result<String, Error> {
    let mut exposition = Exposition::of(site);
    exposition.number(series::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    if let Some(state) = state {
        state::add(state, &mut exposition);
    }
    ledger.expose(&mut exposition);
    exposition.text()
}

#[cfg(test)]
mod tests;
