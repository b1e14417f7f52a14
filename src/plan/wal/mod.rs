//! Diff: which WAL a replica is to have, what it lacks, and what it may lose.
//!
//! Always a set difference over what is really on disk, never a watermark.

pub(super) mod disorder;
pub(super) mod runs;
pub(super) mod segment_size;
pub(super) mod shipping;
pub(super) mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use crate::barman::compression::Compression;
use crate::barman::damage::DamageNote;
use crate::barman::history::HistoryFile;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_map::WalMap;
use crate::barman::wal_set::WalRange;
use crate::barman::xlogdb::FIVE_FIELDS;
use crate::observe::inventory::XlogFinding;
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory, Undescribed, WholeWal};
use crate::site::model::Policy;
use crate::verify::wal_form::WalForm;

use super::action::WalBatch;
use super::backup::BackupDiff;
use super::held::{self, Difference, HeldFile};
use super::order::stages::Division;
use super::reason::Note;
use super::recovery::window::Segments;
use crate::observe::wal_files::{Proof, Settled, Span, WalFile, wal_files, wal_spans};
use disorder::{Disorder, Few};
use runs::{Runs, segment_of};
use shipping::Shipment;
use wanted::Wanted;

/// What becomes of the WAL of one replica.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WalDiff {
    /// What is not here, by the number of the stage that it is shipped in.
    pub missing: BTreeMap<usize, Vec<WalBatch>>,
    /// What is here with another size, in the same way.
    pub differing: BTreeMap<usize, Vec<WalBatch>>,
    /// What is here, whole, with another size, and that a person lets the primary's replace, in the same way.
    pub accepted: BTreeMap<usize, Vec<WalBatch>>,
    /// What is here, whole, with another size, and waits for a person.
    pub held: Vec<(Option<WalRange>, Vec<HeldFile>)>,
    /// History files that are not here, or differ.
    pub histories: Vec<MissingHistory>,
    /// History files that can be read here, differ, and wait for a person.
    pub held_histories: Vec<Difference>,
    /// What is wrong with xlog.db.
    pub xlogdb: Vec<XlogFinding>,
    /// What is here and no kept backup needs, in order.
    pub unneeded: Vec<(Option<WalRange>, BTreeMap<WalName, u64>)>,
    /// The whole segments that are here.
    pub now: Segments,
    /// The whole segments that will be here.
    pub after: Segments,
    /// Wanted segments that are damaged here, and that the primary cannot send.
    pub broken: Vec<WalName>,
    /// Wanted segments that the primary lists, and that neither end has.
    pub gone: Vec<WalName>,
    /// What is not done, and why.
    pub notes: Vec<Note>,
}

/// A history file that is shipped.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingHistory {
    /// Its timeline.
    pub timeline: Timeline,
    /// What the primary's xlog.db says of it.
    pub entry: Option<WalEntry>,
    /// Its size at the primary.
    pub there: u64,
    /// Its size here, when it is here.
    pub here: Option<u64>,
    /// Whether the one here is good, and a person lets the primary's replace it.
    pub accepted: bool,
}

/// Compares the archives at both ends, given the backups that the site will have.
pub fn diff(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
    backups: &BackupDiff,
    size: SegmentSize,
) -> WalDiff {
    let criteria = Criteria {
        wanted: Wanted::new(policy, primary, &backups.kept),
        coming: coming(primary, backups),
        policy,
        primary,
        barman: replica.barman,
    };
    let places = Division::new(&backups.stages, &backups.kept);
    let mut found = Found::new(&places, size);
    found.now = Segments::of_sizes(replica.published().map(|facts| facts.segment_size));
    found.after = Segments::of_sizes(backups.kept.values().map(|kept| kept.facts.segment_size));
    for span in wal_spans(Some(primary), replica) {
        match span {
            Span::Settled(settled) if criteria.all_stay(&settled) => found.keep(&settled),
            Span::Settled(settled) => settled.files().for_each(|file| found.see(&file, &criteria)),
            Span::File(file) => found.see(&file, &criteria),
        }
    }
    let (held_histories, histories) = histories(policy, primary, replica);
    let accept = |(number, batches): (usize, Vec<WalBatch>)| {
        (number, batches.into_iter().map(|batch| WalBatch { accepted: true, ..batch }).collect())
    };
    let here = (&replica.wals, &replica.damage);
    WalDiff {
        histories,
        held_histories,
        xlogdb: found.xlogdb_findings(replica),
        notes: found.notes().into_iter().chain(found.disorder.notes(&primary.directories.server)).collect(),
        missing: found.missing.batches(&backups.stages, (&WalMap::new(), &DamageNote::default()), &primary.undescribed),
        differing: found.differing.batches(&backups.stages, here, &primary.undescribed),
        accepted: {
            let accepted = found.accepted.batches(&backups.stages, here, &primary.undescribed);
            accepted.into_iter().map(accept).collect()
        },
        held: found.held.into_runs().collect(),
        unneeded: found.unneeded.into_runs().map(|(range, files)| (range, files.into_iter().collect())).collect(),
        now: found.now,
        after: found.after,
        broken: found.broken,
        gone: found.gone,
    }
}

/// What the fate of a WAL file depends on.
struct Criteria<'a> {
    wanted: Wanted,
    /// What makes those backups consistent that come, or would if nothing of it were held: from a first to a last segment.
    coming: Vec<(Segment, Segment)>,
    policy: &'a Policy,
    primary: &'a PrimaryInventory,
    /// The version of Barman to write for.
    barman: BarmanVersion,
}

/// What becomes of a WAL file.
enum Fate {
    /// It stays as it is, here or away.
    Stays,
    /// It is shipped.
    Missing(WalEntry),
    /// It is shipped again.
    Differs(WalEntry),
    /// It is whole here, and a person lets the primary's replace it.
    Accepted(WalEntry),
    /// It is whole here, differs there, and waits for a person.
    Held(HeldFile),
    /// It is whole here, and the primary stores it in another form.
    OtherForm,
    /// It is broken here, and there is nothing to repair it with.
    Broken,
    /// The primary lists it, and neither end has it.
    Gone,
    /// It goes; its bytes.
    Unneeded(u64),
}

impl Criteria<'_> {
    /// Whether files stay as they are of which nothing sets one apart.
    fn all_stay(&self, settled: &Settled<'_>) -> bool {
        !self.wanted.may_prune || self.wanted.covers_all(settled.first, settled.last)
    }

    fn fate(&self, file: &WalFile) -> Fate {
        // History files are few and always wanted: they are compared with the primary's directory, not with its list.
        let Some(segment) = segment_of(file.name) else { return Fate::Stays };
        if !self.wanted.covers(segment) && !self.is_coming(segment) {
            return file.here.filter(|_| self.wanted.may_prune).map_or(Fate::Stays, Fate::Unneeded);
        }
        match (file.here, file.there.filter(|there| self.is_on_offer(there))) {
            (None, Some(there)) => Fate::Missing(there),
            (Some(_), Some(there)) if file.proof == Proof::Damaged => Fate::Differs(there),
            (Some(here), Some(there)) if here != there.size && !file.is_as_listed() => {
                self.differing(file, here, there)
            }
            (Some(_), _) if !file.is_intact() => Fate::Broken,
            (Some(here), Some(there)) if is_of_another_course(file) && self.is_coming(segment) => {
                if held::accepts_wal(self.policy, file.name) {
                    Fate::Accepted(there)
                } else {
                    Fate::Held(HeldFile { name: file.name, here, there: there.size })
                }
            }
            (None, None) if file.there.is_some() => Fate::Gone,
            _ => Fate::Stays,
        }
    }

    /// Whether a backup that comes, or would, needs a segment to be consistent.
    fn is_coming(&self, segment: Segment) -> bool {
        self.coming.iter().any(|(first, last)| *first <= segment && segment <= *last)
    }

    fn is_wanted(&self, name: WalName) -> bool {
        segment_of(name).is_none_or(|segment| self.wanted.covers(segment))
    }

    /// Only what is broken here is replaced on the primary's word alone.
    fn differing(&self, file: &WalFile, here: u64, there: WalEntry) -> Fate {
        match file.whole {
            None => Fate::Differs(there),
            Some(_) if held::accepts_wal(self.policy, file.name) => Fate::Accepted(there),
            Some(whole) if is_other_form(whole, &there) => Fate::OtherForm,
            Some(_) => Fate::Held(HeldFile { name: file.name, here, there: there.size }),
        }
    }

    /// Whether the primary can send it. An empty file is damage there, and must not replace anything here.
    fn is_on_offer(&self, there: &WalEntry) -> bool {
        there.size > 0 && !self.primary.gone.contains(&there.name)
    }

    /// Whether a line whose file is not here becomes true by what is shipped.
    fn is_shipped(&self, file: &WalFile) -> bool {
        match file.name {
            WalName::History(timeline) => self.primary.histories.get(&timeline).is_some_and(|there| there.size > 0),
            _ => matches!(self.fate(file), Fate::Missing(_)),
        }
    }

    /// Whether a line says what the primary says, as far as it can: older Barmans know no encryption. The time of another
    /// file stays, as nothing else tells that it is another.
    fn is_same(&self, line: &WalEntry, there: &WalEntry) -> bool {
        let encryption = if self.barman < FIVE_FIELDS { line.encryption } else { there.encryption };
        let mtime = if is_of_another_time(line, there) { line.mtime } else { there.mtime };
        *line == WalEntry { mtime, encryption, ..*there }
    }
}

/// Whether a line is of a file that has the size of the primary's and was archived at another time: of whatever file
/// systems keep of a time, whole seconds are the least.
pub fn is_of_another_time(line: &WalEntry, there: &WalEntry) -> bool {
    line.size == there.size && (line.mtime.seconds() - there.mtime.seconds()).abs() >= 2.0
}

/// Whether the line of a file here tells of another time than the primary's.
pub fn is_line_of_another(file: &WalFile) -> bool {
    file.line.zip(file.there).is_some_and(|(line, there)| is_of_another_time(&line, &there))
}

/// Whether a whole segment here has the size of the primary's, and was archived at another time.
pub fn is_of_another_course(file: &WalFile) -> bool {
    let is_same_size = file.there.is_some_and(|there| file.here == Some(there.size));
    file.name.segment().is_some() && is_same_size && file.is_intact() && is_line_of_another(file)
}

/// What makes those backups consistent that come, or would if nothing of it were held.
fn coming(primary: &PrimaryInventory, backups: &BackupDiff) -> Vec<(Segment, Segment)> {
    let copied = backups.kept.values().filter(|kept| kept.copy.is_some()).map(|kept| &kept.facts);
    let waiting = backups.waiting.iter().filter_map(|(id, _)| Some(&primary.backups.get(id)?.facts));
    wanted::disjoint(copied.chain(waiting).filter_map(|facts| facts.begin_wal.zip(facts.end_wal)).collect())
}

/// The segments that are whole here, have another size at the primary, and wait for a person, wanted or not.
pub fn held_segments(policy: &Policy, primary: &PrimaryInventory, replica: &ReplicaInventory) -> BTreeSet<Segment> {
    let is_held = |name: WalName, whole: WholeWal| {
        let (here, there) = (replica.wals.get(name)?, primary.wals.get(name)?);
        let is_as_listed = match primary.undescribed.get(&name) {
            Some(Undescribed::OtherSize { listed }) => here == *listed,
            _ => false,
        };
        let is_on_offer = there.size > 0 && !primary.gone.contains(&name);
        let differs = is_on_offer && here != there.size && !is_as_listed && !is_other_form(whole, &there);
        (differs && !held::accepts_wal(policy, name)).then_some(name.segment()?)
    };
    replica.whole.iter().filter_map(|(name, whole)| is_held(*name, *whole)).collect()
}

/// Whether the primary stores a segment otherwise compressed or encrypted, so that its size must differ.
fn is_other_form(whole: WholeWal, there: &WalEntry) -> bool {
    let WholeWal::Read { compression: here } = whole else { return false };
    let stored = there.compression.as_ref().map(|name| Compression::named(name.as_str()));
    match (there.encryption, stored) {
        (Some(_), _) => true,
        (None, Some(there)) => there.is_none() || there != here,
        (None, None) => here.is_some() && SegmentSize::new(there.size).is_some(),
    }
}

/// What a pass over both archives found.
struct Found<'a> {
    missing: Shipment<'a>,
    differing: Shipment<'a>,
    accepted: Shipment<'a>,
    held: Runs<HeldFile>,
    other_form: Few,
    unproven: Few,
    broken: Vec<WalName>,
    gone: Vec<WalName>,
    gone_besides: Few,
    unneeded: Runs<(WalName, u64)>,
    now: Segments,
    after: Segments,
    not_listed: u64,
    not_on_disk: u64,
    line_differs: u64,
    disorder: Disorder,
}

impl<'a> Found<'a> {
    fn new(places: &'a Division, size: SegmentSize) -> Self {
        Self {
            missing: Shipment::new(places, size),
            differing: Shipment::new(places, size),
            accepted: Shipment::new(places, size),
            held: Runs::new(size),
            other_form: Few::default(),
            unproven: Few::default(),
            broken: Vec::new(),
            gone: Vec::new(),
            gone_besides: Few::default(),
            unneeded: Runs::new(size),
            now: Segments::default(),
            after: Segments::default(),
            not_listed: 0,
            not_on_disk: 0,
            line_differs: 0,
            disorder: Disorder::default(),
        }
    }

    /// Looks at a file.
    fn see(&mut self, file: &WalFile, criteria: &Criteria<'_>) {
        self.count_lines(file, criteria);
        if criteria.is_wanted(file.name) {
            self.disorder.see(file, criteria.primary);
        }
        self.sort(file, &criteria.fate(file));
    }

    /// Notes files that stay, of which nothing sets one apart.
    fn keep(&mut self, settled: &Settled<'_>) {
        for segments in [&mut self.now, &mut self.after] {
            segments.insert(settled.first, settled.last);
        }
        if settled.proof == Proof::Unproven {
            self.unproven.add_all(WalName::Segment(settled.first), settled.count());
        }
    }

    fn sort(&mut self, file: &WalFile, fate: &Fate) {
        let is_whole = file.is_intact();
        let will_be_whole = match fate {
            Fate::Stays => is_whole,
            Fate::Missing(_) | Fate::Differs(_) | Fate::Accepted(_) | Fate::Held(_) | Fate::OtherForm => true,
            Fate::Broken | Fate::Gone | Fate::Unneeded(_) => false,
        };
        if let Some(segment) = file.name.segment() {
            self.now.extend(is_whole.then_some(segment));
            self.after.extend(will_be_whole.then_some(segment));
        }
        let is_unproven = match fate {
            Fate::Missing(there) | Fate::Differs(there) | Fate::Accepted(there) => WalForm::listed(there).is_hidden(),
            _ => file.proof == Proof::Unproven,
        };
        if is_unproven {
            self.unproven.add(file.name);
        }
        match fate {
            Fate::Stays => {}
            Fate::Missing(there) => self.missing.push(*there),
            Fate::Differs(there) => self.differing.push(*there),
            Fate::Accepted(there) => self.accepted.push(*there),
            Fate::Held(held) => self.held.push(file.name, *held),
            Fate::OtherForm => self.other_form.add(file.name),
            Fate::Broken => self.broken.extend(file.name.segment().map(|_| file.name)),
            Fate::Gone if file.name.segment().is_some() => self.gone.push(file.name),
            Fate::Gone => self.gone_besides.add(file.name),
            Fate::Unneeded(bytes) => self.unneeded.push(file.name, (file.name, *bytes)),
        }
    }

    /// Compares a line of xlog.db with the disk and with the primary.
    fn count_lines(&mut self, file: &WalFile, criteria: &Criteria<'_>) {
        match (file.line, file.here) {
            (None, Some(_)) => self.not_listed += 1,
            (Some(_), None) if !criteria.is_shipped(file) => self.not_on_disk += 1,
            // Where the sizes differ, the file is wrong rather than its line; an empty file tells nothing.
            (Some(line), Some(here)) => {
                let differs = |there: WalEntry| {
                    let is_told = file.undescribed.is_none() && here > 0 && there.size == here;
                    is_told && !criteria.is_same(&line, &there)
                };
                self.line_differs += u64::from(file.there.is_some_and(differs));
            }
            _ => {}
        }
    }

    /// What recovery can do without.
    fn notes(&self) -> Vec<Note> {
        let (gone, other_form, unproven) = (&self.gone_besides, &self.other_form, &self.unproven);
        let gone = gone.first.map(|first| Note::ListedAndGone { count: gone.count, first });
        let other_form = other_form.first.map(|first| Note::OtherForm { count: other_form.count, first });
        let unproven = unproven.first.map(|first| Note::Unproven { count: unproven.count, first });
        gone.into_iter().chain(other_form).chain(unproven).collect()
    }

    /// What is wrong with the file itself, and where it disagrees with the disk or with the primary.
    fn xlogdb_findings(&self, replica: &ReplicaInventory) -> Vec<XlogFinding> {
        let mut findings = replica.xlogdb.findings.clone();
        // Of a file that is not there, nothing else needs saying.
        if !findings.contains(&XlogFinding::Missing) {
            let counted = [
                (self.not_listed, XlogFinding::NotListed(self.not_listed)),
                (self.not_on_disk, XlogFinding::NotOnDisk(self.not_on_disk)),
                (self.line_differs, XlogFinding::Differs(self.line_differs)),
            ];
            findings.extend(counted.into_iter().filter(|(count, _)| *count > 0).map(|(_, finding)| finding));
        }
        findings
    }
}

/// The WAL here that nobody can look into, as the site alone tells.
pub fn unproven_here(here: &ReplicaInventory) -> Option<Note> {
    let mut unproven = wal_files(None, here).filter(|file| file.proof == Proof::Unproven).map(|file| file.name);
    let first = unproven.next()?;
    Some(Note::Unproven { count: 1 + unproven.count() as u64, first })
}

/// History files that differ and are good here, which wait for a person, and those that are shipped.
fn histories(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
) -> (Vec<Difference>, Vec<MissingHistory>) {
    let (mut held, mut missing) = (Vec::new(), Vec::new());
    for history in primary.histories.values().filter(|history| history.size > 0) {
        let (timeline, there) = (history.timeline, history.size);
        let name = WalName::History(timeline);
        let here = replica.wals.get(name);
        let good = here.filter(|here| *here != there && is_good(replica, timeline));
        let accepted = held::accepts(policy, "history", &format!("{:08X}", timeline.0));
        match good.filter(|_| !accepted) {
            Some(here) => held.push(Difference::History { timeline, here, there }),
            None if here == Some(there) && !is_spoilt(primary, replica, timeline) => {}
            None => {
                let is_described = !primary.undescribed.contains_key(&name);
                let entry = primary.wals.get(name).filter(|_| is_described);
                missing.push(MissingHistory { timeline, entry, there, here, accepted: good.is_some() });
            }
        }
    }
    (held, missing)
}

/// Whether a history file here tells nothing, and the primary's does.
fn is_spoilt(primary: &PrimaryInventory, replica: &ReplicaInventory, timeline: Timeline) -> bool {
    let tells = |history: &HistoryFile| !history.ancestors.is_empty();
    primary.histories.get(&timeline).is_some_and(tells) && !is_good(replica, timeline)
}

/// Whether a history file here tells where its timeline came from.
fn is_good(replica: &ReplicaInventory, timeline: Timeline) -> bool {
    replica.histories.get(&timeline).is_some_and(|history| !history.ancestors.is_empty())
}
