//! A server that has another name at the site, and what must not come with it.

use std::fs;

use walkdir::WalkDir;

use crate::antipode::antipode;
use crate::barman::{PASSWORD, SERVER};
use crate::converge::site_file;
use crate::ground::Lab;
use crate::scenario;
use crate::site::Site;
use crate::sshd::Sshd;

/// The server's name at the site.
const COPY: &str = "main-of-frankfurt";

#[test]
fn a_renamed_server_is_a_server_of_its_own_without_the_primarys_password() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    assert!(scenario.primary.barman.sync_info().to_string().contains(PASSWORD));
    let sshd = Sshd::start(&lab.join("sshd"), &scenario.primary.barman);
    let site = Site::new(&lab, scenario.primary.barman.version, &scenario.primary, &sshd);
    let replica = format!("  {COPY}:\n    server: {SERVER}\n");
    site.declare(&site_file(&site, &sshd).replace(&format!("  {SERVER}:\n"), &replica));
    for (arguments, code) in
        [(&["plan", "-vv"][..], 0), (&["apply", "--auto-approve", "-vv"], 0), (&["plan", "--detailed-exitcode"], 0)]
    {
        let finished = antipode(&site.directory, arguments);
        assert_eq!(finished.code(), code, "{finished}");
        assert!(!finished.to_string().contains(PASSWORD), "{finished}");
    }

    let server = site.catalog().join(COPY);
    assert!(!site.catalog().join(SERVER).exists());
    assert!(server.join("wals").join(format!("{COPY}-xlog.db")).exists());
    for id in &scenario.backups {
        let info = fs::read_to_string(server.join(format!("meta/{id}-backup.info"))).expect("a backup.info");
        assert!(info.contains(&format!("server_name={COPY}\n")), "{info}");
    }
    for entry in WalkDir::new(site.catalog()).into_iter().map(|entry| entry.expect("read the catalog")) {
        if entry.file_type().is_file() {
            let content = fs::read(entry.path()).expect("read a file of the catalog");
            let found = content.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
            assert!(!found, "the password is in {}", entry.path().display());
        }
    }
}
