//! What keeps rsync inside the directories that a key serves, whatever a client asks it for over the protocol and wherever
//! links lead.
//!
//! Names travel in rsync's own protocol (`--files-from=-`), and so do filters that name files to be read, which no command
//! line shows. So rsync is confined rather than watched: by the kernel where it can (Landlock, "Documentation/userspace-api/
//! landlock.rst"), else by rsync's own `--confine-root`, else by a look at every link before it begins.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};
use walkdir::WalkDir;

use crate::cli::Confinement;
use crate::error::{Error, Kind};
use crate::gate::{Refusal, shown};

use super::Denied;
use super::bounds::{Bounds, Place};

/// Where programs have their libraries, and what the loader and the C library read.
const LIBRARIES: [&str; 6] = ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"];
const SETTINGS: [&str; 5] =
    ["/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/etc/popt", "/etc/ssl/openssl.cnf"];

/// The rights that are denied where they are not given: all that were known when this was written, of which an older kernel
/// keeps those that it knows.
const RIGHTS: ABI = ABI::V5;

/// Confines this process, and the rsync that it becomes, to what a request for this directory may read; gives what rsync
/// is told for it.
pub fn confine(program: &Path, directory: &Path, bounds: &Bounds, how: Confinement) -> Result<Vec<OsString>, Denied> {
    let place = bounds.place(directory)?;
    let is_wanted = |other| how == other || how == Confinement::Auto;
    if is_wanted(Confinement::Kernel) {
        let (read, listed) = match &place {
            Place::Server(directories) => (directories.clone(), &[][..]),
            Place::Above => bounds.all(),
        };
        if by_kernel(program, &read, listed)? {
            return Ok(Vec::new());
        }
    }
    let Place::Server(directories) = place else {
        let why = "is above those of the servers, and this host's kernel cannot confine rsync to them";
        return Err(Refusal::Directory { directory: shown(directory.as_os_str()), why: why.to_owned() }.into());
    };
    if is_wanted(Confinement::Rsync)
        && let [root] = &directories[..]
        && confines(program)
    {
        let mut option = OsString::from("--confine-root=");
        option.push(root);
        return Ok(vec![option]);
    }
    if is_wanted(Confinement::Look) {
        look(directory, &directories)?;
        return Ok(Vec::new());
    }
    let message = "nothing here confines rsync as `--confine` of this key's line wants it";
    Err(Error::new(Kind::Refused, message).hint("`--confine auto` takes what this host has").into())
}

/// Has the kernel deny all but reading these directories, and says whether it does.
fn by_kernel(program: &Path, read: &[PathBuf], listed: &[PathBuf]) -> Result<bool, Error> {
    let reading: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let running = reading | AccessFs::Execute;
    let confined = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(RIGHTS))?
            .handle_access(AccessNet::from_all(RIGHTS))?
            .create()?
            .add_rules(path_beneath_rules(read, reading))?
            .add_rules(path_beneath_rules(listed, AccessFs::ReadDir))?
            .add_rules(path_beneath_rules([program], running))?
            .add_rules(path_beneath_rules(LIBRARIES, running))?
            .add_rules(path_beneath_rules(SETTINGS, AccessFs::ReadFile))?
            .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?
            .restrict_self()
    };
    let status = confined().map_err(|error| Error::new(Kind::Other, format!("rsync cannot be confined: {error}")))?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Whether this rsync knows `--confine-root`.
fn confines(program: &Path) -> bool {
    let help = Command::new(program).arg("--help").env_clear().stdin(Stdio::null()).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--confine-root"))
}

/// Refuses a directory below which a link leads to where this key serves nothing. One that leads nowhere is let be: so do
/// those of tablespaces, which are where the database is.
fn look(directory: &Path, directories: &[PathBuf]) -> Result<(), Denied> {
    for entry in WalkDir::new(directory) {
        // rsync says itself what it cannot read.
        let Ok(entry) = entry else { continue };
        if !entry.path_is_symlink() {
            continue;
        }
        let leads_out =
            fs::canonicalize(entry.path()).is_ok_and(|real| !directories.iter().any(|root| real.starts_with(root)));
        if leads_out {
            let why = format!("has a link that leads out of what this key serves: {}", shown(entry.path().as_os_str()));
            return Err(Refusal::Directory { directory: shown(directory.as_os_str()), why }.into());
        }
    }
    Ok(())
}
