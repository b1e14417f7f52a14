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
    Mend,
    /// It is removed.
    Remove,
    /// It waits for a person.
    Hold,
    /// It stands for rows that are not shown.
    More,
}

impl Mark {
    /// The symbol.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Mend => "~",
            Self::Remove => "-",
            Self::Hold => "!",
            Self::More => "…",
        }
    }

    /// The sign in the first column of a diff, by which GitHub and GitLab colour the whole line. Both know `!`: the one
    /// shows it in orange, the other in bold.
    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Mend | Self::Hold => "!",
            Self::Remove => "-",
            Self::More => " ",
        }
    }

    /// Its colour.
    pub fn ink(self) -> Ink {
        match self {
            Self::Add => Ink::Add,
            Self::Mend => Ink::Caution,
            Self::Remove | Self::Hold => Ink::Remove,
            Self::More => Ink::Dim,
        }
    }
}

/// What stands left of the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Margin {
    /// For a terminal: each symbol stands beside its name.
    Terminal,
    /// For a block that is coloured as a diff: each sign stands in the first column.
    Diff,
}

impl Margin {
    /// A line that is about no row.
    pub fn line(self, line: Line) -> Line {
        match self {
            Self::Terminal => line,
            Self::Diff => line.behind("  "),
        }
    }

    /// Where branches begin.
    fn indent(self) -> &'static str {
        match self {
            Self::Terminal => "  ",
            Self::Diff => "    ",
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
    pub details: Vec<Detail>,
    /// Whether twigs follow.
    pub has_twigs: bool,
}

/// A line that belongs to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// What happens to what it tells; `None` for an explanation.
    pub mark: Option<Mark>,
    /// What it tells.
    pub text: String,
}

impl Row {
    /// What stands before its symbol.
    fn branch(&self) -> &'static str {
        match self.branch {
            Branch::Trunk => "",
            Branch::Twig => "├ ",
            Branch::LastTwig => "└ ",
        }
    }

    /// What stands before a detail.
    fn below(&self) -> &'static str {
        match self.branch {
            Branch::Trunk => "│   ",
            Branch::Twig => "│ │   ",
            Branch::LastTwig => "  │   ",
        }
    }

    /// What keeps the branches together beside a reason of several lines.
    fn rail(&self) -> &'static str {
        match self.branch {
            Branch::Trunk if self.has_twigs || !self.details.is_empty() => "│",
            Branch::Twig if !self.details.is_empty() => "│ │",
            Branch::Twig => "│",
            Branch::LastTwig if !self.details.is_empty() => "  │",
            Branch::Trunk | Branch::LastTwig => "",
        }
    }

    fn head(&self, margin: Margin) -> Line {
        let ink = if self.mark == Mark::More { Ink::Dim } else { Ink::Plain };
        let before = match margin {
            Margin::Terminal => Line::new().with(Ink::Dim, margin.indent()).with(Ink::Dim, self.branch()),
            Margin::Diff => {
                let sign = Line::new().with(self.mark.ink(), self.mark.sign());
                sign.pad_to(width(margin.indent())).with(Ink::Dim, self.branch())
            }
        };
        // In a diff the sign says it already.
        match margin {
            Margin::Diff if self.mark != Mark::More => before,
            _ => before.with(self.mark.ink(), self.mark.symbol()).with(Ink::Plain, " "),
        }
        .with(ink, &self.noun)
    }
}

/// Where the columns of one replica's rows begin.
struct Columns {
    /// What stands left of the names.
    margin: Margin,
    /// All there are; `None` without a limit.
    total: Option<usize>,
    /// Where sizes end, as they are aligned to the right so that units meet.
    sizes_end: usize,
    /// Where reasons begin.
    reasons: usize,
}

/// Lays the rows of one replica out, for so many columns.
pub fn lines(rows: &[Row], margin: Margin, total: Option<usize>) -> Vec<Line> {
    let nouns = rows.iter().map(|row| row.head(margin).width()).max().unwrap_or_default();
    let sizes = rows.iter().map(|row| width(&row.size)).max().unwrap_or_default();
    let sizes_end = if sizes == 0 { nouns } else { nouns + GAP + sizes };
    let columns = Columns { margin, total, sizes_end, reasons: sizes_end + GAP };
    let mut lines = Vec::new();
    for row in rows {
        lines.extend(columns.row(row));
        lines.extend(row.details.iter().flat_map(|detail| columns.detail(row, detail)));
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
        let head = row.head(self.margin).pad_to(self.sizes_end - width(&row.size)).with(Ink::Plain, &row.size);
        if fits_beside { self.beside(row, head, room) } else { self.below(row, head, &row.reason) }
    }

    /// The reason in its column.
    fn beside(&self, row: &Row, head: Line, room: usize) -> Vec<Line> {
        let mut reason = wrap(&row.reason, room).into_iter();
        let first = head.pad_to(self.reasons).with(Ink::Dim, reason.next().unwrap_or_default());
        let further = |text| {
            Line::new()
                .with(Ink::Dim, self.margin.indent())
                .with(Ink::Dim, row.rail())
                .pad_to(self.reasons)
                .with(Ink::Dim, text)
        };
        std::iter::once(first).chain(reason.map(further)).collect()
    }

    /// Whatever fits behind the name, without columns.
    fn stacked(&self, row: &Row) -> Vec<Line> {
        let behind = |line: Line, ink, text: &str| line.with(Ink::Plain, " ".repeat(GAP)).with(ink, text);
        let mut head = row.head(self.margin);
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
        let below = self.detail(row, &Detail { mark: None, text: text.to_owned() });
        std::iter::once(head).chain(below).collect()
    }

    /// A line that belongs to a row.
    fn detail(&self, row: &Row, detail: &Detail) -> Vec<Line> {
        let before = format!("{}{}", self.margin.indent(), row.below());
        let (ink, sign) = detail.mark.map_or((Ink::Dim, ""), |mark| (mark.ink(), mark.symbol()));
        let text = match self.margin {
            Margin::Terminal if !sign.is_empty() => format!("{sign} {}", detail.text),
            _ => detail.text.clone(),
        };
        let room = self.total.map_or(usize::MAX, |columns| columns.saturating_sub(width(&before)));
        let before = match self.margin {
            Margin::Diff if !sign.is_empty() => before.replacen(' ', sign, 1),
            _ => before,
        };
        let line = |text: String| Line::new().with(Ink::Dim, &before).with(ink, text);
        wrap(&text, room).into_iter().map(line).collect()
    }
}
