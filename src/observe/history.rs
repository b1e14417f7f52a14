//! History files as they are stored: Barman may have compressed them like any other WAL file.

use std::io::Read;

use crate::barman::compression::Compression;
use crate::barman::history::HistoryFile;
use crate::barman::wal::Timeline;
use crate::store::wals::MAX_HISTORY;

/// Reads a history file from its bytes in the archive. One that is encrypted or damaged tells no ancestry.
pub fn read(timeline: Timeline, stored: &[u8]) -> HistoryFile {
    let size = stored.len() as u64;
    let Some(compression) = Compression::detect(stored) else {
        return HistoryFile::parse(timeline, size, stored);
    };
    let mut text = Vec::new();
    let decoded = compression.decoder(stored).and_then(|decoder| decoder.take(MAX_HISTORY).read_to_end(&mut text));
    HistoryFile::parse(timeline, size, if decoded.is_ok() { &text } else { b"" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::wal::Lsn;
    use std::io::Write;

    const TEXT: &[u8] = b"1\t0/A0000D8\tno recovery target specified\n";

    fn compressed() -> Vec<(&'static str, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        for writer in [&mut gzip as &mut dyn Write, &mut bzip2, &mut xz, &mut lz4] {
            writer.write_all(TEXT).unwrap();
        }
        vec![
            ("plain", TEXT.to_vec()),
            ("gzip", gzip.finish().unwrap()),
            ("bzip2", bzip2.finish().unwrap()),
            ("xz", xz.finish().unwrap()),
            ("lz4", lz4.finish().unwrap()),
            ("zstd", zstd::encode_all(TEXT, 1).unwrap()),
        ]
    }

    #[test]
    fn every_compression_of_barman_is_read() {
        for (name, stored) in compressed() {
            let history = read(Timeline(2), &stored);
            assert_eq!(history.ancestors, [(Timeline(1), Lsn(0xA00_00D8))], "{name}");
            assert_eq!(history.size, stored.len() as u64, "{name}");
        }
    }

    #[test]
    fn a_damaged_or_encrypted_file_tells_no_ancestry() {
        for (name, stored) in compressed().into_iter().skip(1) {
            let cut = &stored[..stored.len() / 2];
            assert_eq!(read(Timeline(2), cut).ancestors, [], "{name}");
        }
        assert_eq!(read(Timeline(2), b"\x85\x02\x0c\x03\xff").ancestors, []);
    }
}
