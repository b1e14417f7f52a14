//! "Did you mean": the nearest of the words that would have been right.

/// The sentence that helps after a wrong word: the nearest right one, or all of them.
pub(super) fn did_you_mean(wrong: &str, right: &[&str]) -> String {
    match (nearest(wrong, right), right) {
        (_, []) => "remove it".to_owned(),
        (Some(word), [_]) => format!("did you mean `{word}`?"),
        (Some(word), _) => format!("did you mean `{word}`? The choice is {}", one_of(right)),
        (None, _) => format!("the choice is {}", one_of(right)),
    }
}

/// What other tools call a key, and what it is called here.
const ELSEWHERE: [(&str, &str); 14] = [
    ("address", "destination"),
    ("bwlimit", "bandwidth"),
    ("count", "last"),
    ("days", "within"),
    ("host", "destination"),
    ("jobs", "streams"),
    ("keep_last", "last"),
    ("keep_within", "within"),
    ("parallel_jobs", "streams"),
    ("recovery_window", "within"),
    ("retention_policy", "retention"),
    ("since", "within"),
    ("url", "destination"),
    ("window", "within"),
];

/// The one word that begins with it and a `-`; else that at the smallest edit distance, if it is near enough to be meant;
/// else the one that is called so elsewhere.
pub(super) fn nearest<'a>(wrong: &str, right: &[&'a str]) -> Option<&'a str> {
    let elsewhere = || {
        let meant = ELSEWHERE.iter().find(|(elsewhere, _)| wrong.eq_ignore_ascii_case(elsewhere))?;
        right.iter().find(|word| **word == meant.1).copied()
    };
    let begun = || {
        let mut begun = right.iter().copied().filter(|word| word.starts_with(&format!("{}-", wrong.to_lowercase())));
        begun.next().filter(|_| begun.next().is_none())
    };
    begun().or_else(|| near(wrong, right).first().copied()).or_else(elsewhere)
}

/// The words that are near enough to be meant, the nearest first.
pub fn near<'a>(wrong: &str, right: &[&'a str]) -> Vec<&'a str> {
    let wrong = wrong.to_lowercase();
    let distance = |word: &str| strsim::damerau_levenshtein(&wrong, &word.to_lowercase());
    let is_near = |(distance, word): &(usize, &str)| *distance <= 1 + word.chars().count() / 4;
    let mut near: Vec<(usize, &str)> = right.iter().map(|word| (distance(word), *word)).filter(is_near).collect();
    near.sort_unstable();
    near.into_iter().map(|(_, word)| word).collect()
}

/// `a`, `b` or `c`.
pub fn one_of(words: &[&str]) -> String {
    joined(words, "or")
}

/// `a`, `b` and `c`.
pub(super) fn all_of(words: &[&str]) -> String {
    joined(words, "and")
}

fn joined(words: &[&str], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [init @ .., end] => format!("{} {last} {end}", init.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_found_and_another_word_is_not() {
        let keys = ["backups", "primary", "prune", "server"];
        assert_eq!(nearest("bakcups", &keys), Some("backups"));
        assert_eq!(nearest("Primary", &keys), Some("primary"));
        assert_eq!(nearest("prun", &keys), Some("prune"));
        assert_eq!(nearest("schedule", &keys), None);
        assert_eq!(nearest("x", &[]), None);
        assert_eq!(nearest("Window", &["last", "within"]), Some("within"));
        assert_eq!(nearest("window", &keys), None);
        assert_eq!(nearest("newest", &["oldest-backup", "newest-backup", "newer"]), Some("newest-backup"));
        assert_eq!(nearest("Newest", &["oldest-backup", "newest-backup"]), Some("newest-backup"));
        assert_eq!(nearest("newest", &["newest-backup", "newest-wal"]), None);
    }

    #[test]
    fn the_choice_is_listed() {
        assert_eq!(did_you_mean("lnik", &["auto", "link"]), "did you mean `link`? The choice is `auto` or `link`");
        assert_eq!(did_you_mean("x", &["auto", "link", "copy"]), "the choice is `auto`, `link` or `copy`");
    }
}
