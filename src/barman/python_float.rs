//! Floats as Python writes them: the times in xlog.db and in `copy_stats`.

/// The text of a finite float as Python's `repr` and `str` give it: the shortest digits that read back as the
/// same number, an exponent from 1e16 on and below 1e-4.
pub fn python_repr(value: f64) -> String {
    // Rust gives as few digits, with an exponent: `-1.5e3`.
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let even = half_to_even(value, format!("{value:.decimals$e}"), &shortest);
        let mantissa = even.split_once('e').map_or(even.as_str(), |(mantissa, _)| mantissa);
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    let plain = format!("{value}");
    let Some((_, decimals)) = plain.split_once('.') else { return plain + ".0" };
    half_to_even(value, format!("{value:.*}", decimals.len()), &plain)
}

/// Of two shortest texts that are equally close, Python takes the one with the even digit and Rust the greater;
/// with the number of digits given, Rust takes the even one too.
fn half_to_even(value: f64, rounded: String, shortest: &str) -> String {
    if rounded.parse() == Ok(value) { rounded } else { shortest.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_look_as_in_python() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1_795_339_475.848_354, "1795339475.848354"),
            (1_795_339_475.0, "1795339475.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-2.5e-7, "-2.5e-07"),
            (206_717_055_801_907.12, "206717055801907.12"),
            (1_795_352_352.003_906_2, "1795352352.0039062"),
        ] {
            assert_eq!(python_repr(value), text);
        }
    }
}
