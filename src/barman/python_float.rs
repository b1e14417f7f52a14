//! Floats as Python writes them: the times in xlog.db and in `copy_stats`.

/// The text of a finite float as Python's `repr` and `str` give it: the shortest digits that read back as the
/// same number, an exponent from 1e16 on and below 1e-4.
pub fn python_repr(value: f64) -> String {
    with_python_repr(value, str::to_owned)
}

/// Appends the same to a text: a list of a million files has a million times.
pub fn push_python_repr(text: &mut String, value: f64) {
    with_python_repr(value, |repr| text.push_str(repr));
}

/// Hands over the same.
pub fn with_python_repr<T>(value: f64, tell: impl FnOnce(&str) -> T) -> T {
    if value != 0.0 && !(1e-4..1e16).contains(&value.abs()) {
        return tell(&scientific(value));
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(value);
    let decimals = shortest.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    // Half-way between two texts lies only a number that has exactly one decimal more, a 5.
    if fraction_bits(value) == decimals + 1 {
        return tell(&half_to_even(value, format!("{value:.decimals$}"), shortest.to_owned()));
    }
    tell(shortest)
}

fn scientific(value: f64) -> String {
    // Rust gives as few digits, with an exponent: `-1.5e3`.
    let shortest = format!("{value:e}");
    let mantissa = shortest.split_once('e').map_or("", |(mantissa, _)| mantissa);
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let text = half_to_even(value, format!("{value:.decimals$e}"), shortest);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Of two shortest texts that are equally close, Python takes the one with the even digit and Rust the greater;
/// with the number of digits given, Rust takes the even one too.
fn half_to_even(value: f64, rounded: String, shortest: String) -> String {
    if rounded.parse() == Ok(value) { rounded } else { shortest }
}

/// How many binary, and so also decimal, places the exact value has after its point.
fn fraction_bits(value: f64) -> usize {
    let bits = value.to_bits();
    let exponent = usize::try_from(bits >> 52 & 0x7FF).unwrap_or_default();
    // The implicit leading bit stops the count for a power of two.
    let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
    let zeros = usize::try_from(mantissa.trailing_zeros()).unwrap_or_default();
    (1023 + 52 - zeros).saturating_sub(exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Rust has the digits too, and takes the greater of two that are equally close.
        #[test]
        fn digits_are_the_shortest_that_read_as_the_number(value in any::<f64>(), time in 0.0..4e9_f64) {
            for value in [value, time].into_iter().filter(|value| value.is_finite()) {
                let (repr, rust) = (python_repr(value), format!("{value:e}"));
                prop_assert_eq!(repr.parse::<f64>(), Ok(value));
                let digits = |text: &str| {
                    let mantissa = text.split('e').next().unwrap_or_default().replace(['.', '-'], "");
                    mantissa.trim_matches('0').len()
                };
                prop_assert_eq!(digits(&repr), digits(&rust), "{}, {}", repr, rust);
            }
        }
    }

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
