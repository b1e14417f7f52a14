//! Publishing WAL: the lines of xlog.db.
//!
//! The file is always read again, written whole and renamed, under Barman's lock. As making it costs more the longer
//! the archive is, lines are collected, and the file is rewritten when that takes but a small part of the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::barman::wal::WalName;
use crate::barman::wal_entry::WalEntry;
use crate::barman::xlogdb::XlogDb;
use crate::error::Error;
use crate::store::locks::LockKind;
use crate::store::xlogdb::Rewritten;
use crate::transport::blocking;

use super::replica_run::ReplicaRun;

/// Lines that xlog.db is still to get.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    entries: Vec<WalEntry>,
    last: Option<(Instant, Duration)>,
}

impl Pending {
    /// Whether rewriting now keeps its share of the time below a tenth.
    fn is_due(&self) -> bool {
        self.last.is_none_or(|(when, cost)| when.elapsed() >= cost * 10)
    }
}

impl Ledger {
    /// Publishes WAL files that are in place, at once or together with later ones.
    pub async fn publish(&self, run: &ReplicaRun<'_>, entries: Vec<WalEntry>) -> Result<(), Error> {
        let mut pending = self.0.lock().await;
        pending.entries.extend(entries);
        if !pending.entries.is_empty() && pending.is_due() { Self::write(&mut pending, run).await } else { Ok(()) }
    }

    /// Publishes what is still pending.
    pub async fn flush(&self, run: &ReplicaRun<'_>) -> Result<(), Error> {
        let mut pending = self.0.lock().await;
        if pending.entries.is_empty() { Ok(()) } else { Self::write(&mut pending, run).await }
    }

    async fn write(pending: &mut Pending, run: &ReplicaRun<'_>) -> Result<(), Error> {
        // They stay pending until they are written: when this fails, whoever has lines among them must not succeed.
        let entries = pending.entries.clone();
        let begin = Instant::now();
        rewrite(run, move |lines| lines.with(entries.iter().copied())).await?;
        pending.entries.clear();
        pending.last = Some((Instant::now(), begin.elapsed()));
        Ok(())
    }
}

/// Rewrites xlog.db: `change` gets what is there. The list is made before its lock is taken, and once more if it is another
/// one by then: so whoever else wants the lock waits for a write, and not for a million lines to be read.
pub async fn rewrite(
    run: &ReplicaRun<'_>,
    change: impl Fn(XlogDb) -> XlogDb + Send + Sync + 'static,
) -> Result<(), Error> {
    let (layout, version, change) = (run.layout, run.target.barman, Arc::new(change));
    let (store, changed) = (Arc::clone(&run.store), Arc::clone(&change));
    let list = blocking(move || Ok(Rewritten::make(store.as_ref(), layout, version, changed.as_ref())?)).await?;
    let lock = run.lock(LockKind::XlogDb).await?;
    let store = Arc::clone(&run.store);
    blocking(move || {
        let written = list.write(store.as_ref(), layout, version, change.as_ref());
        drop(lock);
        Ok(written?)
    })
    .await
}

/// What describes WAL files without a look at them: the primary, or else the old line.
///
/// What they say of a file's size counts even where it has another: so it stays known that it is cut off.
#[derive(Debug)]
pub struct Told {
    known: XlogDb,
}

impl Told {
    /// What the primary says of these.
    pub fn by_primary(known: impl IntoIterator<Item = WalEntry>) -> Self {
        // Who lists a file as empty knows nothing of it.
        Self { known: XlogDb::new(known.into_iter().filter(|entry| entry.size > 0)) }
    }

    /// What a file is.
    pub fn of(&self, name: WalName, lines: &XlogDb) -> Option<WalEntry> {
        self.known.get(name).or_else(|| lines.get(name))
    }

    /// The list that is true: every file on disk once, described by what is told, or else by what was found in it. One
    /// that nothing describes is left out.
    pub fn reconcile(&self, lines: &XlogDb, on_disk: &[WalName], found: &BTreeMap<WalName, WalEntry>) -> XlogDb {
        let described = on_disk.iter().filter_map(|name| self.of(*name, lines).or_else(|| found.get(name).copied()));
        XlogDb::new(described)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_file_is_listed_with_the_size_that_it_should_have() {
        let entry = |text: &str| XlogDb::parse(text.as_bytes()).entries().last().unwrap();
        let whole = entry("000000010000000000000001\t16777216\t1.5\tNone\tNone\n");
        let cut = WalEntry { size: 300, ..whole };
        let (on_disk, found) = ([cut.name], BTreeMap::from([(cut.name, cut)]));
        let (none, old) = (XlogDb::default(), XlogDb::new([whole]));
        for (lines, known, expected) in [(&old, vec![], whole), (&none, vec![whole], whole), (&none, vec![], cut)] {
            assert_eq!(
                Told::by_primary(known).reconcile(lines, &on_disk, &found).entries().iter().collect::<Vec<_>>(),
                [expected]
            );
        }
        let unlisted = XlogDb::new([whole, WalEntry { name: "00000002.history".parse().unwrap(), ..whole }]);
        assert_eq!(
            Told::by_primary([]).reconcile(&unlisted, &on_disk, &found).entries().iter().collect::<Vec<_>>(),
            [whole]
        );
    }
}
