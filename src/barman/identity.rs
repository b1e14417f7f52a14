//! `identity.json`: the PostgreSQL system that a server directory belongs to (Barman `server.py`,
//! `write_identity_file`).

use serde::{Deserialize, Serialize};

use super::ids::SystemId;

/// The identity of a server. Barman compares it with the PostgreSQL server before it makes a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The system identifier.
    pub systemid: SystemId,
    /// PostgreSQL's major version, for example `17`.
    pub version: String,
}

/// A file is not an identity.json.
#[derive(Debug, thiserror::Error)]
#[error("identity.json cannot be read: {0}; Barman makes it anew when it is removed and the server is active")]
pub struct InvalidIdentity(#[from] serde_json::Error);

impl Identity {
    /// Reads the file; keys that are not known are ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidIdentity> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The file as Barman writes it: indented by four, keys sorted.
    pub fn write(&self) -> Vec<u8> {
        let version = serde_json::Value::from(self.version.as_str());
        format!("{{\n    \"systemid\": \"{}\",\n    \"version\": {version}\n}}\n", self.systemid).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn identities_are_read_as_they_are_written(systemid in any::<u64>(), version in any::<String>()) {
            let identity = Identity { systemid: SystemId(systemid), version };
            prop_assert_eq!(Identity::parse(&identity.write()).unwrap(), identity);
        }
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        for bad in ["", "{}", "[]", r#"{"systemid": "x", "version": "17"}"#] {
            assert!(Identity::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
