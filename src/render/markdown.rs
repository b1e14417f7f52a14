//! A plan as a comment on a pull request: the verdict and what needs attention in sight, the rest folded away in a
//! block that GitHub and GitLab colour as a diff.
//!
//! Outside the block, names and foreign words are code spans wherever they could be more than text (`inline`). Inside
//! it only its end must be out of their reach: each line begins with a sign or a space, and the fence is longer than
//! any row of backticks.

use std::num::NonZeroUsize;

use crate::plan::Plan;

use super::ink::Line;
use super::inline::{inline, longest_run};
use super::remarks::{self, Remarks};
use super::summary::verdict;
use super::table::Margin;
use super::{Style, Whys, human, summary, vanished};
use crate::english::{count, exact};

/// The plan as Markdown of at most so many characters.
///
/// Whole lines are left out from the end, the folded ones first, and a line says how many. The marker and the verdict
/// always stay, even where they alone are longer than the limit.
pub fn markdown(plan: &Plan, max_chars: NonZeroUsize, verbose: bool, whys: &Whys) -> String {
    let comment = Comment {
        head: format!("{}\n**site {}**: {}\n", marker(&plan.site), inline(&plan.site), inline(&verdict(plan))),
        remarks: remarks(plan, verbose),
        summary: folded_title(plan),
        block: block(plan, Style { verbose, ..Style::default() }, whys),
    };
    comment.within(max_chars.get())
}

/// What a pipeline finds its earlier comment by.
pub fn marker(site: &str) -> String {
    let escape = |c: char| match c {
        c if c.is_alphanumeric() || matches!(c, '.' | '_' | ' ') => c.to_string(),
        '-' => '-'.to_string(),
        c => format!("&#{};", u32::from(c)),
    };
    let name: String = site.chars().map(escape).collect();
    // Two dashes could end the comment.
    format!("<!-- antipode: site {} -->", name.replace("--", "-&#45;"))
}

/// A comment before it is cut to its size.
struct Comment {
    /// The marker and the verdict.
    head: String,
    /// Errors and warnings, a line each.
    remarks: Vec<String>,
    /// What is read before the folded part is opened.
    summary: String,
    /// The folded lines.
    block: Vec<String>,
}

impl Comment {
    fn within(&self, limit: usize) -> String {
        let whole = self.text(self.remarks.len(), self.block.len(), None);
        if chars(&whole) <= limit {
            return whole;
        }
        let all = self.remarks.len() + self.block.len();
        let omitted = |left: usize| (left > 0).then(|| omission(left, limit));
        // The longest line of that kind, so that what is reserved for it is enough.
        let room = limit.saturating_sub(chars(&self.text(0, 0, omitted(all).as_deref())));
        if room == 0 {
            let least = self.text(0, 0, omitted(all).as_deref());
            return if chars(&least) <= limit { least } else { self.head.clone() };
        }
        // An empty line goes before the list, and the tags and fences around the block.
        let remarks = fitting(&self.remarks, room.saturating_sub(1));
        let used = chars(&self.text(remarks, 0, None)) - chars(&self.text(0, 0, None));
        let frame = chars(&self.text(0, 1, None)) - chars(&self.text(0, 0, None));
        let first = self.block.first().map_or(0, |line| chars(line) + 1);
        let block = match room.checked_sub(used + frame.saturating_sub(first)) {
            Some(room) if remarks == self.remarks.len() => fitting(&self.block, room),
            _ => 0,
        };
        self.text(remarks, block, omitted(all - remarks - block).as_deref())
    }

    /// The text with so many of its lines.
    fn text(&self, remarks: usize, block: usize, omission: Option<&str>) -> String {
        let mut text = self.head.clone();
        if remarks > 0 {
            text.push('\n');
            self.remarks.iter().take(remarks).for_each(|line| text.extend([line, "\n"]));
        }
        if block > 0 {
            let fence = self.fence();
            text.push_str(&format!(
                "\n<details><summary>{}</summary>\n\n{fence}diff\n{}\n{fence}\n\n</details>\n",
                self.summary,
                self.block.get(..block).unwrap_or_default().join("\n")
            ));
        }
        if let Some(omission) = omission {
            text.extend(["\n", omission, "\n"]);
        }
        text
    }

    /// Longer than any row of backticks in the block.
    fn fence(&self) -> String {
        let longest = self.block.iter().map(|line| longest_run(line)).max().unwrap_or_default();
        "`".repeat(3.max(longest + 1))
    }
}

/// How many lines fit, from the first on.
fn fitting(lines: &[String], room: usize) -> usize {
    let ends = lines.iter().scan(0, |end, line| {
        *end += chars(line) + 1;
        Some(*end)
    });
    ends.take_while(|end| *end <= room).count()
}

fn omission(lines: usize, limit: usize) -> String {
    let verb = if lines == 1 { "is" } else { "are" };
    format!(
        "{} {verb} left out to keep to {} characters; `antipode plan` prints the plan whole.",
        count(lines as u64, "line"),
        exact(limit as u64)
    )
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// Errors and warnings as items of a list.
fn remarks(plan: &Plan, verbose: bool) -> Vec<String> {
    let item = |(remark, who): (remarks::Remark, String)| {
        format!("- **{}** {}: {}", remark.label, inline(&who), inline(&remark.sentence))
    };
    let part = summary::left_out(plan).map(|sentence| format!("- **warning** {}", inline(&sentence)));
    let vanished = vanished::warnings(&plan.vanished).into_iter();
    let vanished = vanished.map(|warning| format!("- **{}** {}", warning.label, inline(&warning.sentence)));
    part.into_iter().chain(remarks::urgent(plan, verbose).into_iter().map(item)).chain(vanished).collect()
}

/// What the folded part holds. It is HTML, and has no names.
fn folded_title(plan: &Plan) -> String {
    let changed = plan.replicas.iter().filter(|replica| !replica.actions.is_empty()).count();
    if changed == 0 {
        return count(plan.replicas.len() as u64, "replica");
    }
    let actions = plan.replicas.iter().map(|replica| replica.actions.len()).sum::<usize>();
    let of = match plan.replicas.len() {
        1 => String::new(),
        all => format!(" on {changed} of {all} replicas"),
    };
    format!("{}{of}", count(actions as u64, "action"))
}

/// The lines of the block, without their line breaks.
fn block(plan: &Plan, style: Style, whys: &Whys) -> Vec<String> {
    let margin = Margin::Diff;
    let notes = Remarks::notes(plan, style);
    let mut lines = human::paragraphs(human::blocks(plan, &notes, whys, style, margin));
    let mut rest = |more: Vec<Line>| {
        if !more.is_empty() {
            lines.push(Line::new());
            lines.extend(more.into_iter().map(|line| margin.line(line)));
        }
    };
    rest(notes.common_lines(plan, style));
    rest(human::sentence_lines(summary::after(plan, style.verbose), None));
    lines.iter().map(|line| line.text(false)).collect()
}
