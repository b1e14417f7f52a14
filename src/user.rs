//! A user of this machine, as messages and advice name one.

use std::fmt;
use std::fs;
use std::path::Path;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    id: u32,
    name: Option<Box<str>>,
    home: Option<Box<Path>>,
}

impl User {
    /// The user of an id, with what /etc/passwd has of it.
    pub fn of(id: u32) -> Self {
        Self::told_by(&fs::read_to_string("/etc/passwd").unwrap_or_default(), id)
    }

    /// The user that this runs as.
    pub fn of_this_run() -> Self {
        Self::of(rustix::process::geteuid().as_raw())
    }

    /// What a text in the form of passwd(5) has of an id: `name:password:id:group:comment:home:shell`.
    fn told_by(passwd: &str, id: u32) -> Self {
        let lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let entry = lines.into_iter().find(|fields| fields.get(2).and_then(|of| of.parse().ok()) == Some(id));
        let field = |index: usize| entry.as_ref().and_then(|fields| fields.get(index)).copied();
        Self { id, name: field(0).map(Box::from), home: field(5).map(|home| Path::new(home).into()) }
    }

    /// As sudo(8) takes it: a name, or an id behind `#`, which a shell must not take for a comment.
    pub fn for_sudo(&self) -> String {
        self.name.as_deref().map_or_else(|| format!("'#{}'", self.id), str::to_owned)
    }

    /// As chown(1) and install(1) take it.
    pub fn for_chown(&self) -> String {
        self.name.as_deref().map_or_else(|| self.id.to_string(), str::to_owned)
    }

    /// Whether it is the one that may do everything.
    pub fn is_root(&self) -> bool {
        self.id == 0
    }

    /// Where ssh looks for what is the user's own.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "user id {}", self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_told_by_name_and_one_without_a_name_by_id() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nbarman:x:1006:1006::/var/lib/barman:/bin/bash\n";
        for (id, shown, for_sudo, for_chown, home) in
            [(1006, "barman", "barman", "barman", Some("/var/lib/barman")), (7, "user id 7", "'#7'", "7", None)]
        {
            let user = User::told_by(passwd, id);
            let said = (user.to_string(), user.for_sudo(), user.for_chown());
            assert_eq!(said, (shown.to_owned(), for_sudo.to_owned(), for_chown.to_owned()));
            assert_eq!((user.home(), user.is_root()), (home.map(Path::new), false));
        }
        assert!(User::told_by(passwd, 0).is_root());
    }
}
