use std::num::NonZeroU32;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::site::model::{Access, Timeouts};
use crate::transport::{Compare, Limit};

/// A source with a few files, and an empty target.
struct Bench {
    _keep: TempDir,
    source: PathBuf,
    target: PathBuf,
    cancel: CancellationToken,
    files: LocalFiles,
}

fn bench() -> Bench {
    let keep = tempfile::tempdir().unwrap();
    let (source, target) = (keep.path().join("source"), keep.path().join("target"));
    for directory in [&source.join("sub dir"), &target] {
        fs::create_dir_all(directory).unwrap();
    }
    for (name, content) in [("a", "first"), ("sub dir/it's b", "second"), ("c.history", "third")] {
        fs::write(source.join(name), content).unwrap();
    }
    let seconds = Duration::from_secs;
    let primary = Primary {
        name: "disk".into(),
        access: Access::Path(source.clone()),
        barman_command: vec![],
        barman_config: None,
        timeouts: Timeouts { connect: seconds(1), idle: seconds(1), sync_info: seconds(1) },
        refresh_after: seconds(1),
        bandwidth: None,
        streams: NonZeroU32::MIN,
        windows: Vec::new(),
    };
    let cancel = CancellationToken::new();
    let files = LocalFiles::open(&primary, &source, &cancel).unwrap();
    Bench { _keep: keep, source, target, cancel, files }
}

impl Bench {
    fn request(&self, what: What) -> Fetch {
        Fetch {
            from: self.source.clone(),
            into: self.target.clone(),
            what,
            basis: None,
            compare: Compare::Times,
            bandwidth: None,
            taps: Vec::new(),
            compress: false,
            limit: Limit::of([1 << 40]),
        }
    }

    async fn fetch(&self, request: &Fetch) -> Result<Fetched, Error> {
        self.files.fetch(request, &ByteCounter::default(), &self.cancel).await
    }

    fn names(&self) -> Vec<String> {
        let walk = WalkDir::new(&self.target).min_depth(1).sort_by_file_name().into_iter();
        walk.map(|entry| relative(&self.target, entry.unwrap().path()).display().to_string()).collect()
    }
}

fn files(paths: &[&str], flatten: bool) -> What {
    What::Files { paths: paths.iter().map(PathBuf::from).collect(), flatten }
}

#[tokio::test]
async fn a_listing_is_sorted_and_of_regular_files() {
    let bench = bench();
    symlink("/etc/passwd", bench.source.join("link")).unwrap();
    let all = bench.files.list(&bench.source).await.unwrap();
    let names: Vec<_> = all.iter().map(|file| (file.path.to_str().unwrap(), file.size)).collect();
    assert_eq!(names, [("a", 5), ("c.history", 5), ("sub dir/it's b", 6)]);
    assert_eq!(all[0].mtime, bench.source.join("a").metadata().unwrap().mtime());
    assert_eq!(bench.files.list(&bench.source.join("nope")).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn files_keep_time_and_mode_and_missing_ones_are_told() {
    let bench = bench();
    fs::set_permissions(bench.source.join("a"), fs::Permissions::from_mode(0o4640)).unwrap();
    symlink("/etc/passwd", bench.source.join("link")).unwrap();
    let request = bench.request(files(&["a", "sub dir/it's b", "gone", "link", "sub dir"], true));
    let fetched = bench.fetch(&request).await.unwrap();
    assert_eq!(fetched.transferred, 11);
    assert_eq!(fetched.missing, ["gone", "link", "sub dir"].map(PathBuf::from));
    assert_eq!(bench.names(), ["a", "it's b"]);
    let (source, target) = (bench.source.join("a").metadata().unwrap(), bench.target.join("a").metadata().unwrap());
    assert_eq!(target.permissions().mode() & 0o7777, 0o600);
    assert_eq!(target.modified().unwrap(), source.modified().unwrap());
    // Nothing is copied twice.
    assert_eq!(bench.fetch(&request).await.unwrap().transferred, 0);
}

#[tokio::test]
async fn directories_are_made_without_what_is_excluded_or_leads_out() {
    let bench = bench();
    fs::create_dir_all(bench.source.join("annotations/keep")).unwrap();
    symlink("../../etc", bench.source.join("sub dir/out")).unwrap();
    symlink("sub dir", bench.source.join("in")).unwrap();
    let fetched = bench.fetch(&bench.request(What::Directories { exclude: vec!["annotations".into()] })).await.unwrap();
    assert_eq!(fetched.refused, [PathBuf::from("sub dir/out")]);
    assert_eq!(bench.names(), ["in", "sub dir"]);
    let time = |root: &Path| root.join("sub dir").metadata().unwrap().modified().unwrap();
    assert_eq!(time(&bench.source), time(&bench.target));
}

#[tokio::test]
async fn no_link_is_followed_out_of_the_source_or_through_the_target() {
    let bench = bench();
    symlink("/etc", bench.source.join("etc")).unwrap();
    let fetched = bench.fetch(&bench.request(files(&["etc/passwd"], true))).await.unwrap();
    assert_eq!(fetched.missing, [PathBuf::from("etc/passwd")]);
    symlink(&bench.source, bench.target.join("sub dir")).unwrap();
    let error = bench.fetch(&bench.request(files(&["sub dir/it's b"], false))).await.unwrap_err();
    assert_eq!(error.kind, Kind::Untrusted);
    let error = bench.fetch(&bench.request(files(&["../a"], true))).await.unwrap_err();
    assert_eq!(error.kind, Kind::Untrusted);
}

#[tokio::test]
async fn an_interrupted_file_goes_on_where_it_stopped() {
    let bench = bench();
    fs::write(bench.source.join("big"), vec![7; 4_000_000]).unwrap();
    let request = Fetch { bandwidth: Some(4_000_000), ..bench.request(files(&["big"], true)) };
    let counter = ByteCounter::default();
    let cancel = CancellationToken::new();
    let (stop, seen) = (cancel.clone(), counter.clone());
    let watcher = tokio::spawn(async move {
        while seen.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    });
    let error = bench.files.fetch(&request, &counter, &cancel).await.unwrap_err();
    watcher.await.unwrap();
    assert_eq!(error.kind, Kind::Interrupted);
    assert_eq!(bench.names(), [".antipode-partial", ".antipode-partial/big"]);
    let fetched = bench.fetch(&Fetch { bandwidth: None, ..request }).await.unwrap();
    assert!(fetched.transferred > 0 && fetched.transferred < 4_000_000);
    assert_eq!(bench.names(), ["big"]);
    assert_eq!(fs::read(bench.target.join("big")).unwrap(), vec![7; 4_000_000]);
}

#[tokio::test]
async fn the_bandwidth_is_kept() {
    let bench = bench();
    fs::write(bench.source.join("big"), vec![7; 300_000]).unwrap();
    let started = Instant::now();
    bench.fetch(&Fetch { bandwidth: Some(1_000_000), ..bench.request(files(&["big"], true)) }).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(290));
}

#[tokio::test]
async fn an_older_copy_here_is_read_instead_of_the_primary() {
    let bench = bench();
    bench.fetch(&bench.request(files(&["a"], true))).await.unwrap();
    let new = bench.target.join("new");
    fs::create_dir(&new).unwrap();
    let request = Fetch { basis: Some(bench.target.clone()), into: new.clone(), ..bench.request(files(&["a"], true)) };
    assert_eq!(bench.fetch(&request).await.unwrap().transferred, 0);
    assert_eq!(fs::read_to_string(new.join("a")).unwrap(), "first");
    // Not a second name of the same file.
    fs::write(new.join("a"), "other").unwrap();
    assert_eq!(fs::read_to_string(bench.target.join("a")).unwrap(), "first");
}
