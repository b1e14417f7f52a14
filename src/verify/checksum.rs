//! The checksums of files in a backup manifest (PostgreSQL `common/checksum_helper.c`).

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// CRC-32C, PostgreSQL's default.
    Crc32c,
    /// SHA-224
    Sha224,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl Algorithm {
    const ALL: [(Self, &'static str, usize); 5] = [
        (Self::Crc32c, "CRC32C", 4),
        (Self::Sha224, "SHA224", 28),
        (Self::Sha256, "SHA256", 32),
        (Self::Sha384, "SHA384", 48),
        (Self::Sha512, "SHA512", 64),
    ];

    /// The length of a checksum in bytes.
    pub fn length(self) -> usize {
        Self::ALL.iter().find(|(algorithm, ..)| *algorithm == self).map_or(0, |(.., length)| *length)
    }
}

impl FromStr for Algorithm {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let same = |(_, name, _): &&(Self, &str, usize)| name.eq_ignore_ascii_case(text);
        Self::ALL.iter().find(same).map(|(algorithm, ..)| *algorithm).ok_or(())
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(algorithm, ..)| algorithm == self).map(|(_, name, _)| *name);
        f.pad(name.unwrap_or_default())
    }
}

/// The checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: Algorithm,
    bytes: Box<[u8]>,
}

impl Checksum {
    /// Reads the hexadecimal form of a manifest; `None` when it is malformed or of the wrong length.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Option<Self> {
        let bytes = decode_hex(hex).filter(|bytes| bytes.len() == algorithm.length())?;
        Some(Self { algorithm, bytes: bytes.into() })
    }

    /// Computes the checksum of all that a reader gives.
    pub fn of(algorithm: Algorithm, mut reader: impl Read) -> io::Result<Self> {
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; 256 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(n) => hasher.update(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Computes a checksum piece by piece.
pub struct Hasher(State);

enum State {
    Crc32c(u32),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Crc32c => State::Crc32c(0),
            Algorithm::Sha224 => State::Sha224(Sha224::new()),
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha384 => State::Sha384(Sha384::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            State::Sha224(sha) => sha.update(bytes),
            State::Sha256(sha) => sha.update(bytes),
            State::Sha384(sha) => sha.update(bytes),
            State::Sha512(sha) => sha.update(bytes),
        }
    }

    /// The checksum of all pieces.
    pub fn finish(self) -> Checksum {
        let (algorithm, bytes) = match self.0 {
            // PostgreSQL writes the bytes of the number as they lie in memory, and its machines are little-endian.
            State::Crc32c(crc) => (Algorithm::Crc32c, crc.to_le_bytes().to_vec()),
            State::Sha224(sha) => (Algorithm::Sha224, sha.finalize().to_vec()),
            State::Sha256(sha) => (Algorithm::Sha256, sha.finalize().to_vec()),
            State::Sha384(sha) => (Algorithm::Sha384, sha.finalize().to_vec()),
            State::Sha512(sha) => (Algorithm::Sha512, sha.finalize().to_vec()),
        };
        Checksum { algorithm, bytes: bytes.into() }
    }
}

/// Bytes from pairs of hexadecimal digits.
pub(super) fn decode_hex(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let pair = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..hex.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_as_postgresql_writes_them() {
        for (algorithm, text, hex) in [
            // `PG_VERSION` of a PostgreSQL 17 and its line in the backup manifest.
            (Algorithm::Crc32c, "17\n", "64440205"),
            (Algorithm::Crc32c, "", "00000000"),
            (Algorithm::Sha224, "", "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f"),
            (Algorithm::Sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            let checksum = Checksum::of(algorithm, text.as_bytes()).unwrap();
            assert_eq!(checksum.to_string(), hex, "{algorithm}");
            assert_eq!(Checksum::from_hex(algorithm, hex), Some(checksum));
        }
    }

    #[test]
    fn every_algorithm_has_its_length_and_name() {
        for (algorithm, name, length) in Algorithm::ALL {
            assert_eq!(Hasher::new(algorithm).finish().bytes.len(), length);
            assert_eq!(name.parse(), Ok(algorithm));
        }
        assert_eq!(Checksum::from_hex(Algorithm::Crc32c, "6444020"), None);
        assert_eq!(Checksum::from_hex(Algorithm::Crc32c, "644402zz"), None);
        assert_eq!(Checksum::from_hex(Algorithm::Sha256, "64440205"), None);
    }
}
