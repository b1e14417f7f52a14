//! The workflow of a pull request: a plan is saved, reviewed, and exactly that
//! is applied, whatever the primary did meanwhile.

use std::fs;

use serde_json::Value;

use crate::antipode::antipode;
use crate::barman::SERVER;
use crate::catalog_compare::assert_same_told;
use crate::converge::{contents, filled_site};
use crate::ground::Lab;
use crate::process::Finished;
use crate::scenario::{self, write_chapter};
use crate::site::Site;
use crate::tools::BarmanVersion;

const FILE: &str = "plan.json";

/// Saves a plan with changes; what it is in JSON.
#[track_caller]
fn save(site: &Site) -> Value {
    let planned = antipode(&site.directory, &["plan", "-o", FILE, "--detailed-exitcode"]);
    assert_eq!(planned.code(), 2, "{planned}");
    assert!(planned.stderr.contains(&format!("To do exactly this: antipode apply {FILE}")), "{planned}");
    let shown = antipode(&site.directory, &["show", FILE]);
    assert_eq!((shown.code(), &shown.stdout), (0, &planned.stdout), "{shown}");
    let text = fs::read_to_string(site.directory.join(FILE)).expect("read the saved plan");
    assert!(!text.contains(crate::barman::PASSWORD));
    serde_json::from_str(&text).expect("the plan is JSON")
}

fn apply(site: &Site) -> Finished {
    antipode(&site.directory, &["apply", FILE])
}

fn addresses(plan: &Value) -> Vec<String> {
    let actions = plan["replicas"][0]["actions"].as_array().expect("actions");
    actions.iter().map(|action| action["address"].as_str().expect("an address").to_owned()).collect()
}

/// The plan is refused with these words, and nothing is changed.
#[track_caller]
fn refused(site: &Site, said: &[&str]) {
    let before = contents(site.catalog());
    let applied = apply(site);
    assert_eq!(applied.code(), 1, "{applied}");
    for text in said {
        assert!(applied.stderr.contains(text), "{text:?} is not in {applied}");
    }
    assert!(contents(site.catalog()) == before, "{applied}");
}

#[test]
fn a_reviewed_plan_is_applied_exactly_or_not_at_all() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let (sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);
    let live = write_chapter(primary.start(), "reviewed");
    let reviewed = live.back_up(&[]);

    let plan = save(&site);
    let schema = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/plan.schema.json")).expect("schema");
    let schema = serde_json::from_str(&schema).expect("the schema is JSON");
    assert!(jsonschema::is_valid(&schema, &plan), "{plan:#}");

    // The primary moves on, and is not in the way of what was reviewed.
    let later_wal = live.archive_wal();
    let later = live.back_up(&[]);
    let applied = apply(&site);
    assert_eq!(applied.code(), 0, "{applied}");
    for address in addresses(&plan) {
        assert!(applied.stderr.contains(&format!("{address}: ")), "{address} is not in {applied}");
    }
    assert!(site.base(&reviewed).is_dir() && !site.base(&later).exists());
    assert!(!site.barman.xlogdb_names().contains(&later_wal));

    let published = format!("{SERVER}/backup/{reviewed}: the backup, here: planned: absent; now: published");
    refused(&site, &["it is stale", &published, "plan again, review it, and apply the new one"]);

    let next = save(&site);
    let known = addresses(&plan);
    assert!(addresses(&next).contains(&format!("{SERVER}/backup/{later}")));
    assert!(
        !addresses(&next).iter().any(|address| address.contains("/backup/") && known.contains(address)),
        "{next:#}"
    );

    site.declare_with(&sshd, &["backups: [{last: 7}]  # Fewer."]);
    let key = format!("`replicas.{SERVER}.backups`: planned with `all`, now `last: 7`");
    refused(&site, &["it is stale", &key]);

    save(&site);
    live.barman.expect(&["delete", SERVER, &later]);
    let gone = format!("{SERVER}/backup/{later}: the backup, at the primary: planned: DONE, begin_wal ");
    refused(&site, &["it is stale", &gone, "; now: absent"]);

    save(&site);
    let applied = apply(&site);
    assert_eq!(applied.code(), 0, "{applied}");
    site.expect_no_changes();
    assert_same_told(&live.barman, &site.barman);
}
