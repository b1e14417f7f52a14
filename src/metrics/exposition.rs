//! Samples, and their text in version 0.0.4 of Prometheus' format.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::durations::{BOUNDS, Durations};
use super::series::{self, Kind, Series};
use crate::error::{self, Error};

/// What a sample says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// Durations.
    Durations(Durations),
}

/// Samples of one site, each of a series.
#[derive(Debug)]
pub struct Exposition<'a> {
    site: &'a str,
    by_series: BTreeMap<&'static str, Vec<Metric>>,
}

impl<'a> Exposition<'a> {
    /// None yet.
    pub fn of(site: &'a str) -> Self {
        Self { site, by_series: BTreeMap::new() }
    }

    /// Adds a sample; `labels` are the values of those behind `site`.
    pub fn add(&mut self, series: Series, labels: &[&str], value: Value) {
        let values = std::iter::once(self.site).chain(labels.iter().copied());
        let mut metric =
            Metric::from_label(series.labels.iter().zip(values).map(|(name, value)| pair(name, value)).collect());
        match (value, series.kind) {
            (Value::Number(number), Kind::Counter) => {
                let mut counter = Counter::default();
                counter.set_value(number);
                metric.set_counter(counter);
            }
            (Value::Number(number), Kind::Gauge | Kind::Histogram) => {
                let mut gauge = Gauge::default();
                gauge.set_value(number);
                metric.set_gauge(gauge);
            }
            (Value::Durations(durations), _) => metric.set_histogram(histogram(&durations)),
        }
        self.by_series.entry(series.name).or_default().push(metric);
    }

    /// Adds a sample that is a number.
    pub fn number(&mut self, series: Series, labels: &[&str], number: f64) {
        self.add(series, labels, Value::Number(number));
    }

    /// The text: the series in the order of their table, each with its samples by their labels.
    pub fn text(mut self) -> Result<String, Error> {
        let labels =
            |metric: &Metric| metric.get_label().iter().map(|pair| pair.value().to_owned()).collect::<Vec<_>>();
        let families: Vec<MetricFamily> = series::all()
            .filter_map(|series| {
                let mut metrics = self.by_series.remove(series.name)?;
                metrics.sort_by_cached_key(labels);
                Some(family(series, metrics))
            })
            .collect();
        // It fails for a family without a name or without samples, and there is none.
        TextEncoder::new()
            .encode_to_string(&families)
            .map_err(|error| Error::new(error::Kind::Internal, format!("internal error, please report it: {error}")))
    }
}

fn family(series: Series, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(series.name.to_owned());
    family.set_help(series.help.to_owned());
    family.set_field_type(match series.kind {
        Kind::Gauge => MetricType::GAUGE,
        Kind::Counter => MetricType::COUNTER,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    family.set_metric(metrics);
    family
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn histogram(durations: &Durations) -> Histogram {
    let bucket = |(bound, count): (f64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(BOUNDS.into_iter().zip(durations.up_to).map(bucket).collect());
    histogram.set_sample_count(durations.count);
    histogram.set_sample_sum(durations.sum);
    histogram
}

/// A count as a sample. Those from 2^53 on lose their last digits, as in Prometheus itself.
#[allow(clippy::cast_precision_loss, reason = "a sample is a float")]
pub fn count(number: u64) -> f64 {
    number as f64
}

/// A moment as a sample: whole seconds of Unix time.
#[allow(clippy::cast_precision_loss, reason = "a sample is a float")]
pub fn moment(time: jiff::Timestamp) -> f64 {
    time.as_second() as f64
}

/// Whether something is so, as a sample.
pub fn truth(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}
