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

/// Where the columns of one replica's rows begin.
struct Columns {
    /// All there are; `None` without a limit.
    total: Option<usize>,
    /// Where sizes end, as they are aligned to the right so that units meet.
    sizes_end: usize,
    /// Where reasons begin.
    reasons: usize,
}

/// Lays the rows of one replica out, for so many columns.
pub fn lines(rows: &[Row], total: Option<usize>) -> Vec<Line> {
    let nouns = rows.iter().map(Row::noun_width).max().unwrap_or_default();
    let sizes = rows.iter().map(|row| width(&row.size)).max().unwrap_or_default();
    let sizes_end = if sizes == 0 { nouns } else { nouns + GAP + sizes };
    let columns = Columns { total, sizes_end, reasons: sizes_end + GAP };
    let mut lines = Vec::new();
    for row in rows {
        lines.extend(columns.row(row));
        lines.extend(row.details.iter().flat_map(|detail| detail_lines(row, detail, total)));
    }
    lines
}

impl Columns {
    fn fits(&self, column: usize) -> bool {
        self.total.is_none_or(|total| column <= total)
    }

    /// A row in columns, or what fits of it in one line and the rest below.
    fn row(&self, row: &Row) -> Vec<Line> {
        let room = self.total.map_or(usize::MAX, |total| total.saturating_sub(self.reasons));
        let fits_beside = width(&row.reason) <= room || room >= NARROWEST_REASON;
        if !self.fits(self.sizes_end) || (row.size.is_empty() && !fits_beside) {
            return self.stacked(row);
        }
        let head = row.head().pad_to(self.sizes_end - width(&row.size)).with(Ink::Plain, &row.size);
        if fits_beside { self.beside(row, head, room) } else { self.below(row, head, &row.reason) }
    }

    /// The reason in its column.
    fn beside(&self, row: &Row, head: Line, room: usize) -> Vec<Line> {
        let mut reason = wrap(&row.reason, room).into_iter();
        let first = head.pad_to(self.reasons).with(Ink::Dim, reason.next().unwrap_or_default());
        let further = |text| Line::new().with(Ink::Dim, row.rail()).pad_to(self.reasons).with(Ink::Dim, text);
        std::iter::once(first).chain(reason.map(further)).collect()
    }

    /// Whatever fits behind the name, without columns.
    fn stacked(&self, row: &Row) -> Vec<Line> {
        let behind = |line: Line, ink, text: &str| line.with(Ink::Plain, " ".repeat(GAP)).with(ink, text);
        let mut head = row.head();
        let mut text = row.reason.clone();
        if !row.size.is_empty() && self.fits(head.width() + GAP + width(&row.size)) {
            head = behind(head, Ink::Plain, &row.size);
        } else if !row.size.is_empty() {
            text = format!("{}; {text}", row.size);
        }
        if self.fits(head.width() + GAP + width(&text)) {
            return vec![behind(head, Ink::Dim, &text)];
        }
        self.below(row, head, &text)
    }

    fn below(&self, row: &Row, head: Line, text: &str) -> Vec<Line> {
        let below = detail_lines(row, &(Ink::Dim, text.to_owned()), self.total);
        std::iter::once(head).chain(below).collect()
    }
}

/// A line that belongs to a row.
fn detail_lines(row: &Row, (ink, text): &(Ink, String), columns: Option<usize>) -> Vec<Line> {
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(width(row.below())));
    let line = |text: String| Line::new().with(Ink::Dim, row.below()).with(*ink, text);
    wrap(text, room).into_iter().map(line).collect()
}
