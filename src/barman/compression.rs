//! The compressions that Barman knows: what it calls them and how their files begin (Barman `compression.py`).

/// The format of a compressed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip
    Gzip,
    /// bzip2
    Bzip2,
    /// xz
    Xz,
    /// zstd
    Zstd,
    /// lz4, framed
    Lz4,
    /// snappy, framed
    Snappy,
}

/// What Barman calls a compression of the site's own, whose format nobody else can tell.
pub const CUSTOM: &str = "custom";

/// What `backup_compression` may be.
pub const OF_BACKUPS: [&str; 4] = ["gzip", "lz4", "zstd", "none"];

impl Compression {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::Gzip, Self::Bzip2, Self::Xz, Self::Zstd, Self::Lz4, Self::Snappy];

    /// Enough bytes to tell every format by its beginning.
    pub const MAGIC_LENGTH: usize = 10;

    /// What `compression` in barman.conf and a line of xlog.db call it: several programs write one format, the usual one
    /// is first.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Gzip => &["gzip", "pygzip", "pigz"],
            Self::Bzip2 => &["bzip2", "pybzip2"],
            Self::Xz => &["xz"],
            Self::Zstd => &["zstd"],
            Self::Lz4 => &["lz4"],
            Self::Snappy => &["snappy"],
        }
    }

    /// The first bytes of each file.
    pub fn magic(self) -> &'static [u8] {
        match self {
            Self::Gzip => b"\x1f\x8b\x08",
            Self::Bzip2 => b"BZh",
            Self::Xz => b"\xfd7zXZ\x00",
            Self::Zstd => b"\x28\xb5\x2f\xfd",
            Self::Lz4 => b"\x04\x22\x4d\x18",
            Self::Snappy => b"\xff\x06\x00\x00sNaPpY",
        }
    }

    /// The usual name.
    pub fn name(self) -> &'static str {
        self.names().first().copied().unwrap_or_default()
    }

    /// The format of what Barman calls so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.names().contains(&name))
    }

    /// The format of a file that starts with these bytes.
    pub fn detect(start: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| start.starts_with(compression.magic()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_told_by_its_beginning_and_by_each_of_its_names() {
        for compression in Compression::ALL {
            assert_eq!(Compression::detect(compression.magic()), Some(compression));
            assert!(compression.magic().len() <= Compression::MAGIC_LENGTH, "{compression:?}");
            for name in compression.names() {
                assert_eq!(Compression::named(name), Some(compression), "{name}");
            }
        }
        assert_eq!((Compression::named(CUSTOM), Compression::detect(b"\xd1")), (None, None));
    }
}
