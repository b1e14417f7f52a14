//! Each sort of damage by itself: one action finds it, and its repair leaves what was there before.

use antipode::demo::damage::Damage;

use super::ground::Ground;

#[tokio::test]
async fn each_damage_is_one_action_and_is_repaired() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let whole = ground.empty_site("whole");
    site.converge().await;
    whole.converge().await;
    for damage in Damage::ALL {
        damage.inflict(&site.dirs()).unwrap();
        let plan = site.plan().await;
        let actions: Vec<String> = plan.replicas[0].actions.iter().map(|action| action.address.to_string()).collect();
        assert_eq!(actions, expected(damage), "{damage}");
        site.repair().await;
        site.assert_same(&whole, &damage.to_string());
    }
}

#[tokio::test]
async fn a_server_whose_creation_was_cut_short_is_completed() {
    let ground = Ground::new().await;
    let whole = ground.empty_site("whole");
    whole.converge().await;
    for reached in ["main", "main/base"] {
        let site = ground.empty_site(&reached.replace('/', "-"));
        std::fs::create_dir_all(site.catalog.join(reached)).unwrap();
        site.converge().await;
        site.assert_same(&whole, reached);
    }
}

fn expected(damage: Damage) -> &'static [&'static str] {
    match damage {
        Damage::CutWal => &["main/wal/000000010000000000000005"],
        Damage::DoubledXlogDb => &["main/xlog.db"],
        Damage::LostHistory => &["main/history/00000002"],
        Damage::LabelEncodedTwice => &["main/info/20261121T030000"],
        Damage::LostFile => &["main/backup/20261122T030000"],
    }
}
