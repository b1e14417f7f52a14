//! backup.info and keep annotations.

use crate::barman::backup_info::BackupInfo;
use crate::barman::keep::Keep;
use crate::barman::version::BarmanVersion;
use crate::plan::action::Change;
use crate::plan::reason::Reason;

use super::case::{Case, case};
use super::notation::id;

const ONE: &str = "@21 1/08..0A | 1/08..0F";

/// Gives a key of a published backup.info another value.
pub fn set(case: &mut Case, day: &str, key: &str, value: &str) {
    let published = case.here.backups.get_mut(&id(day)).unwrap().published.as_mut().unwrap();
    let line = |(k, v): (&str, &str)| if k == key { format!("{key}={value}\n") } else { format!("{k}={v}\n") };
    let file: String = published.info.fields().map(line).collect();
    published.info = BackupInfo::parse(file.as_bytes()).unwrap();
    published.damage = published.info.damages();
}

/// The values of a key in the rewritten backup.info of a plan.
fn rewritten(case: &Case, key: &str) -> Vec<String> {
    let value = |action: &crate::plan::action::Action| match &action.change {
        Change::UpdateInfo { to, .. } => Some(to.get(key).unwrap_or("None").to_owned()),
        _ => None,
    };
    case.plan().actions.iter().filter_map(value).collect()
}

#[test]
fn children_that_were_encoded_twice_are_repaired() {
    let text = "@20 1/02..03  @21<20 1/08..0A | 1/02..0F";
    let twice: Vec<String> = id("21").as_str().chars().map(String::from).collect();
    for there in [text, "| 1/02..0F"] {
        let case = case(there, text).with(|case| set(case, "20", "children_backup_ids", &twice.join(",")));
        assert_eq!(case.actions(), ["~info 20"]);
        assert_eq!(case.reason("~info 20"), Reason::EncodedTwice(vec!["children_backup_ids".to_owned()]));
        assert_eq!(rewritten(&case, "children_backup_ids"), [id("21").as_str()]);
        assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
    }
}

#[test]
fn a_label_that_was_encoded_twice_is_repaired() {
    for there in [ONE, "| 1/08..0F"] {
        let case = case(there, ONE).with(|case| set(case, "21", "backup_label", r#""'START WAL LOCATION: 0/8\\n'""#));
        assert_eq!(case.reason("~info 21"), Reason::EncodedTwice(vec!["backup_label".to_owned()]));
        assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
    }
}

#[test]
fn metadata_that_differs_is_rewritten() {
    let case = case(ONE, ONE).with(|case| set(case, "21", "size", "8"));
    assert_eq!(case.reason("~info 21"), Reason::InfoDiffers(vec!["size".to_owned()]));
    assert_eq!(rewritten(&case, "size"), ["1000"]);
}

#[test]
fn a_backup_that_failed_at_the_primary_since_is_no_model() {
    let case = case("@21 1/08..0C failed | 1/08..0F", ONE);
    assert_eq!(case.actions(), [""; 0]);
}

#[test]
fn a_backup_info_where_its_barman_does_not_look_is_moved() {
    let unread = |case: &mut Case| {
        case.here.backups.values_mut().for_each(|local| local.published.as_mut().unwrap().is_read = false);
    };
    let case = case(ONE, ONE).with(unread);
    assert_eq!(case.reason("~info 21"), Reason::NotReadBy(case.here.barman));
}

#[test]
fn keys_that_an_older_barman_does_not_know_are_dropped() {
    let case = case("@20 1/02..03  @21<20 1/08..0A | 1/02..0F", "|")
        .with(|case| case.here.barman = BarmanVersion::new(3, 4, 1));
    let info = case.plan().actions.into_iter().find_map(|action| match action.change {
        Change::AddBackup(copy) => Some(copy.info),
        _ => None,
    });
    assert_eq!(info.unwrap().fields().filter(|(key, _)| key.starts_with("parent")).count(), 0);
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
}

#[test]
fn a_parent_names_only_children_that_are_here() {
    let case = case("@20 1/02..03  @21<20 1/08..0A  @22<20 1/0C..0D | 1/02..0F", "|");
    let children = |action: crate::plan::action::Action| match action.change {
        Change::AddBackup(copy) => Some(copy.info.children_backup_ids().unwrap()),
        _ => None,
    };
    let infos: Vec<_> = case.plan().actions.into_iter().filter_map(children).collect();
    assert_eq!(infos, [vec![], vec![], vec![]]);
    let after = case.after(&case.plan());
    let parent = after.here.backups[&id("20")].published.as_ref().unwrap();
    assert_eq!(parent.info.children_backup_ids().unwrap(), [id("21"), id("22")]);
}

#[test]
fn the_order_of_children_is_no_difference() {
    let chain = "@20 1/02..03  @21<20 1/08..0A  @22<20 1/0C..0D | 1/02..0F";
    let turned = format!("{},{}", id("22"), id("21"));
    assert_eq!(case(chain, chain).with(|case| set(case, "20", "children_backup_ids", &turned)).actions(), [""; 0]);
}

#[test]
fn keep_annotations_are_shipped() {
    let case = case("@20 1/02..03 s  @21 1/08..0A k | 1/02..0F", "@20 1/02..03  @21 1/08..0A | 1/02..0F");
    assert_eq!(case.actions(), ["keep 21 full", "keep 20 standalone"]);
    assert_eq!(case.reason("keep 21 full"), Reason::KeptAtPrimary);
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
}

#[test]
fn a_keep_annotation_of_the_site_is_never_removed_nor_weakened() {
    assert_eq!(case(ONE, "@21 1/08..0A k | 1/08..0F").actions(), [""; 0]);
    assert_eq!(case("@21 1/08..0A s | 1/08..0F", "@21 1/08..0A k | 1/08..0F").actions(), [""; 0]);
    let stronger = case("@21 1/08..0A k | 1/08..0F", "@21 1/08..0A s | 1/08..0A");
    assert_eq!(stronger.actions(), ["keep 21 full", "+wal 1/0B..0F"]);
    let Change::SetKeep { from, .. } = stronger.plan().actions[0].change else { panic!() };
    assert_eq!(from, Some(Keep::Standalone));
    assert_eq!(stronger.after(&stronger.plan()).actions(), [""; 0]);
}
