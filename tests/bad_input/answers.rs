//! Answers of sync-info that are not what it prints.

use crate::bench::Bench;

#[test]
fn answers_that_make_no_sense_are_told_apart() {
    let bench = Bench::in_sync();
    let good = bench.sync_info("main").to_string();
    for (answer, said) in [
        (String::new(), "sync-info printed nothing; run it by hand"),
        ("\n\n  \n".to_owned(), "sync-info printed nothing; run it by hand"),
        (good[..good.len() / 2].to_owned(), "is cut off after"),
        (good[..good.len() - 1].to_owned(), "is cut off after"),
        ("Traceback (most recent call last):\n  \u{1b}[31mboom".to_owned(), "sync-info printed no JSON but"),
        ("[1, 2]".to_owned(), "sync-info printed no JSON but"),
        ("{}".to_owned(), "sync-info printed no JSON but"),
        (r#"{"backups": {}}"#.to_owned(), "the keys `backups` and `wals` are required"),
        (r#"{"backups": [], "wals": []}"#.to_owned(), "sync-info: `backups`"),
        (r#"{"backups": {}, "wals": {}}"#.to_owned(), "sync-info: `wals"),
        (r#"{"backups": {}, "wals": [7]}"#.to_owned(), "sync-info: `wals[0]`"),
        (r#"{"backups": {}, "wals": []}"#.to_owned(), "does not say where the server's files are"),
        (r#"{"backups": {"20261122T030000": "#.to_owned() + "\u{7} x}}", "is no JSON at line 1"),
    ] {
        bench.prints("main", &answer);
        let planned = bench.refuses_to_plan(&["main (frankfurt)", said]);
        assert!(planned.output.contains("hint:") || planned.output.contains("by hand"), "{planned}");
    }
}

#[test]
fn a_sentence_with_exit_code_0_is_not_an_empty_server() {
    let bench = Bench::in_sync();
    bench.prints("main", "Server main is being migrated, come back later\n");
    bench.refuses_to_plan(&["main (frankfurt)", "come back later", "run it by hand at the primary"]);
}

#[test]
fn another_servers_answer_is_refused() {
    let bench = Bench::start();
    let mut answer = bench.sync_info("main");
    answer["config"]["name"] = "other".into();
    bench.says("main", &answer);
    bench.refuses_to_plan(&["sync-info answered for the server other", "force a command"]);
}

#[test]
fn ssh_banner_breaks_the_json() {
    let bench = Bench::start();
    bench.runs(
        "main",
        r#"printf '\033[1mWelcome to {"fra"}\033[0m\r\n{ } [1]\n'
        echo "WARNING: Barman 3.19.1 is old" >&2
        cat main
        echo; echo "Good bye {}""#,
    );
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(2);
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0).says(&["in sync"]);
}
