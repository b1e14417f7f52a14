//! The dashboard: JSON that Grafana can import, whose queries are right and name only series that are written.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::tools::{assert_written, printed, promtool, text};

fn dashboard() -> Value {
    serde_json::from_str(&text("examples/grafana/antipode.json")).unwrap()
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

/// The queries with Grafana's variables as it would fill them in.
fn queries(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard).iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let filled = |query: &str| {
        let query = query.replace("$site", ".*").replace("$replica", ".*");
        query.replace("$__rate_interval", "5m")
    };
    targets.map(|target| filled(target["expr"].as_str().unwrap())).collect()
}

#[test]
fn every_panel_has_an_id_and_a_place_of_its_own() {
    let dashboard = dashboard();
    let panels = panels(&dashboard);
    let ids: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel}");
        for (x, y) in (0..place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
            assert!(taken.insert((place("x") + x, place("y") + y)), "{} lies over another panel", panel["title"]);
        }
        assert!(panel["type"] == "row" || panel["description"].as_str().is_some_and(|text| text.ends_with('.')));
    }
}

#[test]
fn every_query_is_one_and_names_only_series_that_are_written() {
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    assert!(queries.len() > 30 && queries.iter().all(|query| !query.contains('$')), "{queries:?}");
    assert_written(&queries.join("\n"));
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["definition"].as_str() {
            assert_written(query);
        }
    }
    // What promtool takes as a rule, Prometheus takes as a query.
    let rule = |(at, query): (usize, &String)| json!({"record": format!("query:{at}"), "expr": query});
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("queries.yml");
    fs::write(&file, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
    let output = promtool(&["check", "rules", file.to_str().unwrap()], "");
    assert!(output.status.success(), "{}", printed(&output));
}
