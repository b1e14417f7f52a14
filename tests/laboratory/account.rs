//! The unprivileged user whom the laboratory's programs run as.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::process::{getgid, getuid};

/// One line of the passwd file. sshd and ssh take the user's home and shell
/// from there, whatever the environment says.
#[derive(Debug, Clone)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Whether the tests have to change to this user: root started them.
    pub differs: bool,
}

/// `postgres` of Debian's package when root runs the tests, as `PostgreSQL`
/// refuses to run as root; otherwise whoever runs them.
pub static ACCOUNT: LazyLock<Account> = LazyLock::new(|| {
    let own = getuid().as_raw();
    if own == 0 {
        let (name, uid, gid) = passwd_entry(|name, _| name == "postgres")
            .expect("no user postgres on this machine; run ./test, which installs Debian's postgresql");
        return Account { name, uid, gid, differs: true };
    }
    let (name, ..) = passwd_entry(|_, uid| uid == own).expect("the user who runs the tests is in /etc/passwd");
    Account { name, uid: own, gid: getgid().as_raw(), differs: false }
});

impl Account {
    /// Gives a file or directory that the tests made to this user.
    pub fn own(&self, path: &Path) {
        if self.differs {
            std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
                .unwrap_or_else(|error| panic!("chown {}: {error}", path.display()));
        }
    }

    /// Makes a directory, parents included, that belongs to this user.
    pub fn make_directory(&self, path: &Path) -> PathBuf {
        if !path.is_dir() {
            if let Some(parent) = path.parent() {
                self.make_directory(parent);
            }
            fs::create_dir(path).unwrap_or_else(|error| panic!("mkdir {}: {error}", path.display()));
            self.own(path);
        }
        path.to_owned()
    }

    /// Writes a file that belongs to this user.
    pub fn write(&self, path: &Path, content: impl AsRef<[u8]>) {
        fs::write(path, content).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        self.own(path);
    }

    /// Writes a file that this user can execute.
    pub fn write_program(&self, path: &Path, content: impl AsRef<[u8]>) {
        crate::executable::write_program(path, content);
        self.own(path);
    }
}

fn passwd_entry(wanted: impl Fn(&str, u32) -> bool) -> Option<(String, u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        wanted(fields[0], uid).then(|| (fields[0].to_owned(), uid, gid))
    })
}
