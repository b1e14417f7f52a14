//! What the site's own Barman would do to a replica.

use std::fs;

use crate::bench::{Bench, Finished, snapshot};

/// Plans with this section of the site's barman.conf.
fn plan_beside(bench: &Bench, section: &str) -> Finished {
    let conf = format!("[barman]\nbarman_home = {}\n\n{section}", bench.catalog().display());
    fs::write(bench.path("barman.conf"), conf).unwrap();
    let site = bench.usual_site().replace(
        "barman: '3.19.1'}",
        &format!("barman: '3.19.1', config: '{}'}}", bench.path("barman.conf").display()),
    );
    bench.declare(&site);
    bench.antipode(&["plan"])
}

#[test]
fn a_passive_cron_and_a_retention_policy_of_the_site_are_warned_of() {
    let bench = Bench::in_sync();
    let planned =
        plan_beside(&bench, "[main]\nprimary_ssh_command = ssh barman@fra\nretention_policy = REDUNDANCY 2\n");
    planned.expect(0).says(&[
        "the site's own Barman synchronises this server as well",
        "`active = false`",
        "the site's own Barman deletes what `REDUNDANCY 2` finds too much",
    ]);
    let planned = plan_beside(&bench, "[main]\nprimary_ssh_command = ssh barman@fra\nactive = false\n");
    planned.expect(0).never_says("own Barman");
}

#[test]
fn a_server_that_the_site_runs_itself_is_never_touched() {
    let bench = Bench::start();
    fs::create_dir_all(bench.path("catalog/main/base")).unwrap();
    let planned = plan_beside(&bench, "[main]\nconninfo = host=pg\n");
    planned.expect(1).says(&[
        "main (frankfurt)",
        "blocked",
        "takes backups of a server with this name",
        "`server: main`",
    ]);
    let before = snapshot(&bench.path("catalog/main"));
    bench.antipode(&["apply", "--auto-approve"]).expect(1);
    assert_eq!(snapshot(&bench.path("catalog/main")), before);
}
