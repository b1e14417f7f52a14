//! Text in a line of Markdown: whatever could be more than text there becomes a code span, in which GitHub and GitLab
//! see no emphasis, HTML, link, mention or reference.

use super::ink::clean;

/// Sentences of this program, in which names and foreign words may stand. What is between backticks stays together.
pub fn inline(text: &str) -> String {
    let text = clean(text);
    let parts: Vec<&str> = text.split('`').collect();
    // A backtick without a partner is a character like others.
    let paired = if parts.len() % 2 == 1 { parts.len() } else { parts.len() - 2 };
    let mut out = String::with_capacity(text.len());
    for (i, part) in parts.iter().take(paired).enumerate() {
        push(&mut out, &if i % 2 == 1 { code(part) } else { words(part) });
    }
    let rest: Vec<&str> = parts.iter().skip(paired).copied().collect();
    push(&mut out, &words(&rest.join("`")));
    out
}

/// Adds a piece. Two code spans must not touch: their backticks would be one row.
fn push(out: &mut String, piece: &str) {
    if out.ends_with('`') && piece.starts_with('`') {
        out.push(' ');
    }
    out.push_str(piece);
}

/// Text as a code span: between more backticks than it has in a row itself.
pub fn code(text: &str) -> String {
    let text = clean(text);
    if text.trim().is_empty() {
        return text;
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    let needs_room = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let room = if needs_room { " " } else { "" };
    format!("{fence}{room}{text}{room}{fence}")
}

/// The longest row of backticks.
pub fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

fn words(text: &str) -> String {
    let word = |word: &str| {
        // What ends a clause is no part of a name.
        let name = word.trim_end_matches([',', ';', ':', '.', '?']);
        let end = word.get(name.len()..).unwrap_or_default();
        if is_plain(word.trim_end_matches('?')) || name.is_empty() {
            word.to_owned()
        } else {
            format!("{}{end}", code(name))
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Whether no reader takes a word for more than a word.
fn is_plain(word: &str) -> bool {
    let is_text = |c: char| c.is_alphanumeric() || ".,;:()'\"-/…·".contains(c);
    // An emoji such as :x: has two colons, and the time of a day digits around them.
    let inner_colons = word.trim_end_matches([':', ',', ';']).match_indices(':');
    let mut beside = inner_colons.map(|(at, _)| word.get(at + 1..).and_then(|rest| rest.chars().next()));
    let is_time = beside.all(|next| next.is_some_and(|c| c.is_ascii_digit())) && !word.starts_with(':');
    // The number of a commit, an issue of GitHub's, and an address without a scheme.
    let is_hash = word.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= 7);
    let is_ticket = word.split_once('-').is_some_and(|(project, number)| {
        project.ends_with(|c: char| c.is_ascii_uppercase()) && number.starts_with(|c: char| c.is_ascii_digit())
    });
    let lower = word.to_lowercase();
    let is_link = ["www.", "//", "gh-"].iter().any(|part| lower.contains(part));
    word.chars().all(is_text) && is_time && !is_hash && !is_ticket && !is_link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_as_they_are() {
        for text in [
            "main: it is 22 h behind the primary, and 1 408 segments (12 GiB) are missing; apply",
            "recoverable here to 2026-11-22 09:12:03Z",
            "ssh: connect to host barman.fra.example.com port 22: Connection refused",
            "",
        ] {
            assert_eq!(inline(text), text);
        }
    }

    #[test]
    fn what_could_be_more_than_text_becomes_code() {
        for (text, markdown) in [
            ("@dba", "`@dba`"),
            ("as barman@fra.example.com does", "as `barman@fra.example.com` does"),
            ("see https://example.com/x", "see `https://example.com/x`"),
            ("www.example.com", "`www.example.com`"),
            ("<b>bold</b>", "`<b>bold</b>`"),
            ("a *b* _c_ [d](e) #1 !2 GH-3", "a `*b*` `_c_` `[d](e)` `#1` `!2` `GH-3`"),
            (":rocket:", "`:rocket`:"),
            ("7575757575757575757", "`7575757575757575757`"),
            ("take `retention_policy` out", "take `retention_policy` out"),
            ("`a b` @c", "`a b` `@c`"),
            ("one ` alone", "one `` ` `` alone"),
            ("`REDUNDANCY `<i>`", "` REDUNDANCY  ` `` <i>` ``"),
            ("of 7575757575757575757, and", "of `7575757575757575757`, and"),
            ("is it mounted?", "is it mounted?"),
            ("of #1?", "of `#1`?"),
            ("line\nbreak\u{1b}[31m", "line `break\\u{1b}[31m`"),
        ] {
            assert_eq!(inline(text), markdown, "{text}");
        }
    }
}
