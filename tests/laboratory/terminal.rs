//! A pseudo-terminal, in which the program under test asks a person.

use std::path::Path;

use crate::antipode;
use crate::process::{program, run};

/// Runs the words after `answer` and `prompt` in a pseudo-terminal, types the answer at the prompt, prints what
/// appeared, and ends as the program did.
const PTY: &str = r"
import os, pty, select, sys, time
prompt, answer, words = sys.argv[1].encode(), sys.argv[2].encode().decode('unicode_escape').encode(), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(words[0], words)
shown, typed, deadline = b'', False, time.time() + 120
while time.time() < deadline:
    if not select.select([fd], [], [], 1)[0]:
        continue
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    if not typed and prompt and prompt in shown:
        time.sleep(0.1)
        os.write(fd, answer)
        typed = True
os.write(1, shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// What appeared on a terminal, and the exit code.
#[derive(Debug)]
pub struct Shown {
    /// All that appeared, control sequences included.
    pub text: String,
    /// How the program ended.
    pub code: i32,
}

/// Runs `antipode ARGUMENTS` in a terminal, and types the answer when it asks; `\x03` is Ctrl-C, `\x04` the end.
#[track_caller]
pub fn in_terminal(directory: &Path, arguments: &[&str], environment: &[(&str, &str)], answer: &str) -> Shown {
    let words = antipode::command(directory, arguments);
    let mut command = program("python3");
    command.args(["-c", PTY, "Enter a value: ", answer]).arg(words.get_program()).args(words.get_args());
    command.env("HOME", directory).env("TERM", "xterm").current_dir(directory);
    command.envs(environment.iter().copied());
    let finished = run(&mut command);
    Shown { code: finished.code(), text: format!("{}{}", finished.stdout, finished.stderr) }
}
