//! What a terminal shows of an apply: a line for each step that runs, and one for all of it.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::render::units;

/// The shortest bar that tells anything, and the longest that is worth its room, in columns.
const BAR: std::ops::RangeInclusive<usize> = 8..=40;

/// What the line about everything is called.
const IN_ALL: &str = "in all";

/// Between columns.
const GAP: &str = "  ";

/// A step that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is about, and what is being done: `main/backup/20261122T030000  copying`.
    pub what: String,
    /// Bytes that are here.
    pub here: u64,
    /// Bytes that it brings; 0 for a step that brings none.
    pub total: u64,
    /// How long it has been running.
    pub elapsed: Duration,
}

/// All that the plan copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Whole {
    /// Bytes that came.
    pub here: u64,
    /// Bytes still to come of what was neither done nor given up.
    pub left: u64,
    /// Bytes that the plan copies.
    pub total: u64,
    /// Whether less may be enough, as part of them may be here already.
    pub is_upper_bound: bool,
    /// Bytes a second, in the last seconds.
    pub rate: u64,
}

/// The lines for a terminal of so many columns and lines; none is longer. What has no room is counted.
pub fn lines(rows: &[Row], whole: Whole, (columns, height): (usize, usize)) -> Vec<String> {
    // One column stays free, as some terminals go to the next line behind a full one; so do lines for what is above.
    let columns = columns.saturating_sub(1).max(1);
    let room = (height / 2).max(2) - 1;
    let shown = if rows.len() > room { room - 1 } else { rows.len() };
    let what = rows[..shown].iter().map(|row| row.what.width()).fold(IN_ALL.len(), usize::max);
    let right = rows[..shown].iter().map(|row| row.right().width()).max().unwrap_or(0);
    let mut lines: Vec<String> = rows[..shown].iter().map(|row| row.line(what, right, columns)).collect();
    if shown < rows.len() {
        lines.push(cut(&format!("{GAP}and {} more", rows.len() - shown), columns));
    }
    if whole.total > 0 {
        lines.push(whole.line(what, columns));
    }
    lines
}

impl Row {
    fn right(&self) -> String {
        match self.total {
            0 => units::duration(self.elapsed.as_secs()),
            total => format!("{} of {}", units::bytes(self.here), units::bytes(total)),
        }
    }

    fn line(&self, what: usize, right: usize, columns: usize) -> String {
        let text = self.right();
        let right = format!("{}{text}", " ".repeat(right.saturating_sub(text.width())));
        line(&self.what, what, (self.here, self.total), &right, columns)
    }
}

impl Whole {
    fn line(self, what: usize, columns: usize) -> String {
        let forms = self.forms();
        let fits = |right: &&String| right.width() + IN_ALL.len() + 2 * GAP.len() <= columns;
        let right = forms.iter().find(fits).or(forms.last()).map_or("", String::as_str);
        line(IN_ALL, what, (self.total - self.left.min(self.total), self.total), right, columns)
    }

    /// How far it is, in ever fewer words.
    fn forms(self) -> Vec<String> {
        let bytes = |at_most: &str| format!("{} of {at_most}{}", units::bytes(self.here), units::bytes(self.total));
        let [long, short] = if self.is_upper_bound { ["at most ", "≤ "] } else { [""; 2] };
        if self.rate == 0 {
            return vec![bytes(long), bytes(short)];
        }
        let rate = units::rate(self.rate);
        let left = units::rough_duration(self.left.div_ceil(self.rate));
        vec![
            format!("{}, {rate}, {long}{left} left", bytes(long)),
            format!("{}, {rate}, {short}{left} left", bytes(short)),
            format!("{}, {short}{left} left", bytes(short)),
            bytes(short),
        ]
    }
}

/// What it is about, a bar if there is room for one, and figures at the right.
fn line(what: &str, width: usize, (here, total): (u64, u64), right: &str, columns: usize) -> String {
    let fixed = GAP.len() * 2 + right.width();
    let bar = columns.saturating_sub(fixed + GAP.len() + width).min(*BAR.end());
    if bar >= *BAR.start() {
        return format!("{GAP}{}{GAP}{}{GAP}{right}", padded(what, width), drawn(here, total, bar));
    }
    // The name gives way: its end tells what sort of thing it is.
    let room = columns.saturating_sub(fixed);
    if room < what.width().min(12) {
        return cut(&format!("{GAP}{right}"), columns);
    }
    cut(&format!("{GAP}{}{GAP}{right}", padded(&end_of(what, room), width.min(room))), columns)
}

fn drawn(here: u64, total: u64, columns: usize) -> String {
    if total == 0 {
        return " ".repeat(columns);
    }
    let columns_wide = u128::try_from(columns).unwrap_or_default();
    let filled = u128::from(here.min(total)) * columns_wide / u128::from(total);
    let filled = usize::try_from(filled).unwrap_or(columns);
    format!("{}{}", "━".repeat(filled), "┄".repeat(columns - filled))
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The beginning of a text that fits.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    fitting(text.chars(), columns).into_iter().chain(['…']).collect()
}

/// The end of a text that fits.
fn end_of(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    ['…'].into_iter().chain(fitting(text.chars().rev(), columns).into_iter().rev()).collect()
}

/// The first characters, with a column left for an ellipsis.
fn fitting(chars: impl Iterator<Item = char>, columns: usize) -> Vec<char> {
    let mut used = 1;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(what: &str, here: u64, total: u64) -> Row {
        Row { what: what.to_owned(), here, total, elapsed: Duration::from_secs(75) }
    }

    fn two() -> Vec<Row> {
        vec![row("main/backup/20261122T030000  copying", 1 << 30, 4 << 30), row("main/xlog.db  updating", 0, 0)]
    }

    const WHOLE: Whole =
        Whole { here: 5 << 30, left: 15 << 30, total: 20 << 30, is_upper_bound: false, rate: 64 << 20 };

    #[test]
    fn a_wide_terminal_shows_bars_and_a_narrow_one_what_fits() {
        let at = |columns| lines(&two(), WHOLE, (columns, 24)).join("\n");
        insta::assert_snapshot!([60, 80, 120, 200].map(at).join("\n\n"));
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let rows: Vec<Row> = (0..9).map(|n| row(&format!("r{n}/wal"), n, 9)).collect();
        let shown = lines(&rows, WHOLE, (80, 10));
        assert_eq!(shown.len(), 5, "{shown:?}");
        assert!(shown[3].contains("and 6 more"), "{shown:?}");
        assert_eq!(lines(&rows[..4], WHOLE, (80, 10)).len(), 5);
    }

    #[test]
    fn the_time_left_is_of_what_is_left_and_said_only_where_something_arrives() {
        let of = |whole| lines(&[], whole, (100, 24)).remove(0);
        assert!(of(WHOLE).ends_with("5 GiB of 20 GiB, 64 MiB/s, 4 min left"), "{}", of(WHOLE));
        let bound = of(Whole { is_upper_bound: true, ..WHOLE });
        assert!(bound.ends_with("5 GiB of at most 20 GiB, 64 MiB/s, at most 4 min left"), "{bound}");
        for (columns, told) in [
            (66, "  in all  5 GiB of at most 20 GiB, 64 MiB/s, at most 4 min left"),
            (60, "  in all  5 GiB of ≤ 20 GiB, 64 MiB/s, ≤ 4 min left"),
            (50, "  in all  5 GiB of ≤ 20 GiB, ≤ 4 min left"),
            (34, "  in all  5 GiB of ≤ 20 GiB"),
        ] {
            assert_eq!(lines(&[], Whole { is_upper_bound: true, ..WHOLE }, (columns, 24)), [told]);
        }
        assert!(of(Whole { rate: 0, ..WHOLE }).ends_with("5 GiB of 20 GiB"));
        assert_eq!(lines(&[], Whole::default(), (100, 24)), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_line_is_as_long_as_the_terminal_is_wide(
            whats in proptest::collection::vec("[a-zé日/]{0,90}", 0..12), columns in 2_usize..220, height in 1_usize..60,
            here: u64, left: u64, total: u64, rate: u64, is_upper_bound: bool,
        ) {
            let rows: Vec<Row> = whats.iter().map(|what| row(what, here, total)).collect();
            let shown = lines(&rows, Whole { here, left, total, is_upper_bound, rate }, (columns, height));
            prop_assert!(shown.len() <= (height / 2).max(2), "{shown:?}");
            for line in shown {
                prop_assert!(line.width() < columns, "{columns}: {line:?}");
            }
        }
    }
}
