//! The graph as Graphviz itself reads it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::situations;
use crate::plan::Plan;
use crate::plan::order::critical_path::critical_path;
use crate::plan::order::graph::Phase;
use crate::plan::reason::Reason;
use crate::plan::tests::build::*;
use crate::render::dot;

/// What Graphviz draws.
fn svg(text: &str) -> String {
    let mut drawing = Command::new("dot")
        .arg("-Tsvg")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Graphviz's dot is installed; ./test does that");
    drawing.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = drawing.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// As Graphviz writes a text in a drawing.
fn in_svg(text: &str) -> String {
    let escape = |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        '-' => "&#45;".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[test]
fn graphviz_draws_every_address() {
    for situation in situations::all() {
        let drawing = svg(&dot(&situation.plan));
        for action in situation.plan.replicas.iter().flat_map(|replica| &replica.actions) {
            let address = in_svg(action.address.as_str());
            assert!(drawing.contains(&format!(">{address}</text>")), "{address} in {}\n{drawing}", situation.name);
        }
    }
}

/// The critical path of a plan, each step in a few words.
fn critical(plan: &Plan) -> (Vec<String>, u64) {
    let graph = plan.graph();
    let path = critical_path(plan, &graph);
    let words = |node: &petgraph::graph::NodeIndex| {
        let step = graph[*node];
        let address = plan.replicas[step.replica].actions[step.action].address.to_string();
        let part = match step.phase {
            Phase::Whole => "",
            Phase::Copy => " copy",
            Phase::Publish => " publish",
        };
        format!("{address}{part}")
    };
    (path.steps.iter().map(words).collect(), path.bytes)
}

#[test]
fn the_critical_path_has_most_bytes_to_copy() {
    let mut incremental = copy("1122", 3 * GIB);
    incremental.parent = Some(id("1121"));
    let plan = site(vec![
        replica("archive").of([add(copy("1122", 7 * GIB))]),
        replica("main").new_here().of([create(), add(incremental), add(copy("1121", 5 * GIB)), add(copy("1120", GIB))]),
    ]);
    assert_eq!(
        critical(&plan),
        (
            vec!["archive/backup/20261122T030000 copy".to_owned(), "archive/backup/20261122T030000 publish".to_owned()],
            7 * GIB
        )
    );
    let main = site(plan.replicas.into_iter().skip(1).collect());
    let steps = [
        "main/server",
        "main/backup/20261121T030000 copy",
        "main/backup/20261121T030000 publish",
        "main/backup/20261122T030000 publish",
    ];
    assert_eq!(critical(&main), (steps.map(str::to_owned).to_vec(), 5 * GIB));
}

#[test]
fn without_a_byte_to_copy_no_path_is_critical() {
    let plan = site(vec![replica("main").of([remove("1018", None, Reason::GoneAtPrimary)])]);
    assert_eq!(critical(&plan), (Vec::new(), 0));
    assert!(dot(&plan).contains("no path is critical"));
}

#[test]
fn of_equal_paths_the_first_in_the_plan_is_marked() {
    let plan = site(vec![replica("main").of([add(copy("1122", GIB)), add(copy("1121", GIB))])]);
    assert_eq!(critical(&plan).0[0], "main/backup/20261122T030000 copy");
}

#[test]
fn thousands_of_actions_are_written_quickly() {
    let scattered = (0..5_000_u64).map(|i| wals(range(1, 0x1000 + 2 * i, 0x1000 + 2 * i), Some("1122")));
    let plan = site(vec![replica("main").of([add(copy("1122", GIB))]).of(scattered)]);
    let begin = Instant::now();
    assert!(dot(&plan).lines().count() > 5_000);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}
