//! Barman's `primary_ssh_command` as a site file says it.

use std::collections::BTreeSet;

use super::super::scalars::{Jump, OptionName, OptionValue, Salvaged, Scalar, SshCommand, option_groups};
use super::super::yaml;

/// What a shell does more with than split it into words; Barman gives the command to one.
const SHELL: &str = "$`;|&<>()*?!#\n";

/// The way to a primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The host, without user and port.
    pub host: String,
    /// Words that were left out, and why.
    pub left_out: Vec<(String, String)>,
    way: Way,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// `ssh: {…}` says all of it: keys and values in the order of the examples.
    Keys { pairs: Vec<(&'static str, String)>, options: Vec<(String, String)> },
    /// `ssh_command: …`
    Command(String),
}

impl Access {
    /// Reads Barman's command; an error says why a site file cannot say it. The error names no more of the command
    /// than its first word, as a password may follow.
    pub fn read(command: &str) -> Result<Self, String> {
        if let Some(found) = command.chars().find(|c| SHELL.contains(*c)) {
            return Err(format!("a shell would read more than words into its {found:?}"));
        }
        let first = command.split_whitespace().next().unwrap_or_default();
        if first != "ssh" && !first.ends_with("/ssh") {
            return Err(format!("its first word is {first:?} and not `ssh`"));
        }
        let salvaged =
            Salvaged::parse(command).map_err(|_| "it is not `ssh` with options and one destination".to_owned())?;
        let left_out: Vec<(String, String)> = salvaged
            .left_out
            .into_iter()
            .map(|(words, mistake)| (words, format!("{}; {}", mistake.message, mistake.help)))
            .collect();
        let way = keys(&salvaged.command).unwrap_or_else(|| {
            Way::Command(if left_out.is_empty() { command.trim().to_owned() } else { join(&salvaged.command) })
        });
        Ok(Self { host: host(&salvaged.command.destination).to_owned(), left_out, way })
    }

    /// Has the connection compressed.
    pub fn compress(&mut self) {
        match &mut self.way {
            Way::Keys { options, .. } => {
                if !options.iter().any(|(name, _)| name.eq_ignore_ascii_case("Compression")) {
                    options.push(("Compression".to_owned(), "yes".to_owned()));
                }
            }
            Way::Command(command) => {
                if let Some((program, rest)) = command.split_once(char::is_whitespace) {
                    *command = format!("{program} -C {rest}");
                }
            }
        }
    }

    /// The line of the site file.
    pub fn line(&self) -> String {
        match &self.way {
            Way::Command(command) => format!("ssh_command: {}", yaml::scalar(command)),
            Way::Keys { pairs, options } => {
                let pair = |(key, value): (&str, &str)| format!("{}: {}", yaml::scalar(key), yaml::scalar(value));
                let mut parts: Vec<String> = pairs
                    .iter()
                    .map(|(key, value)| if *key == "port" { format!("port: {value}") } else { pair((key, value)) })
                    .collect();
                if !options.is_empty() {
                    let options: Vec<String> = options.iter().map(|(key, value)| pair((key, value))).collect();
                    parts.push(format!("options: {{{}}}", options.join(", ")));
                }
                format!("ssh: {{{}}}", parts.join(", "))
            }
        }
    }
}

/// The keys that say the same; `None` where they cannot say all of it. With `identity_file` no other key is tried, so
/// it stands for `-i` only where the command says that too.
fn keys(command: &SshCommand) -> Option<Way> {
    if command.program != "ssh" {
        return None;
    }
    let (mut port, mut identity, mut jump) = (None, None, None);
    let mut options: Vec<(String, String)> = Vec::new();
    for group in option_groups(command.options.clone()) {
        let [flag, value] = <[String; 2]>::try_from(group).ok()?;
        let place = match flag.as_str() {
            "-p" => &mut port,
            "-i" => &mut identity,
            "-J" => &mut jump,
            "-o" => {
                let (name, value) = value.split_once('=')?;
                OptionName::parse(name).ok()?;
                OptionValue::parse(value).ok()?;
                options.push((name.to_owned(), value.to_owned()));
                continue;
            }
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    let names: BTreeSet<String> = options.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    if names.len() < options.len() {
        return None;
    }
    let mut pairs = vec![("destination", command.destination.clone())];
    if let Some(port) = port {
        pairs.push(("port", port.parse::<u16>().ok().filter(|port| *port > 0)?.to_string()));
    }
    if let Some(file) = identity {
        let only = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("IdentitiesOnly") && value.eq_ignore_ascii_case("yes")
        };
        let at = options.iter().position(only)?;
        options.remove(at);
        super::super::scalars::HomePath::parse(&file).ok()?;
        pairs.push(("identity_file", file));
    }
    if let Some(jump) = jump {
        pairs.push(("jump", Jump::parse(&jump).ok()?.0));
    }
    Some(Way::Keys { pairs, options })
}

/// The command as text that a shell would split into the same words; a leading `~/` stays what it is.
fn join(command: &SshCommand) -> String {
    let words = std::iter::once(&command.program).chain(&command.options).chain([&command.destination]);
    let quote = |word: &String| match word.strip_prefix("~/") {
        Some(below) => format!("~/{}", shell_words::quote(below)),
        None => shell_words::quote(word).into_owned(),
    };
    words.map(quote).collect::<Vec<_>>().join(" ")
}

/// `user@host`, `ssh://user@host:port` or a host.
fn host(destination: &str) -> &str {
    let uri = destination.strip_prefix("ssh://");
    let rest = uri.unwrap_or(destination);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    match uri {
        Some(_) => host.split_once(':').map_or(host, |(host, _)| host),
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_become_keys_where_these_say_all_of_it() {
        for (command, line) in [
            ("ssh barman@fra", "ssh: {destination: \"barman@fra\"}"),
            ("ssh -p 2222 barman@fra -J bastion", "ssh: {destination: \"barman@fra\", port: 2222, jump: bastion}"),
            (
                "ssh -i ~/.ssh/id -o IdentitiesOnly=yes -o Ciphers=aes128-ctr barman@fra",
                "ssh: {destination: \"barman@fra\", identity_file: ~/.ssh/id, options: {Ciphers: aes128-ctr}}",
            ),
            ("ssh -o BatchMode=yes fra", "ssh: {destination: fra, options: {BatchMode: \"yes\"}}"),
            ("ssh -i ~/.ssh/id barman@fra", "ssh_command: ssh -i ~/.ssh/id barman@fra"),
            ("  ssh -q -p22 barman@fra ", "ssh_command: ssh -q -p22 barman@fra"),
            ("/usr/bin/ssh fra", "ssh_command: /usr/bin/ssh fra"),
            ("ssh -p 1 -p 2 fra", "ssh_command: ssh -p 1 -p 2 fra"),
        ] {
            assert_eq!(
                Access::read(command).unwrap().line().replace("\"barman@fra\"", "barman@fra"),
                line.replace("\"barman@fra\"", "barman@fra"),
                "{command}"
            );
        }
    }

    #[test]
    fn what_antipode_does_not_let_a_command_say_is_left_out_and_told() {
        let access = Access::read("ssh -q -i ~/.ssh/id -o StrictHostKeyChecking=no -t barman@fra").unwrap();
        assert_eq!(access.line(), "ssh_command: ssh -q -i ~/.ssh/id -t barman@fra".replace(" -t", ""));
        let [(first, why), (second, _)] = &access.left_out[..] else { panic!("{:?}", access.left_out) };
        assert_eq!((first.as_str(), second.as_str()), ("-o StrictHostKeyChecking=no", "-t"));
        assert!(why.contains("known_hosts"), "{why}");
    }

    #[test]
    fn a_command_that_is_no_plain_ssh_is_refused_without_quoting_it() {
        for command in ["sshpass -p s3cret ssh fra", "ssh fra s3cret", "ssh -i $HOME/s3cret fra", "ssh 's3cret fra", ""]
        {
            let why = Access::read(command).unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn a_connection_is_compressed_once() {
        let line = |command: &str| {
            let mut access = Access::read(command).unwrap();
            access.compress();
            access.line()
        };
        assert_eq!(line("ssh fra"), "ssh: {destination: fra, options: {Compression: \"yes\"}}");
        assert_eq!(line("ssh -oCompression=no -q fra"), "ssh_command: ssh -C -oCompression=no -q fra");
    }

    #[test]
    fn the_host_is_found_in_every_form_of_destination() {
        for destination in ["fra.example.com", "barman@fra.example.com", "ssh://barman@fra.example.com:22"] {
            assert_eq!(host(destination), "fra.example.com");
        }
    }
}
