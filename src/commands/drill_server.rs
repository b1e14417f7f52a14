//! `antipode drill-server`: becomes a program of a drill, so that it ends when the drill does, also by a kill; writes nowhere
//! else, as far as the kernel can see to that; and comes behind everything else on this host.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, path_beneath_rules};
use rustix::process::{Signal, getppid, nice, set_parent_process_death_signal};

use crate::cli;
use crate::error::{Error, Kind};

/// How much others come first.
const NICENESS: i32 = 10;

/// The rights that are denied where they are not given, of which an older kernel keeps those that it knows.
const RIGHTS: ABI = ABI::V5;

/// Becomes it. It returns only when that failed.
pub fn run(arguments: &cli::DrillServer) -> Error {
    let failed = |error: std::io::Error| Error::io("PostgreSQL cannot be started", error);
    if let Err(error) = set_parent_process_death_signal(Some(Signal::QUIT)) {
        return failed(error.into());
    }
    // Who was killed before that was said sends no signal.
    if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(arguments.parent) {
        return Error::new(Kind::Interrupted, "whoever started the drill has ended");
    }
    let _refused = nice(NICENESS);
    if let Err(error) = confine(&arguments.ground) {
        return error;
    }
    failed(Command::new(&arguments.program).args(&arguments.arguments).exec())
}

/// Lets it write below one directory alone, and use no TCP. WAL that makes a tablespace names a directory of the old server's,
/// which may be that of another one here.
fn confine(ground: &Path) -> Result<(), Error> {
    let read = AccessFs::from_read(RIGHTS);
    let confined = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(RIGHTS))?
            .handle_access(AccessNet::from_all(RIGHTS))?
            .create()?
            .add_rules(path_beneath_rules(["/"], read))?
            .add_rules(path_beneath_rules([ground], AccessFs::from_all(RIGHTS)))?
            .add_rules(path_beneath_rules(["/dev/null", "/dev/zero"], AccessFs::ReadFile | AccessFs::WriteFile))?
            .restrict_self()
    };
    let confined = confined();
    confined.map(drop).map_err(|error| Error::new(Kind::Other, format!("PostgreSQL cannot be confined: {error}")))
}
