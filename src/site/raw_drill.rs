//! The shape of `drill`: how a replica is restored to see whether that works.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::drills::{Check, Drill, Point};
use super::raw::names;
use super::scalars::{AbsolutePath, Length, ReadEvery, SettingName, Text};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDrill {
    /// How often `antipode run` makes one. Default `never`: only `antipode drill` does.
    pub every: ReadEvery,
    /// Up to which point: `newest`, the end of the WAL, or `random`, one that the way there leads through. Default `random`.
    pub point: RawPoint,
    /// Where the programs of PostgreSQL are: `postgres`, `psql`, `pg_amcheck`. Default where the packages of Debian and Red Hat
    /// install the release of the backup.
    pub bin_dir: Option<AbsolutePath>,
    /// A directory on a disk with room for the cluster, in which the drill makes one of its own. Default in the catalog, where
    /// the file system may let the copy share its blocks.
    pub directory: Option<AbsolutePath>,
    /// The role that looks at it: the first superuser of the cluster. Default `postgres`.
    pub user: Text,
    /// Settings of its PostgreSQL, such as `shared_preload_libraries` where the cluster does not start without.
    #[schemars(extend("propertyNames" = names::<SettingName>()))]
    pub settings: BTreeMap<String, Text>,
    /// What it is asked when it has recovered.
    pub checks: Vec<RawCheck>,
    /// How long all of it may take. Default `12h`.
    pub max_time: Length,
    /// A directory in which each drill leaves its report as JSON, JUnit and HTML.
    pub reports: Option<AbsolutePath>,
    /// A secret key of minisign without a password, by which reports are signed.
    pub sign_with: Option<AbsolutePath>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawPoint {
    Newest,
    #[default]
    Random,
}

/// A statement whose answer is known.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheck {
    /// The statement.
    pub sql: Text,
    /// What psql prints for it: columns apart by `|`, a row a line.
    pub expect: Text,
    /// The database that is asked. Default `postgres`.
    pub database: Option<Text>,
}

impl Default for RawDrill {
    fn default() -> Self {
        Self {
            every: ReadEvery(None),
            point: RawPoint::default(),
            bin_dir: None,
            directory: None,
            user: Text("postgres".to_owned()),
            settings: BTreeMap::new(),
            checks: Vec::new(),
            max_time: Length(Duration::from_secs(12 * 3600)),
            reports: None,
            sign_with: None,
        }
    }
}

impl RawDrill {
    pub(super) fn drill(self) -> Drill {
        let check = |raw: RawCheck| Check {
            sql: raw.sql.0,
            expect: raw.expect.0,
            database: raw.database.map(|database| database.0),
        };
        Drill {
            every: self.every.0,
            point: match self.point {
                RawPoint::Newest => Point::Newest,
                RawPoint::Random => Point::Random,
            },
            bin_dir: self.bin_dir.map(|path| path.0),
            directory: self.directory.map(|path| path.0),
            user: self.user.0,
            settings: self.settings.into_iter().map(|(name, value)| (name, value.0)).collect(),
            checks: self.checks.into_iter().map(check).collect(),
            max_time: self.max_time.0,
            reports: self.reports.map(|path| path.0),
            sign_with: self.sign_with.map(|path| path.0),
        }
    }
}

impl Default for Drill {
    /// As a site file has it that says nothing of drills.
    fn default() -> Self {
        RawDrill::default().drill()
    }
}
