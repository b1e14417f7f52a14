//! The power is cut at random instants while a catalog is on a disk of its own: ext4 and XFS lose what was not synced.
//!
//! Whatever the file system and its journal do is what a real cut leaves. What this does not show is a disk that
//! forgets what it said it had, or that writes in another order than it was told to.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::beginnings::Beginning;
use super::ground::{Ground, TestSite};
use super::volume::{Cut, FileSystem, Volume};

/// How many cuts there are in all, instead of [`CUTS`].
const MANY: &str = "ANTIPODE_POWER_CUTS";
/// What the random instants are made of.
const SEED: &str = "ANTIPODE_SEED";
const CUTS: usize = 50;

fn start(site: &TestSite) -> Child {
    let mut apply = Command::new(env!("CARGO_BIN_EXE_antipode"));
    apply.args(["apply", "--auto-approve", "-f"]).arg(&site.file);
    apply.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// How long an apply takes from here.
fn duration(volume: &Volume, beginning: &Beginning, site: &TestSite) -> Duration {
    beginning.fill(site);
    volume.sync();
    let begin = Instant::now();
    assert!(start(site).wait().unwrap().success());
    begin.elapsed()
}

/// Starts an apply, and cuts the power at some instant of it, whatever may be durable by then; whether it was still at
/// work.
fn cut_an_apply(volume: &Volume, site: &TestSite, takes: Duration, random: &mut fastrand::Rng) -> bool {
    let pause = takes.mul_f64(random.f64());
    let cut = if random.bool() { Cut::AsItIs } else { Cut::WithTheJournal };
    let written_back = random.bool().then(|| pause.mul_f64(random.f64()));
    let mut apply = start(site);
    if let Some(before) = written_back {
        sleep(before);
        rustix::fs::syncfs(File::open(&site.catalog).unwrap()).unwrap();
    }
    sleep(pause.saturating_sub(written_back.unwrap_or_default()));
    let was_at_work = apply.try_wait().unwrap().is_none();
    volume.cut_power(cut);
    let status = apply.wait().unwrap();
    volume.mount_again();
    println!("  {cut:?} after {pause:?} of {takes:?}, written back after {written_back:?}: {status}");
    // It may have been done with all but its last words.
    was_at_work && !status.success()
}

async fn cut_again_and_again(system: FileSystem) {
    let cuts = std::env::var(MANY).map_or(CUTS, |many| many.parse().unwrap()) / 2;
    let seed = std::env::var(SEED).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("{SEED}={seed} {system:?}, {cuts} cuts");
    let mut random = fastrand::Rng::with_seed(seed);
    let ground = Ground::new().await;
    let beginnings = Beginning::all(&ground).await;
    let site = ground.empty_site("volume");
    let volume = Volume::mount(system, &site.catalog);
    let (mut done, mut tried) = (0, 0);
    while done < cuts {
        let beginning = &beginnings[tried % beginnings.len()];
        let site = beginning.wanted_of(&ground, &site);
        println!("{}", beginning.name);
        let takes = duration(&volume, beginning, &site);
        beginning.fill(&site);
        volume.sync();
        // A catalog that lived through one cut meets another.
        for _ in 0..random.usize(1..4) {
            done += usize::from(cut_an_apply(&volume, &site, takes, &mut random));
            beginning.assert_whole(&site);
        }
        beginning.finish(&site).await;
        volume.mount_again();
        beginning.assert_become(&site);
        tried += 1;
        assert!(tried < 20 + 4 * cuts, "an apply is done before it can be cut: {done} cuts");
    }
}

#[tokio::test]
#[ignore = "mounts a file system: ./test runs it where that may be done"]
async fn a_catalog_on_ext4_is_whole_whenever_the_power_fails() {
    cut_again_and_again(FileSystem::Ext4).await;
}

#[tokio::test]
#[ignore = "mounts a file system: ./test runs it where that may be done"]
async fn a_catalog_on_xfs_is_whole_whenever_the_power_fails() {
    cut_again_and_again(FileSystem::Xfs).await;
}
