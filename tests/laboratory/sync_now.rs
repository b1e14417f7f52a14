//! Barman's commands that copy, as Antipode has them: `sync-backup`, `sync-wals`, `cron`.

use crate::antipode::antipode;
use crate::barman::SERVER;
use crate::converge::empty_site;
use crate::ground::Lab;
use crate::locks::Holder;
use crate::scenario;

/// The words and exit codes are those of `barman sync-backup` and `barman cron` 3.19.1.
#[test]
fn backups_wal_and_whole_sites_are_copied_by_barmans_commands() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (_sshd, site) = empty_site(&lab, &scenario.primary, scenario.primary.barman.version);
    let ours = |arguments: &[&str]| antipode(&site.directory, arguments);
    let id = scenario.backups[1].as_str();

    for (arguments, message) in [
        (&["sync-backup", "nosuch", id][..], "Unknown server 'nosuch'"),
        (&["sync-backup", SERVER, "20200101T000000"], "Backup 20200101T000000 is absent on main server"),
        (&["sync-backup", SERVER, "latest"], "Backup latest is absent on main server"),
        (&["sync-wals", "nosuch"], "Unknown server 'nosuch'"),
    ] {
        let refused = ours(arguments);
        assert_eq!(refused.code(), 1, "{refused}");
        assert!(refused.stderr.contains(message), "{refused}");
    }

    let lock = site.catalog().join(format!(".{SERVER}-{id}-sync-backup.lock"));
    let holder = Holder::of(&lock);
    let locked = ours(&["sync-backup", SERVER, id]);
    assert_eq!(locked.code(), 1, "{locked}");
    let words = format!("Another synchronisation process for backup {id} of server main is already running.");
    assert!(locked.stderr.contains(&words), "{locked}");
    drop(holder);

    let done = ours(&["sync-backup", SERVER, id]);
    assert_eq!(done.code(), 0, "{done}");
    assert_eq!(site.barman.backup_ids(), [id]);
    let again = ours(&["sync-backup", SERVER, id]);
    assert_eq!(
        (again.code(), again.stdout.as_str()),
        (0, &*format!("Backup {id} is already synced with main server\n"))
    );

    let wals = ours(&["sync-wals", SERVER]);
    assert_eq!(wals.code(), 0, "{wals}");
    assert_eq!(site.barman.backup_ids(), [id]);
    let plan = site.expect_changes();
    assert!(!plan.contains(" wal ") && !plan.contains(" history "), "{plan}");

    let holder = Holder::of(&site.catalog().join(format!(".{SERVER}-cron.lock")));
    let busy = ours(&["cron"]);
    assert_eq!(busy.code(), 0, "{busy}");
    assert!(busy.stdout.contains("Another cron process is already running on server main."), "{busy}");
    drop(holder);
    let holder = Holder::of(&site.catalog().join(".antipode/main.lock"));
    let busy = ours(&["cron"]);
    assert_eq!(busy.code(), 0, "{busy}");
    assert!(busy.stdout.contains("already running, skipping"), "{busy}");
    drop(holder);

    let pass = ours(&["cron"]);
    assert_eq!(pass.code(), 0, "{pass}");
    assert_eq!(site.barman.backup_ids(), scenario.backups);
    let quiet = ours(&["cron"]);
    assert_eq!((quiet.code(), quiet.stdout.as_str(), quiet.stderr.as_str()), (0, "", ""));
    site.expect_no_changes();
}
