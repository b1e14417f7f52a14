//! Site files from barman.conf, whole, and whatever barman.conf says.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::barman::conf::BarmanConf;
use crate::site::model::{Access, Site};

fn translate(conf: &str) -> Result<Translation, Nothing> {
    translate_with(conf, &[])
}

fn translate_with(main: &str, included: &[(&str, &str)]) -> Result<Translation, Nothing> {
    let mut conf = BarmanConf::parse("/etc/barman.conf", main).unwrap();
    for (file, text) in included {
        conf.include(file, text).unwrap();
    }
    from_barman_conf(&conf, "/etc/barman.conf", "lisbon")
}

fn load(text: &str) -> Site {
    match crate::site::load("site.yaml", text, Some(Path::new("/home/barman"))) {
        Ok(loaded) => loaded.site,
        Err(mistakes) => panic!("{text}\n{:#?}", mistakes.list()),
    }
}

/// The file, which must be valid, with what is said on stderr below it.
fn shown(translation: &Translation) -> String {
    load(&translation.text);
    let remarks: String = translation.remarks.iter().map(|remark| format!("> {remark}\n")).collect();
    format!("{}---\n{remarks}", translation.text)
}

#[test]
fn the_first_file_is_valid_and_short() {
    let site = load(&minimal());
    assert_eq!((site.name.as_str(), site.replicas.len()), ("lisbon", 1));
    assert!(minimal().lines().count() < 30);
    assert!(minimal().lines().all(|line| line.len() < 100));
}

#[test]
fn every_server_passive_of_one_primary() {
    let text = "[barman]\nbarman_home = /var/lib/barman\nbarman_user = barman\nprimary_ssh_command = ssh barman@barman.fra.example.com\n\
        [main]\ndescription = x\n[web]\ndescription = y\n";
    insta::assert_snapshot!(shown(&translate(text).unwrap()));
}

#[test]
fn a_mixed_node_with_all_that_can_be_said() {
    let main = "[barman]\nbarman_home = /srv/barman\nconfiguration_files_directory = /etc/barman.d\n\
        retention_policy = RECOVERY WINDOW OF 4 WEEKS\nminimum_redundancy = 3\nbandwidth_limit = 5000\n\
        last_backup_maximum_age = 1 DAY\ncompression = gzip\nforward_config_path = on\nparallel_jobs = 2\n";
    let passive = "[main]\nconninfo = host=pg password=s3cret\nprimary_ssh_command = ssh -p 2222 -o StrictHostKeyChecking=no barman@fra\n\
        parallel_jobs = 12\nreuse_backup = link\ntablespace_bandwidth_limit = hot:100\nbackup_directory = /big/%(name)s\n";
    let plain = "[plain]\nprimary_ssh_command = ssh -q -i ~/.ssh/id_dr barman@tokyo\nretention_policy =\nminimum_redundancy = 0\n\
        forward_config_path = false\nbandwidth_limit = 0\nnetwork_compression = yes\n";
    let other = "[local]\nconninfo = host=pg password=s3cret\nssh_command = ssh postgres@pg\n\
        [off]\nactive = false\nprimary_ssh_command = ssh barman@fra\n[wrapped]\nprimary_ssh_command = sshpass -p s3cret ssh fra\n\
        [model-a]\nmodel = true\ncluster = main\n";
    let included =
        [("/etc/barman.d/a.conf", passive), ("/etc/barman.d/b.conf", plain), ("/etc/barman.d/c.conf", other)];
    let translation = translate_with(main, &included).unwrap();
    let shown = shown(&translation);
    assert!(!shown.contains("s3cret"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_file_without_a_passive_server_is_refused_with_the_reasons() {
    let text = "[barman]\nbarman_home = /b\n[main]\nconninfo = host=pg\n";
    let Err(Nothing::NoReplica { left_out }) = translate(text) else { panic!() };
    assert_eq!(left_out, ["main: it is not passive, as it has no `primary_ssh_command`"]);
    assert!(matches!(
        translate("[barman]\nbarman_home = b\n[m]\nprimary_ssh_command = ssh x\n"),
        Err(Nothing::Home(_))
    ));
    assert!(matches!(translate("[barman]\n[m]\nprimary_ssh_command = ssh x\n"), Err(Nothing::Conf(_))));
}

/// A value on one line, as barman.conf has it.
fn value() -> impl Strategy<Value = String> {
    let words = [
        "ssh",
        "-p",
        "22",
        "-q",
        "-i",
        "~/.ssh/id",
        "barman@fra",
        "fra",
        "-o",
        "Ciphers=a,b",
        "no",
        "'",
        "#",
        ": ",
        "REDUNDANCY",
        "7",
        "0",
        "é",
        "{}",
        "- ",
        "*a",
    ];
    let word = prop_oneof![3 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "[ -~]{0,6}"];
    prop::collection::vec(word, 0..6).prop_map(|words| words.join(" ").replace('%', "").trim().to_owned())
}

proptest! {
    #[test]
    fn whatever_barman_conf_says_the_file_loads_and_gives_it_back(
        name in "[a-zA-Z0-9_.#:{}\\[\\]'\"&*!|>@` é-]{1,8}",
        home in "/[a-z :#'\"é]{0,8}[a-z]",
        options in prop::collection::vec("(-q|-4|-p [1-9][0-9]{0,3}|-i ~/[a-z#:]{1,5}|-o Ciphers=[a-z@,:-]{1,8}|-J [a-z.]{1,5})", 0..4),
        host in "[a-z0-9:{}@\\[\\]=~é.-]{1,9}",
        key in prop::sample::select(vec!["retention_policy", "bandwidth_limit", "parallel_jobs", "tablespace_bandwidth_limit", "primary_ssh_command"]),
        value in value(),
    ) {
        prop_assume!(!name.contains(']') && name.parse::<crate::barman::ids::ServerName>().is_ok() && name != "DEFAULT");
        let command = format!("ssh {} {host}", options.join(" "));
        let text = format!("[barman]\nbarman_home = {home}\nprimary_ssh_command = {command}\n[{name}]\n{key} = {value}\n");
        let Ok(conf) = BarmanConf::parse("f", &text) else { return Ok(()) };
        if let Ok(translation) = from_barman_conf(&conf, "/etc/barman.conf", "lisbon") {
            let site = load(&translation.text);
            prop_assert_eq!(&site.catalog.path, &conf.barman_home().unwrap());
            let names: Vec<&str> = site.replicas.keys().map(crate::barman::ids::ServerName::as_str).collect();
            prop_assert_eq!(names, [name.as_str()]);
            if key != "primary_ssh_command" && translation.remarks.iter().all(|remark| !remark.starts_with("primary ")) {
                let Some(Access::Ssh { words }) = site.primaries.values().next().map(|p| &p.access) else { panic!() };
                let expanded = command.replace("~/", "/home/barman/");
                let mut expected = shell_words::split(&expanded).unwrap();
                let mut words = words.clone();
                expected.sort();
                words.sort();
                prop_assert_eq!(words, expected, "{}", translation.text);
            }
        }
    }
}
