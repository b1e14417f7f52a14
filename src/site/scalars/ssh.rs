//! The words of an ssh command, and what Antipode does not let them say.
//!
//! Antipode runs one master connection to a primary and everything else through it. It needs the host key checked
//! strictly (the primary is untrusted, the network more so) and it needs the control socket for itself.

use serde_json::{Value, json};

use super::names::words;
use super::{Mistake, Scalar, UNPRINTABLE, any_case};
use crate::barman::ids::is_unprintable;

/// `ssh`'s flags that stand alone and do no harm.
const PLAIN_FLAGS: &str = "46AaCgKkqTvXxYy";
/// `ssh`'s flags that take a value and do no harm; `o` is judged by its value.
const VALUE_FLAGS: &str = "BbceEFIiJlmoPp";
/// `ssh`'s flags that take a value and would break the master connection.
const REFUSED_VALUE_FLAGS: &str = "DLOQRSWw";

/// Options that Antipode sets for itself, in lower case, and why.
const RESERVED: [(&str, &str); 10] = [
    ("controlmaster", "Antipode runs the master connection itself"),
    ("controlpath", "Antipode runs the master connection itself"),
    ("controlpersist", "Antipode runs the master connection itself"),
    ("remotecommand", "Antipode decides what runs at the primary"),
    ("requesttty", "a terminal would change the bytes that pass through"),
    ("sessiontype", "Antipode decides what runs at the primary"),
    ("forkafterauthentication", "Antipode runs the master connection itself"),
    ("stdinnull", "rsync speaks through standard input"),
    ("nohostauthenticationforlocalhost", "the host key is always checked"),
    ("proxyusefdpass", "the connection must pass through ssh itself"),
];

/// Where ssh goes: `barman@barman.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct Destination(pub String);

impl Scalar for Destination {
    const FORMAT: &'static str = "ssh-destination";

    fn pattern() -> String {
        format!("^{}$", host_pattern())
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let help = "write `user@host`, a host of ~/.ssh/config, or `ssh://user@host:port`";
        let mistake = |why| Err(Mistake::new(format!("{text:?} is not an ssh destination: {why}"), help));
        if text.is_empty() {
            return mistake("it is empty");
        }
        if text.starts_with('-') {
            return mistake("ssh would take what begins with a dash for an option");
        }
        let odd = |c: char| c.is_whitespace() || is_unprintable(c) || matches!(c, '"' | '\'' | '\\' | ',');
        if text.chars().any(odd) {
            return mistake("it contains a space, a quote, a comma, a backslash or a control character");
        }
        Ok(Self(text.to_owned()))
    }
}

fn host_pattern() -> String {
    let odd = format!(r#"\s"'\\,{UNPRINTABLE}"#);
    format!("[^{odd}-][^{odd}]*")
}

/// Hosts to pass through, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct Jump(pub String);

impl Scalar for Jump {
    const FORMAT: &'static str = "ssh-jump";

    fn pattern() -> String {
        let host = host_pattern();
        format!("^{host}(,{host})*$")
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        text.split(',').try_for_each(|host| Destination::parse(host).map(drop))?;
        Ok(Self(text.to_owned()))
    }
}

/// The name of an option of `ssh_config`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::site) struct OptionName(pub String);

impl Scalar for OptionName {
    const FORMAT: &'static str = "ssh-option-name";

    fn pattern() -> String {
        let reserved = RESERVED.map(|(name, _)| any_case(name)).join("|");
        format!("^(?!({reserved})$)[A-Za-z][A-Za-z0-9]*$")
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let well_formed =
            text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !well_formed {
            return Err(Mistake::new(format!("{text:?} is not the name of an ssh option"), "see ssh_config(5)"));
        }
        match reserved(text) {
            Some(why) => Err(Mistake::new(format!("the ssh option `{text}` cannot be set here: {why}"), "remove it")),
            None => Ok(Self(text.to_owned())),
        }
    }
}

fn reserved(name: &str) -> Option<&'static str> {
    RESERVED.iter().find(|(reserved, _)| name.eq_ignore_ascii_case(reserved)).map(|(_, why)| *why)
}

/// The value of an option of `ssh_config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct OptionValue(pub String);

impl Scalar for OptionValue {
    const FORMAT: &'static str = "ssh-option-value";

    fn pattern() -> String {
        format!(r"^[^{UNPRINTABLE}]*[^\s{UNPRINTABLE}][^{UNPRINTABLE}]*$")
    }

    fn types() -> Value {
        json!({ "type": ["string", "integer"] })
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        if text.trim().is_empty() || text.chars().any(is_unprintable) {
            return Err(Mistake::new(format!("{text:?} is not a value of an ssh option"), "see ssh_config(5)"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Judges what only name and value together can tell.
pub(in crate::site) fn check_option(name: &str, value: &str) -> Result<(), Mistake> {
    let strict = name.eq_ignore_ascii_case("StrictHostKeyChecking");
    if strict && !value.eq_ignore_ascii_case("yes") && !value.eq_ignore_ascii_case("true") {
        let message = format!("`StrictHostKeyChecking={value}` would accept a primary that nobody knows");
        return Err(Mistake::new(message, "remove it, and put the primary's host key into known_hosts"));
    }
    // Many a barman.conf says yes, as Antipode does.
    if name.eq_ignore_ascii_case("BatchMode") && !value.eq_ignore_ascii_case("yes") {
        let message = format!("`BatchMode={value}` would wait for an answer that nobody is there to give");
        return Err(Mistake::new(message, "remove it, and use a key without a passphrase or an agent"));
    }
    Ok(())
}

/// A whole ssh command, as barman.conf has it: `ssh -p 22 barman@barman.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct SshCommand {
    /// The program, usually `ssh`.
    pub program: String,
    /// The words between the program and the destination.
    pub options: Vec<String>,
    /// Where it goes.
    pub destination: String,
}

impl Scalar for SshCommand {
    const FORMAT: &'static str = "ssh-command";

    fn pattern() -> String {
        format!(r"^(/[^\s{UNPRINTABLE}]*/)?ssh\s[^{UNPRINTABLE}]*[^\s{UNPRINTABLE}][^{UNPRINTABLE}]*$")
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let mistake = |why: &str| Mistake::new(format!("`{text}` is not an ssh command: {why}"), COMMAND_HELP);
        let words = words(text).map_err(mistake)?;
        let mut words = words.into_iter();
        let program = words.next().unwrap_or_default();
        if program != "ssh" && !(program.starts_with('/') && program.ends_with("/ssh")) {
            return Err(mistake("its first word is not `ssh`"));
        }
        let mut command = Self { program, options: Vec::new(), destination: String::new() };
        // ssh takes options after the destination too; the second bare word begins a remote command.
        while let Some(word) = words.next() {
            if word.starts_with('-') && word.len() > 1 {
                command.flags(word, &mut words)?;
            } else if command.destination.is_empty() {
                command.destination = Destination::parse(&word)?.0;
            } else {
                return Err(mistake(&format!("`{word}` after the destination would run at the primary")));
            }
        }
        if command.destination.is_empty() { Err(mistake("it names no destination")) } else { Ok(command) }
    }
}

/// An ssh command without what Antipode does not let it say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct Salvaged {
    /// What is left of it.
    pub command: SshCommand,
    /// The words that were left out, and why.
    pub left_out: Vec<(String, Mistake)>,
}

impl Salvaged {
    /// Leaves out the options that are refused; a command that is none without them is still a mistake.
    pub(in crate::site) fn parse(text: &str) -> Result<Self, Mistake> {
        let whole = match SshCommand::parse(text) {
            Ok(command) => return Ok(Self { command, left_out: Vec::new() }),
            Err(mistake) => mistake,
        };
        let Ok(words) = words(text) else { return Err(whole) };
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for group in option_groups(words) {
            let is_option = group.first().is_some_and(|word| word.starts_with('-') && word.len() > 1);
            let alone = format!("ssh {} host", shell_words::join(&group));
            match SshCommand::parse(&alone) {
                Err(mistake) if is_option => left_out.push((group.join(" "), mistake)),
                _ => kept.extend(group),
            }
        }
        Ok(Self { command: SshCommand::parse(&shell_words::join(kept))?, left_out })
    }
}

/// Each word by itself, but a flag together with the value that follows it.
pub(in crate::site) fn option_groups(words: Vec<String>) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    let mut wants_value = false;
    for word in words {
        let is_value = wants_value;
        wants_value = !is_value && wants_next_word(&word);
        match groups.last_mut().filter(|_| is_value) {
            Some(group) => group.push(word),
            None => groups.push(vec![word]),
        }
    }
    groups
}

/// Whether the first flag of a word that takes a value is its last character.
fn wants_next_word(word: &str) -> bool {
    let Some(flags) = word.strip_prefix('-') else { return false };
    let takes_value = |c: char| VALUE_FLAGS.contains(c) || REFUSED_VALUE_FLAGS.contains(c);
    flags.find(takes_value).is_some_and(|at| at + 1 == flags.len())
}

const COMMAND_HELP: &str = "write it as `primary_ssh_command` in barman.conf: `ssh -p 22 barman@barman.example.com`";

impl SshCommand {
    /// Takes one word of flags (`-4`, `-p22`, `-4p 22`) and, if its last flag wants one, the value after it.
    fn flags(&mut self, word: String, rest: &mut impl Iterator<Item = String>) -> Result<(), Mistake> {
        let refuse = |flag: char, why: &str| {
            Err(Mistake::new(format!("`-{flag}` cannot be part of the ssh command: {why}"), "remove it"))
        };
        let mut next_word = None;
        for (i, flag) in word.char_indices().skip(1) {
            if PLAIN_FLAGS.contains(flag) {
                continue;
            }
            if REFUSED_VALUE_FLAGS.contains(flag) {
                return refuse(flag, "Antipode runs the master connection itself");
            }
            if !VALUE_FLAGS.contains(flag) {
                return refuse(flag, "Antipode does not know it, or it would break the connection");
            }
            let attached = &word[i + flag.len_utf8()..];
            let value = if attached.is_empty() { rest.next().unwrap_or_default() } else { attached.to_owned() };
            if value.is_empty() {
                return refuse(flag, "its value is missing");
            }
            check_value(flag, &value)?;
            next_word = attached.is_empty().then_some(value);
            break;
        }
        self.options.push(word);
        self.options.extend(next_word);
        Ok(())
    }
}

/// Judges the value of a flag: `-o Name=value`, `-o "Name value"`, `-J host`.
fn check_value(flag: char, value: &str) -> Result<(), Mistake> {
    match flag {
        'J' => Jump::parse(value).map(drop),
        'o' => {
            let (name, value) = value.split_once(['=', ' ']).unwrap_or((value, ""));
            let value = value.trim_start_matches(['=', ' ']);
            OptionName::parse(name.trim())?;
            OptionValue::parse(value)?;
            check_option(name.trim(), value.trim_matches('"'))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_is_found_wherever_it_stands() {
        let command = |text: &str| SshCommand::parse(text).map(|c| (c.options.join(" "), c.destination));
        let expected = |options: &str| Ok((options.to_owned(), "barman@fra".to_owned()));
        assert_eq!(command("ssh barman@fra"), expected(""));
        assert_eq!(command("ssh -p 22 -i ~/.ssh/id barman@fra"), expected("-p 22 -i ~/.ssh/id"));
        assert_eq!(command("/usr/bin/ssh barman@fra -p22 -Cq"), expected("-p22 -Cq"));
        assert_eq!(
            command("ssh -4o Ciphers=aes128-gcm@openssh.com barman@fra"),
            expected("-4o Ciphers=aes128-gcm@openssh.com")
        );
    }

    #[test]
    fn what_would_break_the_connection_is_refused() {
        for bad in [
            "",
            "ssh",
            "rsh host",
            "ssh -p",
            "ssh host true",
            "ssh 'host",
            "ssh -N host",
            "ssh -tt host",
            "ssh -S /tmp/x host",
            "ssh -oStrictHostKeyChecking=no host",
            "ssh -o 'stricthostkeychecking accept-new' host",
            "ssh -o ControlMaster=auto host",
            "ssh -J -oProxyCommand=x host",
            "ssh -o Port host",
            "ssh --help",
        ] {
            assert!(SshCommand::parse(bad).is_err(), "{bad:?}");
        }
        assert!(SshCommand::parse("ssh -oStrictHostKeyChecking=yes host").is_ok());
    }

    #[test]
    fn options_that_are_refused_are_left_out() {
        let salvaged = |text: &str| {
            let salvaged = Salvaged::parse(text).ok()?;
            let left_out: Vec<String> = salvaged.left_out.into_iter().map(|(words, _)| words).collect();
            Some((salvaged.command.options.join(" "), salvaged.command.destination, left_out))
        };
        let expected = |options: &str, left_out: &[&str]| {
            let left_out = left_out.iter().map(|words| (*words).to_owned()).collect();
            Some((options.to_owned(), "barman@fra".to_owned(), left_out))
        };
        assert_eq!(salvaged("ssh -q barman@fra"), expected("-q", &[]));
        assert_eq!(
            salvaged("ssh -p 22 -o StrictHostKeyChecking=no -tt barman@fra -S /tmp/x -oControlMaster=auto"),
            expected("-p 22", &["-o StrictHostKeyChecking=no", "-tt", "-S /tmp/x", "-oControlMaster=auto"])
        );
        for hopeless in ["sshpass -p x ssh host", "ssh host true", "ssh", "ssh 'x"] {
            assert_eq!(salvaged(hopeless), None, "{hopeless}");
        }
    }

    #[test]
    fn a_destination_is_never_an_option() {
        for bad in ["", "-oProxyCommand=x", "a b", "a\tb", "a'b", "a,b", "a\u{202e}b"] {
            assert!(Destination::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["host", "user@host", "ssh://user@host:22", "user@2001:db8::1"] {
            assert!(Destination::parse(good).is_ok(), "{good:?}");
        }
    }
}
