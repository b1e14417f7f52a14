//! docs/from-barman.md shows what the program does, and `init` and `barman-conf` do it without harm. What a real Barman
//! makes of it is in tests/laboratory/init.rs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

fn antipode(directory: &Path) -> Command {
    let mut command = Command::cargo_bin("antipode").unwrap();
    command.env_remove("ANTIPODE_FILE").env("NO_COLOR", "1").current_dir(directory);
    command
}

/// Runs it, and returns the exit code, standard output and standard error.
fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = antipode(directory).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/from-barman.md")).unwrap()
}

/// The blocks in one language, without the indent of the list that they are in.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("   ```{language}\n");
    let inside = text.split(&fence).skip(1).filter_map(|rest| rest.split("   ```").next());
    inside
        .map(|block| block.lines().map(|line| format!("{}\n", line.strip_prefix("   ").unwrap_or(line))).collect())
        .collect()
}

/// The lines that are no comment and not empty.
fn without_comments(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.is_empty()).collect()
}

#[test]
fn the_documents_commands_exist() {
    let text = document();
    let consoles = blocks(&text, "console").concat();
    let steps: Vec<&str> = consoles.lines().filter_map(|line| line.strip_prefix("$ antipode ")).collect();
    assert!(steps.len() >= 6, "{steps:?}");
    let tables = text.split('`').filter_map(|word| word.strip_prefix("antipode "));
    let crontab = blocks(&text, "crontab").concat();
    let crontab = crontab.lines().filter_map(|line| line.split_once("&& antipode ")).map(|(_, rest)| rest);
    let crontab: Vec<&str> = crontab.map(|rest| rest.trim_end_matches(" >/dev/null")).collect();
    assert_eq!(crontab.len(), 2);
    for command in steps.into_iter().chain(tables).chain(crontab) {
        antipode(Path::new("/")).args(command.split_whitespace()).arg("--help").assert().success();
    }
}

#[test]
fn the_documents_site_file_is_what_init_writes() {
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("barman.conf");
    let text = "[barman]\nbarman_home = /var/lib/barman\nretention_policy = RECOVERY WINDOW OF 4 WEEKS\nminimum_redundancy = 3\n\
        parallel_jobs = 2\n[main]\nprimary_ssh_command = ssh barman@barman.fra.example.com\n";
    fs::write(&conf, text).unwrap();
    let (code, stdout, stderr) = run(directory.path(), &["init", "--from-barman-conf", "barman.conf"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    let written = fs::read_to_string(directory.path().join("antipode.yaml")).unwrap();
    let (_, site) =
        written.split_once("\nsite: ").and_then(|(_, rest)| rest.split_once('\n')).map(|(a, _)| (a, a)).unwrap();
    let written = written
        .replace(&conf.display().to_string(), "/etc/barman.conf")
        .replace(&format!("site: {site}"), "site: lisbon");
    let [shown] = &blocks(&document(), "yaml")[..] else { panic!("one site file") };
    assert_eq!(without_comments(&written), without_comments(shown));
    assert_eq!(run(directory.path(), &["validate"]).0, 0);
}

#[test]
fn init_asks_nothing_and_writes_over_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (code, stdout, stderr) = run(directory.path(), &["init"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.starts_with("Wrote antipode.yaml: ") && stderr.contains("antipode validate\n"), "{stderr}");
    assert_eq!(run(directory.path(), &["validate"]).0, 0);
    let written = fs::read_to_string(at("antipode.yaml")).unwrap();
    assert!(written.starts_with("# yaml-language-server: $schema="));

    fs::write(at("barman.conf"), "[barman]\nbarman_home = /b\nprimary_ssh_command = ssh fra\n[main]\n").unwrap();
    symlink("nowhere", at("link.yaml")).unwrap();
    for arguments in [
        &["init"][..],
        &["init", "--from-barman-conf", "barman.conf"],
        &["init", "-f", "link.yaml"],
        &["init", "-f", "link.yaml", "--from-barman-conf", "barman.conf"],
    ] {
        let (code, _, stderr) = run(directory.path(), arguments);
        assert!(code == 1 && stderr.contains(".yaml is there already"), "{arguments:?}: {stderr}");
    }
    assert_eq!(fs::read_to_string(at("antipode.yaml")).unwrap(), written);
    assert!(!at("nowhere").exists());
    assert_eq!(run(directory.path(), &["init", "-f", "other.yaml"]).0, 0);
    assert_eq!(run(directory.path(), &["validate", "-f", "other.yaml"]).0, 0);
}

#[test]
fn init_says_why_a_barman_conf_cannot_become_a_site_file() {
    let directory = tempfile::tempdir().unwrap();
    let conf = |text: &str| fs::write(directory.path().join("barman.conf"), text).unwrap();
    let init = || run(directory.path(), &["init", "--from-barman-conf", "barman.conf"]);
    for (text, messages) in [
        ("[barman\n", &["barman.conf", "diagnose"][..]),
        ("[barman]\n[main]\nactive = 1\n", &["`barman_home` is not set"]),
        (
            "[barman]\nbarman_home = /b\n[main]\nconninfo = password=s3cret\n",
            &["no server of it", "main: it is not passive"],
        ),
        (
            "[barman]\nbarman_home = /b\n[main]\nprimary_ssh_command = sshpass -p s3cret ssh fra\n",
            &["main: `primary_ssh_command`", "\"sshpass\" and not `ssh`"],
        ),
    ] {
        conf(text);
        let (code, _, stderr) = init();
        assert_eq!(code, 1);
        assert!(messages.iter().all(|message| stderr.contains(message)) && !stderr.contains("s3cret"), "{stderr}");
        assert!(!directory.path().join("antipode.yaml").exists());
    }
    let (code, _, stderr) = run(directory.path(), &["init", "--from-barman-conf", "none.conf"]);
    assert!(
        code == 1 && stderr.contains("none.conf: No such file") && stderr.contains("hint: name the barman.conf"),
        "{stderr}"
    );
}

/// A site of two replicas whose primary is a path, and a barman.conf that includes `conf.d`.
fn site() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    for name in ["catalog", "primary", "conf.d"] {
        fs::create_dir(at.join(name)).unwrap();
    }
    let home = at.display();
    let conf = format!("[barman]\nbarman_home = {home}/catalog\nconfiguration_files_directory = {home}/conf.d\n");
    fs::write(at.join("barman.conf"), conf).unwrap();
    let site = format!(
        "version: 1\nsite: x\ncatalog: {{path: {home}/catalog, config: {home}/barman.conf, deep_every: always, reserve: none, barman: '3.19.1'}}\n\
         primaries: {{fra: {{path: {home}/primary}}}}\nreplicas: {{archive: {{primary: fra}}, main: {{primary: fra}}}}\n"
    );
    fs::write(at.join("antipode.yaml"), site).unwrap();
    directory
}

#[test]
fn sections_are_kept_as_files_and_what_is_not_ours_is_left_alone() {
    let site = site();
    let at = |name: &str| site.path().join("conf.d").join(name);
    let write = || run(site.path(), &["barman-conf", "--write", "conf.d"]);
    fs::write(at("archive.conf"), "[archive]\nactive = false\n").unwrap();
    let (code, stdout, stderr) = write();
    assert_eq!((code, stdout.as_str()), (1, "conf.d/main.conf: written\n"), "{stderr}");
    assert!(stderr.contains("conf.d/archive.conf was not written by Antipode and is left alone"), "{stderr}");
    assert_eq!(fs::read_to_string(at("archive.conf")).unwrap(), "[archive]\nactive = false\n");

    fs::remove_file(at("archive.conf")).unwrap();
    assert_eq!(write().1, "conf.d/archive.conf: written\nconf.d/main.conf: unchanged\n");
    let file = fs::read_to_string(site.path().join("antipode.yaml")).unwrap();
    fs::write(site.path().join("antipode.yaml"), file.replace("archive: {primary: fra}, ", "")).unwrap();
    let (code, stdout, stderr) = write();
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.contains("conf.d/main.conf: unchanged") && stdout.contains("conf.d/archive.conf: no replica"),
        "{stdout}"
    );
    assert!(at("archive.conf").exists());
}

#[test]
fn a_directory_that_barman_does_not_read_is_told() {
    let site = site();
    fs::create_dir(site.path().join("elsewhere")).unwrap();
    let (code, _, stderr) = run(site.path(), &["barman-conf", "--write", "elsewhere"]);
    assert!(code == 0 && stderr.contains("does not read elsewhere; set `configuration_files_directory"), "{stderr}");
    let (code, _, stderr) = run(site.path(), &["barman-conf", "--write", "missing"]);
    assert!(code == 1 && stderr.contains("missing is no directory"), "{stderr}");
}

#[test]
fn a_server_that_the_site_runs_itself_gets_no_section() {
    let site = site();
    fs::write(site.path().join("conf.d/own.conf"), "[main]\nconninfo = host=pg password=s3cret\n").unwrap();
    let (code, stdout, stderr) = run(site.path(), &["barman-conf"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("[archive]") && !stdout.contains("[main]"), "{stdout}");
    assert!(stderr.contains("takes backups of a server main") && !stderr.contains("s3cret"), "{stderr}");
}

#[test]
fn new_servers_of_a_mirror_get_a_section() {
    let site = site();
    let path = site.path().join("antipode.yaml");
    let file = fs::read_to_string(&path).unwrap();
    let (head, _) = file.split_once("replicas:").unwrap();
    fs::write(&path, format!("{head}mirrors: [{{primary: fra}}]\n")).unwrap();
    assert_eq!(run(site.path(), &["barman-conf"]).1, "");
    fs::create_dir_all(site.path().join("primary/new/base")).unwrap();
    let (code, stdout, stderr) = run(site.path(), &["barman-conf"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("[new]\ndescription = copy of new at fra, kept by antipode\nactive = false\n"), "{stdout}");
}
