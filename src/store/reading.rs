//! Reading files that nobody else wants: through the cache of the system without leaving them there.

use std::fs::File;
use std::num::NonZero;

use rustix::fs::{Advice, fadvise};

/// Says that a file will be read from its beginning to its end.
pub fn begin(file: &File) {
    // Where the system takes no advice, it is as fast as it is.
    let _ = fadvise(file, 0, None, Advice::Sequential);
}

/// Says that what was read of a file up to a byte is of no more use.
pub fn forget(file: &File, up_to: u64) {
    let _ = fadvise(file, 0, NonZero::new(up_to), Advice::DontNeed);
}
