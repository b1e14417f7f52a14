//! A work of this process, and on a terminal a bar of how far it is.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal;

/// How often the bar is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// Does a work, and shows how far it is until it ends: `far` tells how many bytes of how many are done.
pub async fn watched<T>(name: &str, far: impl Fn() -> (u64, u64), work: impl Future<Output = T>) -> T {
    if !terminal::shows_progress() {
        return work.await;
    }
    let form = "{prefix}{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(form).unwrap_or(ProgressStyle::default_bar());
    let prefix = if name.is_empty() { String::new() } else { format!("{name}  ") };
    let bar = ProgressBar::new(0).with_style(style).with_prefix(prefix);
    let draws = async {
        loop {
            let (done, all) = far();
            bar.set_length(all);
            bar.set_position(done.min(all));
            tokio::time::sleep(DRAWN_EVERY).await;
        }
    };
    let done = tokio::select! {
        done = work => done,
        never = draws => never,
    };
    bar.finish_and_clear();
    done
}
