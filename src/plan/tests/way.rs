//! From which backup and through which WAL a restore goes.

use jiff::{SignedDuration, Timestamp};

use crate::barman::wal::WalName;
use crate::barman::wal_entry::WalEntry;
use crate::plan::recovery::way::{Hidden, NoWay, Target, Way};
use crate::plan::recovery::{self, segments_here};

use super::case::{Case, case};
use super::notation::{SIZE, id, segment};

impl Case {
    /// The way in short: `21 | 1/08..0A`, the backups and the WAL.
    fn way(&self, target: Target, named: Option<&str>) -> Result<String, NoWay> {
        self.told(target, named, |way| {
            let days: Vec<String> = way.chain.iter().map(|facts| facts.id.to_string()[6..8].to_owned()).collect();
            let ranges =
                way.wals.iter().map(|range| format!("{}/{:02X}..{:02X}", range.timeline.0, range.first, range.last));
            assert_eq!(way.segment_size, SIZE);
            assert_eq!(way.segments, way.wals.iter().map(|range| range.last - range.first + 1).sum::<u64>());
            format!("{} | {}", days.join("+"), ranges.collect::<Vec<_>>().join(" "))
        })
    }

    fn told<T>(&self, target: Target, named: Option<&str>, tell: impl Fn(Way<'_>) -> T) -> Result<T, NoWay> {
        let segments = segments_here(&self.here);
        let view = recovery::before(None, &self.here, &segments, self.now);
        view.way(target, named.map(id)).map(tell)
    }

    /// When the last WAL of the whole way was archived.
    fn end(&self) -> Timestamp {
        self.told(Target::Latest, None, |way| way.reaches.unwrap()).unwrap()
    }
}

const TWO: &str = "@20 1/05..06  @21 1/08..0A | 1/05..1F";

#[test]
fn the_newest_backup_that_leads_there_is_taken_and_no_more_wal_than_is_needed() {
    let site = case(TWO, TWO);
    for (target, named, expected) in [
        (Target::Latest, None, "21 | 1/08..1F"),
        (Target::Latest, Some("20"), "20 | 1/05..1F"),
        (Target::Immediate, None, "21 | 1/08..0A"),
        (Target::Immediate, Some("20"), "20 | 1/05..06"),
    ] {
        assert_eq!(site.way(target, named).unwrap(), expected, "{target:?} {named:?}");
    }
    // Each segment was archived a second after the one before it.
    let before_the_end = |seconds: i64| Target::Time(site.end() - SignedDuration::from_secs(seconds));
    assert_eq!(site.way(before_the_end(0), None).unwrap(), "21 | 1/08..1F");
    assert_eq!(site.way(before_the_end(3), None).unwrap(), "21 | 1/08..1C");
    let fraction = Target::Time(site.end() - SignedDuration::from_millis(2500));
    assert_eq!(site.way(fraction, None).unwrap(), "21 | 1/08..1C", "a list has whole seconds");
}

#[test]
fn wal_that_nobody_can_read_is_told_as_far_as_the_way_goes_through_it() {
    let mut site = case(TWO, TWO);
    let lines = site.here.xlogdb.entries.iter().map(|entry| {
        let is_late = matches!(entry.name, WalName::Segment(segment) if segment.seg >= 0x1D);
        WalEntry { encryption: is_late.then(|| "gpg".parse().unwrap()), ..entry }
    });
    site.here.xlogdb.entries = lines.collect();
    let hidden = |target| site.told(target, None, |way| way.hidden).unwrap();
    let first = WalName::Segment(segment("1/1D"));
    assert_eq!(hidden(Target::Latest), Some(Hidden { first, is_encrypted: true, count: 3 }));
    assert_eq!(hidden(Target::Immediate), None);
}

#[test]
fn what_does_not_lead_there_is_not_taken() {
    let gap = case("@20 1/05..06  @21 1/08..0A | 1/05..1F", "@20 1/05..06  @21 1/08..0A | 1/05..1F -1/0F");
    assert_eq!(gap.way(Target::Latest, None).unwrap(), "21 | 1/08..0E");
    let lacking = case(TWO, "@20 1/05..06  @21 1/08..0A | 1/05..1F -1/09");
    assert_eq!(lacking.way(Target::Latest, None).unwrap(), "20 | 1/05..08");
    assert_eq!(lacking.way(Target::Latest, Some("21")), Err(NoWay::NotRecoverable(id("21"))));
    assert_eq!(lacking.way(Target::Latest, Some("22")), Err(NoWay::NotHere(id("22"))));
    let broken = case(TWO, "@20 1/05..06  @21 1/08..0A damaged | 1/05..1F");
    assert_eq!(broken.way(Target::Latest, None).unwrap(), "20 | 1/05..1F");
    assert_eq!(case(TWO, "").way(Target::Latest, None), Err(NoWay::NothingRecoverable));
}

#[test]
fn incremental_backups_come_with_all_that_they_build_on() {
    let chain = "@20 1/05..06  @21<20 1/08..0A  @22<21 1/0C..0D | 1/05..1F";
    let site = case(chain, chain);
    assert_eq!(site.way(Target::Latest, None).unwrap(), "20+21+22 | 1/0C..1F");
    assert_eq!(site.way(Target::Immediate, Some("21")).unwrap(), "20+21 | 1/08..0A");
}

#[test]
fn a_way_goes_on_along_the_timelines_that_have_their_histories() {
    let promoted = "@20 1/05..06 | 1/05..0A 2/0A..0F h2<1/0A";
    let site = case(promoted, promoted);
    assert_eq!(site.way(Target::Latest, None).unwrap(), "20 | 1/05..09 2/0A..0F");
    let end = site.told(Target::Latest, None, |way| way.timeline.0).unwrap();
    assert_eq!(end, 2);
}

#[test]
fn times_that_no_backup_or_no_wal_leads_to_are_told() {
    let site = case(TWO, TWO);
    let (first, end) = (site.here.backups[&id("20")].published.as_ref().unwrap().facts.end_time.unwrap(), site.end());
    let second = SignedDuration::from_secs(1);
    assert_eq!(site.way(Target::Time(first - second), None), Err(NoWay::TooEarly(Some(first))));
    assert_eq!(site.way(Target::Time(end + second), None), Err(NoWay::TooLate(id("21"), Some(end))));
    let later = site.here.backups[&id("21")].published.as_ref().unwrap().facts.end_time.unwrap();
    let too_late = site.way(Target::Time(later - second), Some("21"));
    assert_eq!(too_late, Err(NoWay::EndedLater(id("21"), Some(later))));
}
