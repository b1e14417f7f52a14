//! Servers whose files are in a cloud.

use serde_json::json;

use crate::bench::Bench;

const BACKUP: &str = "20261122T030000";

#[test]
fn directories_in_a_bucket_are_refused_by_name() {
    let bench = Bench::in_sync();
    for key in ["basebackups_directory", "wals_directory"] {
        let mut answer = bench.sync_info("main");
        answer["config"][key] = "s3://bucket/main".into();
        bench.says("main", &answer);
        bench.refuses_to_plan(&["main (frankfurt)", key, "s3://bucket/main", "it is in a cloud bucket", "hint:"]);
    }
}

#[test]
fn a_snapshot_of_cloud_volumes_is_said_and_its_wal_shipped() {
    let bench = Bench::start();
    let mut answer = bench.sync_info("main");
    answer["backups"][BACKUP]["snapshots_info"] =
        json!({"provider": "aws", "provider_info": {"region": "eu-west-1"}, "snapshots": []});
    bench.says("main", &answer);
    std::fs::remove_dir_all(bench.path(&format!("primary/main/base/{BACKUP}"))).unwrap();
    let planned = bench.antipode(&["plan", "--detailed-exitcode"]);
    planned.expect(2).says(&["backup 20261122T030000 is a snapshot of cloud volumes and has no files to copy"]);
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    assert!(bench.path("catalog/main/wals/0000000200000000/000000020000000000000018").exists());
    assert!(bench.path("catalog/main/meta/20261121T030000-backup.info").exists());
    assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0).says(&["snapshot of cloud volumes"]);
}
