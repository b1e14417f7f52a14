//! How an encrypted file is told from a damaged one. Barman encrypts with GnuPG, and leaves a WAL file its name (Barman
//! `encryption.py`); it has `file` look into it.

/// So many bytes of a file are looked at.
pub const LOOKED_AT: usize = 8;

/// Whether a file that begins so is encrypted for somebody: an OpenPGP message that begins with a packet which holds its key
/// (RFC 9580, sections 4.2, 5.1 and 5.3).
pub fn is_encrypted(begin: &[u8]) -> bool {
    let Some((first, rest)) = begin.split_first() else { return false };
    let (tag, length) = match (first & 0xC0, rest.first()) {
        // The old form of a packet says how long its length is; one without an end holds no key.
        (0x80, _) => (first >> 2 & 0x0F, [1, 2, 4].get(usize::from(first & 3)).copied()),
        (0xC0, Some(0..=191)) => (first & 0x3F, Some(1)),
        (0xC0, Some(192..=223)) => (first & 0x3F, Some(2)),
        _ => return false,
    };
    let Some(version) = length.and_then(|length: usize| rest.get(length)) else { return false };
    match tag {
        // For the holder of a key, and for whoever knows a passphrase.
        1 => matches!(version, 2 | 3 | 6),
        3 => matches!(version, 4..=6),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gnupg_encrypts_is_told_from_what_is_something_else() {
        // `gpg --encrypt` for an RSA key and for one of an elliptic curve, `gpg --symmetric`, and a sender of new packets.
        for begin in [&[0x85, 0x01, 0x8c, 3][..], &[0x84, 0x5e, 3, 0x12], &[0x8c, 0x0d, 4, 9], &[0xc1, 0xc0, 0x4c, 3]] {
            assert!(is_encrypted(begin), "{begin:02x?}");
        }
        // WAL of PostgreSQL 15 and 9.5, what was compressed, a signature, zeros, what is cut off.
        for begin in [
            &[0x10, 0xd1, 2, 0][..],
            &[0x87, 0xd0, 2, 0, 1, 0, 0, 0],
            &[0x1f, 0x8b, 8, 0],
            &[0x28, 0xb5, 0x2f, 0xfd],
            &[0x89, 0x01, 0x33, 4],
            &[0; 8],
            &[0x85, 0x01],
            &[],
        ] {
            assert!(!is_encrypted(begin), "{begin:02x?}");
        }
    }
}
