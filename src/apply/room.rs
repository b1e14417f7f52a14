//! Whether a base fits: measured once more when its copy begins, when it is known file by file what is still to come.
//!
//! Others fill the same file system at the same time. What copies that have begun are still to write is theirs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::Room;
use crate::transport::ByteCounter;

/// What copies that have begun are still to write, of all applies that share it.
#[derive(Debug, Clone, Default)]
pub struct Claims(Arc<Mutex<Vec<Claim>>>);

#[derive(Debug)]
struct Claim {
    device: u64,
    bytes: u64,
    /// Grows as they arrive.
    counter: ByteCounter,
    /// Where it was when the copy began.
    before: u64,
}

/// The room that a copy has until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Claimed {
    claims: Claims,
    counter: ByteCounter,
}

/// A copy does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    /// Bytes that are left for it: what others are still to write, and what is kept, is not.
    pub left: u64,
}

impl Claims {
    /// Claims so many bytes of a file system, of which so many are to stay free.
    pub fn claim(&self, room: Room, bytes: u64, reserve: u64, counter: &ByteCounter) -> Result<Claimed, Short> {
        let mut claims = self.lock();
        let others = claims.iter().filter(|claim| claim.device == room.device);
        let pending = others.map(Claim::pending).fold(0, u64::saturating_add);
        let left = room.free.saturating_sub(pending).saturating_sub(reserve);
        if bytes > left {
            return Err(Short { left });
        }
        let (counter, before) = (counter.clone(), counter.get());
        claims.push(Claim { device: room.device, bytes, counter: counter.clone(), before });
        Ok(Claimed { claims: self.clone(), counter })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Claim>> {
        // Adding and removing cannot leave the list half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// What of it is still to be written. What comes as a difference is more here than what arrives.
    fn pending(&self) -> u64 {
        self.bytes.saturating_sub(self.counter.get().saturating_sub(self.before))
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.claims.lock().retain(|claim| !claim.counter.is_same(&self.counter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(device: u64, free: u64) -> Room {
        Room { device, free, size: 1000, reserve: 0 }
    }

    #[test]
    fn what_others_are_still_to_write_is_not_free() {
        let (claims, [first, second, third]) = (Claims::default(), [(); 3].map(|()| ByteCounter::default()));
        first.add(7);
        let held = claims.claim(room(1, 100), 60, 10, &first).unwrap();
        assert_eq!(claims.claim(room(1, 100), 31, 10, &second).unwrap_err(), Short { left: 30 });
        assert!(claims.claim(room(2, 100), 90, 10, &third).is_ok(), "another file system");
        // A part of the first has arrived.
        first.add(40);
        assert_eq!(claims.claim(room(1, 60), 31, 10, &second).unwrap_err(), Short { left: 30 });
        drop(held);
        assert!(claims.claim(room(1, 60), 50, 10, &second).is_ok());
    }
}
