//! Files that are given as saved plans, and places where none can be saved.

use std::fs;

use crate::bench::Bench;

/// A bench whose plan is saved in `plan.json`.
fn planned() -> Bench {
    let bench = Bench::start();
    bench.antipode(&["plan", "-o", "plan.json"]).expect(0).says(&["antipode apply plan.json"]);
    bench
}

/// Applies a saved plan, which must be refused with these words and leave the catalog as it was.
#[track_caller]
fn refuses(bench: &Bench, arguments: &[&str], said: &[&str]) {
    let before = bench.kept();
    let applied = bench.antipode(&[&["apply"], arguments].concat());
    applied.expect(1).says(said).says(&["hint: "]);
    let mut after = bench.kept();
    after.retain(|path, _| before.contains_key(path) || !path.starts_with(".antipode"));
    assert_eq!(after, before, "{applied}");
}

#[test]
fn what_is_no_saved_plan_is_refused_with_what_it_is() {
    let bench = planned();
    let text = fs::read_to_string(bench.path("plan.json")).unwrap();
    for (content, said) in [
        (text[..text.len() / 2].to_owned(), "is cut off"),
        (text.replace("frankfurt", "porto"), "was changed after it was saved"),
        (text.replace("\"format_version\": 1", "\"format_version\": 7"), "format_version is 7"),
        (text.replace("\"preconditions_version\": 1", "\"preconditions_version\": 7"), "preconditions_version is 7"),
        ("{}".to_owned(), "is JSON, but not a plan"),
        ("\u{1b}[2J".to_owned(), "is not JSON (line 1, column 1)"),
    ] {
        fs::write(bench.path("other.json"), content).unwrap();
        refuses(&bench, &["other.json"], &[said]);
        bench.antipode(&["show", "other.json"]).expect(1).says(&[said]);
    }
    fs::write(bench.path("other.json"), b"{\n\xff\xfe").unwrap();
    refuses(&bench, &["other.json"], &["is not JSON (line 2, column 1)"]);
    refuses(&bench, &["antipode.yaml"], &["is a site file, not a plan", "antipode apply -f SITE.yaml PLAN.json"]);
    refuses(&bench, &["nothing.json"], &["cannot read the plan nothing.json"]);
    let other_site = bench.usual_site().replace("site: lisbon", "site: porto");
    fs::write(bench.path("porto.yaml"), other_site).unwrap();
    refuses(
        &bench,
        &["-f", "porto.yaml", "plan.json"],
        &["it is a plan of site lisbon, and the site file is of porto"],
    );
}

/// A plan without what other programs of this machine change meanwhile, and the digest that follows.
fn without_free_space(plan: &str) -> String {
    let is_steady = |line: &&str| !line.trim_start().starts_with("\"free\": ") && !line.starts_with("  \"digest\": ");
    plan.lines().filter(is_steady).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_plan_is_saved_as_a_whole_or_not_at_all() {
    let bench = planned();
    let site_file = fs::read(bench.path("antipode.yaml")).unwrap();
    bench.antipode(&["plan", "-o", "antipode.yaml"]).expect(1).says(&["it is the site file"]);
    assert_eq!(fs::read(bench.path("antipode.yaml")).unwrap(), site_file);
    bench.antipode(&["plan", "-o", "nowhere/plan.json"]).expect(1).says(&["cannot save the plan in nowhere/plan.json"]);
    // What json prints is what is saved.
    let first = fs::read_to_string(bench.path("plan.json")).unwrap();
    let printed = bench.antipode(&["plan", "--format", "json", "-f", "antipode.yaml", "-o", "a plan.json"]);
    printed.expect(0).says(&["antipode apply -f antipode.yaml 'a plan.json'"]);
    let second = fs::read_to_string(bench.path("a plan.json")).unwrap();
    assert!(printed.output.starts_with(&second), "{printed}");
    assert_eq!(without_free_space(&first), without_free_space(&second));
    let shown = bench.antipode(&["show", "--format", "json", "plan.json"]);
    assert!(shown.output.starts_with(&first), "{shown}");
}

#[test]
fn a_saved_plan_without_actions_is_nothing_to_do() {
    let bench = Bench::in_sync();
    bench.antipode(&["plan", "-o", "plan.json"]).expect(0);
    // Nobody is asked for it.
    bench.prints("main", "");
    bench.antipode(&["apply", "plan.json"]).expect(0).says(&["Nothing to do: the plan plan.json has no actions."]);
}

#[test]
fn what_could_not_be_planned_is_named_and_the_rest_is_applied() {
    let bench = Bench::start();
    bench.declare(
        &bench
            .site_with(&bench.ssh_command(), "replicas: {main: {primary: frankfurt}, absent: {primary: frankfurt}}\n"),
    );
    bench.antipode(&["plan", "-o", "plan.json"]).expect(1);
    bench.antipode(&["apply", "plan.json"]).expect(1).says(&["Apply complete", "nothing was done for absent"]);
    assert!(bench.catalog().join("main/meta/20261122T030000-backup.info").exists());
}

#[test]
fn a_primary_that_does_not_answer_any_more_is_not_a_stale_plan() {
    let bench = planned();
    bench.prints("main", "");
    refuses(&bench, &["plan.json"], &["replica main could not be looked at again"]);
}
