//! `pg_filenode.map` (PostgreSQL `utils/cache/relmapper.c`, `RelMapFile`): which files hold the catalogs that a server
//! must read before it can look anything up.

/// `RELMAPPER_FILEMAGIC`
const MAGIC: u32 = 0x0059_2717;
/// The lengths that releases write, with the place of the CRC-32C: up to PostgreSQL 15, and from 16 on.
const FORMS: [(usize, usize); 2] = [(512, 504), (524, 520)];
/// Where the pairs begin, and how long one is.
const HEADER: usize = 8;
const PAIR: usize = 8;

/// The files of the mapped catalogs, by their numbers; `None` when the bytes are no whole map.
///
/// The checksum is told from `crc` on: releases before 9.5 have another kind.
pub fn parse(bytes: &[u8], crc: bool) -> Option<Vec<u32>> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (_, crc_at) = FORMS.into_iter().find(|(length, _)| *length == bytes.len())?;
    let count = usize::try_from(number(4)?).ok()?;
    let is_map = number(0)? == MAGIC && count > 0 && HEADER + count * PAIR <= crc_at;
    if !is_map || (crc && number(crc_at)? != crc32c::crc32c(bytes.get(..crc_at)?)) {
        return None;
    }
    (0..count).map(|pair| number(HEADER + pair * PAIR + 4)).collect()
}

/// The bytes of a map as PostgreSQL 15 writes it, of relations whose files have their own numbers.
pub fn of_files(numbers: &[u32]) -> Vec<u8> {
    let [(length, crc_at), _] = FORMS;
    let words = [MAGIC, u32::try_from(numbers.len()).unwrap_or(u32::MAX)];
    let pairs = numbers.iter().flat_map(|number| [*number; 2]);
    let mut bytes: Vec<u8> = words.into_iter().chain(pairs).flat_map(u32::to_le_bytes).collect();
    bytes.resize(crc_at, 0);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.resize(length, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_names_its_files_and_damage_is_seen() {
        let whole = of_files(&[1262, 1260]);
        assert_eq!(parse(&whole, true), Some(vec![1262, 1260]));
        let mut changed = whole.clone();
        changed[13] ^= 1;
        assert_eq!((parse(&changed, true), parse(&changed, false).is_some()), (None, true));
        for bytes in [&whole[..511], &[0; 512], b"", &[0xFF; 524]] {
            assert_eq!(parse(bytes, false), None);
        }
    }
}
