//! What a Barman that failed says on stderr, and which line of it tells why.
//!
//! Its last line is often "See log file for more details." (Barman `output.py`, ConsoleOutputWriter.exception), and the log
//! is at the other end. A Barman that cannot start leaves a Python traceback instead, whose last line is the exception
//! unless that has several.

/// How the lines begin that tell, the gravest first.
const LABELS: [&str; 4] = ["EXCEPTION: ", "CRITICAL: ", "ERROR: ", OURS];
/// How Antipode begins its errors, where it stands in for Barman.
const OURS: &str = "Error: ";
/// How lines begin that never do.
const POINTERS: [&str; 2] = ["See log file", "hint: "];
const TRACEBACK: &str = "Traceback (most recent call last):";

/// The line that tells why a program failed, without white space around it.
pub fn telling_line(said: &str) -> Option<&str> {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let labelled = LABELS.iter().find_map(|label| lines().find(|line| line.starts_with(label)));
    let tells = |line: &&str| !POINTERS.iter().any(|pointer| line.starts_with(pointer));
    labelled.or_else(|| raised(said)).or_else(|| lines().rev().find(tells)).or_else(|| lines().next_back())
}

/// The exception of the last traceback: the first line behind it that is not indented.
fn raised(said: &str) -> Option<&str> {
    let (_, frames) = said.rsplit_once(TRACEBACK)?;
    frames.lines().skip(1).find(|line| !line.is_empty() && !line.starts_with(char::is_whitespace)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_is_found_in_what_real_barmans_print() {
        for (said, line) in [
            // `sync-info` of 3.19.1, 3.12.1 and 3.4.1 over damaged metadata and lists.
            (
                "EXCEPTION: 'utf-8' codec can't decode byte 0xff in position 2: invalid start byte\n\
                 See log file for more details.\n",
                "EXCEPTION: 'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",
            ),
            (
                "EXCEPTION: Unknown string format: not a time at all\nSee log file for more details.\n",
                "EXCEPTION: Unknown string format: not a time at all",
            ),
            (
                "EXCEPTION: cannot parse line: 'garbage\\n'\nSee log file for more details.\n",
                "EXCEPTION: cannot parse line: 'garbage\\n'",
            ),
            ("ERROR: Unknown server 'nosuch'\n", "ERROR: Unknown server 'nosuch'"),
            // A broken barman.conf.
            (
                "Traceback (most recent call last):\n  File \"/usr/bin/barman\", line 8, in <module>\n    sys.exit(main())\n\
                 \x20            ^^^^^^\nconfigparser.ParsingError: Source contains parsing errors: 'broken.conf'\n\
                 \t[line 11]: 'garbage\\n'\n",
                "configparser.ParsingError: Source contains parsing errors: 'broken.conf'",
            ),
            // A login banner around it, and a warning before it.
            (
                "*** authorised use only ***\nWARNING: No backup strategy set for server 'main'\n\
                 ERROR: Impossible to start the backup\nbye\n",
                "ERROR: Impossible to start the backup",
            ),
            ("ERROR: first\nEXCEPTION: the cause\nSee log file for more details.\n", "EXCEPTION: the cause"),
            // Antipode in the place of Barman.
            (
                "Error: no backup.info in base/20261122T030000\n  hint: Barman does not work on main because of it\n",
                "Error: no backup.info in base/20261122T030000",
            ),
            // Other programs say it last.
            ("warning: one\n\nbash: barman: command not found\n\n", "bash: barman: command not found"),
            ("See log file for more details.\n", "See log file for more details."),
        ] {
            assert_eq!(telling_line(said), Some(line), "{said}");
        }
        assert_eq!(telling_line(" \n\n"), None);
    }
}
