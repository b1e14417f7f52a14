//! The site file changes while the site is kept.

use std::fs;
use std::os::unix::fs::symlink;

use crate::kept::Ground;

const WELL: &str = "main: all that may be done by itself is done";
const AGAIN: &str = "it holds from now on";

#[test]
fn a_valid_change_holds_at_once_and_of_an_invalid_one_the_mistakes_are_told_and_the_last_valid_one_holds() {
    let mut ground = Ground::new("");
    let mut kept = ground.keep();
    kept.says(WELL);
    ground.declare("bakups: all");
    kept.says("did you mean `backups`?");
    kept.says("What it said before holds until it is mended.");
    let id = ground.back_up(25);
    kept.until("the last valid one holds", || ground.has(&format!("main/meta/{id}-backup.info")));
    ground.declare("}\n  twin: {primary: frankfurt, server: main");
    kept.says("keeps 2 replicas");
    kept.says("twin: all that may be done by itself is done");
    assert_eq!((kept.said(AGAIN), kept.said("What it said before")), (1, 1), "{}", kept.log());
    let text = ground.site("").replace("lisbon\n", "lisbon\n# the same with a comment\n");
    fs::write(ground.path("new.yaml"), text).unwrap();
    fs::rename(ground.path("new.yaml"), ground.path("antipode.yaml")).unwrap();
    kept.says("keeps 1 replica\n");
    assert!(ground.has("twin/base"), "what is kept no longer stays");
}

/// As Kubernetes does with a config map: the file is a link into `..data`, which is a link that is replaced.
#[test]
fn a_link_that_is_moved_is_a_change() {
    let ground = Ground::new("");
    let [one, two] = ["..2026_11_22", "..2026_11_23"].map(|name| ground.path(name));
    for (directory, more) in [(&one, ""), (&two, "}\n  twin: {primary: frankfurt, server: main")] {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("antipode.yaml"), ground.site(more)).unwrap();
    }
    symlink("..2026_11_22", ground.path("..data")).unwrap();
    fs::remove_file(ground.path("antipode.yaml")).unwrap();
    symlink("..data/antipode.yaml", ground.path("antipode.yaml")).unwrap();
    let mut kept = ground.keep();
    kept.says(WELL);
    symlink("..2026_11_23", ground.path("..data_tmp")).unwrap();
    fs::rename(ground.path("..data_tmp"), ground.path("..data")).unwrap();
    kept.says("twin: all that may be done by itself is done");
    assert_eq!(kept.said(AGAIN), 1, "{}", kept.log());
}

#[test]
fn another_catalog_is_refused_and_a_file_that_is_away_is_told() {
    let ground = Ground::new("");
    let mut kept = ground.keep();
    kept.says(WELL);
    fs::write(ground.path("antipode.yaml"), ground.site("").replace("/lisbon,", "/porto,")).unwrap();
    kept.says("end this run and begin another one");
    fs::remove_file(ground.path("antipode.yaml")).unwrap();
    kept.says("cannot read the site file");
    ground.declare("");
    kept.until("it is read again", || true);
    assert!(!ground.path("porto").exists());
}
