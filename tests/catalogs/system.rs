//! PostgreSQL systems that one server had, one after the other.

/// A system: what `initdb` or `pg_upgrade` made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum System {
    /// PostgreSQL 15.
    First,
    /// PostgreSQL 17, to which the first was upgraded.
    Second,
}

impl System {
    /// Both, in the order in which a server has them.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    /// The system identifier.
    pub fn id(self) -> u64 {
        match self {
            Self::First => 7_432_190_876_543_210_987,
            Self::Second => 7_566_012_345_678_901_234,
        }
    }

    /// The major version of PostgreSQL.
    pub fn major(self) -> u32 {
        match self {
            Self::First => 15,
            Self::Second => 17,
        }
    }

    /// `server_version_num`
    pub fn version(self) -> u32 {
        self.major() * 10_000 + 4
    }

    /// `XLOG_PAGE_MAGIC`
    pub fn wal_magic(self) -> u16 {
        match self {
            Self::First => 0xD110,
            Self::Second => 0xD116,
        }
    }

    /// `PG_CONTROL_VERSION`
    pub fn control_version(self) -> u32 {
        match self {
            Self::First => 1300,
            Self::Second => 1700,
        }
    }

    /// `CATALOG_VERSION_NO`
    pub fn catalog_version(self) -> u32 {
        match self {
            Self::First => 202_209_061,
            Self::Second => 202_406_281,
        }
    }

    /// Bytes of a WAL segment: an upgrade keeps them.
    #[expect(clippy::unused_self, reason = "a system has a size of segments")]
    pub fn segment_size(self) -> u64 {
        1 << 20
    }

    /// The system that an upgrade makes of it.
    pub fn upgraded(self) -> Option<Self> {
        (self == Self::First).then_some(Self::Second)
    }

    /// When `initdb` made it, in seconds.
    pub fn made(self) -> u64 {
        match self {
            Self::First => 1_793_000_000,
            Self::Second => 1_793_100_000,
        }
    }
}
