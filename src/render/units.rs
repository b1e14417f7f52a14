//! Sizes, durations, times and counts, as every text of this program writes them.

use jiff::Timestamp;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A size in the largest fitting unit: `344 bytes`, `16 MiB` when it is exactly that, else `412.6 GiB`.
pub fn bytes(n: u64) -> String {
    if n < 1024 {
        return count(n, "byte");
    }
    let mut unit = 1024_u128;
    let mut names = UNITS.iter();
    let mut name = names.next();
    // A size that would round up to 1024.0 is better said in the next unit.
    while tenths(n, unit) >= 10240 {
        unit *= 1024;
        name = names.next();
    }
    let name = name.copied().unwrap_or_default();
    let tenths = tenths(n, unit);
    if u128::from(n) % unit == 0 {
        return format!("{} {name}", tenths / 10);
    }
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Tenths of a unit, rounded.
fn tenths(n: u64, unit: u128) -> u128 {
    (u128::from(n) * 10 + unit / 2) / unit
}

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

/// A length of time in its two largest units: `14 min 23 s`, `3 d`.
pub fn duration(seconds: u64) -> String {
    const LENGTHS: [(u64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let first = LENGTHS.iter().position(|(length, _)| seconds >= *length).unwrap_or(LENGTHS.len() - 1);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (i, (length, name)) in LENGTHS.iter().enumerate().skip(first).take(2) {
        let amount = rest / length;
        rest %= length;
        if amount > 0 || i == first {
            parts.push(format!("{amount} {name}"));
        }
    }
    parts.join(" ")
}

/// A length of time that is only estimated: to the minute from one on, to ten of them from an hour on.
pub fn rough_duration(seconds: u64) -> String {
    let step = match seconds {
        0..60 => 1,
        60..3600 => 60,
        3600..86400 => 600,
        _ => 3600,
    };
    duration(seconds.saturating_add(step / 2) / step * step)
}

/// A speed: `70 MiB/s`.
pub fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// A moment in UTC, to the second: `2026-11-22 09:12:03Z`.
pub fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
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
    fn sizes_have_one_decimal_unless_they_are_whole() {
        let cases = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1 023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (16 << 20, "16 MiB"),
            (1008 << 20, "1008 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            ((1 << 30) + 1, "1.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (n, text) in cases {
            assert_eq!(bytes(n), text, "{n}");
        }
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (5_242_880, "5 242 880")] {
            assert_eq!(exact(n), text);
        }
    }

    #[test]
    fn durations_have_two_units() {
        let cases = [(0, "0 s"), (59, "59 s"), (863, "14 min 23 s"), (3600, "1 h"), (3659, "1 h"), (90061, "1 d 1 h")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn estimated_durations_are_round() {
        let cases = [(1, "1 s"), (59, "59 s"), (89, "1 min"), (369, "6 min"), (3599, "1 h"), (5100, "1 h 30 min")];
        for (seconds, text) in cases {
            assert_eq!(rough_duration(seconds), text);
        }
        assert_eq!(rough_duration(86400 + 5400), "1 d 2 h");
    }

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(count(1, "history file"), "1 history file");
        assert_eq!(count(2, "primary"), "2 primaries");
        assert_eq!(count(0, "copy"), "0 copies");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
