//! Who is told of what happens at a site.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

/// What happened that somebody may want to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A replica, or a run as a whole, failed, and did not fail so before.
    Failed,
    /// What failed before did not fail this time.
    Recovered,
    /// Something was changed at the site.
    Applied,
    /// A replica is further behind than its objective says, and was not before.
    ObjectiveMissed,
}

impl Occasion {
    /// As the site file has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Recovered => "recovered",
            Self::Applied => "applied",
            Self::ObjectiveMissed => "objective_missed",
        }
    }
}

/// Who is told, by what of.
pub type Hooks = BTreeMap<Occasion, Vec<Hook>>;

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hook {
    /// How.
    pub way: Way,
    /// How long it may take.
    pub timeout: Duration,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A program with these words gets the event on its standard input.
    Command(Vec<String>),
    /// The event is posted there.
    Webhook(Address),
    /// The same, to the address that is in this file.
    WebhookFile(PathBuf),
}

/// An address on the web. Whoever knows it may tell, so that it is shown without its path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

impl Address {
    /// One that begins with `https://` or `http://` and names a host; `None` for any other text.
    pub fn new(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let has_host = rest.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '[');
        let is_plain = text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`'));
        (has_host && is_plain).then(|| Self(text.to_owned()))
    }

    /// All of it.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// The text where this occurs in it, with what may be shown in its place.
    pub fn masked_in(&self, text: &str) -> String {
        let path = self.0.splitn(4, '/').nth(3).filter(|path| path.len() > 3);
        let text = text.replace(&self.0, &self.to_string());
        path.map_or_else(|| text.clone(), |path| text.replace(path, "…"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("https", self.0.as_str()));
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // A password may stand before the host.
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let more = if path.len() > 1 { "/…" } else { "" };
        write!(f, "{scheme}://{host}{more}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            // Its arguments may be secrets.
            Way::Command(words) => f.write_str(words.first().map_or("", String::as_str)),
            Way::Webhook(address) => address.fmt(f),
            Way::WebhookFile(path) => write!(f, "the address in {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_lets_somebody_tell() {
        for (text, shown) in [
            ("https://hooks.example.com/T00/B00/s3cret", "https://hooks.example.com/…"),
            ("https://anna:s3cret@hooks.example.com:8443/x", "https://hooks.example.com:8443/…"),
            ("http://[::1]:9/?token=s3cret", "http://[::1]:9/…"),
            ("http://localhost:9?s3cret", "http://localhost:9/…"),
            ("http://localhost", "http://localhost"),
        ] {
            let address = Address::new(text).unwrap();
            assert_eq!((address.to_string(), format!("{address:?}")), (shown.to_owned(), shown.to_owned()));
            let said = address.masked_in(&format!("{text}: no such host; GET {text} failed"));
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in ["", "hooks.example.com", "ftp://x/", "https://", "https:///x", "https://a b", "https://a/\u{e9}"] {
            assert_eq!(Address::new(text), None, "{text}");
        }
    }
}
