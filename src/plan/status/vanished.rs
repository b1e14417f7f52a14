//! Servers that earlier applies copied and that are copied no longer: what vanishes stays in sight.
//!
//! A mirror's server leaves its primary's barman.conf, or a replica is taken out of the site file: its directory stays
//! with all that it holds, and nothing new arrives. It is named in every plan and status until somebody detaches it, by
//! `retired` in the site file or by `antipode detach`, or removes the directory; nothing is ever done about it here. One that
//! is detached is only counted. A mirror's `objective.rpo` is missed for it, as
//! nobody can show that it is kept.
//!
//! A directory that is no copy, and that no Barman here has a section for, is named alike: nobody knows what is in it.
//!
//! Of a primary that did not say which servers it has nothing is known, and nothing of it has vanished.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::detachment::Detachment;
use crate::barman::ids::ServerName;
use crate::observe::inventory::{self, Holds};
use crate::site::mirror::matches;
use crate::site::model::{Mirror, Replica, Site};

/// A server of which something is at the site, and which no replica copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vanished {
    /// Its name at the site.
    pub name: ServerName,
    /// The primary that it was a copy of, by its name in the site file; null when that is not known.
    pub primary: Option<String>,
    /// Why it is copied no longer.
    pub cause: Cause,
    /// `objective.rpo` of the mirror that copied it, in seconds. It is missed.
    pub rpo_seconds: Option<u64>,
    /// What is here of it.
    pub holds: Holds,
}

/// Why a server is copied no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A mirror copied it, and its primary lists it no longer.
    GoneAtPrimary,
    /// The site file does not ask for it.
    NotDeclared,
    /// It was not copied here, and the Barman here has no section for it.
    Nobodys,
}

/// A server that is copied no longer, as somebody said that it is to be so; what is here of it stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detached {
    /// Its name at the site.
    pub name: ServerName,
    /// Who said so at the site; null where `retired` in the site file says it.
    pub said: Option<Detachment>,
    /// What is here of it.
    pub holds: Holds,
}

/// The servers of which something is at the site, and that no replica copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unclaimed {
    /// Those of which nobody said what becomes of them, by their names.
    pub vanished: Vec<Vanished>,
    /// The others, by their names.
    pub detached: Vec<Detached>,
}

/// Which of the servers that are `here` are copied no longer.
///
/// `servers` is what each mirrored primary answered; one that is not in it is silent.
pub fn unclaimed(
    site: &Site,
    replicas: &[Replica],
    servers: &BTreeMap<String, Vec<ServerName>>,
    here: BTreeMap<ServerName, inventory::Unclaimed>,
) -> Unclaimed {
    let is_wanted = |name: &ServerName| replicas.iter().any(|replica| replica.name == *name);
    let mut unclaimed = Unclaimed::default();
    for (name, found) in here.into_iter().filter(|(name, _)| !is_wanted(name)) {
        let inventory::Unclaimed { is_copy, primary, holds, detachment: said } = found;
        if said.is_some() || site.retired.contains(&name) {
            unclaimed.detached.push(Detached { name, said, holds });
        } else if !is_copy {
            let (primary, cause, rpo_seconds) = (None, Cause::Nobodys, None);
            unclaimed.vanished.push(Vanished { name, primary, cause, rpo_seconds, holds });
        } else if let Some(Why { cause, primary, rpo_seconds }) = why(site, servers, &name, primary) {
            unclaimed.vanished.push(Vanished { name, primary, cause, rpo_seconds, holds });
        }
    }
    unclaimed
}

/// Why a server is copied no longer, whose it was, and what was promised of it.
struct Why {
    cause: Cause,
    primary: Option<String>,
    rpo_seconds: Option<u64>,
}

/// `None` when nobody can say, or when it is an error by itself that it is not copied.
fn why(
    site: &Site,
    servers: &BTreeMap<String, Vec<ServerName>>,
    name: &ServerName,
    noted: Option<String>,
) -> Option<Why> {
    let not_declared = |primary| Some(Why { cause: Cause::NotDeclared, primary, rpo_seconds: None });
    let Some(mirror) = mirror_of(site, noted.as_deref()) else {
        let is_answered = |mirror: &Mirror| servers.contains_key(&mirror.primary);
        return if noted.is_some() || site.mirrors.iter().all(is_answered) { not_declared(noted) } else { None };
    };
    let primary = Some(mirror.primary.clone());
    if mirror.except.iter().any(|pattern| matches(pattern, name.as_str())) {
        return not_declared(primary);
    }
    if servers.get(&mirror.primary)?.contains(name) {
        let is_copied_under_another_name =
            site.replicas.values().any(|replica| replica.primary == mirror.primary && replica.server == *name);
        // Else two servers of one name clash.
        return if is_copied_under_another_name { not_declared(primary) } else { None };
    }
    Some(Why { cause: Cause::GoneAtPrimary, primary, rpo_seconds: mirror.policy.rpo.map(|rpo| rpo.as_secs()) })
}

/// The mirror that copied a server; where nothing notes it, the only one there is.
fn mirror_of<'a>(site: &'a Site, primary: Option<&str>) -> Option<&'a Mirror> {
    match (primary, site.mirrors.as_slice()) {
        (Some(primary), mirrors) => mirrors.iter().find(|mirror| mirror.primary == primary),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(rest: &str) -> Site {
        let head =
            "version: 1\nsite: x\ncatalog: {path: /b}\nprimaries: {fra: {path: /mnt/fra}, nyc: {path: /mnt/nyc}}\n";
        crate::site::load("x", &format!("{head}{rest}"), None).unwrap().site
    }

    /// What vanishes of one server with this note of its primary, as `cause primary rpo`.
    fn of_web(rest: &str, answers: &[(&str, &[&str])], noted: Option<&str>) -> Option<String> {
        let site = site(rest);
        let names = |list: &[&str]| list.iter().map(|name| name.parse().unwrap()).collect::<Vec<ServerName>>();
        let servers = answers.iter().map(|(primary, list)| ((*primary).to_owned(), names(list))).collect();
        let replicas: Vec<Replica> = crate::site::mirror::resolve(&site, &servers).replicas.into_values().collect();
        let holds = Holds { directory: "/b/web".into(), backups: Some(1), newest: None };
        let copied = inventory::Unclaimed { is_copy: true, primary: noted.map(str::to_owned), holds, detachment: None };
        let found = unclaimed(&site, &replicas, &servers, BTreeMap::from([("web".parse().unwrap(), copied)]));
        assert!(found.detached.is_empty() != site.retired.contains(&"web".parse().unwrap()));
        let one = found.vanished.into_iter().next()?;
        Some(format!("{:?} {} {:?}", one.cause, one.primary.as_deref().unwrap_or("-"), one.rpo_seconds))
    }

    #[test]
    fn what_is_copied_no_longer_is_named_with_its_cause_and_its_objective() {
        let mirror = "mirrors: [{primary: fra, except: ['tmp-*'], objective: {rpo: 15m}}]";
        let both = "mirrors: [{primary: fra}, {primary: nyc}]";
        let (fra, nyc) = (Some("fra"), Some("nyc"));
        let gone = Some("GoneAtPrimary fra Some(900)");
        for (site, answers, noted, expected) in [
            (mirror, &[("fra", &["main", "web"][..])][..], fra, None),
            (mirror, &[("fra", &["main"])], fra, gone),
            (mirror, &[("fra", &[])], fra, gone),
            (mirror, &[("fra", &["main"])], None, gone),
            (mirror, &[], fra, None),
            (mirror, &[], nyc, Some("NotDeclared nyc None")),
            (both, &[("nyc", &["web"])], nyc, None),
            (both, &[("nyc", &["main"])], None, None),
            (both, &[("nyc", &["main"]), ("fra", &[])], None, Some("NotDeclared - None")),
            (both, &[("nyc", &["web"]), ("fra", &["web"])], nyc, None),
            ("mirrors: [{primary: fra, except: [web]}]", &[("fra", &["web"])], fra, Some("NotDeclared fra None")),
            ("replicas: {main: {primary: fra}}", &[], fra, Some("NotDeclared fra None")),
            ("replicas: {main: {primary: fra}}", &[], None, Some("NotDeclared - None")),
            ("replicas: {main: {primary: fra}}\nretired: [web]", &[], fra, None),
            ("replicas: {web: {primary: nyc}}", &[], fra, None),
            (
                "replicas: {shop: {primary: fra, server: web}}\nmirrors: [{primary: fra}]",
                &[("fra", &["web"])],
                fra,
                Some("NotDeclared fra None"),
            ),
        ] {
            assert_eq!(of_web(site, answers, noted).as_deref(), expected, "{site} {answers:?} {noted:?}");
        }
    }

    #[test]
    fn what_is_detached_at_the_site_is_only_counted_until_a_replica_copies_it_again() {
        let said = Detachment { since: None, by: Some("anna".to_owned()), why: None };
        let detached = |rest: &str| {
            let site = site(rest);
            let holds = Holds { directory: "/b/web".into(), backups: Some(1), newest: None };
            let copied = inventory::Unclaimed { is_copy: true, primary: None, holds, detachment: Some(said.clone()) };
            let replicas: Vec<Replica> = site.replicas.values().cloned().collect();
            unclaimed(&site, &replicas, &BTreeMap::new(), BTreeMap::from([("web".parse().unwrap(), copied)]))
        };
        let found = detached("replicas: {main: {primary: fra}}");
        assert!(found.vanished.is_empty());
        assert_eq!(found.detached.iter().map(|one| one.said.clone()).collect::<Vec<_>>(), [Some(said.clone())]);
        assert_eq!(detached("replicas: {web: {primary: fra}}"), Unclaimed::default());
    }
}
