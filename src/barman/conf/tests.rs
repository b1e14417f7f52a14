use super::*;
use proptest::prelude::*;
use std::path::Path;

const MAIN: &str = r#"
; Barman of Lisbon
[barman]
barman_home = /srv/barman
barman_lock_directory = "/run/barman"
configuration_files_directory = /etc/barman.d
primary_ssh_command = ssh barman@fra
xlogdb_directory = /srv/xlogdb/%(name)s
retention_policy = RECOVERY WINDOW OF
    30 DAYS

[main]
conninfo = host=x password=s3cret#1
Description = 100%% ours ; really
active = Off
backup_directory = /big/%(name)s
wals_directory = %(backup_directory)s/pg_wals
primary_ssh_command = None

[model-a]
model = true
cluster = main
"#;

fn conf() -> BarmanConf {
    BarmanConf::parse("barman.conf", MAIN).unwrap()
}

fn server(conf: &BarmanConf, name: &str) -> ServerConf {
    conf.server(&name.parse().unwrap()).unwrap().unwrap()
}

#[test]
fn global_settings_are_read() {
    let conf = conf();
    assert_eq!(conf.barman_home().unwrap(), Path::new("/srv/barman"));
    assert_eq!(conf.barman_lock_directory().unwrap(), Path::new("/run/barman"));
    assert_eq!(conf.includes().unwrap().unwrap(), Path::new("/etc/barman.d"));
    assert_eq!(conf.servers().unwrap(), BTreeSet::from(["main".parse().unwrap()]));
}

#[test]
fn a_servers_values_are_inherited_referred_to_and_taken_back() {
    let main = server(&conf(), "main");
    assert_eq!(main.dirs.basebackups_directory, Path::new("/big/main/base"));
    assert_eq!(main.dirs.wals_directory, Path::new("/big/main/pg_wals"));
    assert_eq!(main.dirs.xlogdb_directory, Path::new("/srv/xlogdb/main"));
    assert_eq!(main.dirs.meta_directory, Path::new("/big/main/meta"));
    assert_eq!((main.active, main.primary_ssh_command), (false, None));
    assert_eq!(main.retention_policy.as_deref(), Some("RECOVERY WINDOW OF\n30 DAYS"));
}

#[test]
fn an_included_file_adds_and_overrides_servers_only() {
    let mut conf = conf();
    conf.include("b.conf", "[main]\nactive = yes\n[Other]\ndescription: x\n").unwrap();
    assert!(server(&conf, "main").active);
    let other = server(&conf, "Other");
    let default = ServerDirs::of_catalog(Path::new("/srv/barman"), "Other".parse().unwrap());
    assert_eq!(other.dirs.wals_directory, default.wals_directory);
    assert_eq!(other.primary_ssh_command.as_deref(), Some("ssh barman@fra"));
    let error = conf.include("c.conf", "[barman]\nbarman_home = /x\n").unwrap_err();
    assert_eq!(error, ConfError::GlobalInInclude { file: "c.conf".into(), key: "barman_home".into() });
    conf.include("d.conf", "[barman]\nbarman_home = /srv/barman\n").unwrap();
}

#[test]
fn what_barman_could_not_read_is_an_error() {
    for text in ["key = 1\n", "[barman\n", "[barman]\nword\n"] {
        assert!(matches!(BarmanConf::parse("f", text), Err(ConfError::Syntax { .. })), "{text}");
    }
    for value in ["%(nowhere)s", "%(barman_home)s", "50%", "%(open"] {
        let conf = BarmanConf::parse("f", &format!("[barman]\nbarman_home = {value}\n")).unwrap();
        assert!(matches!(conf.barman_home(), Err(ConfError::Reference { .. })), "{value}");
    }
    let conf = BarmanConf::parse("f", "[barman]\n[../x]\na=1\n").unwrap();
    assert_eq!(conf.barman_home(), Err(ConfError::NoHome));
    assert!(matches!(conf.servers(), Err(ConfError::Name(_))));
}

#[test]
fn debug_output_shows_no_password() {
    assert!(!format!("{:?}", conf()).contains("s3cret"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(\\[[a-z]{0,6}\\]?\n|[ a-z%()s=:;#\"]{0,20}\n|\\PC{0,9}){0,8}") {
        if let Ok(conf) = BarmanConf::parse("f", &format!("[barman]\nbarman_home=/x\n{text}")) {
            for name in conf.servers().unwrap_or_default() {
                let _ = conf.server(&name);
            }
        }
    }
}

#[test]
fn a_setting_is_told_with_where_it_stands() {
    let mut conf =
        BarmanConf::parse("barman.conf", "[barman]\nbarman_home=/b\nparallel_jobs = 2\n[main]\nx=1\n").unwrap();
    conf.include("d/main.conf", "[main]\nparallel_jobs = many\nssh_command = ssh -W %%%%h:%%%%p x\n").unwrap();
    let settings = |key: &str| {
        let settings = conf.settings(&"main".parse().unwrap(), key).unwrap();
        let text = settings.into_iter().map(|s| format!("{} [{}] {} = {}", s.file, s.section, s.key, s.value));
        text.collect::<Vec<_>>()
    };
    assert_eq!(
        settings("parallel_jobs"),
        ["d/main.conf [main] parallel_jobs = many", "barman.conf [barman] parallel_jobs = 2"]
    );
    assert_eq!(settings("ssh_command"), ["d/main.conf [main] ssh_command = ssh -W %h:%p x"]);
    assert_eq!(settings("barman_home"), [""; 0]);
}

#[test]
fn a_primary_that_never_has_anything_is_recognised() {
    let idle = |command: &str| {
        let text = format!("[barman]\nbarman_home=/b\n[main]\nprimary_ssh_command = {command}\n");
        server(&BarmanConf::parse("f", &text).unwrap(), "main").is_idle()
    };
    assert!(idle("/usr/bin/antipode nothing-to-sync"));
    assert!(!idle("ssh barman@nothing-to-sync.example.com") && !idle(""));
}
