//! The recovery window as a bar in time, with the backups on it and what is missing.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::barman::ids::BackupId;
use crate::plan::status::ReplicaStatus;
use crate::render::scale::{LENGTH, since_oldest, window};
use crate::render::units::{duration, timestamp};

/// From the oldest thing that is here to now.
pub fn bar(status: &ReplicaStatus, backups: &[(BackupId, Option<Timestamp>)], now: Timestamp) -> Markup {
    let Some((oldest, scale)) = since_oldest(status, backups, now) else {
        return html! { p class="remark error" { b { "Nothing to recover from." } } };
    };
    let window = window(status);
    let said = said(window, backups, now);
    html! {
        figure {
            svg viewBox="0 0 10000 900" preserveAspectRatio="none" role="img" aria-label=(said) {
                rect class="gap" x="0" y="300" width=(LENGTH) height="300" {}
                @if let Some((from, to)) = window {
                    @let (begin, end) = (scale.at(from), scale.at(to));
                    rect class="window" x=(begin) y="300" width=((end - begin).max(20)) height="300" {}
                }
                @for (id, ended) in backups {
                    @if let Some(ended) = ended {
                        rect class="backup" x=((scale.at(*ended) - 15).max(0)) y="150" width="30" height="600" {
                            title { (id.as_str()) }
                        }
                    }
                }
            }
            div class="ends" { span { (timestamp(oldest)) } span { "now" } }
            figcaption { (said) }
        }
    }
}

/// What the bar shows, in words.
fn said(window: Option<(Timestamp, Timestamp)>, backups: &[(BackupId, Option<Timestamp>)], now: Timestamp) -> String {
    let of = crate::english::count(backups.len() as u64, "backup");
    match window {
        Some((from, to)) => {
            let late = u64::try_from(now.as_second() - to.as_second()).unwrap_or_default();
            format!("Recoverable from {} to {}, {} ago, with {of}.", timestamp(from), timestamp(to), duration(late))
        }
        None => format!("{of} here, and nothing that can be recovered."),
    }
}
