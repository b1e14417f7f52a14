//! The history of a catalog for programs: `history --format json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::journal::chain::Break;
use crate::journal::{History, Told};

/// The version of the form.
const FORMAT_VERSION: u32 = 1;

/// What runs did to the catalog of a site.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Antipode history", deny_unknown_fields)]
pub struct HistoryDocument<'a> {
    /// The version of this form.
    #[schemars(extend("const" = 1))]
    format_version: u32,
    /// The site's name.
    site: &'a str,
    /// The runs that were asked for, the newest first.
    runs: &'a [Told],
    /// Where the journal is not as it was written; none where it is. Lines are numbered from 1 on.
    breaks: &'a [Break],
    /// The last line of those that were dropped to bound the journal's size; 0 when none was.
    dropped_lines: u64,
    /// How many lines a kill or a full disk had cut off.
    cut_lines: usize,
    /// How many lines another version of this program wrote, which are not told.
    unread_lines: usize,
}

/// The history as JSON. What is in the journal was made safe to print when it was written.
pub fn history_json(site: &str, history: &History) -> String {
    let document = HistoryDocument {
        format_version: FORMAT_VERSION,
        site,
        runs: &history.runs,
        breaks: &history.breaks,
        dropped_lines: history.dropped,
        cut_lines: history.cut,
        unread_lines: history.later,
    };
    // Texts, and whole numbers: it always has a text form.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}
