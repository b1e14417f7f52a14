//! Which servers a mirror copies, once the primaries have said which they have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use wildmatch::WildMatch;

use super::model::{Mirror, Policy, Replica, Site};
use super::path::KeyPath;
use super::yaml;
use crate::barman::ids::ServerName;

/// Every replica of a site: those that the file names, and those that mirrors add.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// By their name at the site.
    pub replicas: BTreeMap<ServerName, Replica>,
    /// Names at the site that more than one server would take. A server that only a mirror asks for is then not copied.
    pub clashes: Vec<NameClash>,
}

/// A server that a mirror would copy under a name that is already taken at the site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NameClash {
    /// The name at the site.
    pub name: ServerName,
    /// The primaries whose mirrors ask for it, with the place of each mirror in the file's list.
    pub wanted: Vec<(String, usize)>,
    /// The primary and the server that a replica of this name copies.
    pub taken: Option<(String, ServerName)>,
}

/// Adds to a site's replicas what its mirrors ask for.
///
/// `servers` is what each primary answered; of a primary that is not in it nothing is known, and nothing is mirrored.
pub fn resolve(site: &Site, servers: &BTreeMap<String, Vec<ServerName>>) -> Resolution {
    let mut candidates: BTreeMap<ServerName, Vec<(usize, &Mirror)>> = BTreeMap::new();
    for (i, mirror) in site.mirrors.iter().enumerate() {
        for server in mirrored(site, mirror, servers.get(&mirror.primary).map_or(&[], Vec::as_slice)) {
            candidates.entry(server.clone()).or_default().push((i, mirror));
        }
    }
    let mut resolution = Resolution { replicas: site.replicas.clone(), clashes: Vec::new() };
    for (name, mirrors) in candidates {
        let taken = site.replicas.get(&name).map(|replica| (replica.primary.clone(), replica.server.clone()));
        if let ([(_, mirror)], None) = (mirrors.as_slice(), &taken) {
            resolution.replicas.insert(name.clone(), mirrored_replica(name, mirror));
        } else {
            let wanted = mirrors.iter().map(|(i, mirror)| (mirror.primary.clone(), *i)).collect();
            resolution.clashes.push(NameClash { name, wanted, taken });
        }
    }
    resolution
}

/// Which of the servers that are at the site are those of mirrors whose primaries are `silent`, by primary. `here` says
/// of each server whose copy it is, where that is known; else it can only be told when one primary alone is silent.
/// A primary of which nothing is here is left out.
pub fn left_by(
    site: &Site,
    answered: &BTreeMap<String, Vec<ServerName>>,
    silent: &[String],
    here: &BTreeMap<ServerName, Option<String>>,
) -> BTreeMap<String, Vec<ServerName>> {
    let is_of_another =
        |name: &ServerName| site.replicas.contains_key(name) || answered.values().any(|servers| servers.contains(name));
    let mut left: BTreeMap<String, Vec<ServerName>> = BTreeMap::new();
    for (name, noted) in here.iter().filter(|(name, _)| !is_of_another(name)) {
        let primary = match (noted, silent) {
            (Some(noted), _) => silent.iter().find(|primary| *primary == noted),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        if let Some(primary) = primary {
            left.entry(primary.clone()).or_default().push(name.clone());
        }
    }
    left
}

/// The servers of a mirror's primary that no replica copies and no pattern leaves out.
fn mirrored<'a>(site: &Site, mirror: &Mirror, servers: &'a [ServerName]) -> BTreeSet<&'a ServerName> {
    let copied: BTreeSet<&ServerName> = site
        .replicas
        .values()
        .filter(|replica| replica.primary == mirror.primary)
        .map(|replica| &replica.server)
        .collect();
    let excepted = |server: &ServerName| mirror.except.iter().any(|pattern| matches(pattern, server.as_str()));
    servers.iter().filter(|server| !copied.contains(server) && !excepted(server)).collect()
}

/// Where the site file asks for a replica: its own place, or that of the mirror which stands for it.
pub fn origin(site: &Site, replica: &Replica) -> KeyPath {
    let of_primary = |mirror: &Mirror| mirror.primary == replica.primary;
    match site.mirrors.iter().position(of_primary) {
        Some(place) if !site.replicas.contains_key(&replica.name) => KeyPath::new(["mirrors"]).item(place),
        _ => KeyPath::new(["replicas", replica.name.as_str()]),
    }
}

fn mirrored_replica(name: ServerName, mirror: &Mirror) -> Replica {
    let policy = Policy { accept: Vec::new(), ..mirror.policy.clone() };
    let replica = Replica { server: name.clone(), name, primary: mirror.primary.clone(), policy };
    replica.accepting(&mirror.policy.accept)
}

/// Whether a pattern matches a whole name: `*` is any text, `?` any character, and everything else is itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    WildMatch::new(pattern).matches(name)
}

impl fmt::Display for NameClash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let primaries: Vec<String> = self.wanted.iter().map(|(primary, _)| format!("`{primary}`")).collect();
        write!(
            f,
            "the server `{}` of {} cannot be mirrored under its own name",
            self.name,
            primaries.join(" and of ")
        )?;
        match &self.taken {
            Some((primary, server)) => write!(f, ": the replica `{}` copies `{server}` of `{primary}`", self.name),
            None => f.write_str(": two servers of one name cannot share a directory of the catalog"),
        }
    }
}

impl NameClash {
    /// What to add to the site file, as YAML: a replica of another name for each server that has to give way.
    pub fn proposal(&self) -> String {
        // Where no replica has the name, the first primary's server may keep it.
        let renamed = self.wanted.iter().skip(usize::from(self.taken.is_none()));
        let replica = |(primary, _): &(String, usize)| {
            let name = yaml::scalar(&format!("{}-{primary}", self.name));
            format!(
                "  {name}:\n    primary: {}\n    server: {}\n",
                yaml::scalar(primary),
                yaml::scalar(self.name.as_str())
            )
        };
        format!("replicas:\n{}", renamed.map(replica).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A site of two primaries, with these replicas and mirrors.
    fn site(rest: &str) -> Site {
        let head =
            "version: 1\nsite: x\ncatalog: {path: /b}\nprimaries: {fra: {path: /mnt/fra}, nyc: {path: /mnt/nyc}}\n";
        crate::site::load("x", &format!("{head}{rest}"), None).unwrap().site
    }

    fn servers(lists: &[(&str, &[&str])]) -> BTreeMap<String, Vec<ServerName>> {
        let names = |list: &[&str]| list.iter().map(|name| name.parse().unwrap()).collect();
        lists.iter().map(|(primary, list)| ((*primary).to_owned(), names(list))).collect()
    }

    /// The replicas as `name=primary/server`.
    fn resolved(resolution: &Resolution) -> Vec<String> {
        let show = |replica: &Replica| format!("{}={}/{}", replica.name, replica.primary, replica.server);
        resolution.replicas.values().map(show).collect()
    }

    #[test]
    fn a_mirror_adds_what_no_replica_copies_and_no_pattern_leaves_out() {
        let site = site(
            "replicas: {kept: {primary: fra, server: main}}\nmirrors: [{primary: fra, except: ['scratch-*', 'tmp?']}]",
        );
        let resolution =
            resolve(&site, &servers(&[("fra", &["main", "web", "scratch-1", "tmp1", "tmp12"]), ("nyc", &["other"])]));
        assert_eq!(resolved(&resolution), ["kept=fra/main", "tmp12=fra/tmp12", "web=fra/web"]);
        assert_eq!(resolution.clashes, []);
    }

    #[test]
    fn a_primary_that_did_not_answer_adds_nothing() {
        let site = site("replicas: {main: {primary: fra}}\nmirrors: [{primary: fra}]");
        assert_eq!(resolved(&resolve(&site, &BTreeMap::new())), ["main=fra/main"]);
    }

    #[test]
    fn of_a_silent_primary_what_is_here_is_left() {
        let site = site("replicas: {kept: {primary: fra, server: main}}\nmirrors: [{primary: fra}, {primary: nyc}]");
        let here = |names: &[(&str, Option<&str>)]| {
            let one = |(name, noted): &(&str, Option<&str>)| (name.parse().unwrap(), noted.map(str::to_owned));
            names.iter().map(one).collect::<BTreeMap<ServerName, Option<String>>>()
        };
        let (fra, nyc) = ("fra".to_owned(), "nyc".to_owned());
        let found = here(&[("kept", Some("fra")), ("web", Some("fra")), ("shop", Some("nyc")), ("old", Some("gone"))]);
        let answered = servers(&[("nyc", &["shop"])]);
        assert_eq!(left_by(&site, &answered, std::slice::from_ref(&fra), &found), servers(&[("fra", &["web"])]));
        let both = [fra.clone(), nyc];
        assert_eq!(left_by(&site, &BTreeMap::new(), &both, &found), servers(&[("fra", &["web"]), ("nyc", &["shop"])]));
        let unknown = here(&[("a", None)]);
        assert_eq!(left_by(&site, &BTreeMap::new(), &both, &unknown), BTreeMap::new());
        assert_eq!(left_by(&site, &BTreeMap::new(), std::slice::from_ref(&fra), &unknown), servers(&[("fra", &["a"])]));
    }

    #[test]
    fn two_servers_of_one_name_are_a_clash_that_proposes_a_rename() {
        let site = site("mirrors: [{primary: fra}, {primary: nyc}]");
        let resolution = resolve(&site, &servers(&[("fra", &["main", "a"]), ("nyc", &["main", "b"])]));
        assert_eq!(resolved(&resolution), ["a=fra/a", "b=nyc/b"]);
        let [clash] = resolution.clashes.as_slice() else { panic!("{:?}", resolution.clashes) };
        insta::assert_snapshot!(clash, @"the server `main` of `fra` and of `nyc` cannot be mirrored under its own name: two servers of one name cannot share a directory of the catalog");
        assert_eq!(clash.proposal(), "replicas:\n  main-nyc:\n    primary: nyc\n    server: main\n");
    }

    #[test]
    fn a_name_that_a_replica_has_is_a_clash_and_the_proposal_solves_it() {
        let text = "replicas: {main: {primary: fra, server: other}}\nmirrors: [{primary: fra}]";
        let servers = servers(&[("fra", &["main", "other"])]);
        let resolution = resolve(&site(text), &servers);
        assert_eq!(resolved(&resolution), ["main=fra/other"]);
        insta::assert_snapshot!(resolution.clashes[0], @"the server `main` of `fra` cannot be mirrored under its own name: the replica `main` copies `other` of `fra`");
        let solved = text.replace(
            "replicas: {main: {primary: fra, server: other}}",
            &format!("{}  main: {{primary: fra, server: other}}", resolution.clashes[0].proposal()),
        );
        assert_eq!(resolved(&resolve(&site(&solved), &servers)), ["main=fra/other", "main-fra=fra/main"]);
    }

    #[test]
    fn patterns_match_whole_names_character_by_character() {
        for (pattern, name, expected) in [
            ("main", "main", true),
            ("main", "main2", false),
            ("*", "", true),
            ("scratch-*", "scratch-", true),
            ("*-old", "pg-old", true),
            ("*-old", "pg-older", false),
            ("p?", "pg", true),
            ("p?", "p", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("[ab]", "a", false),
            ("z?rich", "zürich", true),
            ("Main", "main", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
