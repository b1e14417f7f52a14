//! The messages that the code can tell, read off its sources.

use std::fs;
use std::path::{Path, PathBuf};

/// Where messages about site files, connections and copies are made.
const FOLDERS: [&str; 3] = ["src/error", "src/site", "src/transport"];

/// Texts that are no messages: words of other programs, what runs elsewhere, patterns of the schema, lines of a log.
const NO_MESSAGES: [&str; 18] = [
    "^https?://",
    "^(unlimited|",
    "^(@[a-z]+|",
    "[0-9]{1,6} ?(",
    "|(?=.*[1-9])",
    "a YAML value",
    "read _; kill -s TERM 0",
    "trap \"\" XFSZ;",
    "; code=$?;",
    ">&2; exit $code",
    "remote shell:",
    "rsync error:",
    "invalid option",
    "file has vanished: \"",
    "ignoring unsafe symlink \"",
    "left by a run that was killed",
    "the connection is gone, opening another",
    "opens a connection",
];

/// What takes more than a few lines to cause, and where that is done.
const ELSEWHERE: [(&str, &str); 12] = [
    ("a primary that was taken over could use rsync", "tests/bad_input/programs.rs"),
    ("against this site:", "tests/bad_input/programs.rs"),
    ("its package names no remedy", "tests/bad_input/programs.rs"),
    ("no package shows a remedy", "tests/bad_input/programs.rs"),
    ("upgrade rsync at this site to 3.5.0 or newer", "tests/bad_input/programs.rs"),
    ("free space on this file system and apply again", "tests/bad_input/disk.rs"),
    ("the address in", "src/hooks/tests.rs"),
    ("antipode gate:", "tests/gate/commands.rs"),
    ("more came of a file than there was", "tests/bad_input/growth.rs"),
    ("answered more than", "tests/bad_input/growth.rs"),
    ("is a symbolic link, and is not followed", "tests/bad_input/links.rs"),
    ("see who made it; another disk belongs", "tests/bad_input/links.rs"),
];

/// What nobody can cause at will, and when it is told.
const BY_CHANCE: [(&str, &str); 17] = [
    ("the file system is mounted read-only", "when that happens during a run"),
    ("needs a home directory, and none is known", "to a user whom the system does not know"),
    ("it became shorter while it was copied", "when the primary writes a file at that moment"),
    ("a file would be written through this symbolic link", "when somebody makes one during a run"),
    ("the directory does not exist", "when somebody removes it during a run"),
    ("a part of it is not here", "when somebody removes it during a run"),
    ("it contains a NUL", "never, as neither a directory nor rsync has such a name"),
    ("it is not a plain path below the directory", "never, as what reads the lists refuses such names"),
    ("is refused:", "never, as what reads the lists and sync-info refuses such names"),
    ("the output of rsync was cut off", "when a pipe fails"),
    ("the connection is closed", "when a run ends while something still begins"),
    ("ssh does not answer any more", "when the master is stopped while Barman works"),
    ("cannot name a directory that has a backtick", "with an rsync before 3.5.0, which tests/transport_ssh may meet"),
    ("upgrade rsync here to 3.5.0 or newer", "then too"),
    ("the bandwidth cannot be limited:", "where the temporary directory fills up during a run, or has no FIFOs"),
    ("set TMPDIR to a directory that can be written", "then too"),
    ("whoever limits the bandwidth has ended", "to the rsync of a run that is killed"),
];

/// The texts of a program, without its tests, its comments and what the compiler reads.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let is_code = |line: &&str| !["//", "#["].iter().any(|start| line.trim_start().starts_with(start));
    let code = source.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    let (mut literals, mut rest) = (Vec::new(), code.as_str());
    while let Some(at) = rest.find(['"', '\'']) {
        let is_raw = rest[..at].trim_end_matches('#').ends_with('r');
        let (literal, behind) = match &rest[at..] {
            quoted if quoted.starts_with('\'') => (None, after_quote(quoted)),
            quoted if is_raw => {
                let end = if rest[..at].ends_with('#') { "\"#" } else { "\"" };
                let (literal, behind) = quoted[1..].split_once(end).expect("a raw text ends");
                (Some(literal.to_owned()), behind)
            }
            quoted => {
                let (literal, behind) = unescaped(&quoted[1..]);
                (Some(literal), behind)
            }
        };
        literals.extend(literal);
        rest = behind;
    }
    literals
}

/// What follows a quote of one character, or the name of a lifetime.
fn after_quote(quoted: &str) -> &str {
    let mut chars = quoted.char_indices().skip(1);
    let skipped = match chars.next() {
        Some((_, '\\')) => quoted[3..].find('\'').map(|end| 3 + end + 1),
        _ => chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1),
    };
    &quoted[skipped.unwrap_or(1)..]
}

/// The text up to its closing quote, and what follows that.
fn unescaped(quoted: &str) -> (String, &str) {
    let (mut literal, mut chars) = (String::new(), quoted.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (literal, &quoted[at + 1..]),
            '\\' => match chars.next().expect("what is escaped").1 {
                'n' => literal.push('\n'),
                // The text goes on in the next line, behind its blanks.
                '\n' => {
                    let blanks = chars.as_str().len() - chars.as_str().trim_start().len();
                    chars.by_ref().take(blanks).for_each(drop);
                }
                c => literal.push(c),
            },
            c => literal.push(c),
        }
    }
    panic!("a text ends: {quoted}")
}

/// The words of a message between what is put into it at run time; those that say something.
fn fragments(message: &str) -> Vec<String> {
    let plain = message.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut fragments = vec![String::new()];
    let mut is_inside = false;
    for c in plain.chars() {
        match c {
            '{' => (is_inside, ()) = (true, fragments.push(String::new())),
            '}' => is_inside = false,
            _ if is_inside => {}
            '\u{1}' => fragments.last_mut().expect("the first").push('{'),
            '\u{2}' => fragments.last_mut().expect("the first").push('}'),
            c => fragments.last_mut().expect("the first").push(c),
        }
    }
    let words = fragments.iter().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    words.filter(|text| text.contains(' ') && text.len() >= 10).collect()
}

fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = FOLDERS.iter().flat_map(|folder| walkdir::WalkDir::new(root.join(folder)).sort_by_file_name());
    let files = files.map(|entry| entry.expect("a source").into_path());
    // What `init` writes has golden files of its own; the scripted transport is for tests.
    let is_one = |path: &Path| {
        let name = path.display().to_string();
        path.extension().is_some_and(|extension| extension == "rs")
            && !["/tests", "/written/", "fake.rs"].iter().any(|other| name.contains(other))
    };
    files.filter(|path| is_one(path)).collect()
}

fn is_excepted(fragment: &str) -> bool {
    let others = ELSEWHERE.iter().chain(&BY_CHANCE).map(|(text, _)| text);
    // Of a message whose middle is put in at run time, what stands before that says nothing alone.
    ["the directory", "the path"].iter().any(|start| fragment.trim_start_matches([':', ' ']) == *start)
        || NO_MESSAGES.iter().chain(others).any(|text| fragment.contains(text))
}

/// Each message of the code that the tables do not have.
pub fn untold(tables: &str) -> Vec<String> {
    let tables = tables.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    let mut untold = Vec::new();
    for path in sources() {
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below it").display().to_string();
        for literal in literals(&fs::read_to_string(&path).expect("a source")) {
            let missing = fragments(&literal).into_iter().filter(|fragment| !tables.contains(fragment));
            let missing = missing.filter(|fragment| !is_excepted(fragment));
            untold.extend(missing.map(|fragment| format!("{name}: {fragment}")));
        }
    }
    untold
}

#[test]
fn the_words_of_a_source_are_found() {
    let source = "//! \"a comment\"\n#[serde(rename = \"x y z\")]\nlet a = \"one \\\"two\\\" \\\n    three {word} four five six\";\n\
                  b('\"', '\\'', &'a, \"{{least}} of all\", r#\"a \"raw\" one\"#);\n#[cfg(test)]\nmod tests { \"not this one\" }";
    let found: Vec<String> = literals(source).iter().flat_map(|literal| fragments(literal)).collect();
    assert_eq!(found, ["one \"two\" three", "four five six", "{least} of all", "a \"raw\" one"]);
}

#[test]
fn no_message_of_the_code_is_missing_in_the_tables() {
    let tables =
        ["site_files", "connections", "copies", "questions", "directories", "mirrors", "addresses"].map(|name| {
            let module = if ["site_files", "connections"].contains(&name) { name } else { "copies" };
            let file = format!("bad_input__messages__{module}__{name}.snap");
            fs::read_to_string(
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_input/messages/snapshots").join(file),
            )
            .expect("a table")
        });
    let untold = untold(&tables.concat());
    assert!(untold.is_empty(), "nobody has read these messages: {untold:#?}");
}

#[test]
fn what_is_told_elsewhere_is_told_there() {
    for (text, path) in ELSEWHERE {
        let test = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a test");
        assert!(test.contains(text), "{path}: {text}");
    }
}
