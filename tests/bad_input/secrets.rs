//! The password in the primary's conninfo.

use std::fs;

use crate::bench::Bench;
use crate::sync_info::PASSWORD;

#[test]
fn no_secret_gets_into_a_saved_plan_or_the_journal() {
    const OURS: &str = "0ur-s3cret";
    let bench = Bench::start();
    let proxied = format!("{} -o 'SetEnv=TOKEN={OURS}'", bench.ssh_command().rsplit_once(' ').unwrap().0);
    let ssh_command = format!("{proxied} {}", bench.ssh_command().rsplit_once(' ').unwrap().1);
    let site = bench.site_with(&format!("\"{ssh_command}\""), "replicas: {main: {primary: frankfurt}}\n");
    for (what, code) in [("a plan with actions", 0), ("a plan of a primary that says nonsense", 1)] {
        bench.declare(&site);
        bench.antipode(&["plan", "-o", "plan.json"]).expect(code).never_says(OURS);
        let saved = fs::read_to_string(bench.path("plan.json")).unwrap();
        assert!(!saved.contains(OURS) && !saved.contains(PASSWORD), "{what}: {saved}");
        assert!(saved.contains("\"ssh\": \"sha256 "), "{what}: {saved}");
        bench.antipode(&["show", "plan.json"]).expect(0).never_says(OURS).never_says(PASSWORD);
        bench.antipode(&["apply", "--auto-approve"]).expect(code).never_says(OURS);
        let journal = fs::read_to_string(bench.catalog().join(".antipode/journal/lines.jsonl")).unwrap();
        assert!(!journal.contains(OURS) && !journal.contains(PASSWORD), "{what}: {journal}");
        bench.prints("main", &bench.sync_info("main").to_string()[..400]);
    }
}

#[test]
fn password_of_conninfo_on_the_dr_host() {
    let bench = Bench::start();
    assert!(bench.sync_info("main").to_string().contains(PASSWORD));
    bench.antipode(&["plan", "-vv"]).expect(0).never_says(PASSWORD);
    bench.antipode(&["apply", "--auto-approve", "-vv"]).expect(0).never_says(PASSWORD);
    let files =
        walkdir::WalkDir::new(bench.catalog()).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    for file in files {
        let content = fs::read(file.path()).unwrap();
        let found = content.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
        assert!(!found, "{}", file.path().display());
    }
    // Not where an answer that cannot be read is quoted, either.
    let answer = bench.sync_info("main").to_string();
    let conninfo = answer.find("\"conninfo\"").unwrap();
    for broken in [&answer[..conninfo + 70], &answer[conninfo..], &answer.replace("\"config\":{", "\"config\":{\"x\" ")]
    {
        bench.prints("main", broken);
        bench.antipode(&["plan", "-vv"]).expect(1).never_says(PASSWORD);
    }
}
