//! The password in the primary's conninfo.

use std::fs;

use crate::bench::Bench;
use crate::sync_info::PASSWORD;

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
