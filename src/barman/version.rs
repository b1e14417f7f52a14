//! Barman's own version numbers, and what changed on disk from one to the next.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::{InvalidId, textual_id};

/// A version of Barman: `3.12`, `3.19.1`; a suffix such as `a1` or `.dev0` is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BarmanVersion {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: u16,
    /// The third number, 0 when it is left out.
    pub patch: u16,
}
textual_id!(BarmanVersion, r"^[0-9]+\.[0-9]+\.[0-9]+$");

impl BarmanVersion {
    /// A version from its three numbers.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }
}

impl FromStr for BarmanVersion {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("Barman version", text, "expected a form such as 3.19.1");
        let mut numbers = text.split('.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..digits].parse::<u16>()
        });
        let mut next = || numbers.next().and_then(Result::ok);
        let major = next().ok_or_else(invalid)?;
        let minor = next().ok_or_else(invalid)?;
        Ok(Self { major, minor, patch: next().unwrap_or(0) })
    }
}

impl fmt::Display for BarmanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
