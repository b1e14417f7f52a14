//! Where the primary's disk and its own list of WAL disagree. What is on the disk is shipped as it is there; what the
//! primary should do about its list, or about damage, is said by name.

use crate::barman::ids::ServerName;
use crate::barman::wal::WalName;
use crate::observe::inventory::{PrimaryInventory, Undescribed};

use crate::observe::wal_files::WalFile;
use crate::plan::reason::Note;

/// What was seen at the primary of the WAL that is wanted.
#[derive(Debug, Default)]
pub struct Disorder {
    empty: Few,
    not_listed: Few,
    other_size: Few,
    /// The sizes of the first of those: as listed, and on the disk.
    sizes: (u64, u64),
}

/// Some files, of which the first is named.
#[derive(Debug, Default)]
pub struct Few {
    /// How many they are.
    pub count: u64,
    /// The first of them.
    pub first: Option<WalName>,
}

impl Few {
    /// Adds the file that comes next.
    pub fn add(&mut self, name: WalName) {
        self.add_all(name, 1);
    }

    /// Adds the files that come next, of which this is the first.
    pub fn add_all(&mut self, first: WalName, count: u64) {
        self.count += count;
        self.first.get_or_insert(first);
    }
}

impl Disorder {
    /// Looks at a file that is wanted, whether it is here or not. Files come in order.
    pub fn see(&mut self, file: &WalFile, primary: &PrimaryInventory) {
        let Some(there) = file.there.filter(|_| !primary.gone.contains(&file.name)) else { return };
        match file.undescribed {
            _ if there.size == 0 => self.empty.add(file.name),
            None => {}
            Some(Undescribed::NotListed) => self.not_listed.add(file.name),
            Some(Undescribed::OtherSize { listed }) => {
                if self.other_size.count == 0 {
                    self.sizes = (listed, there.size);
                }
                self.other_size.add(file.name);
            }
        }
    }

    /// What there is to say of this server there.
    pub fn notes(&self, server: &ServerName) -> impl Iterator<Item = Note> {
        let server = || server.clone();
        let (listed, on_disk) = self.sizes;
        let empty = self.empty.first.map(|first| Note::EmptyThere { count: self.empty.count, first });
        let not_listed = self.not_listed.first.map(|first| Note::NotListedThere {
            server: server(),
            count: self.not_listed.count,
            first,
        });
        let other_size = self.other_size.first;
        let other_size = other_size.map(|first| Note::OtherSizeThere {
            server: server(),
            count: self.other_size.count,
            first,
            listed,
            on_disk,
        });
        [empty, other_size, not_listed].into_iter().flatten()
    }
}
