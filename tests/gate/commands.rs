//! Command lines.

use std::process::Output;

use crate::Ground;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_site_is_answered_for_the_servers_of_its_key_and_for_no_other() {
    let ground = Ground::new();
    let servers = ground.ask(&[], "barman list-servers --minimal");
    assert_eq!((stdout(&servers).as_str(), servers.status.code()), ("main\n", Some(0)), "{}", stderr(&servers));
    let conf = ground.path("barman.conf");
    for asked in ["barman sync-info main".to_owned(), format!("barman -c {} sync-info main", conf.display())] {
        let told = ground.ask(&[], &asked);
        let told: serde_json::Value =
            serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{}", stderr(&told)));
        assert!(told["backups"]["20261122T030000"].is_object(), "{told}");
    }
    for (asked, why) in [
        ("barman sync-info other".to_owned(), "the server other is refused: this key serves main"),
        ("barman -c /etc/passwd sync-info main".to_owned(), "the barman.conf /etc/passwd is refused"),
    ] {
        let refused = ground.ask(&[], &asked);
        assert_eq!((refused.status.code(), stdout(&refused)), (Some(1), String::new()));
        assert!(stderr(&refused).contains(&format!("antipode gate: {why}")), "{}", stderr(&refused));
    }
}

#[test]
fn a_key_for_all_servers_serves_all() {
    let ground = Ground::serving("--all");
    assert_eq!(stdout(&ground.ask(&[], "barman list-servers --minimal")), "main\nother\n");
    let unknown = ground.ask(&[], "barman sync-info nowhere");
    assert!(stderr(&unknown).contains("Unknown server 'nowhere'"), "{}", stderr(&unknown));
}

#[test]
fn a_home_leaves_out_what_is_elsewhere() {
    let ground = Ground::new();
    ground.tie(&format!("--all --home {}", ground.home().join("other").display()));
    assert_eq!(stdout(&ground.ask(&[], "barman list-servers --minimal")), "other\n");
    let refused = ground.ask(&[], "barman sync-info main");
    assert!(stderr(&refused).contains("the server main is refused"), "{}", stderr(&refused));
}

#[test]
fn a_barman_that_is_named_answers_with_its_own_words_and_code() {
    let ground = Ground::new();
    let program = ground.path("answers");
    crate::support::executable::write_program(&program, "#!/bin/sh\necho \"$@\"\nexit 7\n");
    ground.tie(&format!("--server main --barman {}", program.display()));
    let told = ground.ask(&[], "barman sync-info main 00000001000000000000000A 5");
    let expected = format!("-c {} sync-info main 00000001000000000000000A 5\n", ground.path("barman.conf").display());
    assert_eq!((stdout(&told), told.status.code()), (expected, Some(7)));
}

#[test]
fn command_lines_that_want_more_are_refused_told_and_noted() {
    let ground = Ground::new();
    let (home, mark) = (ground.home().display().to_string(), ground.path("mark").display().to_string());
    let before = ground.primary();
    let rsync = "rsync --server --sender -tpre.iLsfxCIvu";
    let main = format!("{home}/main/");
    let attempts = [
        String::new(),
        format!("touch {mark}"),
        format!("sh -c 'touch {mark}'"),
        format!("barman sync-info main; touch {mark}"),
        format!("barman sync-info main\ntouch {mark}"),
        format!("barman sync-info main && touch {mark}"),
        format!("barman sync-info main | tee {mark}"),
        format!("barman sync-info main > {mark}"),
        format!("barman sync-info $(touch {mark})"),
        format!("barman sync-info `touch {mark}`"),
        format!("barman sync-info \"$(touch {mark})\""),
        "barman delete main oldest".to_owned(),
        "barman recover main latest /tmp/x".to_owned(),
        "barman sync-info --primary main".to_owned(),
        "barman sync-info ../main".to_owned(),
        "barman show-server all".to_owned(),
        "antipode apply --auto-approve".to_owned(),
        format!("antipode init --write {mark}"),
        format!("cat {home}/.pgpass"),
        format!("scp -f {home}/.pgpass"),
        "internal-sftp".to_owned(),
        "/usr/lib/openssh/sftp-server".to_owned(),
        format!("env RSYNC_RSH='touch {mark}' {rsync} . {main}"),
        format!("/tmp/../usr/bin/rsync --server --sender -tpre.L . {main}"),
        format!("rsync --server -tpre.iLsfxCIvu . {main}"),
        format!("rsync --server -tpre.iLsfxCIvu --delete . {main}"),
        format!("rsync --sender --server -tpre.iLsfxCIvu . {main}"),
        "rsync --daemon --config=/tmp/x".to_owned(),
        "rsync --server --daemon .".to_owned(),
        format!("{rsync} --daemon . {main}"),
        format!("{rsync} --remove-source-files . {main}"),
        format!("{rsync} --remove-sou . {main}"),
        format!("{rsync} --log-file={mark} . {main}"),
        format!("{rsync} --log-file {mark} . {main}"),
        format!("{rsync} --write-batch={mark} . {main}"),
        format!("{rsync} -e 'touch {mark}' . {main}"),
        format!("{rsync} --rsh='touch {mark}' . {main}"),
        format!("{rsync} --files-from={home}/.pgpass . {main}"),
        format!("{rsync} --exclude-from={home}/.pgpass . {main}"),
        format!("{rsync} --filter='. {home}/.pgpass' . {main}"),
        format!("{rsync} --copy-links . {main}"),
        format!("{rsync} --copy-unsafe-links . {main}"),
        format!("{rsync} --insecure-links . {main}"),
        format!("{rsync} --confine-root=/ . {main}"),
        format!("{rsync} --copy-devices . {main}"),
        format!("{rsync} -L . {main}"),
        format!("rsync --server --sender -tprLe.iLsfxCIvu . {main}"),
        format!("rsync --server --sender -tprke.iLsfxCIvu . {main}"),
        format!("rsync --server --sender -tprse.iLsfxCIvu . {main}"),
        format!("{rsync} -- . {main}"),
        format!("{rsync} . {main} {home}/other/"),
        format!("{rsync} . {home}/other/"),
        format!("{rsync} . {home}/"),
        format!("{rsync} . /"),
        format!("{rsync} . /etc/"),
        format!("{rsync} . ."),
        format!("{rsync} . {home}/main/../other/"),
        format!("{rsync} . {home}/main/./../../outside/"),
        format!("{rsync} . {home}/main.secret"),
        format!("{rsync} . {home}/main/base/20261122T030000/data/directory/"),
        format!("{rsync} . {home}/main/base/20261122T030000/data/other/"),
        format!("{rsync} . {home}/main/base/20261122T030000/data/file"),
        format!("{rsync} . ~/"),
        format!("{rsync} . {home}/m*/"),
        format!("{rsync} . {home}/{{main,other}}/"),
    ];
    for asked in &attempts {
        let refused = ground.ask(&[], asked);
        assert_eq!(
            (refused.status.code(), stdout(&refused)),
            (Some(1), String::new()),
            "{asked}: {}",
            stderr(&refused)
        );
        let told = stderr(&refused);
        let lines: Vec<&str> = told.lines().filter(|line| !line.starts_with("Warning: ")).collect();
        assert!(matches!(lines[..], [line] if line.starts_with("antipode gate: ")), "{asked}: {told}");
        assert!(!ground.path("mark").exists(), "{asked}");
    }
    assert_eq!(ground.log().lines().filter(|line| line.contains("127.0.0.1 ")).count(), attempts.len());
    assert!(!ground.log().contains("let through"), "{}", ground.log());
    assert_eq!(ground.primary(), before, "nothing of the primary changed");
}

#[test]
fn neither_the_environment_nor_options_of_the_client_change_what_is_asked_for() {
    let ground = Ground::new();
    let mark = ground.path("mark").display().to_string();
    for options in [
        &["-o", "SetEnv=SSH_ORIGINAL_COMMAND=id"][..],
        &["-o", "SetEnv=PATH=/tmp"],
        &["-o", "SetEnv=LC_ALL=x RUST_LOG=trace"],
        &["-tt"],
        &["-A", "-X"],
        &["-o", "RequestTTY=force"],
        &["-s"],
    ] {
        let refused = ground.ask(options, &format!("touch {mark}"));
        assert_ne!(refused.status.code(), Some(0), "{options:?}");
        assert!(!ground.path("mark").exists(), "{options:?}");
    }
    let forwarded =
        ground.ask(&["-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:22"], "barman sync-info main");
    assert_ne!(forwarded.status.code(), Some(0), "{}", stderr(&forwarded));
}
