//! Rates, percentages and room.

use bytesize::ByteSize;

use super::{Mistake, Scalar};

/// The units of a rate. A bare number is refused: bytes, bits and megabits would all be guesses.
const RATE_UNITS: [&str; 9] = ["B", "kB", "KB", "MB", "GB", "KiB", "MiB", "GiB", "TiB"];

/// Bytes per second, or `unlimited`: `200MiB/s`, `80MB/s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::site) struct Rate(pub Option<u64>);

impl Scalar for Rate {
    const FORMAT: &'static str = "rate";

    fn pattern() -> String {
        format!("^(unlimited|(?=.*[1-9])[0-9]{{1,6}}(\\.[0-9]{{1,3}})? ?({})/s)$", RATE_UNITS.join("|"))
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "unlimited" {
            return Ok(Self(None));
        }
        let help = |example: &str| format!("write bytes per second with a unit, as in `{example}`, or `unlimited`");
        let mistake = |why: &str| Mistake::new(format!("`{text}` is not a rate: {why}"), help("80MiB/s"));
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
        let Some(unit) = unit.strip_suffix("/s") else {
            let suggestion =
                if RATE_UNITS.contains(&unit.trim_start()) { format!("{text}/s") } else { "80MiB/s".to_owned() };
            return Err(Mistake::new(format!("`{text}` is not a rate: it does not end in `/s`"), help(&suggestion)));
        };
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        if unit.ends_with("bit") || unit.ends_with('b') {
            return Err(mistake("bits are not counted here; 8 of them are a byte"));
        }
        if !RATE_UNITS.contains(&unit) {
            return Err(mistake(&format!("its unit is not one of {}", RATE_UNITS.join(", "))));
        }
        if !is_short_decimal(number) {
            return Err(mistake("it does not begin with a number such as 80 or 1.5"));
        }
        match format!("{number}{unit}").parse::<ByteSize>() {
            Ok(size) if size.as_u64() > 0 => Ok(Self(Some(size.as_u64()))),
            _ => Err(mistake("it is zero")),
        }
    }
}

/// How much of a disk is left free: `10GiB`, `5%`, `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::site) enum Reserve {
    /// So many bytes.
    Bytes(u64),
    /// This part of it, in percent.
    Percent(u8),
}

impl Scalar for Reserve {
    const FORMAT: &'static str = "reserve";

    fn pattern() -> String {
        let percent = Percent::pattern();
        let percent = percent.trim_start_matches('^').trim_end_matches('$');
        format!("^(none|{percent}|(?=.*[1-9])[0-9]{{1,6}}(\\.[0-9]{{1,3}})? ?({}))$", RATE_UNITS.join("|"))
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "none" {
            return Ok(Self::Bytes(0));
        }
        if text.ends_with('%') {
            return Percent::parse(text).map(|percent| Self::Percent(percent.0));
        }
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let size = format!("{number}{unit}").parse::<ByteSize>().map(|size| size.as_u64()).unwrap_or_default();
        if size == 0 || !RATE_UNITS.contains(&unit) || !is_short_decimal(number) {
            let help = "write bytes with a unit or a part of the disk, as in `10GiB` or `5%`, or `none`";
            return Err(Mistake::new(format!("`{text}` is not an amount of room"), help));
        }
        Ok(Self::Bytes(size))
    }
}

/// At most six digits, and at most three after a point.
fn is_short_decimal(number: &str) -> bool {
    let digits = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match number.split_once('.') {
        Some((whole, fraction)) => digits(whole, 6) && digits(fraction, 3),
        None => digits(number, 6),
    }
}

/// A whole percentage from `0%` to `100%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::site) struct Percent(pub u8);

impl Scalar for Percent {
    const FORMAT: &'static str = "percent";

    fn pattern() -> String {
        "^(100|[1-9]?[0-9])%$".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let number = text.strip_suffix('%').filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let value = number.and_then(|number| number.parse::<u32>().ok());
        match value {
            Some(value) if value > 100 => {
                Err(Mistake::new(format!("`{text}` is more than everything"), "write a percentage from `0%` to `100%`"))
            }
            Some(value) if number == Some(value.to_string().as_str()) => Ok(Self(u8::try_from(value).unwrap_or(100))),
            _ => {
                Err(Mistake::new(format!("`{text}` is not a percentage"), "write a whole number and `%`, as in `25%`"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let rate = |text: &str| Rate::parse(text).ok();
        assert_eq!(rate("200MiB/s"), Some(Rate(Some(200 << 20))));
        assert_eq!(rate("80 MB/s"), Some(Rate(Some(80_000_000))));
        assert_eq!(rate("1.5GiB/s"), Some(Rate(Some(3 << 29))));
        assert_eq!(rate("unlimited"), Some(Rate(None)));
        for bad in [
            "",
            "80",
            "80MiB",
            "80 Mbit/s",
            "80Mb/s",
            "0MiB/s",
            "0.0MiB/s",
            "-1MiB/s",
            "1.MiB/s",
            "80m/s",
            "MiB/s",
            "1234567MB/s",
        ] {
            assert_eq!(rate(bad), None, "{bad:?}");
        }
        assert!(Rate::parse("80MiB").unwrap_err().help.contains("`80MiB/s`"));
    }

    #[test]
    fn reserves() {
        let reserve = |text: &str| Reserve::parse(text).ok();
        assert_eq!(reserve("10GiB"), Some(Reserve::Bytes(10 << 30)));
        assert_eq!(reserve("1.5 GiB"), Some(Reserve::Bytes(3 << 29)));
        assert_eq!(reserve("5%"), Some(Reserve::Percent(5)));
        assert_eq!(reserve("none"), Some(Reserve::Bytes(0)));
        for bad in ["", "5", "0GiB", "101%", "5 %", "10GiB/s", "10Gbit", "-1GiB", "GiB", "1.GiB"] {
            assert_eq!(reserve(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn percentages() {
        let percent = |text: &str| Percent::parse(text).map(|percent| percent.0).ok();
        assert_eq!((percent("0%"), percent("25%"), percent("100%")), (Some(0), Some(25), Some(100)));
        for bad in ["", "25", "101%", "05%", "-1%", "2.5%", "%", "25 %"] {
            assert_eq!(percent(bad), None, "{bad:?}");
        }
    }
}
