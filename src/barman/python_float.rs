//! Floats as Python writes them: the times in xlog.db and in `copy_stats`.

/// The text of a finite float as Python's `repr` and `str` give it: the shortest digits that read back as the
/// same number, an exponent from 1e16 on and below 1e-4.
pub fn python_repr(value: f64) -> String {
    // Rust gives the same shortest digits, with an exponent: `-1.5e3`.
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
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
        ] {
            assert_eq!(python_repr(value), text);
        }
    }
}
