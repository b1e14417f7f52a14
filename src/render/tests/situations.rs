//! The situations that every format is tested on: plans that can occur, made by the real planner from a site file and
//! from what both ends have, in the notation of the planner's tests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::barman::wal::WalName;
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::error::{Error, Kind};
use crate::observe::inventory::XlogFinding;
use crate::observe::inventory::{
    BaseState, Observation, Observed, PrimaryInventory, ReplicaInventory, ReplicaObservation, SiteBarman, SiteSection,
};
use crate::plan::Plan;
use crate::plan::explain::Explainer;
use crate::plan::tests::notation::{self, id};
use crate::render::{Origin, Whys};
use crate::site::model::Replica;
use crate::site::{Loaded, Quotes, load, mirror};
use crate::verify::manifest::Manifest;

const GIB: u64 = 1 << 30;

/// What a site wants and what both ends have, and the plan of it.
pub(crate) struct Situation {
    /// Names its golden files.
    pub name: &'static str,
    /// The text of `lisbon.yaml`.
    pub file: String,
    /// What it declares.
    pub declared: Loaded,
    /// The replicas, those of mirrors included.
    pub replicas: Vec<Replica>,
    /// What both ends have.
    pub observation: Observation,
    /// The time of the plan.
    pub now: Timestamp,
    /// The plan.
    pub plan: Plan,
}

impl Situation {
    fn new(name: &'static str, file: &str, ends: impl IntoIterator<Item = (String, Ends)>) -> Self {
        let file = format!("{HEAD}{file}");
        let declared = load("lisbon.yaml", &file, None).unwrap_or_else(|e| panic!("{}", e.render(&file, false, 100)));
        let server = |name: &str| -> ServerName { name.parse().unwrap() };
        let ends: BTreeMap<ServerName, Ends> = ends.into_iter().map(|(name, ends)| (server(&name), ends)).collect();
        let servers = declared.site.primaries.keys().map(|primary| (primary.clone(), ends.keys().cloned().collect()));
        let replicas = mirror::resolve(&declared.site, &servers.collect()).replicas.into_values().collect::<Vec<_>>();
        let observed = ends.into_iter().map(|(name, ends)| (name.clone(), ends.of(&name)));
        let observation = Observation { replicas: observed.collect() };
        let now = "2026-11-30T00:00:00Z".parse().unwrap();
        let plan = crate::plan::plan(&declared.site, &replicas, &observation, now);
        Self { name, file, declared, replicas, observation, now, plan }
    }

    /// The site file to quote from.
    pub fn quotes(&self) -> Quotes<'_> {
        Quotes { name: "lisbon.yaml", text: &self.file, lines: &self.declared.lines }
    }

    /// What the plan was made from.
    pub fn explainer(&self) -> Explainer<'_> {
        Explainer::new(&self.plan, &self.replicas, &self.observation, self.now)
    }

    /// Why each action is there.
    pub fn whys(&self) -> Whys {
        let (explainer, mut whys) = (self.explainer(), Whys::default());
        for (index, replica) in self.replicas.iter().enumerate() {
            let origin = mirror::origin(&self.declared.site, replica);
            whys.add(&explainer, index, Origin { file: self.quotes(), replica: &origin });
        }
        whys
    }
}

/// Compares what a format makes of each situation with its golden file, `snapshots/SITUATION/FORMAT.snap`.
pub(crate) fn golden(format: &str, text_of: impl Fn(&Situation) -> String) {
    for situation in all() {
        // An escape would be invisible in a golden file.
        let text = text_of(situation).replace('\u{1b}', "␛");
        let directory = format!("{}/src/render/snapshots/{}", env!("CARGO_MANIFEST_DIR"), situation.name);
        insta::with_settings!({
            omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => directory,
        }, {
            insta::assert_snapshot!(format, text);
        });
    }
}

/// Every situation.
pub(crate) fn all() -> &'static [Situation] {
    static ALL: LazyLock<Vec<Situation>> = LazyLock::new(make);
    &ALL
}

fn make() -> Vec<Situation> {
    vec![
        empty_site(),
        in_sync(),
        catching_up(),
        drift(),
        prune(),
        blocked(),
        unreachable(),
        two_timelines(),
        forty_servers(),
        many_segments(),
        out_of_reach(),
        hostile(),
    ]
}

/// The situation of a name.
pub(crate) fn named(name: &str) -> &'static Situation {
    all().iter().find(|situation| situation.name == name).unwrap()
}

const HEAD: &str = "\
version: 1
site: lisbon
catalog: {path: /var/lib/barman}
primaries:
  frankfurt: {path: /mnt/fra/barman}
  madrid: {path: /mnt/mad/barman}
";

/// Both ends of one replica.
struct Ends {
    there: Result<PrimaryInventory, Observed>,
    here: ReplicaInventory,
}

fn ends(there: &str, here: &str) -> Ends {
    let mut there = notation::primary(there);
    let mut here = ReplicaInventory { rooms: Some(notation::rooms(1229 * GIB)), ..notation::replica(here, &there) };
    for list in [&mut there.wals, &mut here.xlogdb.entries] {
        *list = list.iter().map(archived_later).collect();
    }
    Ends { there: Ok(there), here }
}

/// The notation's segments are archived before its backups end.
fn archived_later(entry: WalEntry) -> WalEntry {
    WalEntry { mtime: Mtime::new(entry.mtime.seconds() + 36_000.0).unwrap(), ..entry }
}

impl Ends {
    fn with(mut self, change: impl FnOnce(&mut PrimaryInventory, &mut ReplicaInventory)) -> Self {
        if let Ok(there) = &mut self.there {
            change(there, &mut self.here);
        }
        self
    }

    fn not_answered(self, answer: Observed) -> Self {
        Self { there: Err(answer), ..self }
    }

    fn of(mut self, name: &ServerName) -> ReplicaObservation {
        let ids: Vec<String> = self.here.backups.keys().map(ToString::to_string).collect();
        for id in &ids {
            set(&mut self.here, &id[6..8], "server_name", name.as_str());
        }
        let directories = |home: &str| ServerDirs::of_catalog(Path::new(home), name.clone());
        let primary = match self.there {
            Ok(there) => {
                Observed::Active(Box::new(PrimaryInventory { directories: directories("/mnt/fra/barman"), ..there }))
            }
            Err(answer) => answer,
        };
        let replica = ReplicaInventory { directories: directories("/var/lib/barman"), ..self.here };
        ReplicaObservation { primary, replica }
    }
}

fn one(ends: Ends) -> [(String, Ends); 1] {
    [("main".to_owned(), ends)]
}

const TWO_BACKUPS: &str = "@21 1/08..0A size=427349245952  @22 1/1C..1D size=443025991270 | 1/08..2F";

fn empty_site() -> Situation {
    let there = TWO_BACKUPS.replace("size=427349245952", "size=427349245952 k");
    Situation::new("empty_site", "replicas:\n  main: {primary: frankfurt}\n", one(ends(&there, "")))
}

fn in_sync() -> Situation {
    let file = "replicas:\n  archive: {primary: frankfurt}\n  main: {primary: frankfurt}\n";
    let both = ["archive", "main"].map(|name| (name.to_owned(), ends(TWO_BACKUPS, TWO_BACKUPS)));
    Situation::new("in_sync", file, both)
}

/// A day behind: most of the new backup is here in the one before it, and the oldest one is to go.
fn catching_up() -> Situation {
    let file = "\
replicas:
  archive: {primary: frankfurt}
  main:
    primary: frankfurt
    backups:
      - last: 2
      - within: 1d
    prune: {unselected: true}
    protect: {min_backups: 1}
";
    let there = format!("@19 1/02..03 size=427349245952  {}", TWO_BACKUPS.replace("1/08..2F", "1/02..4E"));
    let here = "@19 1/02..03 size=427349245952  @21 1/08..0A size=427349245952 | 1/02..1B 1/0F=5242880";
    let main = ends(&there, here).with(|there, here| {
        let shared = [("data/base/16384/16397", 380 * GIB), ("data/base/16384/16401", 9 * GIB), ("data/PG_VERSION", 3)];
        let new = [("data/base/16384/99999", 23 * GIB)];
        there.backups.get_mut(&id("22")).unwrap().manifest = Some(files(shared.iter().chain(&new)));
        here.backups.get_mut(&id("21")).unwrap().manifest = Some(files(&shared));
        here.xlogdb.findings.push(XlogFinding::Doubled(131));
    });
    let archive = ends(TWO_BACKUPS, TWO_BACKUPS);
    Situation::new("catching_up", file, [("archive".to_owned(), archive), ("main".to_owned(), main)])
}

fn files<'a>(files: impl IntoIterator<Item = &'a (&'a str, u64)>) -> Arc<Manifest> {
    let mut manifest = notation::manifest("a");
    let template = manifest.files.pop_first().unwrap().1;
    for (path, size) in files {
        let mut file = template.clone();
        file.size = *size;
        manifest.files.insert(PathBuf::from(path.strip_prefix("data/").unwrap_or(path)), file);
    }
    Arc::new(manifest)
}

/// Every kind of damage, most of it done by Barman's own sync.
fn drift() -> Situation {
    let file = "\
defaults:
  backups: [{last: 7}]
replicas:
  archive: {primary: frankfurt}
  main: {primary: frankfurt}
";
    let both = "@19 1/02..03 size=1073741824  @20<19 1/06..07 size=5368709120  @21 1/08..0A size=427349245952  \
                @22 1/1C..1D size=443025991270 | 1/02..2F";
    let main = ends(both, both).with(|there, here| {
        set(here, "19", "children_backup_ids", "2,0,2,6,1,1,2,0,T,0,0,0,0,0,0");
        set(here, "22", "backup_label", r#""'START WAL LOCATION: 0/8000028 (file 000000010000000000000008)\\n'""#);
        set(here, "20", "size", "2");
        let damaged = (1..31).map(|n| PathBuf::from(format!("data/base/16384/{}", 16384 + n))).collect();
        let base = BaseState::Damaged { files: damaged };
        here.backups.get_mut(&id("21")).unwrap().base = base;
        here.backups.get_mut(&id("22")).unwrap().unlinked = vec![16500, 16501];
        there.backups.get_mut(&id("22")).unwrap().keep = Some(crate::barman::keep::Keep::Full);
        here.backups.get_mut(&id("22")).unwrap().keep = Some(crate::barman::keep::Keep::Standalone);
        here.backups.get_mut(&id("21")).unwrap().published.as_mut().unwrap().is_read = false;
        let cut = |name: WalName| u64::from(name.to_string().ends_with('C')) * 5_242_880;
        let names: Vec<WalName> = here.wals.names().skip(9).take(4).collect();
        here.wals.extend(names.into_iter().map(|name| (name, cut(name))));
        here.xlogdb.findings =
            vec![XlogFinding::Doubled(131), XlogFinding::Unsorted(1), XlogFinding::TooManyFields(48)];
        here.sync_wals = None;
    });
    let archive = ends(TWO_BACKUPS, TWO_BACKUPS).with(|there, here| {
        here.sync_wals = there.wals.iter().nth(9).map(|entry| (entry.name, 77));
    });
    Situation::new("drift", file, [("archive".to_owned(), archive), ("main".to_owned(), main)])
}

/// Gives a key of a published backup.info another value.
fn set(here: &mut ReplicaInventory, day: &str, key: &str, value: &str) {
    let Some(published) = here.backups.get_mut(&id(day)).unwrap().published.as_mut() else { return };
    let line = |(k, v): (&str, &str)| if k == key { format!("{key}={value}\n") } else { format!("{k}={v}\n") };
    let file: String = published.info.fields().map(line).collect();
    published.info = BackupInfo::parse(file.as_bytes()).unwrap();
    published.damage = published.info.damages();
}

fn prune() -> Situation {
    let file = "\
replicas:
  main:
    primary: frankfurt
    backups: [{last: 2}]   # as long as the disk is small
    prune: {unselected: true, gone_at_primary: true}
    protect: {min_backups: 1, max_prune: 60%}
";
    let there = "@18 1/02..03 size=397000000000  @19 1/05..06 size=398000000000  @21 1/08..0A size=427349245952  \
                 @22 1/1C..1D size=443025991270 | 1/02..2F";
    let here = "@16 1/00..01 size=396000000000  @17 1/01 syncing size=396000000000  @18 1/02..03 size=397000000000  \
                @19 1/05..06 size=398000000000  @21 1/08..0A size=427349245952  \
                @22 1/1C..1D size=443025991270 | 1/00..2F";
    let main = ends(there, here).with(|_, here| {
        here.staged.insert(id("20"), 1 << 20);
    });
    Situation::new("prune", file, one(main))
}

fn blocked() -> Situation {
    let file = "\
defaults: {prune: {unselected: true}, backups: [{last: 1}], protect: {min_backups: 2}}
replicas:
  billing: {primary: frankfurt}
  crm: {primary: frankfurt}
  main: {primary: frankfurt}
  web: {primary: frankfurt}
";
    let other = ends("@21 1/08..0A @22 1/1C..1D system=7676767676767676767 | 1/08..2F", "@21 1/08..0A | 1/08..2F");
    let too_few = ends(TWO_BACKUPS, TWO_BACKUPS);
    let run_here = ends(TWO_BACKUPS, "").with(|_, here| {
        here.site_barman = SiteBarman { section: SiteSection::Present, active: true, ..SiteBarman::default() };
    });
    let not_passive = ends(TWO_BACKUPS, TWO_BACKUPS).with(|_, here| set(here, "22", "mode", "rsync-concurrent"));
    let all = [("billing", other), ("crm", too_few), ("main", run_here), ("web", not_passive)];
    Situation::new("blocked", file, all.map(|(name, ends)| (name.to_owned(), ends)))
}

fn unreachable() -> Situation {
    let file = "\
replicas:
  crm: {primary: madrid}
  main: {primary: frankfurt, wals: {from: newest-backup}}
  old: {primary: frankfurt}
  web: {primary: madrid}
";
    let refused = || {
        let message = "ssh: connect to host barman.mad.example.com port 22: Connection refused";
        let hint = "see whether `ssh barman@barman.mad.example.com true` works from here";
        Observed::Failed(Error::new(Kind::Unreachable, message).hint(hint))
    };
    let all = [
        ("crm", ends(TWO_BACKUPS, TWO_BACKUPS).not_answered(refused())),
        ("main", ends(TWO_BACKUPS, &TWO_BACKUPS.replace("1/08..2F", "1/08..2C"))),
        ("old", ends(TWO_BACKUPS, "").not_answered(Observed::Inactive("Skipping inactive server 'old'".into()))),
        ("web", ends(TWO_BACKUPS, TWO_BACKUPS).not_answered(refused())),
    ];
    Situation::new("unreachable", file, all.map(|(name, ends)| (name.to_owned(), ends)))
}

/// A promotion, a chain of incremental backups, and a copy that Barman began.
fn two_timelines() -> Situation {
    let file = "replicas:\n  main: {primary: frankfurt, server: pg-main, backups: [{last: 2}]}\n";
    let there = "@18<17 1/02..03  @19 1/04..05 failed  @20 1/08..0A size=418759311360  @21<20 1/2F..30 size=3221225549 \
                 @22<21 2/40..41 size=3221225549  @23 2/50..51 waiting_for_wals | 1/02..3F 2/3F..5E h2<1/3F";
    let here = "@20 1/08..0A syncing size=418759311360 | 1/08..1F";
    Situation::new("two_timelines", file, one(ends(there, here)))
}

fn forty_servers() -> Situation {
    let file = "mirrors:\n  - primary: frankfurt\n    backups: [{last: 3}]\n";
    let names = ["accounts", "billing", "crm", "data-warehouse-eu"];
    let passive = SiteBarman { section: SiteSection::Present, active: true, passive: true, ..SiteBarman::default() };
    let all = (0..40).map(|i| {
        let here = if i == 6 { TWO_BACKUPS.replace("2F", "1F") } else { TWO_BACKUPS.to_owned() };
        let ends = ends(TWO_BACKUPS, &here).with(|_, here| {
            let retention_policy = (i == 28).then(|| "RECOVERY WINDOW OF 14 DAYS".to_owned());
            here.site_barman = SiteBarman { retention_policy, ..passive.clone() };
        });
        (format!("{}-{:02}", names[i % names.len()], i / names.len()), ends)
    });
    Situation::new("forty_servers", file, all)
}

fn many_segments() -> Situation {
    let there = "@21 1/20..23 size=443025991270 | 1/20..186CF";
    let here = "@21 1/20..23 size=443025991270 | 1/20..2F";
    let roomy = ends(there, here).with(|_, here| here.rooms = Some(notation::rooms(4096 * GIB)));
    Situation::new("many_segments", "replicas:\n  main: {primary: frankfurt}\n", one(roomy))
}

/// What nobody can bring back, an objective that is missed, and too little room.
fn out_of_reach() -> Situation {
    let file = "replicas:\n  main: {primary: frankfurt, objective: {rpo: 5s}, backups: [{within: 30d}]}\n";
    let there = "@19 1/04..06 size=1073741824  @20 1/08..0A leaving @22 1/1C..1D size=443025991270 \
                 @23 snapshot 1/20 | 1/04..2F -1/05";
    let here = "@18 1/02..03 damaged  @19 1/04..06 size=1073741824 | 1/02..1B -1/05";
    let main = ends(there, here).with(|_, here| here.rooms = Some(notation::rooms(100 * GIB)));
    Situation::new("out_of_reach", file, one(main))
}

/// Whatever may arrive in a name or in a text of somebody else's.
fn hostile() -> Situation {
    let name = "we\"ird <b>@dba ``` $(id) & [x](y) #1";
    let mut file = String::from("replicas:\n");
    writeln!(file, "  {}: {{primary: frankfurt}}", serde_json::Value::from(name)).unwrap();
    writeln!(file, "  \"other --> <script>\": {{primary: madrid}}").unwrap();
    let odd = ends("@22 1/1C..1D size=443025991270 | 1/1C..2F", "@22 1/1C..1D size=443025991270 | 1/1C..2B");
    let odd = odd.with(|there, here| {
        there
            .notes
            .push("\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}drowssap\nerror: \tall is lost\n```\n</details> @root".into());
        let paths = ["data/<img src=x>", "data/```\n+ backup", "data/\u{9b}31m"].map(PathBuf::from);
        here.backups.get_mut(&id("22")).unwrap().base = BaseState::Damaged { files: paths.to_vec() };
        set(here, "22", "backup_label", "'```\\n</details><b>@dba \u{1b}[31m'");
        let retention_policy = Some("REDUNDANCY \u{9b}31m1 `<i>`".to_owned());
        here.site_barman = SiteBarman {
            section: SiteSection::Present,
            active: true,
            passive: true,
            retention_policy,
            ..SiteBarman::default()
        };
    });
    let message = "line one\r\n```\n</details>\n<b>line two\u{8}\u{8} ask @dba at https://example.com/?a=1&b=2";
    let error = Error::new(Kind::Other, message).hint("run `ssh \u{1b}[31m`");
    let gone = ends("", "").not_answered(Observed::Failed(error));
    Situation::new("hostile", &file, [(name.to_owned(), odd), ("other --> <script>".to_owned(), gone)])
}
