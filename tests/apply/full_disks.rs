//! A disk that has no more room at some moment of an apply, for bytes or for files.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::beginnings::Beginning;
use super::ground::Ground;
use super::volume::Memory;

/// How many disks are filled, instead of [`DISKS`].
const MANY: &str = "ANTIPODE_FULL_DISKS";
/// What the random sizes are made of.
const SEED: &str = "ANTIPODE_SEED";
const DISKS: usize = 48;

#[tokio::test]
#[ignore = "mounts a file system: ./test runs it where that may be done"]
async fn a_catalog_is_whole_whenever_the_disk_is_full() {
    let disks: usize = std::env::var(MANY).map_or(DISKS, |many| many.parse().unwrap());
    let seed = std::env::var(SEED).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let ground = Ground::new().await;
    let beginnings = Beginning::all(&ground).await;
    let site = ground.empty_site("volume");
    let memory = Memory::mount(&site.catalog);
    let mut refused = 0;
    for number in 0..disks {
        let beginning = &beginnings[number % beginnings.len()];
        let site = beginning.wanted_of(&ground, &site);
        memory.leave(None);
        beginning.fill(&site);
        // There is too little room from the beginning, which is no more than an apply needs, or somebody takes it meanwhile.
        let (before, room) = match random.u8(0..3) {
            0 => (None, (random.u64(0..14 << 20), 1 << 20)),
            1 => (None, (256 << 20, random.u64(0..200))),
            _ => (Some(Duration::from_millis(random.u64(0..150))), (random.u64(0..64 << 10), random.u64(0..4))),
        };
        if before.is_none() {
            memory.leave(Some(room));
        }
        let mut apply = Command::new(env!("CARGO_BIN_EXE_antipode"));
        apply.args(["apply", "--auto-approve", "-f"]).arg(&site.file);
        let mut apply = apply.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if let Some(pause) = before {
            sleep(pause);
            memory.leave(Some(room));
        }
        let status = apply.wait().unwrap();
        println!("{}: room for {room:?}, taken after {before:?}: {status}", beginning.name);
        assert!(matches!(status.code(), Some(0 | 1 | 4)), "{status}");
        beginning.assert_whole(&site);
        if status.success() {
            assert!(site.plan().await.is_empty(), "it said that it is done");
            beginning.assert_become(&site);
        }
        refused += usize::from(!status.success());
        memory.leave(None);
        beginning.finish(&site).await;
    }
    println!("{refused} of {disks} were too small");
    assert!(refused > disks / 4, "only {refused} of {disks} were too small");
}
