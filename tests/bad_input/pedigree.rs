//! A primary that is the site's own catalog, by whatever way it is reached, or a copy of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::bench::Bench;

const ITSELF: &str = "its primary is the catalog of this site itself";

/// Has the primary answer for the catalog of this name.
fn answer_for(bench: &Bench, catalog: &str) {
    bench.says("main", &crate::sync_info::sync_info(&bench.path(catalog), "main"));
}

/// A site of a catalog whose primary is another one on this host.
fn site(catalog: &Path, primary: &Path) -> String {
    format!(
        "version: 1\nsite: porto\ncatalog: {{path: '{}', barman: '3.19.1', reserve: none}}\nprimaries: {{lisbon: {{path: '{}'}}}}\n\
         replicas: {{main: {{primary: lisbon}}}}\n",
        catalog.display(),
        primary.display(),
    )
}

#[test]
fn a_site_whose_primary_is_its_own_catalog_is_refused_by_whatever_path_it_is_reached() {
    let bench = Bench::in_sync();
    symlink(bench.catalog(), bench.path("alias")).unwrap();
    for catalog in ["catalog", "alias"] {
        answer_for(&bench, catalog);
        for arguments in [&["plan"][..], &["plan", "--refresh"], &["apply", "--auto-approve"], &["plan"]] {
            bench.antipode(arguments).expect(1).says(&[ITSELF]);
        }
        bench.antipode(&["status", "-v"]).says(&["main blocked", ITSELF]);
    }
    bench.declare(&site(&bench.catalog(), &bench.path("alias")));
    bench.antipode(&["plan"]).expect(1).says(&[ITSELF]);
}

#[test]
fn a_catalog_that_no_apply_has_worked_on_is_told_from_its_primary_as_well() {
    let bench = Bench::in_sync();
    for own in [".antipode", "main/.antipode"] {
        fs::remove_dir_all(bench.catalog().join(own)).unwrap();
    }
    answer_for(&bench, "catalog");
    bench.antipode(&["plan"]).expect(1).says(&[ITSELF]);
    // Under another name the same catalog is no copy either.
    bench.declare(&bench.site_with(&bench.ssh_command(), "replicas: {copy: {primary: frankfurt, server: main}}\n"));
    bench.antipode(&["plan"]).expect(1).says(&[ITSELF]);
}

#[test]
fn a_site_that_was_seeded_with_all_files_of_its_primary_is_another_catalog() {
    let bench = Bench::in_sync();
    let copied = Command::new("cp").arg("-a").args([bench.catalog(), bench.path("seeded")]).status().unwrap();
    assert!(copied.success());
    answer_for(&bench, "seeded");
    for _ in 0..2 {
        bench.antipode(&["plan"]).expect(0).never_says(ITSELF);
    }
}

#[test]
fn a_ring_of_sites_is_refused_over_whatever_hops_and_a_row_is_not() {
    let bench = Bench::in_sync();
    let loops = "is itself a copy of this replica";
    let (lisbon, porto, faro) = (bench.catalog(), bench.path("porto"), bench.path("faro"));
    for (catalog, primary) in [(&porto, &lisbon), (&faro, &porto)] {
        bench.declare(&site(catalog, primary));
        bench.antipode(&["apply", "--auto-approve"]).expect(0).never_says(loops);
        // What it descends from is noted where an apply has been.
        bench.antipode(&["plan"]).expect(0).never_says(loops);
    }
    bench.declare(&site(&lisbon, &faro));
    for arguments in [&["plan"][..], &["apply", "--auto-approve"]] {
        bench.antipode(arguments).expect(1).says(&[loops]);
    }
    bench.declare(&site(&lisbon, &porto));
    bench.antipode(&["plan"]).expect(1).says(&[loops]);
}
