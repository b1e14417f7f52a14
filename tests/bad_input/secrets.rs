//! What nobody may read who reads what a run wrote or printed: the password in the primary's conninfo, and what the ssh
//! command of the site holds.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

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

/// What the words of an ssh command may hold.
const OURS: [&str; 4] = ["t0ken-0ne", "t0ken tw0", "pa55-three", "pa55-f0ur"];

/// No file below a directory has a secret of ours in it, but for those that it is written in.
fn nobody_wrote(bench: &Bench, sources: &[&str]) {
    let walk = walkdir::WalkDir::new(bench.path("")).into_iter().map(Result::unwrap);
    let sources: Vec<_> = sources.iter().map(|name| bench.path(name)).collect();
    for file in walk.filter(|entry| entry.file_type().is_file() && !sources.iter().any(|source| source == entry.path()))
    {
        let content = fs::read(file.path()).unwrap();
        for secret in OURS {
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", file.path().display());
        }
    }
}

#[test]
fn no_secret_of_an_ssh_command_is_printed_or_written_whatever_fails() {
    let bench = Bench::start();
    let [one, two, three, four] = OURS;
    let hiding = |command: &str| {
        let (options, destination) = command.rsplit_once(' ').unwrap();
        format!("{options} -o SetEnv=TOKEN={one} -o 'SetEnv=X=\"{two}\"' -oSetEnv=Y={one} {destination}")
    };
    let works = hiding(&bench.ssh_command());
    let (options, destination) = works.rsplit_once(' ').unwrap();
    fs::write(bench.path("other_key"), "no key").unwrap();
    fs::set_permissions(bench.path("other_key"), Permissions::from_mode(0o600)).unwrap();
    let refused = hiding(&bench.ssh_command_with("other_key", "known_hosts", bench.sshd().port()));
    let proxy = format!("{options} -o 'ProxyCommand=false --password {three} https://u:{four}@proxy' {destination}");
    fs::create_dir(bench.path("conf.d")).unwrap();
    let mirror = "replicas: {main: {primary: frankfurt}}\nmirrors: [{primary: frankfurt, except: [\"x*\"]}]\n";
    for (what, command, code) in
        [("works", &works, 0), ("a refused key", &refused, 1), ("a proxy that fails", &proxy, 1)]
    {
        let scalar = format!("'{}'", command.replace('\'', "''"));
        bench.lists("main\n");
        bench.declare(&bench.site_with(&scalar, mirror));
        let commands: [&[&str]; 14] = [
            &["plan", "-vv"],
            &["plan", "--format", "json"],
            &["plan", "--format", "markdown"],
            &["plan", "-o", "plan.json"],
            &["status"],
            &["status", "--format", "json"],
            &["status", "--metrics", "metrics.prom"],
            &["apply", "--auto-approve", "--json", "-vv"],
            &["explain", "main"],
            &["history"],
            &["history", "--format", "json"],
            &["barman-conf"],
            &["barman-conf", "--write", "conf.d"],
            &["show", "plan.json"],
        ];
        for arguments in commands {
            let ran = bench.antipode(arguments);
            for secret in OURS {
                ran.never_says(secret);
            }
            if arguments[0] == "plan" {
                assert_eq!(ran.code, Some(code), "{what}: {ran}");
            }
        }
        nobody_wrote(&bench, &["antipode.yaml"]);
        if command == &refused {
            bench.antipode(&["plan"]).says(&["run it by hand: ssh", "SetEnv=TOKEN=***"]);
        }
        // A mistake is shown with the line that it is in, and those beside it.
        for (right, wrong) in
            [("barman: {command", "barmann: {command"), ("-o SetEnv=TOKEN", "-o ControlPath=x -o SetEnv=TOKEN")]
        {
            bench.declare(&bench.site_with(&scalar, mirror).replacen(right, wrong, 1));
            for arguments in [&["validate"][..], &["validate", "--format", "json"], &["plan"]] {
                let ran = bench.antipode(arguments);
                ran.expect(1);
                for secret in OURS {
                    ran.never_says(secret);
                }
            }
        }
    }
}

#[test]
fn a_site_file_that_is_made_of_a_barman_conf_is_its_owners_alone() {
    let bench = Bench::start();
    let secret = OURS[0];
    let conf = format!(
        "[barman]\nbarman_home = {home}\n[main]\nactive = true\nprimary_ssh_command = ssh -o SetEnv=TOKEN={secret} barman@fra\n\
         [wrapped]\nprimary_ssh_command = sshpass -p {secret} ssh fra\n",
        home = bench.catalog().display()
    );
    fs::write(bench.path("barman.conf"), conf).unwrap();
    let told = bench.antipode(&["init", "-f", "made.yaml", "--from-barman-conf", "barman.conf"]);
    told.expect(0).never_says(secret);
    let made = fs::read_to_string(bench.path("made.yaml")).unwrap();
    assert_eq!(made.matches(secret).count(), 1, "{made}");
    assert_eq!(fs::metadata(bench.path("made.yaml")).unwrap().permissions().mode() & 0o777, 0o600);
}
