//! What things of a replica are called by, on the command line and in a site file: an address, the first parts of one,
//! or some WAL files.

use std::fmt;
use std::str::FromStr;

use crate::barman::ids::ServerName;
use crate::barman::wal::{Segment, WalName};

/// The sort of thing that WAL files are, in an address.
pub const WAL: &str = "wal";

/// An address, or the first parts of one: `main`, `main/backup`, `main/wal/00000001000000000000000C..2A`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// The replica's name at the site.
    pub replica: ServerName,
    /// What sort of thing; all sorts when it is `None`.
    pub sort: Option<String>,
    /// Which one of that sort; all when it is `None`.
    pub thing: Option<Thing>,
}

/// One thing of a sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// By its name.
    Named(String),
    /// WAL files, whatever batch they are in.
    Wals(Wals),
}

/// WAL files of one name or one range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wals {
    /// These segments with all that belongs to them, both ends included.
    Segments(Segment, Segment),
    /// One file that is no whole segment.
    File(WalName),
}

impl Wals {
    /// Whether a file is among them.
    pub fn contain(self, name: WalName) -> bool {
        match self {
            Self::File(file) => file == name,
            Self::Segments(first, last) => segment_of(name).is_some_and(|segment| first <= segment && segment <= last),
        }
    }
}

impl Pattern {
    /// The WAL files that it names, when it names some.
    pub fn wals(&self) -> Option<Wals> {
        match self.thing {
            Some(Thing::Wals(wals)) => Some(wals),
            _ => None,
        }
    }

    /// Whether it names the thing of this sort and name, by its address or by the first parts of that.
    pub fn names(&self, sort: &str, name: &str) -> bool {
        let is_sort = self.sort.as_deref().is_none_or(|own| own == sort);
        is_sort && self.thing.as_ref().is_none_or(|thing| *thing == Thing::Named(name.to_owned()))
    }

    /// Whether it names a WAL file, by itself or among others.
    pub fn names_wal(&self, name: WalName) -> bool {
        let is_sort = self.sort.as_deref().is_none_or(|own| own == WAL);
        is_sort && self.wals().map_or(self.thing.is_none(), |wals| wals.contain(name))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether an address is another one, or continues it by whole parts.
pub fn is_below(address: &str, start: &str) -> bool {
    address.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The segment that a file is, or belongs to.
fn segment_of(name: WalName) -> Option<Segment> {
    match name {
        WalName::Segment(segment) | WalName::Partial(segment) | WalName::BackupLabel { segment, .. } => Some(segment),
        WalName::History(_) => None,
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.strip_suffix('/').unwrap_or(text).split('/').collect();
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
            return Err("expected an address such as main/backup/20261122T092435, or its first parts".to_owned());
        }
        let mut parts = parts.into_iter();
        let replica = parts.next().unwrap_or_default().parse::<ServerName>().map_err(|error| error.to_string())?;
        let sort = parts.next().map(str::to_owned);
        let thing = match (parts.next(), sort.as_deref()) {
            (Some(name), Some(WAL)) => Some(Thing::Wals(wals(name)?)),
            (name, _) => name.map(|name| Thing::Named(name.to_owned())),
        };
        Ok(Self { text: text.strip_suffix('/').unwrap_or(text).to_owned(), replica, sort, thing })
    }
}

/// `00000001000000000000000C`, `00000001000000000000000C..2A` as in an address, or `0000000100000000000000[0C..2A]` as in
/// a plan.
fn wals(text: &str) -> Result<Wals, String> {
    let unreadable = || format!("`{text}` is neither a WAL file nor a range such as 00000001000000000000000C..2A");
    let bracketed = text.strip_suffix(']').and_then(|text| text.split_once('['));
    let whole = bracketed.map(|(common, ends)| format!("{common}{ends}"));
    let Some((first, end)) = whole.as_deref().unwrap_or(text).split_once("..") else {
        return match text.parse().map_err(|_| unreadable())? {
            WalName::Segment(segment) => Ok(Wals::Segments(segment, segment)),
            file => Ok(Wals::File(file)),
        };
    };
    let segment = |name: &str| name.parse::<WalName>().ok().and_then(WalName::segment);
    let common = first.len().checked_sub(end.len()).and_then(|length| first.get(..length)).ok_or_else(unreadable)?;
    let ends = segment(first).zip(segment(&format!("{common}{end}")));
    let (first, last) = ends.ok_or_else(unreadable)?;
    if first > last {
        return Err(format!("`{text}` ends before it begins"));
    }
    Ok(Wals::Segments(first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wals_of(text: &str) -> Wals {
        format!("main/wal/{text}").parse::<Pattern>().unwrap().wals().unwrap()
    }

    #[test]
    fn a_range_is_read_as_addresses_and_as_plans_have_it() {
        let range = wals_of("00000001000000000000000C..2A");
        assert_eq!(range, wals_of("0000000100000000000000[0C..2A]"));
        assert_eq!(range, wals_of("00000001000000000000000C..00000001000000000000002A"));
        for (name, is_in) in [
            ("00000001000000000000000B", false),
            ("00000001000000000000000C", true),
            ("00000001000000000000000C.00000028.backup", true),
            ("00000001000000000000002A.partial", true),
            ("00000001000000000000002B", false),
            ("00000002000000000000000D", false),
            ("00000002.history", false),
        ] {
            assert_eq!(range.contain(name.parse().unwrap()), is_in, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_no_segment_is_named_alone() {
        let label = wals_of("00000001000000000000000C.00000028.backup");
        assert!(label.contain("00000001000000000000000C.00000028.backup".parse().unwrap()));
        assert!(!label.contain("00000001000000000000000C".parse().unwrap()));
    }

    #[test]
    fn a_thing_is_named_by_its_address_and_by_the_beginnings_of_it() {
        let wal: WalName = "00000001000000000000000C".parse().unwrap();
        for (pattern, names_info, names_wal) in [
            ("main", true, true),
            ("main/info", true, false),
            ("main/info/20261122T092435", true, false),
            ("main/info/20261122T0924", false, false),
            ("main/wal", false, true),
            ("main/wal/00000001000000000000000C", false, true),
            ("main/wal/00000001000000000000000A..2A", false, true),
            ("main/wal/00000001000000000000000D", false, false),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!(pattern.names("info", "20261122T092435"), names_info, "{pattern}");
            assert_eq!(pattern.names_wal(wal), names_wal, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "/", "a//b", "main/backup/x/y", "main/wal/x", "main/wal/00000001000000000000000C..0A", "../x"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        assert_eq!("main/backup/".parse::<Pattern>(), "main/backup".parse());
    }

    #[test]
    fn an_address_continues_by_whole_parts() {
        assert!(is_below("main/backup/20261122T092435", "main"));
        assert!(is_below("main/backup/20261122T092435", "main/backup"));
        assert!(!is_below("main2/backup/20261122T092435", "main"));
        assert!(!is_below("main", "main/backup"));
    }
}
