//! Numbers, nouns and lists, as every sentence of this program has them.

/// An integer in groups of three digits, where every digit counts: `16 777 216`.
pub fn exact(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with its noun: `1 backup`, `3 backups`, `1 204 history files`.
pub fn count(n: u64, noun: &str) -> String {
    format!("{} {}", exact(n), plural(n, noun))
}

/// A noun in the number that `n` asks for.
pub fn plural(n: u64, noun: &str) -> String {
    if n == 1 {
        return noun.to_owned();
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    }
}

/// Words as a reader lists them: `a`, `a and b`, `a, b and c`.
pub fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (5_242_880, "5 242 880")] {
            assert_eq!(exact(n), text);
        }
    }

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(count(1, "history file"), "1 history file");
        assert_eq!(count(2, "primary"), "2 primaries");
        assert_eq!(count(0, "copy"), "0 copies");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
