//! Names and filters, which travel in rsync's protocol behind a command line that is let through.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Ground, SECRET};

/// Options of a copy of files by their names.
const NAMED: [&str; 5] = ["-t", "--no-protect-args", "--from0", "--files-from=-", "--no-implied-dirs"];

/// Whether this host's kernel has Landlock: the gate that must have it answers.
fn has_landlock() -> bool {
    let ground = Ground::serving("--server main --confine kernel");
    let listed =
        ground.rsync(&["-r", "--no-protect-args", "--list-only", &ground.remote(&ground.home().join("main"))], "");
    let told = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(listed.status.success() || told.contains("nothing here confines rsync"), "{told}");
    listed.status.success()
}

fn has_confine_root() -> bool {
    let help = Command::new("rsync").arg("--help").output().expect("rsync is installed");
    String::from_utf8_lossy(&help.stdout).contains("--confine-root")
}

/// The ways to confine rsync that this host has.
fn ways() -> Vec<&'static str> {
    let mut ways = vec!["look"];
    ways.extend(has_landlock().then_some("kernel"));
    ways.extend(has_confine_root().then_some("rsync"));
    ways
}

#[test]
fn what_a_site_copies_arrives_whichever_way_rsync_is_confined() {
    for way in ways() {
        let ground = Ground::serving(&format!("--server main --confine {way}"));
        // A look at all links refuses a base from which one leads out.
        fs::remove_dir_all(ground.home().join("main/base")).unwrap();
        let into = ground.path("into");
        let from = ground.remote(&ground.home().join("main"));
        let names = "meta/20261122T030000-backup.info\0wals/0000000100000000/00000001000000000000000A\0";
        let copied = ground.rsync(&[&NAMED[..], &[&from, into.to_str().unwrap()]].concat(), names);
        assert!(copied.status.success(), "{way}: {}", String::from_utf8_lossy(&copied.stderr));
        assert_eq!(fs::read(into.join("wals/0000000100000000/00000001000000000000000A")).unwrap(), b"wal");
        assert!(ground.log().contains(" let through: rsync --server --sender "), "{}", ground.log());
    }
}

#[test]
fn no_name_and_no_filter_reaches_what_the_key_does_not_serve() {
    for way in ways() {
        let ground = Ground::serving(&format!("--server main --confine {way}"));
        let (main, data, before) = (ground.home().join("main"), ground.data(), ground.primary());
        for (from, names) in [
            (&main, "../other/meta/20261122T030000-backup.info\0../../outside/secret\0../.pgpass\0"),
            (&main, "/etc/passwd\0//etc/passwd\0"),
            (&data, "directory/secret\0file\0relative\0other/meta/20261122T030000-backup.info\0"),
            (&data, "directory/\0directory/.\0./directory/secret\0"),
            (&main, "base/20261122T030000/data/directory/secret\0"),
            (&data, "../data/directory/secret\0"),
            (&data, "file/\0"),
        ] {
            let into = ground.path("into");
            let from = ground.remote(from);
            let output = ground.rsync(&[&NAMED[..], &["-d", &from, into.to_str().unwrap()]].concat(), names);
            Ground::assert_nothing_got_out(&format!("{way}: {names}"), &output, &into);
        }
        for options in [
            &["-r", "--copy-links"][..],
            &["-r", "--copy-dirlinks"],
            &["-r", "--copy-unsafe-links"],
            &["-r", "--insecure-links"],
            &["-r", "--remove-source-files"],
            &["-rs"],
            &["-r", "--filter=:- ../../../../outside/secret"],
            &["-r", "--filter=dir-merge,- /../../outside/secret"],
            &["-a", "--delete", "--backup"],
            &["-a", "-M--remove-source-files"],
            &["-a", "-M--log-file=/tmp/antipode-gate-mark"],
            &["-a", "-M-L"],
            &["-a", "--rsync-path=sh -c id; rsync"],
        ] {
            let into = ground.path("into");
            let output = ground.rsync(&[options, &[&ground.remote(&data), into.to_str().unwrap()]].concat(), "");
            Ground::assert_nothing_got_out(&format!("{way}: {options:?}"), &output, &into);
        }
        // And back: nothing can be written.
        let planted = ground.path("plant");
        fs::create_dir_all(&planted).unwrap();
        fs::write(planted.join("PG_VERSION"), "18\n").unwrap();
        let pushed = ground.rsync(&["-a", &format!("{}/", planted.display()), &ground.remote(&data)], "");
        assert!(!pushed.status.success(), "{way}");
        assert_eq!(ground.primary(), before, "{way}: nothing of the primary changed");
        assert!(!Path::new("/tmp/antipode-gate-mark").exists());
    }
}

/// A filter that is read from a file tells its lines by what is left out: `the secret of this house` is a name as well.
#[test]
fn lines_of_a_file_outside_are_not_told_by_what_a_filter_leaves_out() {
    if !has_landlock() && !has_confine_root() {
        return;
    }
    let ground = Ground::new();
    fs::write(ground.data().join(SECRET), "a name that a line of the secret would leave out").unwrap();
    for filter in [
        "--filter=:- /../../../../../outside/secret",
        &format!("--filter=:- {}", ground.path("outside/secret").display()),
    ] {
        let into = ground.path("into");
        let output = ground.rsync(&["-r", filter, &ground.remote(&ground.data()), into.to_str().unwrap()], "");
        let is_refused = !output.status.success();
        assert!(is_refused || into.join(SECRET).exists(), "{filter}: a line of the secret left a file out");
    }
}

#[test]
fn a_directory_that_becomes_a_link_while_it_is_copied_leads_nowhere() {
    if !has_landlock() {
        return;
    }
    let ground = Ground::serving("--server main --confine kernel");
    let (directory, aside) = (ground.data().join("swapped"), ground.data().join("aside"));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("secret"), "harmless").unwrap();
    let ended = AtomicBool::new(false);
    let swaps = std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let mut swaps = 0_u32;
            while !ended.load(Ordering::Relaxed) {
                fs::rename(&directory, &aside).unwrap();
                symlink(ground.path("outside"), &directory).unwrap();
                std::thread::yield_now();
                fs::remove_file(&directory).unwrap();
                fs::rename(&aside, &directory).unwrap();
                swaps += 1;
            }
            swaps
        });
        for _ in 0..15 {
            let into = ground.path("into");
            let output = ground.rsync(
                &[&NAMED[..], &[&ground.remote(&ground.data()), into.to_str().unwrap()]].concat(),
                "swapped/secret\0",
            );
            Ground::assert_nothing_got_out("swapped", &output, &into);
        }
        ended.store(true, Ordering::Relaxed);
        swapping.join().unwrap()
    });
    assert!(swaps > 15, "{swaps} swaps");
}

#[test]
fn a_look_refuses_a_directory_from_which_a_link_leads_out() {
    let ground = Ground::serving("--server main --confine look");
    let listed = ground.rsync(&["-r", "--no-protect-args", "--list-only", &ground.remote(&ground.data())], "");
    let told = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert!(told.contains("antipode gate: the directory ") && told.contains("has a link that leads out"), "{told}");
}

#[test]
fn a_disk_that_a_server_is_linked_to_is_served() {
    for way in ways() {
        let ground = Ground::serving(&format!("--server main --confine {way}"));
        fs::remove_dir_all(ground.home().join("main/base")).unwrap();
        let (wals, disk) = (ground.home().join("main/wals"), ground.path("disk"));
        fs::rename(&wals, &disk).unwrap();
        symlink(&disk, &wals).unwrap();
        let into = ground.path("into");
        let from = ground.remote(&ground.home().join("main"));
        let name = "wals/0000000100000000/00000001000000000000000A\0";
        let copied = ground.rsync(&[&NAMED[..], &[&from, into.to_str().unwrap()]].concat(), name);
        let told = String::from_utf8_lossy(&copied.stderr).into_owned();
        if way == "rsync" {
            // It knows one root.
            assert!(told.contains("nothing here confines rsync"), "{told}");
            continue;
        }
        assert!(copied.status.success(), "{way}: {told}");
        assert_eq!(fs::read(into.join(name.trim_end_matches('\0'))).unwrap(), b"wal");
    }
}
