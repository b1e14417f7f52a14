//! Declare: the desired state of one site, read from its YAML file.
//!
//! ```text
//! text ──► tree ──► shape ──► defaults ──► raw ──► validate ──► Site
//!         places   schema     merged      types    the rest
//! ```
//!
//! Nothing here reads a file, the environment or a clock: [`load`] is given the text and the home directory.

mod access;
mod defaults;
pub mod drills;
mod expect;
pub mod hooks;
pub mod mirror;
pub mod model;
mod path;
pub mod pattern;
mod raw;
mod raw_drill;
mod raw_hooks;
mod scalars;
mod schema;
mod shape;
pub(crate) mod suggest;
mod tree;
mod validate;
pub mod written;
pub mod yaml;

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::diag::{Diagnostic, Diagnostics};
use raw::RawSite;
use tree::{Entry, Node};
use validate::Context;

pub use model::Site;
pub use path::{KeyPath, LineNumbers, Quotes};
pub use schema::schema;

/// A site, and where in its file everything stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The desired state.
    pub site: Site,
    /// The line of each key path.
    pub lines: LineNumbers,
}

/// Reads the text of a site file.
///
/// `source_name` is what the person calls the file; `home` is what a leading `~/` stands for.
pub fn load(source_name: &str, text: &str, home: Option<&Path>) -> Result<Loaded, Diagnostics> {
    let failed = |mistakes| Diagnostics::new(source_name, mistakes);
    let root = tree::parse(text).map_err(|mistake| failed(vec![*mistake]))?;
    let (fitting, mut mistakes) = shape::fit(&root, &schema::tree(), text);
    let lines = LineNumbers::of(&root);
    let raw = typed(fitting, &mut mistakes);
    let mut context = Context { lines: &lines, home, primaries: primary_names(&root), mistakes };
    match validate::site(raw, &mut context) {
        Some(site) if context.mistakes.is_empty() => {
            Ok(Loaded { site: Site { file: source_name.to_owned(), ..site }, lines })
        }
        _ => Err(failed(context.mistakes)),
    }
}

/// A length of time as the site file has it, such as `2h 30m` or `30d`; or what is wrong with it, and what to write instead.
pub fn length_of_time(text: &str) -> Result<Duration, String> {
    let length = <scalars::Length as scalars::Scalar>::parse(text);
    length.map(|length| length.0).map_err(|mistake| format!("{}; {}", mistake.message, mistake.help))
}

/// Gives what fits its types. It cannot fail unless the schema lets through what the types refuse.
fn typed(fitting: Map<String, Value>, mistakes: &mut Vec<Diagnostic>) -> RawSite {
    let mut file = Value::Object(fitting);
    defaults::merge(&mut file);
    serde_json::from_value(file).unwrap_or_else(|error| {
        mistakes.push(Diagnostic::error("bad-value", error.to_string()));
        RawSite::default()
    })
}

fn primary_names(root: &Node) -> Vec<&str> {
    let primaries = root.get("primaries").map(Node::entries).unwrap_or_default();
    primaries.iter().map(|entry: &Entry| entry.key.as_str()).collect()
}

#[cfg(test)]
mod tests;
