use super::*;

const MAIN: &str = "
[barman]
barman_home = /srv/barman
compression = gzip
parallel_jobs = 4
retention_policy = recovery window of 4 weeks
pre_backup_script = notify --token s3cret

[main]
description = the \"first\"
conninfo = host=x password='s3cret' user=b
backup_method = rsync
ssh_command = sshpass -p s3cret ssh postgres@x
encryption_passphrase_command = echo s3cret
backup_directory = /big/main
errors_directory = %(backup_directory)s/bad
parallel_jobs = many
minimum_redundancy = 3
bandwidth_limit = 100
tablespace_bandwidth_limit = a:100 b:200
last_backup_maximum_age = 2 DAYS

[passive]
primary_ssh_command = ssh barman@fra

[lame]
backup_method = postgres
reuse_backup = link
archiver = off
streaming_archiver = on
";

fn config(server: &str, version: &str) -> ServerConfig {
    let conf = BarmanConf::parse("barman.conf", MAIN).unwrap();
    ServerConfig::read(&conf, &server.parse().unwrap(), version.parse().unwrap()).unwrap().unwrap()
}

fn shown(config: &ServerConfig, key: &str) -> String {
    config.redacted().find(|(name, _)| *name == key).map_or_else(|| "absent".to_owned(), |(_, value)| value.to_string())
}

#[test]
fn defaults_and_corrections_are_those_of_barman() {
    let main = config("main", "3.19.1");
    for (key, value) in [
        ("active", "True"),
        ("archiver", "True"),
        ("backup_options", "'concurrent_backup'"),
        ("bandwidth_limit", "100"),
        ("basebackups_directory", "'/big/main/base'"),
        ("cluster", "'main'"),
        ("compression", "'gzip'"),
        ("errors_directory", "'/big/main/bad'"),
        ("last_backup_maximum_age", "'2 days'"),
        ("minimum_redundancy", "3"),
        ("name", "'main'"),
        ("parallel_jobs", "4"),
        ("retention_policy", "'RECOVERY WINDOW OF 4 WEEKS'"),
        ("tablespace_bandwidth_limit", "{'a': 100, 'b': 200}"),
        ("wal_retention_policy", "'MAIN'"),
        ("xlogdb_directory", "'/big/main/wals'"),
        ("barman_home", "absent"),
    ] {
        assert_eq!(shown(&main, key), value, "{key}");
    }
    assert!(main.faults(&"main".parse().unwrap()).is_empty());
}

#[test]
fn an_old_barman_prints_its_own_keys_and_words() {
    let main = config("main", "3.4.1");
    for (key, value) in [
        ("msg_list", "[]"),
        ("barman_home", "'/srv/barman'"),
        ("barman_lock_directory", "'/srv/barman'"),
        ("retention_policy", "'window 4 w'"),
        ("wal_retention_policy", "'simple-wal 4 w'"),
        ("xlogdb_directory", "absent"),
    ] {
        assert_eq!(shown(&main, key), value, "{key}");
    }
}

#[test]
fn no_secret_is_shown() {
    let main = config("main", "3.19.1");
    for (key, value) in [
        ("conninfo", "\"host=x password='***' user=b\""),
        ("streaming_conninfo", "\"host=x password='***' user=b\""),
        ("ssh_command", "'sshpass -p *** ssh postgres@x'"),
        ("encryption_passphrase_command", "'***'"),
        ("pre_backup_script", "'notify --token ***'"),
    ] {
        assert_eq!(shown(&main, key), value, "{key}");
    }
    assert!(!main.redacted().any(|(_, value)| value.to_string().contains("s3cret")));
}

#[test]
fn a_passive_server_needs_nothing_else() {
    let passive = config("passive", "3.19.1");
    assert!(passive.is_passive() && passive.is_active());
    assert!(passive.faults(&"passive".parse().unwrap()).is_empty());
    assert_eq!(shown(&passive, "archiver"), "False");
    assert_eq!(shown(&passive, "backup_options"), "''");
}

#[test]
fn a_server_that_barman_disables_says_why() {
    let faults = config("lame", "3.19.1").faults(&"lame".parse().unwrap());
    assert_eq!(
        faults,
        [
            "PostgreSQL connection: Missing 'conninfo' parameter for server 'lame'",
            "Streaming-only archiver requires 'streaming_conninfo' and 'slot_name' options to be properly configured",
            "reuse_backup option is not supported by postgres backup_method",
        ]
    );
}
