//! The transport against a real sshd and rsync.

#[path = "../support/mod.rs"]
mod support;

mod lost;

use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use antipode::error::{Error, Kind, Retry};
use antipode::site::model::{Access, Primary};
use antipode::transport::{self, ByteCounter, Compare, Connection, Fetch, Fetched, Limit, Look, Part, What};
use support::sshd::Sshd;
use tokio_util::sync::CancellationToken;

/// Of a big file that is copied slowly: enough to be cut off at leisure.
const BIG: usize = 8_000_000;

async fn open(sshd: &Sshd, primary: &Primary) -> Result<Connection, Error> {
    transport::open(primary, &sshd.runtime(), &CancellationToken::new()).await
}

async fn sync_info(connection: &Connection, server: &str) -> Result<String, Error> {
    let answer = connection.commands.as_ref().unwrap().sync_info(&server.parse().unwrap(), None).await;
    answer.map(|bytes| String::from_utf8(bytes).unwrap())
}

async fn fetch(connection: &Connection, request: &Fetch) -> Result<Fetched, Error> {
    connection.files.fetch(request, &ByteCounter::default(), &CancellationToken::new()).await
}

fn files(from: &Path, into: &Path, paths: &[&str], flatten: bool) -> Fetch {
    let what = What::Files { paths: paths.iter().map(PathBuf::from).collect(), flatten };
    Fetch {
        from: from.into(),
        into: into.into(),
        what,
        basis: None,
        compare: Compare::Times,
        bandwidth: None,
        taps: Vec::new(),
        compress: false,
        limit: Limit::of([1 << 40]),
    }
}

fn directories(from: &Path, into: &Path, exclude: &[&str]) -> Fetch {
    let what = What::Directories { exclude: exclude.iter().map(PathBuf::from).collect() };
    Fetch { what, ..files(from, into, &[], false) }
}

/// All files below a directory, by their names.
fn all_files(from: &Path, into: &Path) -> Fetch {
    let entries = walkdir::WalkDir::new(from).sort_by_file_name().into_iter().map(Result::unwrap);
    let found = entries.filter(|entry| entry.file_type().is_file());
    let paths = found.map(|entry| entry.path().strip_prefix(from).unwrap().to_owned()).collect();
    Fetch { what: What::Files { paths, flatten: false }, ..files(from, into, &[], false) }
}

/// Bytes that do not compress and do not repeat.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn names(root: &Path) -> Vec<String> {
    let walk = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    walk.map(|entry| entry.unwrap().path().strip_prefix(root).unwrap().display().to_string()).collect()
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(8), "{what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn commands_are_quoted_answered_and_judged() {
    let sshd = Sshd::start();
    let mut primary = sshd.primary();
    primary.barman_config = Some("/etc/bar man's $HOME.conf".into());
    let connection = open(&sshd, &primary).await.unwrap();
    let answer = sync_info(&connection, "it's main").await.unwrap();
    assert_eq!(answer, "config=/etc/bar man's $HOME.conf\nWelcome to this machine\n{\"server\": \"it's main\"}\n");
    let servers = connection.commands.as_ref().unwrap().list_servers().await.unwrap();
    assert!(servers.ends_with(b"main\narchive\n"));

    let error = sync_info(&connection, "fails").await.unwrap_err();
    assert_eq!((error.kind, error.said()), (Kind::CommandFailed, "ERROR: Unknown server"));
    assert!(error.message.contains("frankfurt") && error.message.contains("exited with 1"), "{}", error.message);
    let error = sync_info(&connection, "killed").await.unwrap_err();
    assert_eq!(error.kind, Kind::CommandFailed, "{error}");
    connection.close().await;
}

#[tokio::test]
async fn a_part_of_a_file_ends_where_it_should_and_goes_on_where_it_was_cut_off() {
    const MIB: u64 = 1 << 20;
    let (sshd, content) = (Sshd::start(), noise(2_500_000));
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let (size, there, into) = (content.len() as u64, sshd.write("data/big", &content), sshd.mkdir("part"));
    let here = into.join("big");
    let part = |bytes, size| Fetch {
        what: What::Part(Part { path: "data/big".into(), bytes, size }),
        ..files(&sshd.path(""), &into, &[], false)
    };

    for (begins, transferred) in [(0, MIB), (MIB + MIB / 2, MIB / 2), (2 * MIB, 1)] {
        fs::OpenOptions::new().create(true).append(true).open(&here).unwrap().set_len(begins).unwrap();
        let counter = ByteCounter::default();
        let request = part(MIB..2 * MIB, size);
        let fetched = connection.files.fetch(&request, &counter, &CancellationToken::new()).await.unwrap();
        assert_eq!((fetched.transferred, fetched.missing, counter.get()), (transferred, vec![], MIB));
        let (from, arrived) = (1 << 20, fs::read(&here).unwrap());
        assert!(arrived.len() == 2 << 20 && arrived[from..] == content[from..2 << 20], "{begins}");
        assert!(arrived[..from].iter().all(|byte| *byte == 0), "it begins with a hole");
    }

    let fetched = fetch(&connection, &part(2 * MIB..size, size)).await.unwrap();
    let [of_ours, of_theirs] = [&here, &there].map(|file| fs::metadata(file).unwrap());
    assert_eq!((fetched.missing, of_ours.len()), (vec![], size));
    assert_eq!(of_ours.modified().unwrap(), of_theirs.modified().unwrap(), "the last part brings the time");
    let fetched = fetch(&connection, &part(size..size + 10, size + 10)).await.unwrap();
    assert_eq!(fetched.missing, [PathBuf::from("data/big")], "it is shorter by now");
    connection.close().await;
}

#[tokio::test]
async fn a_command_that_is_missing_slow_or_interrupted_ends() {
    let sshd = Sshd::start();
    let mut primary = sshd.primary();
    primary.timeouts.sync_info = Duration::from_secs(1);
    let cancel = CancellationToken::new();
    let connection = transport::open(&primary, &sshd.runtime(), &cancel).await.unwrap();
    assert_eq!(sync_info(&connection, "slow").await.unwrap_err().kind, Kind::TimedOut);
    let (answer, ()) = tokio::join!(sync_info(&connection, "slow"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
    });
    assert_eq!(answer.unwrap_err().kind, Kind::Interrupted);

    primary.barman_command = vec!["no-such-barman".into()];
    let connection = open(&sshd, &primary).await.unwrap();
    let error = sync_info(&connection, "main").await.unwrap_err();
    assert_eq!(error.kind, Kind::ProgramMissing);
    assert!(error.message.contains("no-such-barman") && error.hint.is_some());
}

#[tokio::test]
async fn files_come_from_below_where_a_login_begins_and_are_missing_there_by_name() {
    let sshd = Sshd::start_with(|at| format!("ForceCommand cd {} && eval \"$SSH_ORIGINAL_COMMAND\"\n", at.display()));
    sshd.write("~it's main/wals/xlog.db", "12345");
    let (into, connection) = (tempfile::tempdir().unwrap(), open(&sshd, &sshd.primary()).await.unwrap());
    let from = |directory: &str| files(Path::new(directory), into.path(), &["main-xlog.db", "xlog.db"], false);
    let fetched = fetch(&connection, &from("./~it's main/wals")).await.unwrap();
    assert_eq!((fetched.missing, names(into.path())), (vec!["main-xlog.db".into()], vec!["xlog.db".to_owned()]));
    assert_eq!(fetch(&connection, &from("./other/wals")).await.unwrap_err().kind, Kind::NotFound);
    connection.close().await;
}

#[tokio::test]
async fn a_wide_directory_that_two_list_is_the_same_as_when_one_does() {
    let sshd = Sshd::start();
    let directories = ["0000000100000000", "000000010000000A", "7", "8", "old", "[7]", "new\nline", "é", " ", "a!"];
    for directory in directories {
        for name in ["1", "8/9", "x y/7"] {
            sshd.write(&format!("wals/{directory}/{name}"), directory);
        }
    }
    sshd.write("wals/00000002.history", "beside them");
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let wide = connection.files.list_wide(&sshd.path("wals")).await.unwrap();
    assert_eq!(wide.len(), 3 * directories.len() + 1);
    assert_eq!(wide, connection.files.list(&sshd.path("wals")).await.unwrap());
    let missing = connection.files.list_wide(&sshd.path("nope")).await.unwrap_err();
    assert_eq!(missing.kind, Kind::NotFound, "{missing}");
    connection.close().await;
}

#[tokio::test]
async fn a_listing_is_of_regular_files_with_every_byte_of_their_names() {
    let sshd = Sshd::start();
    for name in ["src d'x/b", "src d'x/sub dir/a b", "src d'x/ lead", "src d'x/é.history"] {
        sshd.write(name, "12345");
    }
    let source = sshd.path("src d'x");
    symlink("/etc", source.join("link")).unwrap();
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let all = connection.files.list(&source).await.unwrap();
    let found: Vec<_> = all.iter().map(|file| (file.path.to_str().unwrap(), file.size)).collect();
    assert_eq!(found, [(" lead", 5), ("b", 5), ("sub dir/a b", 5), ("é.history", 5)]);
    assert_eq!(all[1].mtime, fs::metadata(source.join("b")).unwrap().mtime());
    // Neither this machine's rsync nor the remote shell may expand anything.
    for name in ["nope", "$(touch x)*"] {
        assert_eq!(connection.files.list(&source.join(name)).await.unwrap_err().kind, Kind::NotFound, "{name}");
    }
    // PostgreSQL may have such names, and whoever shows them makes them harmless.
    fs::write(source.join("bad\u{1b}[31m"), "").unwrap();
    let all = connection.files.list(&source).await.unwrap();
    let found: Vec<_> = all.iter().map(|file| (file.path.to_str().unwrap(), file.size)).collect();
    assert_eq!(found, [(" lead", 5), ("b", 5), ("bad\u{1b}[31m", 0), ("sub dir/a b", 5), ("é.history", 5)]);
}

#[tokio::test]
async fn a_look_shows_files_and_directories_and_the_same_over_ssh_as_on_this_host() {
    let sshd = Sshd::start();
    for name in ["home/m ain/wals/0000000100000000/a", "home/m ain/wals/list", "elsewhere/b", "home/m ain/meta/c"] {
        sshd.write(name, "12345");
    }
    let home = sshd.path("home");
    symlink(sshd.path("elsewhere"), home.join("m ain/base")).unwrap();
    symlink("list", home.join("m ain/wals/link")).unwrap();
    let directories = ["m ain/wals", "m ain/base", "m ain/none"].map(PathBuf::from).to_vec();
    let names = ["m ain/meta/c", "m ain/meta/d", "m ain/wals/list", "m ain/wals/link"].map(PathBuf::from).to_vec();
    let look = Look { from: home.clone(), names, directories };
    let over_ssh = open(&sshd, &sshd.primary()).await.unwrap().files.look(&look).await.unwrap();
    let on_disk = Primary { access: Access::Path(home), ..sshd.primary() };
    assert_eq!(open(&sshd, &on_disk).await.unwrap().files.look(&look).await.unwrap(), over_ssh);
    let seen: Vec<_> = over_ssh.iter().map(|e| (e.path.to_str().unwrap(), e.size, e.is_directory)).collect();
    assert_eq!(
        seen,
        [
            ("m ain/base", 0, true),
            ("m ain/base/b", 5, false),
            ("m ain/meta/c", 5, false),
            ("m ain/wals", 0, true),
            ("m ain/wals/0000000100000000", 0, true),
            ("m ain/wals/list", 5, false),
        ]
    );
}

#[tokio::test]
async fn a_directory_may_have_any_printable_character_in_its_name() {
    let sshd = Sshd::start();
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let names_of_directories = [
        "a[b]c",
        "a*b",
        "a?b",
        "a\\b",
        "a\\[b",
        "a\\",
        "x]y",
        "[[",
        "a\\b/c[d]e",
        "c[d]e/f\\g",
        "it's",
        "q\"q",
        "sp ace",
        "é",
        "{a,b}",
        "$HOME",
        "~x",
        "a;b&c|d<e>f",
        "`id`",
        "!x#y",
    ];
    for name in ["aXb", "abc", "ab"] {
        sshd.write(&format!("src/{name}/wrong"), "expanded");
    }
    for (number, name) in names_of_directories.into_iter().enumerate() {
        let source = sshd.write(&format!("src/{name}/sub [1]/f*"), name).parent().unwrap().parent().unwrap().to_owned();
        let listed = connection.files.list(&source).await;
        if let Err(error) = &listed
            && error.kind == Kind::ProgramTooOld
        {
            // An rsync that does not quote it would have the shell there run it.
            assert!(name.contains('`'), "{error}");
            continue;
        }
        let listed = listed.unwrap();
        assert_eq!(listed.iter().map(|file| file.path.to_str().unwrap()).collect::<Vec<_>>(), ["sub [1]/f*"], "{name}");
        let target = sshd.mkdir(&format!("target {number}*"));
        for (request, arrived) in [
            (directories(&source, &target, &[]), &["sub [1]"][..]),
            (files(&source, &target, &["sub [1]/f*"], false), &["sub [1]", "sub [1]/f*"]),
        ] {
            let fetched = fetch(&connection, &request).await.unwrap();
            assert_eq!(fetched.missing, [""; 0].map(PathBuf::from), "{name}");
            assert_eq!(names(&target), arrived, "{name}");
        }
    }
}

#[tokio::test]
async fn files_arrive_once_and_missing_ones_are_told() {
    let sshd = Sshd::start();
    let wals =
        ["wals/0000000100000000/000000010000000000000001", "wals/0000000100000000/0000 it's 2", "wals/2.history"];
    for name in wals {
        sshd.write(name, name);
    }
    fs::set_permissions(sshd.path(wals[2]), fs::Permissions::from_mode(0o4640)).unwrap();
    let (source, target) = (sshd.path("wals"), sshd.mkdir("target $x"));
    symlink("/etc/passwd", source.join("link")).unwrap();
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let mut paths: Vec<&str> = wals.iter().map(|name| &name["wals/".len()..]).collect();
    paths.extend(["gone", "0000000100000000/it's \"gone\"", "link"]);
    let request = files(&source, &target, &paths, true);
    let counter = ByteCounter::default();
    let fetched = connection.files.fetch(&request, &counter, &CancellationToken::new()).await.unwrap();
    assert_eq!(fetched.missing, ["0000000100000000/it's \"gone\"", "gone", "link"].map(PathBuf::from));
    assert_eq!(names(&target), ["0000 it's 2", "000000010000000000000001", "2.history"]);
    assert_eq!(counter.get(), wals.iter().map(|name| name.len() as u64).sum::<u64>());
    let (there, here) = (source.join("2.history").metadata().unwrap(), target.join("2.history").metadata().unwrap());
    assert_eq!((here.mode() & 0o7777, here.mtime()), (0o600, there.mtime()));

    let counter = ByteCounter::default();
    connection.files.fetch(&request, &counter, &CancellationToken::new()).await.unwrap();
    assert_eq!(counter.get(), 0, "copied again");
    let error = fetch(&connection, &files(&source.join("nope"), &target, &["x"], true)).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound, "{error}");
    let nested = sshd.mkdir("nested");
    fetch(&connection, &files(&source, &nested, &paths[..1], false)).await.unwrap();
    assert_eq!(names(&nested), ["0000000100000000", paths[0]]);
}

#[tokio::test]
async fn directories_cannot_lead_out_of_the_one_that_they_are_in() {
    let sshd = Sshd::start();
    for name in ["base/annotations/keep", "base/data/PG_VERSION", "base/data/base/1/1249"] {
        sshd.write(name, name);
    }
    let (source, target, outside) = (sshd.path("base"), sshd.mkdir("target"), sshd.mkdir("outside"));
    for (to, link) in [(outside.to_str().unwrap(), "data/abs"), ("../../outside", "data/up"), ("base", "data/inside")] {
        symlink(to, source.join(link)).unwrap();
    }
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let request = directories(&source, &target, &["annotations"]);
    let fetched = fetch(&connection, &request).await.unwrap();
    assert_eq!(fetched.refused, ["data/abs", "data/up"].map(PathBuf::from));
    assert_eq!(names(&target), ["data", "data/base", "data/base/1", "data/inside"]);

    // A link that got here in some other way is not written through, neither by directories nor by a list of files.
    symlink(&outside, target.join("data/abs")).unwrap();
    fs::remove_file(source.join("data/abs")).unwrap();
    sshd.write("base/data/abs/planted", "x");
    let error = fetch(&connection, &files(&source, &target, &["data/abs/planted"], false)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Untrusted, "{error}");
    fetch(&connection, &request).await.unwrap();
    assert_eq!(names(&outside), [""; 0]);
    assert!(target.join("data/abs").is_dir() && !target.join("data/abs").is_symlink());
}

#[tokio::test]
async fn a_cut_off_file_goes_on_where_it_stopped() {
    let sshd = Sshd::start();
    let content = noise(BIG);
    let (source, target) = (sshd.write("base/16384", &content), sshd.mkdir("target"));
    let source = source.parent().unwrap();
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let slow = Fetch { bandwidth: Some(2 << 20), ..files(source, &target, &["16384"], true) };
    let (counter, cancel) = (ByteCounter::default(), CancellationToken::new());
    let (cut, ()) = tokio::join!(connection.files.fetch(&slow, &counter, &cancel), async {
        eventually("progress", || counter.get() > 1_500_000).await;
        cancel.cancel();
    });
    assert_eq!(cut.unwrap_err().kind, Kind::Interrupted);
    assert_eq!(names(&target), [".antipode-partial", ".antipode-partial/16384"]);
    eventually("the primary's rsync ends", || Sshd::programs_about(source).is_empty()).await;

    let fetched = fetch(&connection, &Fetch { bandwidth: None, ..slow }).await.unwrap();
    assert!(fetched.transferred < (BIG - 1_000_000) as u64, "{}", fetched.transferred);
    assert_eq!(names(&target), ["16384"]);
    assert!(fs::read(target.join("16384")).unwrap() == content);
}

#[tokio::test]
async fn an_older_version_here_saves_bytes_and_is_not_touched() {
    let sshd = Sshd::start();
    let mut content = noise(4_000_000);
    let (source, basis, target) = (sshd.mkdir("new"), sshd.mkdir("old"), sshd.mkdir("target"));
    let write = |name: &str, content: &[u8], milliseconds: u64| {
        let time = std::time::UNIX_EPOCH + Duration::from_millis(milliseconds);
        let file = fs::File::open(sshd.write(name, content)).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(time)).unwrap();
    };
    // Changed within the same second, and of the same size: rsync's default takes them for the same.
    write("old/16384", &content, 1_100);
    content[2_000_000] ^= 1;
    write("new/16384", &content, 1_200);
    write("old/same", b"unchanged", 1_300);
    write("new/same", b"unchanged", 1_300);
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let request = Fetch { basis: Some(basis.clone()), ..all_files(&source, &target) };
    let fetched = fetch(&connection, &request).await.unwrap();
    assert!(fetched.transferred < 400_000, "{}", fetched.transferred);
    assert!(fs::read(target.join("16384")).unwrap() == content);
    assert_eq!(fs::read_to_string(target.join("same")).unwrap(), "unchanged");
    assert_ne!(target.join("same").metadata().unwrap().ino(), basis.join("same").metadata().unwrap().ino());
}

#[tokio::test]
async fn a_lost_connection_is_said_and_opened_again() {
    let sshd = Sshd::start();
    let (source, target) = (sshd.write("base/16384", noise(BIG)), sshd.mkdir("target"));
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let socket = sshd.sockets().remove(0);
    let slow = Fetch { bandwidth: Some(1 << 20), ..files(source.parent().unwrap(), &target, &["16384"], true) };
    let counter = ByteCounter::default();
    let never = CancellationToken::new();
    let (lost, ()) = tokio::join!(connection.files.fetch(&slow, &counter, &never), async {
        eventually("progress", || counter.get() > 0).await;
        let ended = Command::new("ssh").arg("-S").arg(&socket).args(["-O", "exit", "none"]).output().unwrap();
        assert!(ended.status.success());
    });
    let error = lost.unwrap_err();
    assert!(error.kind == Kind::Lost && error.kind.retry() == Retry::Line, "{error:?}");
    assert!(sync_info(&connection, "main").await.is_ok());
}

#[tokio::test]
async fn more_streams_than_one_connection_carries_get_a_second_one() {
    let sshd = Sshd::start();
    let primary = Primary { streams: NonZeroU32::new(11).unwrap(), ..sshd.primary() };
    let connection = open(&sshd, &primary).await.unwrap();
    let answers = futures::future::join_all((0..10).map(|_| sync_info(&connection, "nap"))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(sshd.sockets().len(), 2);
    connection.close().await;
    assert!(sshd.sockets().is_empty());
    assert!(sync_info(&connection, "main").await.is_err(), "closed is closed");
}

#[tokio::test]
async fn copies_get_another_connection_sooner_than_questions() {
    let sshd = Sshd::start();
    let source = sshd.write("src/16384", noise(300_000));
    let primary = Primary { streams: NonZeroU32::new(8).unwrap(), ..sshd.primary() };
    let connection = open(&sshd, &primary).await.unwrap();
    let targets: Vec<PathBuf> = (0..5).map(|number| sshd.mkdir(&format!("target{number}"))).collect();
    let slow =
        |into: &PathBuf| Fetch { bandwidth: Some(200_000), ..files(source.parent().unwrap(), into, &["16384"], true) };
    let requests: Vec<Fetch> = targets.iter().map(slow).collect();
    let copies = requests.iter().map(|request| fetch(&connection, request));
    let copied = futures::future::join_all(copies).await;
    assert!(copied.iter().all(Result::is_ok), "{copied:?}");
    assert_eq!(sshd.sockets().len(), 2);
    connection.close().await;
}

#[tokio::test]
async fn a_connection_that_is_dropped_leaves_nothing() {
    let sshd = Sshd::start();
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    assert_eq!(sshd.sockets().len(), 1);
    drop(connection);
    assert!(sshd.sockets().is_empty());
    eventually("the master ends", || Sshd::programs_about(&sshd.runtime()).is_empty()).await;
}

#[tokio::test]
async fn who_cannot_be_reached_or_trusted_is_named_with_what_to_do() {
    let sshd = Sshd::start();
    sshd.write_changed_known_hosts();
    let port = sshd.port();
    for (key, known_hosts, port, kind, hint) in [
        ("client_key", "known_hosts.changed", port, Kind::HostKey, "ssh-keygen -f"),
        ("client_key", "known_hosts.absent", port, Kind::HostKey, "ssh-keyscan -p"),
        ("other_key", "known_hosts", port, Kind::Authentication, "run it by hand: ssh"),
        ("absent_key", "known_hosts", port, Kind::Authentication, "identity_file"),
        ("client_key", "known_hosts", 1, Kind::Unreachable, "sshd runs there"),
    ] {
        let Err(error) = open(&sshd, &sshd.primary_with(key, known_hosts, port)).await else { panic!("{known_hosts}") };
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(error.message.contains("frankfurt") && error.message.contains("@127.0.0.1"), "{}", error.message);
        assert!(error.hint.as_ref().unwrap().contains(hint), "{error:?}");
        assert!(sshd.sockets().is_empty());
    }
    // A user who asks ssh to accept any key does not get it here.
    let mut primary = sshd.primary_with("client_key", "known_hosts.absent", port);
    if let antipode::site::model::Access::Ssh { words } = &mut primary.access {
        words.splice(1..1, ["-o", "StrictHostKeyChecking=no"].map(str::to_owned));
    }
    let Err(error) = open(&sshd, &primary).await else { panic!("an unknown key was accepted") };
    assert_eq!(error.kind, Kind::HostKey);
}

/// Started by the test below as a process of its own.
#[tokio::test]
#[ignore = "a part of another test"]
async fn copies_slowly_until_it_is_killed() {
    let Ok(directory) = std::env::var("ANTIPODE_TEST_SSHD") else { return };
    let sshd = Sshd::resume(Path::new(&directory));
    let connection = open(&sshd, &sshd.primary()).await.unwrap();
    let request = files(&sshd.path("base"), &sshd.path("target"), &["16384"], true);
    let _killed = fetch(&connection, &Fetch { bandwidth: Some(1 << 20), ..request }).await;
}

#[tokio::test]
async fn no_copy_goes_on_when_the_run_is_killed() {
    let sshd = Sshd::start();
    let (source, target) = (sshd.write("base/16384", noise(BIG)), sshd.mkdir("target"));
    let mut run = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "copies_slowly_until_it_is_killed"])
        .env("ANTIPODE_TEST_SSHD", sshd.path(""))
        .spawn()
        .unwrap();
    // The primary's rsync and ours.
    eventually("the copy runs", || Sshd::programs_about(source.parent().unwrap()).len() >= 2).await;
    run.kill().unwrap();
    run.wait().unwrap();
    eventually("rsync ends", || Sshd::programs_about(source.parent().unwrap()).is_empty()).await;
    transport::paths::remove_scratch(&target).unwrap();
    assert_eq!(names(&target), [""; 0]);
}
