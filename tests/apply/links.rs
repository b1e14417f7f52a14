//! What a copy finds of a backup at the primary, and no plan can see, is said by every plan that follows.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use antipode::plan::ReplicaPlan;
use antipode::plan::reason::{Note, Warning};
use antipode::store::{Place, Store};

use super::ground::{Ground, TestSite};

const BACKUPS: [&str; 2] = ["20261121T030000", "20261122T030000"];

/// The data directory of a backup at the primary.
fn data(ground: &Ground, id: &str) -> PathBuf {
    ground.primary_dirs().base(id.parse().unwrap()).join("data")
}

async fn planned(site: &TestSite) -> ReplicaPlan {
    site.plan().await.replicas.remove(0)
}

#[tokio::test]
async fn links_out_of_a_backup_are_told_however_it_was_copied() {
    let ground = Ground::new().await;
    for id in BACKUPS {
        symlink("/etc/hosts", data(&ground, id).join("pg_hba.conf")).unwrap();
        symlink("../../../elsewhere", data(&ground, id).join("global/pg_other")).unwrap();
        symlink("PG_VERSION", data(&ground, id).join("inside")).unwrap();
    }
    // The one as a whole tree, the other file by file, as it shares some with the first.
    let site = ground.empty_site("site");
    let (_, summary) = site.apply(None).await;
    assert_eq!(summary.failed, []);
    let plan = planned(&site).await;
    assert_eq!(plan.actions, []);
    for id in BACKUPS {
        let (backup, first) = (id.parse().unwrap(), "data/global/pg_other".to_owned());
        assert!(plan.notes.contains(&Note::LinksLeftOut { backup, count: 2, first }), "{:?}", plan.notes);
        let base = site.dirs().base(backup);
        assert!(base.join("data/inside").is_symlink());
        assert!(!base.join("data/pg_hba.conf").is_symlink() && !base.join("data/global/pg_other").is_symlink());
    }
}

#[tokio::test]
async fn why_a_backup_was_refused_is_told_until_it_is_published() {
    let ground = Ground::new().await;
    let [first, _] = BACKUPS;
    let notify = data(&ground, first).join("pg_notify");
    fs::remove_dir_all(&notify).unwrap();
    let site = ground.empty_site("site");
    let (_, summary) = site.apply(None).await;
    assert_eq!(summary.failed.len(), 1);
    let plan = planned(&site).await;
    let told = |plan: &ReplicaPlan| {
        let why = plan.warnings.iter().find_map(|warning| match warning {
            Warning::RefusedBefore { backup, why } if backup.as_str() == first => Some(why.clone()),
            _ => None,
        });
        why.unwrap_or_default()
    };
    assert!(told(&plan).starts_with("data/pg_notify: the directory is missing"), "{:?}", plan.warnings);
    fs::create_dir(&notify).unwrap();
    let (_, summary) = site.apply(None).await;
    assert_eq!(summary.failed, []);
    let plan = planned(&site).await;
    assert_eq!((plan.actions.as_slice(), told(&plan).as_str()), (&[][..], ""));
    // What is no longer known is not said.
    fs::remove_file(site.store().local(Place::Findings.into())).unwrap();
    assert_eq!(planned(&site).await.actions, []);
}
