//! What the steps of one replica share during an apply.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::barman::findings::{Finding, Findings};
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::last_apply::Measured;
use crate::barman::layout::Layout;
use crate::error::{Error, Kind};
use crate::plan::Target;
use crate::plan::action::Address;
use crate::plan::cost::compress;
use crate::site::model::{Compress, Reuse};
use crate::store::locks::{self as store_locks, Lock, LockKind};
use crate::store::staged::Staged;
use crate::store::{Place, Store};
use crate::transport::patience::{Line, Patience, persist};
use crate::transport::{ByteCounter, Fetch, Fetched, Files, Look, RemoteEntry, RemoteFile, What, blocking, paths};

use super::meter::Meter;
use super::piece::Piece;
use super::shared::Share;
use super::slots::{Slot, Urgency};
use super::xlogdb::Ledger;
use super::{leftovers, locks};
use crate::events::{Event, Listener};

/// How long a transfer may take to end well after an interruption: longer than the transport gives rsync.
const GRACE: Duration = Duration::from_secs(15);

/// How bytes of one replica are moved.
#[derive(Clone)]
pub struct Moving<'a> {
    /// The way to the primary.
    pub files: Arc<dyn Files>,
    /// What it shares with other replicas.
    pub share: &'a Share,
    /// What is done with files that an older backup has.
    pub reuse: Reuse,
    /// Whether bytes are compressed on their way.
    pub compress: Compress,
    /// The primary's name.
    pub primary: String,
    /// The primary's line, which it shares with other replicas.
    pub line: Arc<Line>,
    /// How long a line that was lost is waited for.
    pub patience: Patience,
}

/// A copy that a step asks for.
pub struct Errand<'a> {
    /// The step's action.
    pub address: &'a Address,
    /// How urgent it is.
    pub urgency: Urgency,
    /// Where arriving bytes are counted.
    pub counter: &'a ByteCounter,
    /// What is copied.
    pub request: Fetch,
    /// Where it is cut off, when it is a piece of one file.
    pub piece: Option<Piece>,
}

/// The right to use the line, until it is dropped: a slot of the replica and one of the primary.
pub type Turn = [Slot; 2];

/// One of Barman's locks, held until it is dropped.
pub struct HeldLock {
    // In this order: the lock is free before the next step gets its turn.
    _lock: Lock,
    _turn: OwnedMutexGuard<()>,
}

/// Whose turn it is among the steps of one run to take a lock: they wait for each other as long as it takes, and only
/// for other processes no longer than `--lock-timeout`.
#[derive(Debug, Default)]
struct Turns(Mutex<BTreeMap<LockKind, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn take(&self, kind: LockKind) -> OwnedMutexGuard<()> {
        let turn = {
            // Nothing in here can panic half-way.
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(kind).or_default())
        };
        turn.lock_owned().await
    }
}

/// What the steps of one replica share.
pub struct ReplicaRun<'a> {
    /// Where its files are, and for which Barman they are written.
    pub target: &'a Target,
    /// The layout of that Barman.
    pub layout: Layout,
    /// Its catalog.
    pub store: Arc<dyn Store>,
    /// How bytes are moved.
    pub moving: Moving<'a>,
    /// How long a busy lock is waited for.
    pub lock_patience: Duration,
    /// Systems whose WAL may be placed.
    pub systems: BTreeSet<SystemId>,
    /// Lines that xlog.db is still to get.
    pub ledger: Arc<Ledger>,
    /// What lies in staging, from the first time that something is written there.
    staged: Arc<OnceCell<Arc<Staged>>>,
    /// Fires when the run is interrupted.
    pub cancel: &'a CancellationToken,
    /// Is told of retries.
    pub listener: &'a dyn Listener,
    /// Locks of the server, held from its first step to its last.
    server_locks: Mutex<Option<[HeldLock; 2]>>,
    /// Locks of backups that are being copied, held until they are published.
    backup_locks: Mutex<BTreeMap<BackupId, [HeldLock; 2]>>,
    turns: Arc<Turns>,
    meter: Meter,
    found: Mutex<Findings>,
}

impl<'a> ReplicaRun<'a> {
    /// Nothing is done yet.
    pub fn new(
        target: &'a Target,
        store: Arc<dyn Store>,
        moving: Moving<'a>,
        lock_patience: Duration,
        cancel: &'a CancellationToken,
        listener: &'a dyn Listener,
    ) -> Self {
        Self {
            layout: Layout::of(target.barman),
            systems: target.systems.iter().copied().collect(),
            ledger: Arc::default(),
            staged: Arc::default(),
            server_locks: Mutex::default(),
            backup_locks: Mutex::default(),
            turns: Arc::default(),
            meter: Meter::default(),
            found: Mutex::default(),
            target,
            store,
            moving,
            lock_patience,
            cancel,
            listener,
        }
    }

    /// A run of another plan of the replica beside this one, which holds the locks of the server and has to outlive it.
    pub fn beside<'b>(&'b self, target: &'b Target, share: &'b Share, listener: &'b dyn Listener) -> ReplicaRun<'b> {
        let moving = Moving { share, ..self.moving.clone() };
        ReplicaRun {
            ledger: Arc::clone(&self.ledger),
            staged: Arc::clone(&self.staged),
            turns: Arc::clone(&self.turns),
            ..ReplicaRun::new(target, Arc::clone(&self.store), moving, self.lock_patience, self.cancel, listener)
        }
    }

    /// To be called before each write to staging: the first call marks it.
    pub async fn staged(&self) -> Result<Arc<Staged>, Error> {
        let begin = || async {
            let store = Arc::clone(&self.store);
            blocking(move || Ok(Arc::new(Staged::begin(store)?))).await
        };
        self.staged.get_or_try_init(begin).await.cloned()
    }

    /// Where a place is on this host: for what is copied into it, and for messages.
    pub fn local(&self, place: Place) -> PathBuf {
        self.store.local(place.into())
    }

    /// Locks the server and removes what killed runs left in the way, where all of it is ours alone.
    pub async fn begin(&self) -> Result<(), Error> {
        let store = Arc::clone(&self.store);
        let keep_to_us = move || {
            store.followed_links()?;
            Ok(store.shut_group_out()?)
        };
        blocking(keep_to_us).await?;
        let locks = locks::server(self).await?;
        leftovers::clear(self).await?;
        *self.server() = Some(locks);
        Ok(())
    }

    /// Lets go of the server.
    pub async fn end(&self) {
        drop(self.server().take());
        let Some(staged) = self.staged.get().cloned() else { return };
        if let Err(error) = blocking(move || Ok(staged.end()?)).await {
            tracing::warn!("what lies in staging will be compared by the next apply: {error}");
        }
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<[HeldLock; 2]>> {
        // It holds nothing that a panic could leave half-changed.
        self.server_locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one of Barman's locks of this server, waiting while it is busy. An interruption ends the waiting; a lock
    /// that is free is taken all the same, so that what is in place can still be published.
    pub async fn lock(&self, kind: LockKind) -> Result<HeldLock, Error> {
        let held = async {
            let turn = self.turns.take(kind).await;
            Ok(HeldLock {
                _lock: store_locks::acquire(self.store.as_ref(), kind, self.lock_patience).await?,
                _turn: turn,
            })
        };
        tokio::select! {
            biased;
            held = held => held,
            () = self.cancel.cancelled() => Err(Error::interrupted()),
        }
    }

    /// Takes the locks of a backup and holds them until `release`: nobody else copies, checks or deletes it.
    pub async fn hold(&self, id: BackupId) -> Result<(), Error> {
        let locks = [self.lock(LockKind::SyncBackup(id)).await?, self.lock(LockKind::BackupId(id)).await?];
        self.held().insert(id, locks);
        Ok(())
    }

    /// Lets go of the locks of a backup.
    pub fn release(&self, id: BackupId) {
        self.held().remove(&id);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<BackupId, [HeldLock; 2]>> {
        // Inserting and removing cannot leave the map half-changed.
        self.backup_locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies files when it is their turn, and tries again what may pass.
    pub async fn fetch(&self, errand: Errand<'_>) -> Result<Fetched, Error> {
        let turn = self.turn(errand.urgency).await?;
        self.fetch_in(turn, errand).await
    }

    /// Copies files in a turn that is theirs, and tries again what may pass.
    pub async fn fetch_in(&self, _turn: Turn, errand: Errand<'_>) -> Result<Fetched, Error> {
        // What is here tells progress, and not what an attempt counted: that grows by what it found here, too.
        let here = || bytes_here(&errand.request);
        let fetched = self.patiently(errand.address, || self.attempt(&errand), here).await;
        fetched.map_err(|error| {
            let is_cut_off = errand.piece.is_some() && !self.cancel.is_cancelled();
            let ended = error.kind == Kind::Interrupted;
            if is_cut_off && ended { Error::limit_reached() } else { error }
        })
    }

    /// Copies once, within the limits that it is under.
    async fn attempt(&self, errand: &Errand<'_>) -> Result<Fetched, Error> {
        // The primary sends no faster either: what is on its way already is not held back here.
        let bandwidth = [errand.piece.map(Piece::bandwidth), self.moving.share.limit()].into_iter().flatten().min();
        let taps = self.moving.share.taps()?;
        let request = Fetch { bandwidth, taps, ..errand.request.clone() };
        self.transfer(errand, &request, &self.cancel.child_token()).await
    }

    /// Copies, and charges what arrived, also of a copy that failed.
    async fn transfer(
        &self,
        errand: &Errand<'_>,
        request: &Fetch,
        cut_off: &CancellationToken,
    ) -> Result<Fetched, Error> {
        let before = errand.counter.get();
        let running = self.meter.begin();
        let files = &self.moving.files;
        let fetched = match errand.piece {
            None => files.fetch(request, errand.counter, cut_off).await,
            Some(piece) => {
                let _listening = errand.counter.listen(piece.cuts_off(errand.counter, cut_off));
                files.fetch(request, errand.counter, cut_off).await
            }
        };
        // A piece is slowed down, a delta waits for who compares, of a part nobody tells how it was compressed, and an attempt
        // that failed waited for what did not come: none of them tells of the line.
        let is_compressed_part = request.compress && matches!(request.what, What::Part(_));
        let tells = errand.piece.is_none() && request.basis.is_none() && !is_compressed_part;
        if let Some(fetched) = fetched.as_ref().ok().filter(|_| tells) {
            running.brought(fetched.transferred);
        }
        let arrived = || {
            let counted = errand.counter.get().saturating_sub(before);
            errand.piece.map_or(counted, |piece| piece.arrived(counted))
        };
        self.moving.share.charge(errand.urgency, fetched.as_ref().map_or_else(|_| arrived(), |f| f.transferred));
        fetched
    }

    /// Notes what a copy found of a backup at the primary.
    pub fn note_finding(&self, id: BackupId, finding: Finding) {
        finding.note(self.found.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default());
    }

    /// What was found so far.
    pub fn findings(&self) -> Findings {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes that arrived so far, and the time during which they did.
    pub fn measured(&self) -> Measured {
        self.meter.measured()
    }

    /// Whether files are compressed on their way that are plain, or are not.
    pub fn compresses(&self, is_plain: bool) -> bool {
        compress::pays(self.moving.compress, is_plain, self.line_rate())
    }

    /// Lists files at the primary when it is their turn, and tries again what may pass.
    pub async fn list(&self, address: &Address, directory: &Path, urgency: Urgency) -> Result<Vec<RemoteFile>, Error> {
        let _turn = self.turn(urgency).await?;
        // A list comes whole or not at all.
        self.patiently(address, || self.moving.files.list(directory), || async { 0 }).await
    }

    /// Looks at files at the primary when it is their turn, and tries again what may pass.
    pub async fn look(&self, address: &Address, look: &Look, urgency: Urgency) -> Result<Vec<RemoteEntry>, Error> {
        let _turn = self.turn(urgency).await?;
        self.patiently(address, || self.moving.files.look(look), || async { 0 }).await
    }

    /// Waits for a slot of the replica and one of the primary.
    async fn turn(&self, urgency: Urgency) -> Result<Turn, Error> {
        self.moving.share.follow(self.moving.line.round_trip(), self.meter.load());
        tokio::select! {
            turn = self.moving.share.line(urgency) => Ok(turn),
            () = self.cancel.cancelled() => Err(Error::interrupted()),
        }
    }

    /// The same, unless there is no more need of it first.
    pub async fn turn_unless(&self, urgency: Urgency, needless: &CancellationToken) -> Result<Option<Turn>, Error> {
        tokio::select! {
            biased;
            () = needless.cancelled() => Ok(None),
            turn = self.turn(urgency) => turn.map(Some),
        }
    }

    /// What the line brings in bytes per second, by this run or else by the last one, within what is declared.
    pub fn line_rate(&self) -> Option<u64> {
        let measured = self.measured().rate();
        self.target.pace.expected(measured)
    }

    /// Tries, and tries again what may pass; the listener is told of each wait for the line.
    async fn patiently<T, A: Future<Output = Result<T, Error>>, P: Future<Output = u64>>(
        &self,
        address: &Address,
        attempt: impl FnMut() -> A,
        here: impl Fn() -> P,
    ) -> Result<T, Error> {
        let Moving { patience, line, primary, .. } = &self.moving;
        let done = persist(*patience, line, self.cancel, attempt, here, |error, wait| {
            let (address, primary, error) = (address.clone(), primary.clone(), error.clone());
            self.listener.notice(&Event::Retrying { address, primary, error, wait });
        });
        tokio::select! {
            biased;
            done = done => done.map_err(|error| error.with_reason().or_make_room()),
            // Whatever runs watches the token itself and ends well; this is for what would not.
            () = cancelled_for(self.cancel, GRACE) => Err(Error::interrupted()),
        }
    }
}

/// The bytes that are here of what is asked for, those of files that are not finished included.
async fn bytes_here(request: &Fetch) -> u64 {
    let (into, what) = (request.into.clone(), request.what.clone());
    let here = move || match what {
        What::Files { paths, flatten } => paths::bytes_of(&into, &paths, flatten),
        What::Directories { .. } => paths::bytes_below(&into),
        What::Part(part) => paths::bytes_of_part(&into, &part),
    };
    tokio::task::spawn_blocking(here).await.unwrap_or_default()
}

/// Fires some time after the token.
async fn cancelled_for(cancel: &CancellationToken, grace: Duration) {
    cancel.cancelled().await;
    tokio::time::sleep(grace).await;
}
