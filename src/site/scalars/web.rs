//! Addresses on the web.

use super::{Mistake, Scalar};
use crate::site::hooks::Address;

/// An address to which events are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct Webhook(pub Address);

impl Scalar for Webhook {
    const FORMAT: &'static str = "webhook";

    fn pattern() -> String {
        r"^https?://[A-Za-z0-9\[][!#-;=?-\[\]_a-~]*$".to_owned()
    }

    /// What is wrong is told without the text, which may be a secret.
    fn parse(text: &str) -> Result<Self, Mistake> {
        let mistake = || {
            let help = "write all of it, beginning with `https://` or `http://`, with `%20` and its like for what is no letter";
            Mistake::new("this is no address to post to", help)
        };
        Address::new(text).map(Self).ok_or_else(mistake)
    }
}
