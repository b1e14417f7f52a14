//! What ssh meant when it gave up.

use std::time::Duration;

use crate::error::{Error, Kind};
use crate::transport::text::printable_tail;
use crate::user::User;

/// Who was called, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination<'a> {
    /// The primary's name in the site file.
    pub(super) primary: &'a str,
    /// The ssh command.
    pub(super) words: &'a [String],
}

impl Destination<'_> {
    fn host(&self) -> &str {
        self.words.last().map_or("", String::as_str)
    }

    pub(super) fn error(&self, kind: Kind, what: &str, stderr: &[u8]) -> Error {
        Error::new(kind, format!("primary {} ({}): {what}", self.primary, self.host())).saying(printable_tail(stderr))
    }

    /// ssh was still busy when our patience ended.
    pub(super) fn timed_out(&self, patience: Duration, stderr: &[u8]) -> Error {
        let what = format!("no connection after {} s", patience.as_secs());
        self.error(Kind::Unreachable, &what, stderr).hint("raise `timeouts.connect` of the primary if it is only slow")
    }

    /// A connection that ended before anybody used it: the next try may be luckier.
    pub(super) fn gone_at_once(&self, error: &std::io::Error) -> Error {
        self.error(Kind::Lost, &format!("the connection ended before it was used: {error}"), &[])
            .hint(format!("where this happens each time, run it by hand: {} true", self.by_hand()))
    }

    /// A command that the user can run to see more.
    fn by_hand(&self) -> String {
        shell_words::join(self.words)
    }
}

/// What a fragment of ssh's stderr means.
struct Symptom {
    fragment: &'static str,
    kind: Kind,
    what: &'static str,
    hint: Hint,
}

enum Hint {
    Text(&'static str),
    /// How to see the key and to accept it.
    LearnHostKey,
    /// How to forget the old key, once the new one is known to be good.
    ReplaceHostKey,
    /// Run it by hand.
    ByHand,
}

const fn symptom(fragment: &'static str, kind: Kind, what: &'static str, hint: Hint) -> Symptom {
    Symptom { fragment, kind, what, hint }
}

/// In the order in which they are looked for: the specific before what follows from it.
const SYMPTOMS: &[Symptom] = &[
    symptom(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        Kind::HostKey,
        "its host key is not the one that ssh knows: the machine was reinstalled, or another one answers",
        Hint::ReplaceHostKey,
    ),
    symptom(
        "REVOKED HOST KEY",
        Kind::HostKey,
        "its host key is revoked",
        Hint::Text("do not connect; ask its administrator"),
    ),
    symptom("host key is known for", Kind::HostKey, "ssh does not know its host key", Hint::LearnHostKey),
    symptom("Host key verification failed", Kind::HostKey, "ssh does not trust its host key", Hint::LearnHostKey),
    symptom(
        "UNPROTECTED PRIVATE KEY FILE",
        Kind::Authentication,
        "ssh ignores the private key because others may read it",
        Hint::Text("chmod 600 the key file"),
    ),
    symptom(
        "not accessible: No such file or directory",
        Kind::Authentication,
        "the private key file does not exist here",
        Hint::Text("correct the path of the key (`identity_file`, or `-i` in `ssh_command`)"),
    ),
    symptom(
        "Too many authentication failures",
        Kind::Authentication,
        "it was offered too many keys",
        Hint::Text("name the key (`identity_file`) and set the ssh option `IdentitiesOnly: yes`"),
    ),
    symptom("Permission denied (", Kind::Authentication, "it refuses our key or user", Hint::ByHand),
    symptom("Could not resolve hostname", Kind::Unreachable, "its name cannot be resolved", Hint::ByHand),
    symptom(
        "Connection refused",
        Kind::Unreachable,
        "it refuses connections",
        Hint::Text("check that sshd runs there, and the port"),
    ),
    symptom(
        "timed out",
        Kind::Unreachable,
        "it does not answer in time",
        Hint::Text("check the network, the firewalls and the port"),
    ),
    symptom("No route to host", Kind::Unreachable, "there is no route to it", Hint::Text("check the network")),
    symptom("Network is unreachable", Kind::Unreachable, "its network is unreachable", Hint::Text("check the network")),
    symptom(
        "no matching",
        Kind::Other,
        "no algorithm is acceptable to both sides",
        Hint::Text("compare the ssh options (Ciphers, MACs, KexAlgorithms, HostKeyAlgorithms) of both sides"),
    ),
    symptom(
        "Bad configuration option",
        Kind::Other,
        "ssh does not know one of its options",
        Hint::Text("correct the ssh options of the primary"),
    ),
    symptom(
        "kex_exchange_identification",
        Kind::Unreachable,
        "it closed the connection at once",
        Hint::Text("its sshd may be overloaded (MaxStartups) or may not accept this address"),
    ),
    symptom("Connection closed", Kind::Unreachable, "it closed the connection", Hint::ByHand),
    symptom("Connection reset", Kind::Unreachable, "it closed the connection", Hint::ByHand),
];

/// The error for an ssh that ended with this code instead of opening a connection.
pub(super) fn diagnose(destination: Destination<'_>, code: Option<i32>, stderr: &[u8]) -> Error {
    let said = printable_tail(stderr);
    let Some(symptom) = SYMPTOMS.iter().find(|symptom| said.contains(symptom.fragment)) else {
        let what = match code {
            Some(code) => format!("ssh failed with exit code {code}"),
            None => "ssh was ended by a signal".to_owned(),
        };
        let hint = format!("run it by hand: {} true", destination.by_hand());
        return destination.error(Kind::Other, &what, stderr).hint(hint);
    };
    let hint = match symptom.hint {
        Hint::Text(text) => text.to_owned(),
        Hint::ByHand => format!("run it by hand: {} true", destination.by_hand()),
        Hint::LearnHostKey => {
            let (user, file) = (User::of_this_run(), known_hosts(destination.words));
            format!(
                "Antipode never accepts a key by itself. It runs as {user}, and ssh looked in {}: is that the user that \
                 Barman runs as? See its key with `{}`, compare the fingerprint (`ssh-keygen -lf -`) with what its \
                 administrator tells you, and add the line there",
                file.unwrap_or_else(|| own_known_hosts(&user)),
                keyscan(&said)
            )
        }
        Hint::ReplaceHostKey => format!(
            "ask its administrator for the new fingerprint before anything else; only then forget the old key: `{}`",
            forget(&said)
        ),
    };
    destination.error(symptom.kind, symptom.what, stderr).hint(hint)
}

/// The file of known hosts that an ssh command names.
fn known_hosts(words: &[String]) -> Option<String> {
    words.iter().find_map(|word| {
        let (key, file) = word.strip_prefix("-o").unwrap_or(word).trim().split_once(['=', ' '])?;
        key.eq_ignore_ascii_case("UserKnownHostsFile").then(|| file.trim().to_owned())
    })
}

/// Where ssh looks for known hosts of a user.
fn own_known_hosts(user: &User) -> String {
    let home = user.home().map_or_else(|| "~".to_owned(), |home| home.display().to_string());
    format!("{home}/.ssh/known_hosts")
}

/// `ssh-keyscan` for the name that ssh looked up.
fn keyscan(said: &str) -> String {
    let name = between(said, "host key is known for ", " and you").unwrap_or("HOST");
    match name.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((host, port)) => format!("ssh-keyscan -p {port} {host}"),
        None => format!("ssh-keyscan {name}"),
    }
}

/// The command that ssh itself proposes, or its general form.
fn forget(said: &str) -> &str {
    said.lines().map(str::trim).find(|line| line.starts_with("ssh-keygen -f")).unwrap_or("ssh-keygen -R HOST")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stderr: &str) -> Error {
        let words = ["ssh", "-p", "2222", "barman@fra"].map(String::from);
        diagnose(Destination { primary: "frankfurt", words: &words }, Some(255), stderr.as_bytes())
    }

    #[test]
    fn real_messages_of_openssh_are_understood() {
        for (stderr, kind) in [
            ("ssh: Could not resolve hostname nosuch.invalid: Name or service not known\r\n", Kind::Unreachable),
            ("ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n", Kind::Unreachable),
            ("ssh: connect to host 10.255.255.1 port 22: Connection timed out\r\n", Kind::Unreachable),
            (
                "Connection timed out during banner exchange\r\nConnection to 127.0.0.1 port 40099 timed out\r\n",
                Kind::Unreachable,
            ),
            ("kex_exchange_identification: Connection closed by remote host\r\n", Kind::Unreachable),
            ("root@127.0.0.1: Permission denied (publickey,keyboard-interactive).\r\n", Kind::Authentication),
            (
                "Warning: Identity file nofile not accessible: No such file or directory.\nroot@127.0.0.1: Permission denied (publickey).\r\n",
                Kind::Authentication,
            ),
            ("command-line: line 0: Bad configuration option: foo\r\n", Kind::Other),
            (
                "Unable to negotiate with 127.0.0.1 port 40022: no matching cipher found. Their offer: aes128-ctr\r\n",
                Kind::Other,
            ),
            ("", Kind::Other),
        ] {
            let error = of(stderr);
            assert_eq!(error.kind, kind, "{stderr}");
            assert!(error.message.starts_with("primary frankfurt (barman@fra): "), "{}", error.message);
            assert!(error.hint.is_some());
        }
    }

    #[test]
    fn the_file_of_known_hosts_is_the_one_that_the_command_names_or_the_users_own() {
        let named = |words: &[&str]| known_hosts(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(named(&["ssh", "-o", "UserKnownHostsFile=/k h", "fra"]).as_deref(), Some("/k h"));
        assert_eq!(named(&["ssh", "-ouserknownhostsfile /k", "fra"]).as_deref(), Some("/k"));
        assert_eq!(named(&["ssh", "-o", "Port=2222", "barman@fra"]), None);
    }

    #[test]
    fn an_unknown_host_key_is_looked_up_where_ssh_did() {
        let error =
            of("No ED25519 host key is known for [127.0.0.1]:40022 and you have requested strict checking.\r\n\
                        Host key verification failed.\r\n");
        assert_eq!(error.kind, Kind::HostKey);
        assert!(error.message.ends_with("ssh does not know its host key"));
        assert!(error.hint.unwrap().contains("`ssh-keyscan -p 40022 127.0.0.1`"));
    }

    #[test]
    fn a_changed_host_key_is_not_called_unknown() {
        let error = of("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n  remove with:\r\n  \
                        ssh-keygen -f \"kh2\" -R \"[127.0.0.1]:40022\"\r\nHost key verification failed.\r\n");
        assert_eq!(error.kind, Kind::HostKey);
        let hint = error.hint.unwrap();
        assert!(hint.contains("ssh-keygen -f \"kh2\" -R \"[127.0.0.1]:40022\"") && hint.contains("administrator"));
    }
}
