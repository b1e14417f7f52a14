//! What forbids a plan, and what is warned of.

use std::time::Duration;

use crate::barman::identity::Identity;
use crate::barman::ids::SystemId;
use crate::error::{Error, Kind};
use crate::observe::inventory::{
    CatalogName, Mark, Observation, Observed, OtherSite, ReplicaObservation, SiteBarman, SiteSection,
};
use crate::plan::Outcome;
use crate::plan::reason::{Blocker, Note, Warning};

use super::case::{Case, case};
use super::notation::id;

const ONE: &str = "@21 1/08..0A | 1/08..0F";

fn site_barman(active: bool, passive: bool) -> impl FnOnce(&mut Case) {
    move |case| {
        case.here.site_barman = SiteBarman { section: SiteSection::Present, active, passive, ..SiteBarman::default() }
    }
}

#[test]
fn a_new_system_is_refused_naming_both_until_it_is_accepted() {
    for word in ["", "waiting", "started"] {
        let there = format!("@21 1/08..0A  @22 1/02..03 system=8 {word} | 1/02..0F");
        let case = case(&there, ONE);
        let refused = Blocker::OtherSystem { here: vec![SystemId(7)], new: SystemId(8), backup: id("22") };
        assert_eq!(case.blockers(), [refused], "{word}");
        assert_eq!(case.actions(), [""; 0]);
        let accepted = case.with(|case| case.replica.policy.accept_systems.extend([SystemId(8)]));
        assert_eq!(accepted.plan().outcome, Outcome::Planned);
        assert_eq!(accepted.plan().target.unwrap().systems, [SystemId(7), SystemId(8)]);
    }
}

#[test]
fn an_accepted_system_counts_before_its_first_backup() {
    let accepting = |there| case(there, "|").with(|case| case.replica.policy.accept_systems.extend([SystemId(8)]));
    assert_eq!(accepting(ONE).plan().target.unwrap().systems, [SystemId(7), SystemId(8)]);
    assert_eq!(accepting("| 1/08..0F").plan().target.unwrap().systems, []);
}

#[test]
fn an_empty_site_takes_the_system_of_the_newest_backup() {
    let case = case("@20 1/02 system=8  @21 1/08..0A | 1/02..0F", "");
    let refused = Blocker::OtherSystem { here: vec![SystemId(7)], new: SystemId(8), backup: id("20") };
    assert_eq!(case.blockers(), [refused]);
}

#[test]
fn a_site_without_backups_keeps_the_system_that_its_identity_names() {
    let identity = Identity { systemid: SystemId(9), version: "17".to_owned() };
    let case = case(ONE, "|").with(|case| case.here.identity = Some(identity));
    assert_eq!(case.blockers(), [Blocker::OtherSystem { here: vec![SystemId(9)], new: SystemId(7), backup: id("21") }]);
}

#[test]
fn a_system_that_the_replica_holds_already_is_not_new() {
    let both = "@20 1/02 system=8  @21 1/08..0A | 1/02..0F";
    assert_eq!(case(both, both).actions(), [""; 0]);
}

#[test]
fn a_server_that_the_sites_barman_runs_is_never_touched() {
    assert_eq!(case(ONE, "|").with(site_barman(true, false)).blockers(), [Blocker::RunHere]);
    assert_eq!(case(ONE, ONE).with(site_barman(false, false)).plan().warnings, []);
    assert_eq!(case(ONE, ONE).with(site_barman(true, true)).plan().warnings, [Warning::PassiveCron]);
}

#[test]
fn a_server_that_the_sites_barman_does_not_know_is_warned_of() {
    let section = |section: SiteSection| move |case: &mut Case| case.here.site_barman.section = section;
    let included = Some("/etc/barman.d".into());
    let missing = case(ONE, ONE).with(section(SiteSection::Missing { included: included.clone() }));
    assert_eq!(missing.plan().warnings, [Warning::NotConfigured { included }]);
    assert_eq!(case(ONE, ONE).with(section(SiteSection::Unknown)).plan().warnings, []);
}

#[test]
fn a_server_whose_sync_is_told_that_nothing_is_missing_is_not_synchronised() {
    let idle = case(ONE, ONE).with(site_barman(true, true)).with(|case| case.here.site_barman.idle = true);
    assert_eq!(idle.plan().warnings, []);
}

#[test]
fn another_site_over_the_same_directory_forbids_a_plan_and_another_copy_of_this_one_is_told() {
    let other = |name: &str| OtherSite {
        name: name.to_owned(),
        file: "/etc/other.yaml".to_owned(),
        ended: None,
        is_ours: name == "lisbon",
    };
    let with = |name: &str| case(ONE, ONE).with(|case| case.here.other_site = Some(other(name)));
    let file = "/etc/other.yaml".to_owned();
    let refused = Blocker::OtherSite { site: "porto".to_owned(), file: file.clone(), ended: None };
    assert_eq!(with("porto").blockers(), [refused]);
    assert_eq!(with("lisbon").plan().notes, [Note::OtherFile { file, ended: None }]);
}

#[test]
fn a_backup_that_was_taken_at_the_site_forbids_a_plan() {
    let case = case(ONE, ONE).with(|case| {
        let info = case.primary.backups[&id("21")].info.clone();
        case.here.backups.get_mut(&id("21")).unwrap().published.as_mut().unwrap().info = info;
    });
    assert_eq!(case.blockers(), [Blocker::NotPassive { backup: id("21"), mode: "postgres".to_owned() }]);
}

#[test]
fn a_retention_policy_of_the_site_is_warned_of() {
    let policy = "REDUNDANCY 2".to_owned();
    let set = |case: &mut Case| case.here.site_barman.retention_policy = Some(policy.clone());
    let active = case(ONE, ONE).with(site_barman(true, true)).with(set);
    assert_eq!(active.plan().warnings, [Warning::PassiveCron, Warning::OwnRetention(policy.clone())]);
    // Of an inactive server Barman enforces nothing.
    assert_eq!(case(ONE, ONE).with(site_barman(false, true)).with(set).plan().warnings, []);
}

#[test]
fn a_missed_objective_is_warned_of_and_whether_the_plan_mends_it() {
    let behind = |rpo: u64| {
        let lagging = case("@21 1/08..0A | 1/08..0F", "@21 1/08..0A | 1/08..0C");
        lagging.with(|case| case.replica.policy.rpo = Some(Duration::from_secs(rpo))).plan()
    };
    let lag = behind(1).before.lag.unwrap().seconds.unwrap().unsigned_abs();
    assert!(lag > 0);
    assert_eq!(
        behind(lag - 1).warnings,
        [Warning::BehindObjective { lag: Some(lag), rpo: lag - 1, mended: true, of_origin: false }]
    );
    assert_eq!(behind(lag).warnings, []);

    let gap = case("@21 1/08..0A | 1/08..1F ?1/10", "@21 1/08..0A | 1/08..1F -1/10");
    let gap = gap.with(|case| case.replica.policy.rpo = Some(Duration::from_secs(1))).plan();
    let is_left = |warning: &Warning| matches!(warning, Warning::BehindObjective { mended: false, .. });
    assert!(gap.warnings.iter().any(is_left), "{:?}", gap.warnings);
}

#[test]
fn a_primary_that_does_not_answer_is_no_plan_and_no_change() {
    let case = case(ONE, ONE);
    for primary in [
        Observed::Inactive("server main is inactive".to_owned()),
        Observed::Failed(Error::new(Kind::Unreachable, "no route to host")),
    ] {
        let observed = ReplicaObservation { primary, replica: case.here.clone() };
        let plan = crate::plan::replica::plan(&case.replica, None, &observed, case.now);
        assert_eq!((plan.actions, plan.target), (vec![], None));
        assert_ne!(plan.outcome, Outcome::Planned);
        assert_eq!(plan.before.backups, 1);
        assert_eq!(plan.before, plan.after);
    }
}

#[test]
fn a_site_whose_primary_is_its_own_catalog_or_a_copy_of_it_is_refused() {
    let (ours, other): (CatalogName, CatalogName) =
        ("000000000000000a".parse().unwrap(), "000000000000000b".parse().unwrap());
    let seeing = |name, pedigree: &[Mark]| {
        case(ONE, ONE).with(|case| {
            case.here.name = name;
            case.primary.pedigree = pedigree.iter().cloned().collect();
        })
    };
    let copy = |server: &str| [Mark::Catalog(other), Mark::CopyOf(ours, server.parse().unwrap())];
    assert_eq!(seeing(Some(ours), &[Mark::Catalog(ours)]).blockers(), [Blocker::OwnCatalog]);
    let passive = |case: &mut Case| {
        let here = case.here.backups[&id("21")].published.as_ref().unwrap().info.clone();
        case.primary.backups.get_mut(&id("21")).unwrap().info = here;
    };
    assert_eq!(seeing(Some(ours), &copy("main")).with(passive).blockers(), [Blocker::CopyOfOurs]);
    // It takes backups of its own: it was a copy once, and has taken over.
    assert_eq!(seeing(Some(ours), &copy("main")).plan().outcome, Outcome::Planned);
    for (name, pedigree) in [
        (Some(ours), &[Mark::Catalog(other)][..]),
        // What is copied there is another server of ours, as where two sites keep copies for each other.
        (Some(ours), &copy("other")),
        (None, &copy("main")),
    ] {
        let plan = seeing(name, pedigree).with(passive).plan();
        assert_eq!((plan.outcome, plan.warnings), (Outcome::Planned, vec![]), "{pedigree:?}");
    }
}

#[test]
fn an_inactive_server_is_an_error_where_the_site_file_names_it_and_a_warning_where_a_mirror_brought_it() {
    for (declared, outcome, warnings) in [
        ("replicas: {main: {primary: frankfurt}}", Outcome::Blocked(vec![Blocker::Inactive("no".to_owned())]), vec![]),
        ("mirrors: [{primary: frankfurt}]", Outcome::Inactive("no".to_owned()), vec![Warning::Inactive]),
    ] {
        let case = case(ONE, ONE);
        let text = format!(
            "version: 1\nsite: lisbon\ncatalog: {{path: /b}}\nprimaries: {{frankfurt: {{path: /f}}}}\n{declared}\n"
        );
        let site = crate::site::load("site.yaml", &text, None).unwrap().site;
        let observed = ReplicaObservation { primary: Observed::Inactive("no".to_owned()), replica: case.here.clone() };
        let observation = Observation { replicas: [(case.replica.name.clone(), observed)].into() };
        let plan = crate::plan::plan(&site, &[case.replica], &observation, case.now);
        let replica = &plan.replicas[0];
        assert_eq!((&replica.outcome, &replica.warnings, replica.inactive()), (&outcome, &warnings, Some("no")));
        assert_eq!(plan.is_blocked(), warnings.is_empty());
    }
}

#[test]
fn another_name_at_the_primary_and_its_own_notes_are_said() {
    let case = case(ONE, ONE).with(|case| {
        case.replica.server = "prod".parse().unwrap();
        case.primary.notes = vec!["WARNING: slow disk".to_owned()];
    });
    let notes = [Note::Renamed("prod".parse().unwrap()), Note::Primary("WARNING: slow disk".to_owned())];
    assert_eq!(case.plan().notes, notes);
}
