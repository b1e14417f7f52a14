//! Sizes, durations and times, as every text of this program writes them.

use jiff::Timestamp;

use crate::english::count;

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
}
