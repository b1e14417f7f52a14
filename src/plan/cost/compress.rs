//! Whether bytes are compressed on their way.
//!
//! A page of a table is a third of its size on the wire, or less. What it costs is processor time at the primary, where
//! each transfer compresses for itself (rsync, with zstd at its first level): on a line that is faster than that, nothing
//! is gained.

use crate::site::model::Compress;

/// What one rsync compresses in a second, in bytes: 230 MB were measured; half of it is left to what else the primary does.
const COMPRESSED: u64 = 100_000_000;

/// Whether a transfer is compressed. `is_plain` tells whether its files are not compressed or encrypted already, and
/// `rate` what the line brings in bytes per second, as far as anybody knows: a line of which nothing is known yet is
/// measured first.
pub fn pays(wanted: Compress, is_plain: bool, rate: Option<u64>) -> bool {
    is_plain
        && match wanted {
            Compress::Auto => rate.is_some_and(|rate| rate < COMPRESSED),
            Compress::Zstd => true,
            Compress::None => false,
        }
}

/// Whether a file of a base is not compressed, by its name: Barman's and `pg_basebackup`'s archives tell it there.
pub fn is_plain(name: &str) -> bool {
    let compressed = ["gz", "bz2", "xz", "zst", "lz4", "snappy"];
    name.rsplit_once('.').is_none_or(|(_, extension)| !compressed.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_files_are_compressed_where_the_line_is_slower_than_that() {
        const MB: u64 = 1_000_000;
        for (wanted, is_plain, rate, is_compressed) in [
            (Compress::Auto, true, None, false),
            (Compress::Auto, true, Some(MB), true),
            (Compress::Auto, true, Some(99 * MB), true),
            (Compress::Auto, true, Some(100 * MB), false),
            (Compress::Auto, false, Some(MB), false),
            (Compress::Zstd, true, None, true),
            (Compress::Zstd, true, Some(1000 * MB), true),
            (Compress::Zstd, false, Some(MB), false),
            (Compress::None, true, Some(MB), false),
        ] {
            assert_eq!(pays(wanted, is_plain, rate), is_compressed, "{wanted:?} {is_plain} {rate:?}");
        }
    }

    #[test]
    fn archives_tell_by_their_names_that_they_are_compressed() {
        for (name, plain) in [("data.tar.gz", false), ("16384.tar.lz4", false), ("data.tar", true), ("16384.1", true)] {
            assert_eq!(is_plain(name), plain, "{name}");
        }
    }
}
