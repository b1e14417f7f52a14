//! docs/monitoring.md says what each series means: as the program does.

use antipode::metrics::series::{self, Series};

use crate::tools::{names, text, written};

fn row(series: &Series) -> String {
    let labels: Vec<String> = series.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {} | {} | {} |", series.name, series.kind.as_str(), labels.join(", "), series.help)
}

fn table(series: &[Series]) -> String {
    let rows: Vec<String> = series.iter().map(row).collect();
    format!("| series | type | labels | meaning |\n| --- | --- | --- | --- |\n{}\n", rows.join("\n"))
}

#[test]
fn the_page_has_every_series_with_its_meaning_and_no_other() {
    let page = text("docs/monitoring.md");
    for series in [series::STATE, series::RECORD] {
        let table = table(series);
        assert!(page.contains(&table), "docs/monitoring.md must have this table:\n\n{table}");
    }
    let known = |name: &&str| written().contains(*name) || series::all().any(|series| series.name == *name);
    let unknown: Vec<&str> = names(&page).into_iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
