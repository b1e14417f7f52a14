//! What drills came to, for programs: `drill --format json`, and what is kept of each in `drill.reports`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::barman::drill::{Drill, FORMAT_VERSION};
use crate::error::Error;

/// What the drills of a site came to.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Antipode drills", deny_unknown_fields)]
pub struct DrillDocument<'a> {
    /// The version of this form.
    #[schemars(extend("const" = 1))]
    format_version: u32,
    /// The site's name.
    site: &'a str,
    /// The drills, in the order in which they were made.
    drills: &'a [Drill],
    /// Why others could not be made.
    errors: Vec<String>,
}

/// All that as JSON.
pub fn drills_json(site: &str, drills: &[Drill], errors: &[Error]) -> String {
    let errors = errors.iter().map(|error| error.message.clone()).collect();
    let document = DrillDocument { format_version: FORMAT_VERSION, site, drills, errors };
    // Numbers, texts and times always have a form in JSON.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}
