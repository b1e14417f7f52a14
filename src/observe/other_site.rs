//! Whether another site file says what to do with a server of this catalog: the note of its last apply tells which one was
//! at work, and that file, where it still exists, whether it still would be.

use std::path::Path;

use super::inventory::{OtherSite, ReplicaInventory};
use super::site_barman::is_same;
use crate::barman::ids::ServerName;
use crate::site::{self, Site, mirror};

/// Notes of a replica which other site copies it too.
pub fn note(site: &Site, name: &ServerName, here: &mut ReplicaInventory) {
    let Some(last) = here.last_apply.as_ref().and_then(|last| last.site.clone()) else { return };
    if is_same(Path::new(&last.file), Path::new(&site.file)) {
        return;
    }
    let other = load(&last.file).filter(|other| copies(other, site, name, here));
    here.other_site = other.map(|other| OtherSite {
        is_ours: other.name == site.name,
        name: other.name,
        file: last.file,
        ended: here.last_apply.as_ref().and_then(|last| last.ended),
    });
}

/// The other site, where its file still exists and can be read.
fn load(file: &str) -> Option<Site> {
    let text = std::fs::read_to_string(file).ok()?;
    site::load(file, &text, std::env::home_dir().as_deref()).ok().map(|loaded| loaded.site)
}

/// Whether another site has a replica in the same directory.
fn copies(other: &Site, site: &Site, name: &ServerName, here: &ReplicaInventory) -> bool {
    let primary = here.last_apply.as_ref().map(|last| last.primary.as_str());
    let is_left_out = |except: &[String]| except.iter().any(|pattern| mirror::matches(pattern, name.as_str()));
    let mut mirrors = other.mirrors.iter().filter(|mirror| Some(mirror.primary.as_str()) == primary);
    let is_copied = other.replicas.contains_key(name) || mirrors.any(|mirror| !is_left_out(&mirror.except));
    is_copied && is_same(&other.catalog.path, &site.catalog.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::last_apply::{LastApply, SiteNote};
    use crate::plan::tests::notation;

    /// What is noted of `main` when this file was at work there last, as its name and whether that is the same.
    fn noted(directory: &Path, other: &str) -> Option<(String, bool)> {
        let text = |rest: &str| {
            format!(
                "version: 1\ncatalog: {{path: {}}}\nprimaries: {{fra: {{path: /mnt/fra}}}}\n{rest}",
                directory.join("catalog").display()
            )
        };
        let file = directory.join("other.yaml").display().to_string();
        if other.is_empty() {
            std::fs::remove_file(&file).ok()
        } else {
            std::fs::write(&file, text(other)).ok()
        };
        let mut site = site::load("x", &text("site: lisbon\nreplicas: {main: {primary: fra}}\n"), None).unwrap().site;
        site.file = directory.join("lisbon.yaml").display().to_string();
        let last = LastApply {
            ended: None,
            primary: "fra".to_owned(),
            measured: None,
            site: Some(SiteNote { name: "porto".to_owned(), file }),
        };
        let mut replica = notation::replica("|", &notation::primary(""));
        replica.last_apply = Some(last);
        note(&site, &"main".parse().unwrap(), &mut replica);
        replica.other_site.map(|other| (other.name, other.is_ours))
    }

    #[test]
    fn another_site_is_told_while_its_file_would_still_work_on_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let told = |other: &str| noted(directory.path(), other);
        let porto = Some(("porto".to_owned(), false));
        assert_eq!(told("site: porto\nreplicas: {main: {primary: fra}}\n"), porto);
        assert_eq!(told("site: porto\nmirrors: [{primary: fra}]\n"), porto);
        assert_eq!(told("site: porto\nmirrors: [{primary: fra, except: ['x*', 'm*']}]\n"), None);
        assert_eq!(told("site: porto\nreplicas: {web: {primary: fra}}\n"), None);
        assert_eq!(told("site: lisbon\nreplicas: {main: {primary: fra}}\n"), Some(("lisbon".to_owned(), true)));
        assert_eq!(told("no site file"), None);
        assert_eq!(told(""), None, "it is gone");
    }
}
