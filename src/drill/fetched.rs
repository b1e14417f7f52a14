//! What recovery asked the archive for, and what came of each file: a line for each, which `restore-wal` writes.

use crate::error::{Error, Kind};

/// A file that recovery asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its name.
    pub name: String,
    /// What came of it.
    pub came: Came,
}

/// What came of a file that recovery asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// It was there, and is what its name says.
    Found,
    /// The archive has no such file.
    Missing,
    /// It is not what its name says.
    Damaged(String),
    /// It could not be had, which says nothing of it.
    Failed(String),
}

impl Fetched {
    /// What came of the file with this name.
    pub fn of(name: &str, fetched: &Result<bool, Error>) -> Self {
        let came = match fetched {
            Ok(true) => Came::Found,
            Ok(false) => Came::Missing,
            Err(error) if error.kind == Kind::Damaged => Came::Damaged(error.message.clone()),
            Err(error) => Came::Failed(error.message.clone()),
        };
        Self { name: name.to_owned(), came }
    }

    /// The line, with its line break.
    pub fn line(&self) -> String {
        let name = self.name.escape_debug();
        match &self.came {
            Came::Found => format!("{name} found\n"),
            Came::Missing => format!("{name} missing\n"),
            Came::Damaged(why) => format!("{name} damaged {}\n", why.escape_debug()),
            Came::Failed(why) => format!("{name} failed {}\n", why.escape_debug()),
        }
    }

    /// What whole lines say, in their order; anything else is passed over.
    pub fn read(text: &str) -> Vec<Self> {
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        whole.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, came) = line.split_once(' ')?;
        let came = match came.split_once(' ').unwrap_or((came, "")) {
            ("found", "") => Came::Found,
            ("missing", "") => Came::Missing,
            ("damaged", why) => Came::Damaged(why.to_owned()),
            ("failed", why) => Came::Failed(why.to_owned()),
            _ => return None,
        };
        Some(Self { name: name.to_owned(), came })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_and_half_a_line_is_not() {
        let failed = Err(Error::new(Kind::Damaged, "it is not\nwhat its name says"));
        let full = Err(Error::new(Kind::NoSpace, "no space"));
        let all = [Ok(true), Ok(false), failed, full].map(|came| Fetched::of("000000010000000000000003", &came));
        let text: String = all.iter().map(Fetched::line).collect();
        let read = Fetched::read(&format!("{text}000000010000000000000004 fou"));
        assert_eq!((read.len(), &read[3].came), (4, &Came::Failed("no space".to_owned())));
        assert_eq!(read[..2], all[..2]);
        assert_eq!(read[2].came, Came::Damaged("it is not\\nwhat its name says".to_owned()));
        assert_eq!(Fetched::read("nonsense\n\nx y\n"), []);
    }
}
