//! What verifications came to, for people and for programs.

use std::path::PathBuf;
use std::time::Duration;

use crate::barman::verified::{Amount, Verified};
use crate::error::{Error, Kind};
use crate::render::Style;
use crate::render::verification::{Told, verification, wrong};
use crate::render::verification_json::verification_json;
use crate::schemas::Name;
use crate::scrub::reads::Subject;
use crate::scrub::{Damaged, Difference, Ended, Outcome};

fn amount(count: u64, bytes: u64) -> Amount {
    Amount { count, bytes }
}

fn of_base(path: &str) -> Subject {
    Subject::OfBase("20261122T030000".parse().unwrap(), path.into())
}

fn standing(unread: Amount, damaged: Amount) -> Verified {
    let [at, oldest] = ["2026-11-22T10:00:00Z", "2026-10-29T03:00:00Z"].map(|time| time.parse().unwrap());
    let (files, unproven) = (amount(130_412, 6 << 40), amount(3, 1_288_490_188));
    let (unchanged, unchanged_since) = (amount(2, 7 << 30), Some(oldest));
    Verified { at, oldest: Some(oldest), files, unread, unchanged, unchanged_since, unproven, damaged }
}

fn told() -> Vec<Told> {
    let well = Outcome { standing: Some(standing(amount(0, 0), amount(0, 0))), ..Outcome::default() };
    let read = Outcome { read: amount(4211, 212 << 30), ended: Ended::OutOfTime, ..well.clone() };
    let damaged = |subject, why: &str, is_shared, others| Damaged {
        subject,
        why: why.to_owned(),
        found: "2026-11-22T09:59:00Z".parse().unwrap(),
        is_shared,
        others,
    };
    let wal = Subject::Wal("000000010000000000000007".parse().unwrap());
    let other = Subject::OfBase("20261121T030000".parse().unwrap(), "data/base/5/16384".into());
    let bad = Outcome {
        read: amount(12, 96 << 20),
        damaged: vec![
            damaged(of_base("data/base/5/16384"), "its checksum is b5b2547f, not 9a592f62", false, vec![other]),
            damaged(wal, "the record at 0/7000028 does not have its checksum", true, vec![]),
        ],
        mended: vec![of_base("data/base/5/1259")],
        differences: [
            Difference::File("20261121T030000".parse().unwrap(), "data/global/1262".into()),
            Difference::NotListed(1),
            Difference::NotOnDisk(2),
            Difference::OtherSize(1),
            Difference::Disordered(3),
        ]
        .into(),
        noted: amount(3, 5 << 20),
        broken_notes: ["20261122T030000".parse().unwrap()].into(),
        unreadable: vec![(of_base("data/odd\u{1b}name"), "Permission denied (os error 13)".to_owned())],
        unlisted: [("20261122T030000".parse().unwrap(), (2, PathBuf::from("data/core")))].into(),
        standing: Some(standing(amount(7, 3 << 20), amount(2, 24 << 20))),
        ended: Ended::Done,
    };
    let one = |name: &str, outcome, seconds| Told {
        name: name.parse().unwrap(),
        outcome,
        took: Duration::from_secs(seconds),
    };
    vec![one("archive", well, 0), one("main", bad, 2), one("new", Outcome::default(), 0), one("web", read, 843)]
}

#[test]
fn what_verifications_came_to_is_told() {
    let narrow = Style { width: Some(72), ..Style::default() };
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        insta::assert_snapshot!("verification", verification(&told(), Style::default()));
        insta::assert_snapshot!("verification_narrow", verification(&told(), narrow));
    });
}

#[test]
fn no_byte_of_a_name_reaches_a_terminal_as_it_is() {
    assert!(!verification(&told(), Style::default()).contains('\u{1b}'));
}

#[test]
fn of_much_damage_some_is_told_and_the_rest_counted() {
    let mut told = told().swap_remove(1);
    let one = told.outcome.damaged[0].clone();
    told.outcome.damaged = vec![one; 500];
    let text = verification(std::slice::from_ref(&told), Style::default());
    assert!(text.lines().count() < 60 && text.contains("and 480 more; -v shows all"), "{text}");
    assert_eq!(wrong(&told.outcome).len(), 21);
}

#[test]
fn the_json_form_follows_its_schema() {
    let errors = [Error::new(Kind::PermissionDenied, "it cannot be read")];
    let document = serde_json::from_str(&verification_json("lisbon", &told(), &errors)).unwrap();
    let schema = serde_json::from_str(&Name::Verification.text()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mistakes: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(mistakes, [""; 0]);
}
