//! Catalogs on disk, made by the thousand, and what holds for all of them.
//!
//! A [`case::Case`] is the life of a server, what a site made of it at some time, what goes wrong at both ends, and a
//! site file. It is written to disk, in memory where there is `/dev/shm`; the program observes, plans and applies in this
//! process, the primary reached by its path; then a [`judge::Judged`] that shares no code with the program reads what is
//! there. What must hold is in [`properties`].
//!
//! ```text
//! case ──► primary, base, wal ──► mishap ──► ground: observe, plan, apply
//!                                               │
//!                                  judge ◄──────┴──────► properties
//! ```
//!
//! `cargo test --test catalogs` tries as many as `./test` has time for, the same each time. The long mode tries more, of
//! any seed, and prints the smallest case that fails:
//!
//! ```text
//! ANTIPODE_CATALOGS=100000 ANTIPODE_SEED=7 cargo test --test catalogs
//! ```

mod base;
mod case;
mod ground;
mod judge;
mod mishap;
mod primary;
mod properties;
#[path = "../support/stages.rs"]
mod stages;
mod system;
mod wal;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Cases of each half unless `ANTIPODE_CATALOGS` says otherwise.
const CASES: u32 = 500;

#[test]
fn what_is_said_of_catalogs_is_so_and_nothing_good_is_lost() {
    try_cases(0);
}

#[test]
fn what_is_said_of_other_catalogs_is_so_and_nothing_good_is_lost() {
    try_cases(1);
}

/// Tries cases that are the same for the same half and seed.
fn try_cases(half: u8) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u32>().expect(name));
    let cases = number("ANTIPODE_CATALOGS").map_or(CASES, |cases| cases.div_ceil(2));
    let mut seed = [half; 32];
    seed[..4].copy_from_slice(&number("ANTIPODE_SEED").unwrap_or(0).to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    if let Err(failure) = runner.run(&case::any_case(), |case| properties::hold(&case)) {
        panic!("{failure}");
    }
}
