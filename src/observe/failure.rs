//! Why one end of a replica could not be observed: what happened to which, and what to do.

use tokio::task::JoinError;

use crate::transport::TransportError;

use super::catalog::CatalogError;
use super::inventory::Observed;
use super::own_barman::SiteConfError;

/// One end of a replica could not be observed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What happened, safe to print.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure that nothing is advised about.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says first what it happened to.
    #[must_use]
    pub fn of(self, what: impl std::fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl From<Failure> for Observed {
    fn from(failure: Failure) -> Self {
        Self::Failed { message: failure.message, hint: failure.hint }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self { message: error.with_reason(), hint: error.hint }
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self { hint: error.hint(), message: error.to_string() }
    }
}

impl From<SiteConfError> for Failure {
    fn from(error: SiteConfError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        Self::new(format!("an internal task ended early: {error}"))
    }
}
