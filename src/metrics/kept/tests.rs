use proptest::prelude::*;

use super::*;
use crate::metrics::text;

/// A record of any samples that there can be.
fn any_ledger() -> impl Strategy<Value = Ledger> {
    let sample = (
        0..series::RECORD.len(),
        prop::collection::vec("(?s).{0,6}", 4),
        0..1_u32 << 30,
        prop::collection::vec(0..9_u64, 12),
    );
    prop::collection::vec(sample, 0..12).prop_map(|samples| {
        let mut ledger = Ledger::default();
        for (at, labels, number, counts) in samples {
            let series = series::RECORD[at];
            let labels = labels.into_iter().cycle().take(series.labels.len() - 1).collect();
            let value = if series.kind == Kind::Histogram {
                let mut durations = Durations { sum: f64::from(number) / 8.0, ..Durations::default() };
                for (up_to, count) in durations.up_to.iter_mut().zip(counts) {
                    durations.count += count;
                    *up_to = durations.count;
                }
                Value::Durations(durations)
            } else {
                Value::Number(f64::from(number))
            };
            ledger.put(series, labels, value);
        }
        ledger
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(ledger in any_ledger(), site in "(?s).{1,8}") {
        let text = text(&site, None, &ledger).unwrap();
        let kept = read(&text);
        prop_assert_eq!(kept.site, Some(site));
        prop_assert_eq!(kept.ledger, ledger);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "(antipode_(runs_total|run_duration_seconds_bucket)[{}a-z\"=,\\\\0-9. +-]{0,40}\n){0,4}") {
        read(&text);
    }
}

#[test]
fn a_line_that_is_not_as_it_is_written_here_is_passed_over() {
    let whole = "antipode_runs_total{site=\"lisbon\",command=\"apply\",result=\"done\"} 3";
    assert_ne!(read(whole).ledger, Ledger::default());
    for bad in [
        "antipode_runs_total{site=\"lisbon\",result=\"done\",command=\"apply\"} 3",
        "antipode_runs_total{site=\"lisbon\",command=\"apply\"} 3",
        "antipode_runs_total{site=\"lisbon\",command=\"apply\",result=\"done\"} NaN",
        "antipode_runs_total{site=\"lisbon\",command=\"apply\",result=\"done\"} -3",
        "antipode_runs_total{site=\"lisbon\",command=\"apply\",result=\"done\"} 3 1700000000",
        "antipode_runs_total{site=\"lisbon\",command=\"apply\",result=\"do\\ne",
        "antipode_runs_total 3",
        "antipode_elsewhere{site=\"lisbon\"} 3",
        "antipode_run_duration_seconds_bucket{site=\"lisbon\",command=\"apply\",le=\"7\"} 3",
        "antipode_run_duration_seconds_bucket{site=\"lisbon\",command=\"apply\",le=\"60\"} 3",
    ] {
        assert_eq!(read(bad).ledger, Ledger::default(), "{bad}");
    }
}

#[test]
fn how_a_site_stood_is_not_kept_and_another_site_is_not_mixed_in() {
    let text = "antipode_objectives_kept{site=\"lisbon\"} 1\n\
                antipode_last_run_exit_code{site=\"porto\",command=\"apply\"} 4\n\
                antipode_last_run_exit_code{site=\"lisbon\",command=\"apply\"} 0\n";
    let kept = read(text);
    assert_eq!(kept.site.as_deref(), Some("lisbon"));
    let again = crate::metrics::text("lisbon", None, &kept.ledger).unwrap();
    assert!(again.contains("antipode_last_run_exit_code{site=\"lisbon\",command=\"apply\"} 0\n"), "{again}");
    assert!(!again.contains("porto") && !again.contains("objectives_kept"), "{again}");
}
