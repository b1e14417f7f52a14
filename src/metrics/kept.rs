//! What an earlier text holds of a ledger.
//!
//! The text is a cache that anybody may delete, and a file that anybody may have written: a line that is not as it is
//! written here is passed over, and what is lost so begins anew, which Prometheus takes for a restart.

use std::collections::BTreeMap;

use super::durations::{BOUNDS, Durations};
use super::exposition::Value;
use super::ledger::Ledger;
use super::series::{self, Kind, Series};

/// What a text holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kept {
    /// The site that it is of; `None` when nothing in it tells.
    pub site: Option<String>,
    /// The record in it.
    pub ledger: Ledger,
}

/// Reads a text. A sample of another site than the first one's is passed over.
pub fn read(text: &str) -> Kept {
    let mut kept = Kept::default();
    let mut histograms: BTreeMap<(&'static str, Vec<String>), Durations> = BTreeMap::new();
    for Sample { series, part, labels, number } in text.lines().filter_map(Sample::parse) {
        let Some((site, labels)) = labels.split_first() else { continue };
        let is_of_record = series::RECORD.contains(&series);
        if kept.site.get_or_insert_with(|| site.clone()) != site || !is_of_record {
            continue;
        }
        let Some(part) = part else {
            kept.ledger.put(series, labels.to_vec(), Value::Number(number));
            continue;
        };
        let histogram = histograms.entry((series.name, labels.to_vec())).or_default();
        match part {
            Part::UpTo(bound) => histogram.up_to[bound] = whole(number),
            Part::Count => histogram.count = whole(number),
            Part::Sum => histogram.sum = number,
        }
    }
    for ((name, labels), durations) in histograms.into_iter().filter(|(_, durations)| durations.is_sound()) {
        if let Some(series) = series::RECORD.iter().find(|series| series.name == name) {
            kept.ledger.put(*series, labels, Value::Durations(durations));
        }
    }
    kept
}

/// One line.
struct Sample {
    series: Series,
    /// What it tells of a histogram; `None` when it tells all of its series.
    part: Option<Part>,
    /// The values of the labels of its series, `site` first.
    labels: Vec<String>,
    number: f64,
}

/// What a line tells of a histogram.
#[derive(Clone, Copy)]
enum Part {
    /// How many durations were up to one of the bounds.
    UpTo(usize),
    /// How many there were.
    Count,
    /// Seconds of all.
    Sum,
}

impl Sample {
    /// A line of a series that there is, with its labels in their order.
    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once('{')?;
        let (mut pairs, rest) = labels(rest)?;
        let number: f64 = rest.strip_prefix(' ')?.parse().ok()?;
        if !number.is_finite() || number < 0.0 {
            return None;
        }
        let of = |kind: Kind, suffix: &str| {
            let name = name.strip_suffix(suffix)?;
            series::all()
                .find(|series| series.name == name && (series.kind == Kind::Histogram) == (kind == Kind::Histogram))
        };
        let (series, part) = if let Some(series) = of(Kind::Gauge, "") {
            (series, None)
        } else if let Some(series) = of(Kind::Histogram, "_count") {
            (series, Some(Part::Count))
        } else if let Some(series) = of(Kind::Histogram, "_sum") {
            (series, Some(Part::Sum))
        } else {
            let series = of(Kind::Histogram, "_bucket")?;
            let (_, bound) = pairs.pop().filter(|(name, _)| name == "le")?;
            (series, Some(Part::UpTo(BOUNDS.iter().position(|known| known.to_string() == bound)?)))
        };
        let names = pairs.iter().map(|(name, _)| name.as_str());
        if !names.eq(series.labels.iter().copied()) {
            return None;
        }
        Some(Self { series, part, labels: pairs.into_iter().map(|(_, value)| value).collect(), number })
    }
}

/// The labels in front of a closing brace, and what is behind it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut pairs = Vec::new();
    loop {
        let (name, behind) = rest.split_once("=\"")?;
        let (value, behind) = quoted(behind)?;
        pairs.push((name.to_owned(), value));
        match behind.strip_prefix(',') {
            Some(behind) => rest = behind,
            None => return Some((pairs, behind.strip_prefix('}')?)),
        }
    }
}

/// A label's value up to its closing quote, and what is behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

/// A count that was written as a sample.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count, and is not negative")]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests;
