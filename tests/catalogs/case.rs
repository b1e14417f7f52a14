//! Any two ends: the lives of a server, what goes wrong, and what is wanted.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::mishap::{AtPrimary, AtSite};
use super::primary::{Event, Form, Layout};
use super::system::System;
use super::wal::Packing;

/// Two ends, and how they came to be.
#[derive(Debug, Clone)]
pub struct Case {
    pub there: Layout,
    pub here: Layout,
    /// What happened before the site was looked at for the first time.
    pub past: Vec<Event>,
    /// What the site did then.
    pub followed: Followed,
    /// What happened since.
    pub since: Vec<Event>,
    pub at_primary: Vec<AtPrimary>,
    pub at_site: Vec<AtSite>,
    pub wanted: Wanted,
}

/// How far the first apply of a site got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// There was none.
    Not,
    /// It was interrupted after so many events.
    Until(u8),
    /// To its end.
    Wholly,
}

/// What a site file says.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub backups: Backups,
    pub wals_from: WalsFrom,
    pub prunes_unselected: bool,
    pub prunes_gone: bool,
    pub min_backups: u8,
    pub accepts: bool,
}

/// Which backups are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backups {
    All,
    Last(u8),
    Within(u8),
}

/// From where on WAL is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalsFrom {
    OldestBackup,
    NewestBackup,
    BackupsOnly,
}

impl Wanted {
    /// The lines of a replica in a site file.
    fn lines(&self) -> String {
        let backups = match self.backups {
            Backups::All => "all".to_owned(),
            Backups::Last(count) => format!("[{{last: {}}}]", count.max(1)),
            Backups::Within(hours) => format!("[{{within: {}h}}]", hours.max(1)),
        };
        let from = match self.wals_from {
            WalsFrom::OldestBackup => "oldest-backup",
            WalsFrom::NewestBackup => "newest-backup",
            WalsFrom::BackupsOnly => "backups-only",
        };
        let systems = System::ALL.map(|system| format!("\"{}\"", system.id())).join(", ");
        format!(
            "    backups: {backups}\n    wals: {{from: {from}}}\n    \
             prune: {{unselected: {}, gone_at_primary: {}}}\n    \
             protect: {{min_backups: {}, max_prune: 100%}}\n    objective: {{rpo: 15m}}\n    accept_systems: [{}]\n",
            self.prunes_unselected,
            self.prunes_gone,
            self.min_backups,
            if self.accepts { &systems } else { "" },
        )
    }
}

impl Case {
    /// The site file.
    pub fn site_file(&self, catalog: &std::path::Path, primary: &std::path::Path) -> String {
        format!(
            "version: 1\nsite: lisbon\ncatalog: {{path: {}, barman: \"{}\", deep_every: always, reserve: none}}\nprimaries:\n  \
             frankfurt: {{path: {}}}\nreplicas:\n  main:\n    primary: frankfurt\n{}",
            catalog.display(),
            self.here.version(),
            primary.display(),
            self.wanted.lines()
        )
    }
}

/// Any case.
pub fn any_case() -> impl Strategy<Value = Case> {
    let ends = (any_layout(), any_layout(), any_wanted());
    let lives = (any_past(), any_followed(), vec(any_event(), 0..4));
    // Most cases go wrong in few ways, or nobody could tell what of.
    let wrong = (vec(any_at_primary(), 0..3), vec(any_at_site(), 0..3));
    (ends, lives, wrong).prop_map(|((there, here, wanted), (past, followed, since), (at_primary, at_site))| Case {
        there,
        here,
        past,
        followed,
        since,
        at_primary,
        at_site,
        wanted,
    })
}

fn any_layout() -> impl Strategy<Value = Layout> {
    prop_oneof![3 => Just(Layout::Meta), 1 => Just(Layout::Legacy)]
}

fn any_followed() -> impl Strategy<Value = Followed> {
    prop_oneof![
        2 => Just(Followed::Not),
        1 => (0_u8..30).prop_map(Followed::Until),
        4 => Just(Followed::Wholly),
    ]
}

/// A server that has a backup, mostly.
fn any_past() -> impl Strategy<Value = Vec<Event>> {
    let begin = (any_packing(), any_form());
    (option::weighted(0.9, begin), vec(any_event(), 0..7)).prop_map(|(begin, events)| {
        let first = begin.map(|(packing, form)| Event::Backup { segments: 2, form, packing });
        first.into_iter().chain(events).collect()
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u8..4, any_packing()).prop_map(|(segments, packing)| Event::Archive { segments, packing }),
        4 => (1_u8..3, any_form(), any_packing())
            .prop_map(|(segments, form, packing)| Event::Backup { segments, form, packing }),
        1 => (0_u8..3).prop_map(|segments| Event::Promote { segments }),
        1 => (0_u8..4, 1_u8..3).prop_map(|(back, segments)| Event::Abandon { back, segments }),
        1 => Just(Event::Upgrade),
    ]
}

fn any_packing() -> impl Strategy<Value = Packing> {
    use Packing::{Bzip2, Gzip, Lz4, Plain, Xz, Zstd};
    select(vec![Plain, Plain, Gzip, Gzip, Gzip, Bzip2, Xz, Zstd, Lz4])
}

fn any_form() -> impl Strategy<Value = Form> {
    let flags = (any::<bool>(), prop::bool::weighted(0.8), any::<bool>(), prop::bool::weighted(0.1));
    (flags, prop::bool::weighted(0.1), any_status()).prop_map(
        |((has_tablespace, has_manifest, is_incremental, sorts_back), is_kept, status)| Form {
            has_tablespace,
            has_manifest,
            is_incremental,
            sorts_back,
            is_kept,
            status,
        },
    )
}

fn any_status() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        12 => Just("DONE"),
        1 => select(vec!["EMPTY", "STARTED", "WAITING_FOR_WALS", "SYNCING", "FAILED"]),
    ]
}

fn any_key() -> impl Strategy<Value = &'static str> {
    select(vec!["begin_wal", "end_wal", "begin_xlog", "end_xlog", "tablespaces", "timeline", "version", "systemid"])
}

fn any_at_primary() -> impl Strategy<Value = AtPrimary> {
    use AtPrimary as It;
    let which = || any::<u8>();
    prop_oneof![
        prop_oneof![
            which().prop_map(It::Unlisted),
            which().prop_map(It::Gone),
            which().prop_map(It::GoneAndUnlisted),
            which().prop_map(It::Emptied),
            which().prop_map(It::Cut),
            (which(), any_packing()).prop_map(|(which, packing)| It::Repacked(which, packing)),
            (which(), any_packing()).prop_map(|(which, packing)| It::Mislabelled(which, packing)),
            which().prop_map(It::Zeros),
        ],
        prop_oneof![
            (which(), any_packing()).prop_map(|(which, packing)| It::Noise(which, packing)),
            (which(), which()).prop_map(|(which, other)| It::Swapped(which, other)),
            Just(It::Ahead),
            Just(It::DoubledLines),
            Just(It::UnsortedLines),
        ],
        prop_oneof![
            (which(), which()).prop_map(|(which, file)| It::BaseFileGone(which, file)),
            (which(), which()).prop_map(|(which, file)| It::BaseFileCut(which, file)),
            which().prop_map(It::JunkBase),
            which().prop_map(It::EmptyBase),
            which().prop_map(It::NoBase),
            which().prop_map(It::NoManifest),
            which().prop_map(It::CutManifest),
            which().prop_map(It::LinkInBase),
            which().prop_map(It::OddName),
        ],
        prop_oneof![
            which().prop_map(It::NoBackup),
            which().prop_map(It::GoingAway),
            which().prop_map(It::Keep),
            (which(), any_status()).prop_map(|(which, status)| It::Status(which, status)),
            (which(), any_key()).prop_map(|(which, key)| It::Info(which, key)),
            which().prop_map(It::JunkInfo),
        ],
    ]
}

fn any_at_site() -> impl Strategy<Value = AtSite> {
    use AtSite as It;
    let which = || any::<u8>();
    prop_oneof![
        prop_oneof![
            which().prop_map(It::Gone),
            which().prop_map(It::Cut),
            which().prop_map(It::Emptied),
            which().prop_map(It::Different),
            which().prop_map(It::DanglingFile),
            which().prop_map(It::DirectoryForFile),
            which().prop_map(It::PipeForFile),
            Just(It::Stranger),
        ],
        prop_oneof![
            Just(It::LinkedHashDirectory),
            Just(It::DanglingHashDirectory),
            Just(It::NoXlogDb),
            any::<u8>().prop_map(It::SpoiltXlogDb),
            Just(It::EmptySyncWals),
            which().prop_map(It::LostWrite),
            Just(It::OddStaging),
        ],
        prop_oneof![
            (which(), which()).prop_map(|(which, file)| It::BaseFileGone(which, file)),
            (which(), which()).prop_map(|(which, file)| It::BaseFileCut(which, file)),
            which().prop_map(It::NoBase),
            which().prop_map(It::CutManifest),
            which().prop_map(It::NoInfo),
            which().prop_map(It::JunkInfo),
            (which(), any_status()).prop_map(|(which, status)| It::Status(which, status)),
            (which(), any_key()).prop_map(|(which, key)| It::Info(which, key)),
            which().prop_map(It::Keep),
        ],
    ]
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let backups = prop_oneof![
        4 => Just(Backups::All),
        3 => (1_u8..4).prop_map(Backups::Last),
        1 => (1_u8..12).prop_map(Backups::Within),
    ];
    let wals_from = prop_oneof![
        4 => Just(WalsFrom::OldestBackup),
        1 => Just(WalsFrom::NewestBackup),
        1 => Just(WalsFrom::BackupsOnly),
    ];
    (backups, wals_from, any::<bool>(), any::<bool>(), 1_u8..3, prop::bool::weighted(0.8)).prop_map(
        |(backups, wals_from, prunes_unselected, prunes_gone, min_backups, accepts)| Wanted {
            backups,
            wals_from,
            prunes_unselected,
            prunes_gone,
            min_backups,
            accepts,
        },
    )
}
