//! The stages of the program over a site, in this process: observe, plan, apply. Also the unit tests of `apply` use it,
//! where the program is called by its name too.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antipode::apply::{Companion, Limits, Means, RunLock, Shared, apply};
use antipode::barman::last_apply::SiteNote;
use antipode::barman::layout::ServerDirs;
use antipode::error::Error;
use antipode::events::{Listener, Summary};
use antipode::observe::inventory::Observation;
use antipode::observe::{Purpose, SiteConf, Terms, Turns, observe};
use antipode::plan::{Plan, backup, plan};
use antipode::site::Site;
use antipode::site::model::{Primary, Replica};
use antipode::store::{Posix, Store, home};
use antipode::transport::patience::Patience;
use antipode::transport::{self, Connection};
use futures::FutureExt;
use futures::future::{join_all, ready, try_join_all};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

/// A line that brings nothing is given up after a moment.
const IMPATIENT: Patience = Patience {
    first_pause: Duration::from_millis(10),
    longest_pause: Duration::from_millis(20),
    without_progress: Duration::from_millis(200),
};

/// How long a lock is waited for that another run holds, unless a test wants another.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// What each primary answers when it is called.
pub type Connections = BTreeMap<String, Result<Connection, Error>>;

/// Opens the catalog of a server that has these directories.
pub type Stores<'a> = &'a (dyn Fn(&ServerDirs) -> Arc<dyn Store> + Sync);

/// The catalog in these directories, with all else where Barman has it by default.
pub fn on_disk(dirs: &ServerDirs) -> Arc<dyn Store> {
    Arc::new(Posix::new(dirs.clone()))
}

/// What an apply is done with.
pub struct With<'a> {
    /// Opens the catalogs at the site.
    pub stores: Stores<'a>,
    pub limits: Limits,
    pub lock_timeout: Duration,
    pub listener: &'a dyn Listener,
    pub cancel: &'a CancellationToken,
    /// Who goes along with each apply, if somebody does.
    pub companion: Option<&'a dyn Companion>,
}

/// The site that a site file describes.
pub fn declare(text: &str) -> Site {
    antipode::site::load("site.yaml", text, None).unwrap_or_else(|error| panic!("{error:?}\n{text}")).site
}

pub fn replicas(site: &Site) -> Vec<Replica> {
    site.replicas.values().cloned().collect()
}

/// Observes both ends of every replica, and plans.
pub async fn look(site: &Site, now: Timestamp) -> (Plan, Observation) {
    look_over(site, &call(site).await, now).await
}

/// Plans, and applies that as a command does it. What is `between` may change the ways to the primaries, when the plan is
/// made.
pub async fn plan_and_apply(
    site: &Site,
    now: Timestamp,
    with: With<'_>,
    between: impl FnOnce(&Plan, &mut Connections),
) -> (Plan, Summary) {
    home::prepare(&site.catalog.path).unwrap();
    let barman = SiteConf::read(&site.catalog).unwrap();
    let take = |name| RunLock::take((with.stores)(&barman.server(name).unwrap().0), name, LOCK_TIMEOUT);
    let run_locks = try_join_all(site.replicas.keys().map(take)).await.unwrap();
    let mut connections = call(site).await;
    let (plan, _) = look_over(site, &connections, now).await;
    between(&plan, &mut connections);
    let replicas = replicas(site);
    let declared = plan.replicas.iter().zip(&replicas);
    let admitted = declared.clone().map(|(plan, replica)| (plan, replica, &site.primaries[&replica.primary]));
    let shares = Shared::new(with.limits, Arc::default()).admit(admitted);
    let applies = declared.zip(shares).zip(run_locks).map(|(((plan, replica), share), run_lock)| {
        let means = Means {
            site: SiteNote { name: site.name.clone(), file: site.file.clone() },
            replica,
            connection: connections[&replica.primary].as_ref().map_err(Clone::clone),
            lock_timeout: with.lock_timeout,
            patience: IMPATIENT,
            run_lock,
            share,
            companion: with.companion,
        };
        apply(plan, means, with.listener, with.cancel)
    });
    let summary = join_all(applies).await.into_iter().fold(Summary::default(), Summary::and);
    (plan, summary)
}

async fn call(site: &Site) -> Connections {
    let mut connections = Connections::new();
    for (name, primary) in &site.primaries {
        let call = transport::open(primary, Path::new("/tmp"), &CancellationToken::new()).await;
        connections.insert(name.clone(), call);
    }
    connections
}

async fn look_over(site: &Site, connections: &Connections, now: Timestamp) -> (Plan, Observation) {
    let (replicas, purpose, never) = (replicas(site), Purpose::Plan { refresh: false }, CancellationToken::new());
    let call = |primary: &Primary| ready(connections[&primary.name].clone()).boxed();
    let terms = Terms { purpose, turns: &Turns::default(), now, cancel: &never };
    let all = Mutex::new(BTreeMap::new());
    let each = |name, observed| drop(all.lock().unwrap().insert(name, observed));
    observe(site, &replicas, &call, &backup::to_copy(now), terms, &each).await.unwrap();
    let observed = Observation { replicas: all.into_inner().unwrap() };
    (plan(site, &replicas, &observed, now), observed)
}
