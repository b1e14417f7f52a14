//! WAL that is archived while a base is copied.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use antipode::apply::{Beside, Companion};
use antipode::barman::layout::Layout;
use antipode::barman::wal::Timeline;
use antipode::demo::catalog::{PrimaryCatalog, Stored};
use antipode::events::Nobody;
use antipode::plan::Plan;
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::faulty::Gate;
use super::ground::{Ground, TestSite};
use super::stages;

/// Archives one segment after the other, and has each brought, until the gate is opened.
struct Archiver<'a> {
    site: &'a TestSite,
    gate: Arc<Gate>,
    primary: Mutex<PrimaryCatalog>,
    /// The last segment that the primary has.
    last: u64,
    closing: CancellationToken,
}

impl Archiver<'_> {
    async fn archive(&self, number: u64) {
        let at = Timestamp::now().to_string();
        let mut primary = self.primary.lock().await;
        primary.segments(Timeline(1), number..=number, &at, Duration::from_secs(1), Stored::Gzip).unwrap();
        primary.made().unwrap();
    }

    fn listed(&self, number: u64) -> bool {
        let path = Layout::NEWEST.xlogdb(&self.site.dirs());
        let name = format!("0000000100000000{number:08X}");
        fs::read_to_string(path).is_ok_and(|list| list.contains(&name))
    }
}

#[async_trait]
impl Companion for Archiver<'_> {
    fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    async fn go_along(&self, beside: &Beside<'_>, ended: CancellationToken) {
        self.gate.is_asked().await;
        for number in [self.last + 1, self.last + 2] {
            self.archive(number).await;
            let now = Timestamp::now();
            let (plan, observation) = stages::look(&self.site.site, now).await;
            let plan: Plan = plan.beside(beside.running, &observation, now);
            let summary = beside.carry_out(&plan.replicas[0], &Nobody).await;
            assert_eq!((&summary.failed, &summary.skipped), (&vec![], &vec![]));
            assert!(self.listed(number), "{summary:?}");
            assert!(summary.transferred > 0 && !ended.is_cancelled());
        }
        self.gate.open();
        ended.cancelled().await;
    }
}

#[tokio::test]
async fn wal_that_is_archived_while_a_base_is_copied_does_not_wait_for_it() {
    let (ground, primary) = Ground::of_one_day();
    let (site, gate) = (ground.empty_site("site"), Gate::shut());
    let archiver = Archiver {
        site: &site,
        gate: Arc::clone(&gate),
        primary: Mutex::new(primary),
        last: 0x0A,
        closing: CancellationToken::new(),
    };
    let (plan, summary) = site.apply_beside(&gate, &archiver).await;
    assert_eq!((&summary.failed, &summary.skipped), (&vec![], &vec![]), "{plan:?}");
    assert!(summary.done.len() >= plan.replicas[0].actions.len());
    let left = site.plan().await;
    assert!(left.is_empty(), "{:?}", left.replicas[0].actions);
    super::readable::assert_readable(&site.dirs());
}
