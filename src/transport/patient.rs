//! A connection whose questions outlast a short loss of the line.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::barman::ids::ServerName;
use crate::barman::wal::WalName;
use crate::error::Error;

use super::patience::{Line, Patience, Wait, persist};
use super::{BarmanCommands, ByteCounter, Fetch, Fetched, Files, Look, RemoteEntry, RemoteFile};

/// Is told, with the primary's name, what was lost and how long it has been waited for.
pub type Teller = Arc<dyn Fn(&str, &Error, Wait) + Send + Sync>;

/// Asks through another connection, and asks again what may pass.
pub(super) struct Patient<T: ?Sized> {
    pub(super) inner: Arc<T>,
    pub(super) manner: Arc<Manner>,
}

/// How a primary is asked.
pub(super) struct Manner {
    pub(super) primary: String,
    pub(super) patience: Patience,
    pub(super) line: Arc<Line>,
    pub(super) cancel: CancellationToken,
    pub(super) told: Teller,
}

impl<I: ?Sized> Patient<I> {
    /// An answer comes whole or not at all, so that nothing but one is progress.
    async fn ask<T, A: Future<Output = Result<T, Error>>>(&self, attempt: impl FnMut() -> A) -> Result<T, Error> {
        let Manner { primary, patience, line, cancel, told } = self.manner.as_ref();
        persist(*patience, line, cancel, attempt, || async { 0 }, |error, wait| told(primary, error, wait)).await
    }
}

#[async_trait]
impl BarmanCommands for Patient<dyn BarmanCommands> {
    async fn sync_info(&self, server: &ServerName, after: Option<(WalName, u64)>) -> Result<Vec<u8>, Error> {
        self.ask(|| self.inner.sync_info(server, after)).await
    }

    async fn list_servers(&self) -> Result<Vec<u8>, Error> {
        self.ask(|| self.inner.list_servers()).await
    }
}

#[async_trait]
impl Files for Patient<dyn Files> {
    async fn list(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error> {
        self.ask(|| self.inner.list(directory)).await
    }

    async fn list_wide(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error> {
        self.ask(|| self.inner.list_wide(directory)).await
    }

    async fn look(&self, request: &Look) -> Result<Vec<RemoteEntry>, Error> {
        self.ask(|| self.inner.look(request)).await
    }

    async fn fetch(
        &self,
        request: &Fetch,
        counter: &ByteCounter,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Error> {
        self.ask(|| self.inner.fetch(request, counter, cancel)).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
