//! Passive nodes that Barman itself made.

use crate::barman::SERVER;
use crate::ground::Lab;
use crate::primary::Primary;
use crate::scenario::Scenario;
use crate::site::Site;
use crate::sshd::{Manners, Sshd};

/// Lets Barman's passive node copy all of a primary.
pub fn synchronise(site: &Site, backups: &[String]) {
    site.barman.expect(&["sync-info", "--primary", SERVER]);
    for id in backups {
        site.barman.expect(&["sync-backup", SERVER, id]);
    }
    site.barman.expect(&["sync-wals", SERVER]);
}

/// Makes a passive node of a scenario's primary.
pub fn passive_node(lab: &Lab, scenario: &Scenario) -> (Sshd, Site) {
    passive_node_of(lab, &scenario.primary, &scenario.backups)
}

/// Makes a passive node of a primary that has these backups.
pub fn passive_node_of(lab: &Lab, primary: &Primary, backups: &[String]) -> (Sshd, Site) {
    let sshd = Sshd::start_with(&lab.join("sshd"), &primary.barman, &Manners { has_shell: true, ..Manners::default() });
    let mut site = Site::new(lab, primary.barman.version, primary, &sshd);
    // Without it sync-wals refuses: "does not match local compression method".
    if let Some(compression) = primary.barman.setting("compression") {
        site.barman.set("compression", compression);
    }
    synchronise(&site, backups);
    (sshd, site)
}
