//! What the bytes of a WAL file prove when all of them are read.

use std::collections::BTreeSet;
use std::io;

use crate::barman::ids::SystemId;
use crate::barman::wal::WalName;
use crate::barman::wal_entry::WalEntry;
use crate::store::File;

use super::wal_file;
use super::wal_form::WalForm;
use super::wal_header::{Expected, Start, check};
use super::wal_log::{self, Crossing, LogFault, Meeting};

/// What reading all of a file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It is what was written.
    Proved,
    /// It could be read, and nothing tells what it should be.
    Unproven,
    /// It is not what was written: why.
    Damaged(String),
}

/// What reading all of a file came to, and the record that it ends in, where it is proved but for that.
pub type Read = (Proof, Option<Crossing>);

/// Reads a WAL file to its end. `line` is what xlog.db says of it; `systems` are those that it may be of, where they are
/// known; `wrap` is what its bytes are read through. Errors are those of the system; damaged data is none.
pub fn prove<'f, R: io::Read + 'f>(
    name: WalName,
    file: &'f File,
    line: Option<&WalEntry>,
    systems: &BTreeSet<SystemId>,
    wrap: impl Fn(&'f File) -> io::Result<R>,
) -> io::Result<Proof> {
    Ok(read(name, file, line, systems, wrap)?.0)
}

/// What reading the next segment came to, of a record that one ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// It goes on with the record, and the two together are what was written.
    Whole,
    /// The two do not go together: why.
    Parted(String),
    /// It says nothing: it is not the one that follows, is damaged itself, or has not all of the record either.
    Unknown,
}

/// Whether the next segment goes on with the record that one ends in. Errors are those of the system.
pub fn meets<'f, R: io::Read + 'f>(
    (name, crossing): (WalName, Crossing),
    (next, file): (WalName, &'f File),
    wrap: impl Fn(&'f File) -> io::Result<R>,
) -> io::Result<Met> {
    let Start::Header { compression, .. } = Start::read(wrap(file)?)? else { return Ok(Met::Unknown) };
    let met = match compression {
        None => crossing.meet(wrap(file)?),
        Some(compression) => compression.decoder(wrap(file)?).and_then(|decoder| crossing.meet(decoder)),
    };
    match met {
        Ok(Meeting::Broken(fault @ LogFault::Checksum(_))) => {
            Ok(Met::Parted(format!("{fault}: it begins in {name} and ends in {next}, and one of the two is damaged")))
        }
        Ok(Meeting::Broken(_)) => Ok(Met::Parted(format!(
            "{next} does not go on with the record that {name} ends in, and one of the two is damaged"
        ))),
        Err(error) if error.raw_os_error().is_some() => Err(error),
        Ok(Meeting::Whole) => Ok(Met::Whole),
        Err(_) | Ok(Meeting::Unknown) => Ok(Met::Unknown),
    }
}

/// As [`prove`], and the record that the file ends in.
pub fn read<'f, R: io::Read + 'f>(
    name: WalName,
    file: &'f File,
    line: Option<&WalEntry>,
    systems: &BTreeSet<SystemId>,
    wrap: impl Fn(&'f File) -> io::Result<R>,
) -> io::Result<Read> {
    let alone = |proof| Ok((proof, None));
    let is_hidden = line.is_some_and(|line| WalForm::listed(line).is_hidden());
    if matches!(name, WalName::History(_) | WalName::BackupLabel { .. }) {
        let described = wal_file::describe(name, file)?;
        let entry = if is_hidden { *line.unwrap_or(&described) } else { described };
        let verified = wal_file::verify(&entry, file, |_| nothing_expected())?;
        return alone(match verified {
            Ok(()) if is_hidden => Proof::Unproven,
            Ok(()) => Proof::Proved,
            Err(fault) => Proof::Damaged(fault.to_string()),
        });
    }
    let (start, size) = (Start::read(wrap(file)?)?, file.metadata()?.len());
    let Start::Header { header, compression } = start else {
        if is_hidden {
            io::copy(&mut wrap(file)?, &mut io::sink())?;
            return alone(Proof::Unproven);
        }
        let fault = check(name, size, &start, nothing_expected()).err().map(|fault| fault.to_string());
        return alone(Proof::Damaged(fault.unwrap_or_else(|| "it does not begin as WAL does".to_owned())));
    };
    let system = systems.first().copied().filter(|_| !systems.contains(&header.system));
    if let Err(fault) = check(name, size, &start, Expected { system, ..nothing_expected() }) {
        return alone(Proof::Damaged(fault.to_string()));
    }
    let walked = match compression {
        None => wal_log::walk_to_crossing(name, wrap(file)?)?,
        Some(compression) => {
            let walked = compression.decoder(wrap(file)?).and_then(|decoder| wal_log::walk_to_crossing(name, decoder));
            match walked {
                Ok(walked) => walked,
                // Decoders report damage as errors too; only the system's have numbers.
                Err(error) if error.raw_os_error().is_some() => return Err(error),
                Err(_) => return alone(Proof::Damaged("it does not decompress to its end".to_owned())),
            }
        }
    };
    match walked {
        Ok(crossing) => Ok((Proof::Proved, crossing)),
        // Behind the end of the log such a file has what was in it before, as servers use old segments again.
        Err(fault) if matches!(name, WalName::Partial(_)) && fault.is_after_start() => alone(Proof::Unproven),
        Err(fault) => alone(Proof::Damaged(fault.to_string())),
    }
}

fn nothing_expected() -> Expected {
    Expected { system: None, segment_size: None, form: None }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek, Write};

    use super::*;
    use crate::barman::compression::Compression;
    use crate::barman::wal::SegmentSize;
    use crate::demo::wal::{gzip, segment};

    const NAME: &str = "000000010000000000000007";

    fn proof(bytes: &[u8]) -> Proof {
        proof_of(NAME.parse().unwrap(), bytes)
    }

    fn proof_of(name: WalName, bytes: &[u8]) -> Proof {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let from_the_start = |mut file: &File| file.rewind();
        prove(name, &file, None, &BTreeSet::new(), |file| from_the_start(file).map(|()| file)).unwrap()
    }

    #[test]
    fn an_unfinished_segment_may_hold_anything_behind_the_end_of_its_log() {
        let name: WalName = format!("{NAME}.partial").parse().unwrap();
        let whole: WalName = NAME.parse().unwrap();
        let mut plain = segment(SystemId(7), whole.segment().unwrap(), SegmentSize::new(1 << 20).unwrap()).unwrap();
        assert_eq!(proof_of(name, &plain), Proof::Proved);
        plain[8 * 8192..].fill(7);
        assert_eq!(proof_of(name, &plain), Proof::Unproven);
        assert!(matches!(proof_of(whole, &plain), Proof::Damaged(_)));
        assert!(matches!(proof_of(name, &plain[100..]), Proof::Damaged(_)));
    }

    #[test]
    fn a_compressed_segment_is_whole_when_the_same_comes_out_of_it_and_damaged_otherwise() {
        let name: WalName = NAME.parse().unwrap();
        let plain = segment(SystemId(7), name.segment().unwrap(), SegmentSize::new(1 << 20).unwrap()).unwrap();
        let whole = gzip(&plain).unwrap();
        assert_eq!((proof(&plain), proof(&whole)), (Proof::Proved, Proof::Proved));
        // Behind its header, of which times and flags prove nothing.
        for at in (10..whole.len()).step_by(97).chain(whole.len() - 8..whole.len()) {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            let mut out = Vec::new();
            let decoded = Compression::Gzip.decoder(&*changed).unwrap().read_to_end(&mut out);
            // In a run of zeros there are several ways to say the same.
            let is_same = decoded.is_ok() && out == plain;
            assert_eq!(proof(&changed) == Proof::Proved, is_same, "{at} of {}", whole.len());
        }
        for length in [0, 1, 20, whole.len() / 2, whole.len() - 1] {
            assert!(matches!(proof(&whole[..length]), Proof::Damaged(_)), "{length} of {}", whole.len());
        }
    }
}
