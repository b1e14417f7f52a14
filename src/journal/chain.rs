//! The chain of a journal: each line holds the number of its own and the SHA-256 of the line before it.
//!
//! ```text
//! {"line":1,"before":"00…00",…}      the first has zeros
//! {"line":2,"before":"5d41…",…}      the digest of line 1, without its line break
//! ```
//!
//! A line that is missing, changed or in another place shows in the line behind it, and the last one by the note of the
//! end, which is kept beside the journal. Whoever rewrites all lines from one on, and the note, shows nowhere: the chain
//! tells of accidents and of single edits, it is no signature.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A line of a journal, by its number and by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its number, from 1 on.
    pub line: u64,
    /// The SHA-256 of its bytes without the line break, in hexadecimal.
    pub digest: String,
}

/// Where a journal is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Break {
    /// Lines that were written are not there.
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// A line is there and is not as it was written.
    Changed {
        /// Its number.
        line: u64,
    },
    /// A line stands behind one with a higher number, or with the same.
    Misplaced {
        /// Its number.
        line: u64,
    },
    /// Something stands there that is no line of a journal.
    Foreign {
        /// How many lines of the file stand before it.
        behind: u64,
    },
    /// The last line was not written to its end, as after a kill or on a full disk. The next run takes it away.
    CutOff,
    /// The note of the end is not there: lines that are missing at the end would not show.
    EndUnknown,
}

impl Link {
    /// What the first line follows.
    pub fn origin() -> Self {
        Self { line: 0, digest: "0".repeat(64) }
    }

    /// The line that follows, with these members of a JSON object, and what it is.
    pub fn followed_by(&self, members: &str) -> (String, Self) {
        let number = self.line.saturating_add(1);
        let text = format!("{{\"line\":{number},\"before\":\"{}\",{members}}}", self.digest);
        let link = Self { line: number, digest: digest(text.as_bytes()) };
        (text, link)
    }

    /// What a line is, and what it follows; `None` for what is no line of a journal.
    pub fn of(text: &[u8]) -> Option<(Self, Self)> {
        let head = std::str::from_utf8(text).ok()?.strip_prefix("{\"line\":")?;
        let (number, rest) = head.split_once(",\"before\":\"")?;
        let (before, _) = rest.split_once("\",")?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = number.parse().ok().filter(|number| is_number && *number > 0)?;
        let is_digest = before.len() == 64 && before.bytes().all(|byte| byte.is_ascii_hexdigit());
        let before = is_digest.then(|| Self { line: number - 1, digest: before.to_owned() })?;
        Some((Self { line: number, digest: digest(text) }, before))
    }
}

fn digest(bytes: &[u8]) -> String {
    let hexadecimal = |byte: &u8| [byte >> 4, byte & 15].map(|half| char::from_digit(half.into(), 16).unwrap_or('0'));
    Sha256::digest(bytes).iter().flat_map(hexadecimal).collect()
}

/// The lines of a journal, and what follows its last line break.
pub fn lines(content: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut parts: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    let rest = parts.pop().unwrap_or_default();
    (parts, rest)
}

/// Where a journal is not as it was written, in the order of its lines. `dropped` are the lines up to which it says itself
/// that earlier ones were dropped; `end` is what the note of its end says.
pub fn breaks(content: &[u8], dropped: &[Link], end: Option<&Link>) -> Vec<Break> {
    let (lines, rest) = lines(content);
    let mut breaks = Vec::new();
    let (mut last, mut is_first) = (Link::origin(), true);
    for (behind, text) in (0..).zip(&lines) {
        let Some((link, before)) = Link::of(text) else {
            breaks.push(Break::Foreign { behind });
            continue;
        };
        if is_first && before != last && !dropped.contains(&before) {
            breaks.push(first_of(&before));
        } else if !is_first {
            breaks.extend(between(&last, &before));
        }
        let is_ahead = last.line >= link.line;
        // One that was put between two others hides neither of them.
        last = if is_ahead { last } else { link };
        is_first = false;
        breaks.extend(
            end.filter(|end| end.line == last.line && **end != last).map(|end| Break::Changed { line: end.line }),
        );
    }
    match end {
        Some(end) if end.line > last.line => breaks.push(Break::Missing { from: last.line + 1, to: end.line }),
        None if !content.is_empty() => breaks.push(Break::EndUnknown),
        _ => {}
    }
    if !rest.is_empty() {
        breaks.push(Break::CutOff);
    }
    breaks.dedup();
    breaks
}

/// What is wrong with a beginning that nothing accounts for.
fn first_of(before: &Link) -> Break {
    match before.line {
        0 => Break::Changed { line: 1 },
        to => Break::Missing { from: 1, to },
    }
}

/// What is wrong between a line and the one behind it, which was written behind `before`.
fn between(last: &Link, before: &Link) -> Option<Break> {
    if before.line > last.line {
        return Some(Break::Missing { from: last.line + 1, to: before.line });
    }
    if before.line < last.line {
        return Some(Break::Misplaced { line: before.line + 1 });
    }
    (before.digest != last.digest).then_some(Break::Changed { line: last.line })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A journal of so many lines, and its end.
    fn journal(lines: usize) -> (Vec<String>, Link) {
        let (mut written, mut last) = (Vec::new(), Link::origin());
        for n in 0..lines {
            let (text, link) = last.followed_by(&format!("\"n\":{n}"));
            written.push(text);
            last = link;
        }
        (written, last)
    }

    fn content(lines: &[String]) -> Vec<u8> {
        lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
    }

    fn found(lines: &[String], end: &Link) -> Vec<Break> {
        breaks(&content(lines), &[], Some(end))
    }

    #[test]
    fn what_was_written_is_whole_also_where_a_kill_came_before_the_note() {
        let (lines, end) = journal(5);
        assert_eq!(found(&lines, &end), []);
        assert_eq!(found(&lines, &journal(4).1), []);
        assert_eq!(breaks(b"", &[], None), []);
        assert_eq!(breaks(&content(&lines), &[], None), [Break::EndUnknown]);
    }

    #[test]
    fn each_way_to_break_it_is_told_with_its_place() {
        type Edit = fn(&mut Vec<String>);
        let missing = |from, to| vec![Break::Missing { from, to }];
        let cases: [(&str, Edit, Vec<Break>); 9] = [
            ("the first", |lines| drop(lines.remove(0)), missing(1, 1)),
            ("two in the middle", |lines| drop(lines.drain(1..3)), missing(2, 3)),
            ("the last two", |lines| lines.truncate(4), missing(5, 6)),
            ("all", Vec::clear, missing(1, 6)),
            (
                "one changed",
                |lines| lines[2] = lines[2].replace("\"n\":2", "\"n\":7"),
                vec![Break::Changed { line: 3 }],
            ),
            (
                "the last changed",
                |lines| lines[5] = lines[5].replace("\"n\":5", "\"n\":7"),
                vec![Break::Changed { line: 6 }],
            ),
            ("one twice", |lines| lines.insert(2, lines[1].clone()), vec![Break::Misplaced { line: 2 }]),
            ("a note by hand", |lines| lines.insert(2, "# all is well".to_owned()), vec![Break::Foreign { behind: 2 }]),
            (
                "two swapped",
                |lines| lines.swap(2, 3),
                vec![Break::Missing { from: 3, to: 3 }, Break::Misplaced { line: 3 }],
            ),
        ];
        for (what, edit, expected) in cases {
            let (mut lines, end) = journal(6);
            edit(&mut lines);
            assert_eq!(found(&lines, &end), expected, "{what}");
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_told_and_hides_nothing_else() {
        let (lines, end) = journal(3);
        let whole = content(&lines);
        for (kept, expected) in [
            (whole.len() - 1, vec![Break::Missing { from: 3, to: 3 }, Break::CutOff]),
            (whole.len() - lines[2].len() + 9, vec![Break::Missing { from: 3, to: 3 }, Break::CutOff]),
        ] {
            assert_eq!(breaks(&whole[..kept], &[], Some(&end)), expected, "{kept}");
        }
        assert_eq!(breaks(&[&whole[..], b"{\"line\":4"].concat(), &[], Some(&end)), [Break::CutOff]);
    }

    #[test]
    fn a_beginning_may_lack_exactly_what_was_dropped() {
        let (lines, end) = journal(6);
        let dropped = journal(3).1;
        let of = |first: usize| breaks(&content(&lines[first..]), std::slice::from_ref(&dropped), Some(&end));
        assert_eq!(of(3), []);
        assert_eq!(of(2), [Break::Missing { from: 1, to: 2 }]);
        assert_eq!(of(4), [Break::Missing { from: 1, to: 4 }]);
    }

    proptest! {
        #[test]
        fn whatever_is_taken_away_shows(lines in 1_usize..12, keep in prop::collection::vec(any::<bool>(), 12)) {
            let (all, end) = journal(lines);
            let kept: Vec<String> = all.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(line, _)| line.clone()).collect();
            prop_assert_eq!(found(&kept, &end).is_empty(), kept.len() == lines);
        }

        #[test]
        fn whatever_byte_is_changed_shows(lines in 1_usize..8, at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let (all, end) = journal(lines);
            let mut bytes = content(&all);
            let at = at.index(bytes.len());
            let is_same = bytes[at] == to;
            bytes[at] = to;
            prop_assert_eq!(breaks(&bytes, &[], Some(&end)).is_empty(), is_same);
        }

        #[test]
        fn whatever_order_is_changed_shows(lines in 2_usize..8, seed in any::<u64>()) {
            let (all, end) = journal(lines);
            let mut mixed = all.clone();
            let mut seed = seed;
            for i in (1..mixed.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                mixed.swap(i, usize::try_from(seed >> 33).unwrap() % (i + 1));
            }
            prop_assert_eq!(found(&mixed, &end).is_empty(), mixed == all);
        }

        #[test]
        fn wherever_it_is_cut_shows(lines in 1_usize..6, at in any::<prop::sample::Index>()) {
            let (all, end) = journal(lines);
            let bytes = content(&all);
            prop_assert!(!breaks(&bytes[..at.index(bytes.len())], &[], Some(&end)).is_empty());
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = breaks(&bytes, &[], None);
        }
    }
}
