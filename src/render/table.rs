//! Rows become lines: three columns where they fit, one below the other where they do not.

use super::ink::{Ink, Line, width, wrap};

/// The space between two columns.
const GAP: usize = 3;
/// A column of reasons that would be narrower than this goes below the row instead.
const NARROWEST_REASON: usize = 32;

/// What a row says of its thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is added.
    Add,
    /// It is changed.
    Change,
    /// It is removed.
    Remove,
    /// It stands for rows that are not shown.
    More,
}

impl Mark {
    /// The symbol.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Change => "~",
            Self::Remove => "-",
            Self::More => "…",
        }
    }

    /// Its colour.
    pub fn ink(self) -> Ink {
        match self {
            Self::Add => Ink::Add,
            Self::Change => Ink::Change,
            Self::Remove => Ink::Remove,
            Self::More => Ink::Dim,
        }
    }
}

/// Where a row hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// By itself.
    Trunk,
    /// Under the backup above, with others to follow.
    Twig,
    /// Under the backup above, as the last.
    LastTwig,
}

/// One thing, and what is below it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where it hangs.
    pub branch: Branch,
    /// What happens to it.
    pub mark: Mark,
    /// Its name.
    pub noun: String,
    /// How much it is.
    pub size: String,
    /// Why.
    pub reason: String,
    /// Lines that belong to it.
    pub details: Vec<(Ink, String)>,
    /// Whether twigs follow.
    pub has_twigs: bool,
}

impl Row {
    /// What stands before its symbol.
    fn lead(&self) -> &'static str {
        match self.branch {
            Branch::Trunk => "  ",
            Branch::Twig => "  ├ ",
            Branch::LastTwig => "  └ ",
        }
    }

    /// What stands before a detail.
    fn below(&self) -> &'static str {
        match self.branch {
            Branch::Trunk => "  │   ",
            Branch::Twig => "  │ │   ",
            Branch::LastTwig => "    │   ",
        }
    }

    /// What keeps the branches together beside a reason of several lines.
    fn rail(&self) -> &'static str {
        match self.branch {
            Branch::Trunk if self.has_twigs || !self.details.is_empty() => "  │",
            Branch::Twig if !self.details.is_empty() => "  │ │",
            Branch::Twig => "  │",
            Branch::LastTwig if !self.details.is_empty() => "    │",
            Branch::Trunk | Branch::LastTwig => "",
        }
    }

    fn noun_width(&self) -> usize {
        width(self.lead()) + 2 + width(&self.noun)
    }

    fn head(&self) -> Line {
        Line::new()
            .with(Ink::Dim, self.lead())
            .with(self.mark.ink(), self.mark.symbol())
            .with(Ink::Plain, " ")
            .with(if self.mark == Mark::More { Ink::Dim } else { Ink::Plain }, &self.noun)
    }
}

/// Lays the rows of one replica out, for so many columns.
pub fn lines(rows: &[Row], columns: Option<usize>) -> Vec<Line> {
    let nouns = rows.iter().map(Row::noun_width).max().unwrap_or_default();
    let sizes = rows.iter().map(|row| width(&row.size)).max().unwrap_or_default();
    let longest = rows.iter().map(|row| width(&row.reason)).max().unwrap_or_default();
    let reasons_at = if sizes == 0 { nouns + GAP } else { nouns + GAP + sizes + GAP };
    let fits = columns.is_none_or(|columns| reasons_at + longest.min(NARROWEST_REASON) <= columns);
    let mut lines = Vec::new();
    for row in rows {
        if fits {
            lines.extend(beside(row, nouns + GAP, sizes, reasons_at, columns));
        } else {
            lines.extend(stacked(row, columns.unwrap_or(usize::MAX)));
        }
        lines.extend(row.details.iter().flat_map(|detail| detail_lines(row, detail, columns)));
    }
    lines
}

/// A row in columns; a size is aligned to the right, so that units meet.
fn beside(row: &Row, sizes_at: usize, sizes: usize, reasons_at: usize, columns: Option<usize>) -> Vec<Line> {
    let head = row.head().pad_to(sizes_at + sizes - width(&row.size)).with(Ink::Plain, &row.size).pad_to(reasons_at);
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(reasons_at));
    let mut reason = wrap(&row.reason, room).into_iter();
    let first = head.with(Ink::Dim, reason.next().unwrap_or_default());
    let rest = reason.map(|text| Line::new().with(Ink::Dim, row.rail()).pad_to(reasons_at).with(Ink::Dim, text));
    std::iter::once(first).chain(rest).collect()
}

/// A row whose size and reason stand below its name.
fn stacked(row: &Row, columns: usize) -> Vec<Line> {
    let mut head = row.head();
    let mut text = row.reason.clone();
    if !row.size.is_empty() && head.width() + GAP + width(&row.size) <= columns {
        head = head.with(Ink::Plain, " ".repeat(GAP)).with(Ink::Plain, &row.size);
    } else if !row.size.is_empty() {
        text = format!("{}; {text}", row.size);
    }
    let below = wrap(&text, columns.saturating_sub(width(row.below())));
    let below = below.into_iter().map(|text| Line::new().with(Ink::Dim, row.below()).with(Ink::Dim, text));
    std::iter::once(head).chain(below).collect()
}

/// A line of a diff keeps its form, other details wrap.
fn detail_lines(row: &Row, (ink, text): &(Ink, String), columns: Option<usize>) -> Vec<Line> {
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(width(row.below())));
    let line = |text: String| Line::new().with(Ink::Dim, row.below()).with(*ink, text);
    wrap(text, room).into_iter().map(line).collect()
}
