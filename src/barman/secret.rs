//! Secrets in texts that are about to be shown: the one place that knows what they look like.
//!
//! A text may be anything: a conninfo, JSON, a line of YAML, a shell command, a list of words that were quoted again, what a
//! program said. So nothing is parsed as a whole; what speaks of a secret is looked for, and what follows it is masked. It
//! is better to mask too much.

use std::ops::Range;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// What the names of secrets end with, in lower case.
const NAMES: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "passfile",
    "passcode",
    "pass",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "secret_key",
];

/// Names of options whose value is a login with a password behind its colon.
const LOGINS: [&str; 5] = ["-u", "--user", "--proxy-user", "--proxy-auth", "--auth"];

/// The text without its secrets.
pub fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for secret in secrets(text) {
        shown.push_str(&text[end..secret.start]);
        shown.push_str(MASK);
        end = secret.end;
    }
    shown.push_str(&text[end..]);
    shown
}

/// The same with as many bytes, of which each is where it was.
pub fn with_secrets_covered(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for secret in secrets(text) {
        shown.push_str(&text[end..secret.start]);
        shown.extend(std::iter::repeat_n('*', secret.len()));
        end = secret.end;
    }
    shown.push_str(&text[end..]);
    shown
}

/// Where the secrets of a text are, in their order.
fn secrets(text: &str) -> Vec<Range<usize>> {
    if !speaks_of_any(text) {
        return Vec::new();
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut before = Before::default();
    for word in words(text) {
        // What is masked already says nothing.
        if found.last().is_none_or(|last| word.start >= last.end) {
            before.look(text, &word, &mut found);
        }
    }
    found.retain(|secret| !secret.is_empty());
    found
}

/// A text that has none of these has no secret: most are looked at no closer.
fn speaks_of_any(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_at = |at: usize, sign: &str| {
        bytes[at..].get(..sign.len()).is_some_and(|found| found.eq_ignore_ascii_case(sign.as_bytes()))
    };
    // A list of a million lines passes here, of which next to none has any of these.
    bytes.iter().enumerate().any(|(at, byte)| match byte.to_ascii_lowercase() {
        b'p' => is_at(at, "pass") || is_at(at, "pwd"),
        b's' => is_at(at, "secret") || is_at(at, "setenv"),
        b't' => is_at(at, "token"),
        b'k' => is_at(at, "key"),
        b'a' => is_at(at, "auth"),
        b'u' => is_at(at, "user"),
        b'-' => is_at(at, "-u"),
        b':' => is_at(at, "://"),
        _ => false,
    })
}

/// The runs of a text without white space and quotes, with where they begin and end.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_between = |c: char| c.is_whitespace() || is_quote(c) || matches!(c, '`' | ',' | '{' | '}' | '\\');
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(|c| !is_between(c))?;
        let end = text[start..].find(is_between).map_or(text.len(), |length| start + length);
        rest = end;
        Some(start..end)
    })
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

/// What the word before says of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Before {
    /// Nothing.
    #[default]
    Nothing,
    /// It is secret: the one before is an option or a name of such.
    Name,
    /// It is a login, with a password behind its colon.
    Login,
    /// `-p` names a password: it stands behind `sshpass`.
    Sshpass,
    /// It may be an assignment, of which each value is taken for a secret: it stands behind `SetEnv`.
    Environment,
}

impl Before {
    /// Adds what is secret of a word, and of what follows it.
    fn look(&mut self, text: &str, word: &Range<usize>, found: &mut Vec<Range<usize>>) {
        let said = &text[word.clone()];
        let before = std::mem::take(self);
        match before {
            Self::Name if matches!(said, "=" | ":") => *self = Self::Name,
            Self::Name => found.push(value(text, word.start, None)),
            Self::Sshpass if said == "-p" => *self = Self::Name,
            Self::Sshpass if said.starts_with("-p") => found.push(word.start + 2..word.end),
            Self::Login if said.contains(':') => {
                let user = said.find(':').unwrap_or_default();
                found.push(word.start + user + 1..word.end);
            }
            Self::Nothing | Self::Sshpass | Self::Login | Self::Environment => {
                *self = Self::after(before, text, word);
                self.look_for_names(text, word, found);
            }
        }
    }

    /// What a word says of the next one by itself.
    fn after(before: Self, text: &str, word: &Range<usize>) -> Self {
        let said = &text[word.clone()];
        if is_set_env(said) || before == Self::Environment && said.contains('=') {
            return Self::Environment;
        }
        if said.rsplit('/').next() == Some("sshpass") || before == Self::Sshpass && said.starts_with('-') {
            return Self::Sshpass;
        }
        if is_name_of_next(text, word) && names_a_secret(said) {
            return Self::Name;
        }
        if LOGINS.contains(&said) { Self::Login } else { Self::Nothing }
    }

    /// Adds the values of a word's names; `a=b=c` has two: `-oSetEnv=TOKEN=x`, `options=password=x`.
    fn look_for_names(&mut self, text: &str, word: &Range<usize>, found: &mut Vec<Range<usize>>) {
        let said = &text[word.clone()];
        if let Some(userinfo) = of_uri(said) {
            found.push(word.start + userinfo.start..word.start + userinfo.end);
        }
        for (at, sign) in said.char_indices().filter(|(_, c)| matches!(c, '=' | ':')) {
            if found.last().is_some_and(|last| word.start + at < last.end) {
                continue;
            }
            let begins = said[..at].rfind(['=', ':', '&', '?', ';']).map_or(0, |before| before + 1);
            let name = &said[begins..at];
            if is_set_env(name) {
                *self = Self::Environment;
                continue;
            }
            let is_assigned = *self == Self::Environment && sign == '=' && is_name(name);
            // In prose a colon follows many a word.
            let is_secret = names_a_secret(name) && (sign == '=' || name.to_ascii_lowercase().ends_with("password"));
            if is_assigned || is_secret {
                found.push(self.behind(text, word, word.start + at + 1));
            }
        }
    }

    /// What stands behind a sign; the next word where nothing does in this one.
    fn behind(&mut self, text: &str, word: &Range<usize>, at: usize) -> Range<usize> {
        let gap = text[at..].find(|c: char| !matches!(c, ' ' | '\\')).unwrap_or(0);
        if at == word.end && !text[at + gap..].starts_with(is_quote) {
            *self = if gap > 0 { Self::Name } else { *self };
            return at..at;
        }
        value(text, at, Some(word.start))
    }
}

/// The value that begins at a place: what its quotes hold, or what the quotes hold that its name stands in, or one word.
fn value(text: &str, at: usize, name: Option<usize>) -> Range<usize> {
    let begins = text[at..].find(|c: char| !matches!(c, ' ' | '\\')).map_or(text.len(), |gap| at + gap);
    if text[begins..].starts_with(is_quote) {
        return begins + 1..closing(text, begins + 1);
    }
    if text[..name.unwrap_or(at)].ends_with(is_quote) {
        return at..closing_from(text, name.unwrap_or(at), at);
    }
    let is_query = name.is_some_and(|name| text[name..at].contains('?'));
    let ends = |c: char| c.is_whitespace() || is_quote(c) || c == '`' || is_query && c == '&';
    at..text[at..].find(ends).map_or(text.len(), |length| at + length)
}

/// Where the quote ends that begins just before a place.
fn closing(text: &str, inside: usize) -> usize {
    closing_from(text, inside, inside)
}

/// The same, looked for from a place on. A quote that was escaped ends with one that is; any other with none that is.
fn closing_from(text: &str, inside: usize, from: usize) -> usize {
    let before = &text[..inside];
    let Some(quote) = before.chars().next_back() else { return text.len() };
    let is_escaped = before[..before.len() - quote.len_utf8()].ends_with('\\');
    let mut escaped = false;
    let mut ends = text[from..].char_indices().filter_map(|(at, c)| {
        let was_escaped = escaped;
        escaped = c == '\\' && !was_escaped;
        (c == quote && was_escaped == is_escaped).then_some(from + at - usize::from(is_escaped))
    });
    ends.next().unwrap_or(text.len())
}

/// The password of `scheme://user:password@host`, or all before the `@` of a scheme whose users are no secrets.
fn of_uri(word: &str) -> Option<Range<usize>> {
    let begins = word.find("://")? + 3;
    let authority = word[begins..].find(['/', '?', '#']).map_or(word.len(), |length| begins + length);
    let at = begins + word[begins..authority].rfind('@')?;
    match word[begins..at].find(':') {
        Some(colon) => Some(begins + colon + 1..at),
        None => word[..begins].ends_with("https://").then_some(begins..at),
    }
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|end| name.ends_with(end))
}

fn is_set_env(name: &str) -> bool {
    name.trim_start_matches("-o").eq_ignore_ascii_case("SetEnv")
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a word names what follows it, as an option or in a map of JSON or YAML: `--password x`, `"password": "x"`.
fn is_name_of_next(text: &str, word: &Range<usize>) -> bool {
    let said = &text[word.clone()];
    let rest = text[word.end..].trim_start_matches(['"', '\'', '\\']);
    said.starts_with("--") || rest.trim_start().starts_with([':', '='])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passwords_are_masked_however_they_are_written() {
        for (text, shown) in [
            ("host=pg password=s3cret dbname=x", "host=pg password=*** dbname=x"),
            ("host=pg passfile=/s3cret user=b", "host=pg passfile=*** user=b"),
            ("host=pg pwd=s3cret", "host=pg pwd=***"),
            ("password = 's3 cret' user=b", "password = '***' user=b"),
            ("password='s3cr", "password='***"),
            (r#""conninfo": "user=b password=s3cret", "x": 1"#, r#""conninfo": "user=b password=***", "x": 1"#),
            (r#"{"password": "s3cret", "x": 1}"#, r#"{"password": "***", "x": 1}"#),
            (r#"{"x": "{\"password\": \"s3cret\"}"}"#, r#"{"x": "{\"password\": \"***\"}"}"#),
            ("PGPASSWORD=s3cret PASSWORD=s3cret", "PGPASSWORD=*** PASSWORD=***"),
            ("postgresql://b:s3cret@pg:5432/x?password=s3cret&y", "postgresql://b:***@pg:5432/x?password=***&y"),
            ("password authentication failed for user é", "password authentication failed for user é"),
            ("http://pg:5432/x a@b", "http://pg:5432/x a@b"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }

    #[test]
    fn secret_words_of_commands_are_masked() {
        for (command, shown) in [
            ("ssh -p 22 barman@fra", "ssh -p 22 barman@fra"),
            ("sshpass -p s3cret ssh -p 22 barman@fra", "sshpass -p *** ssh -p 22 barman@fra"),
            ("/usr/bin/sshpass -v -ps3cret ssh b@fra", "/usr/bin/sshpass -v -p*** ssh b@fra"),
            ("env SSHPASS=s3cret sshpass -e ssh b@fra", "env SSHPASS=*** sshpass -e ssh b@fra"),
            ("notify --token s3cret --to dba", "notify --token *** --to dba"),
            ("notify --api-token=s3cret  x", "notify --api-token=***  x"),
            ("psql 'host=x password=s3cret'", "psql 'host=x password=***'"),
            ("curl https://u:s3cret@hooks/x", "curl https://u:***@hooks/x"),
            ("curl https://s3cret@hooks/x ssh://b@fra", "curl https://***@hooks/x ssh://b@fra"),
            ("ncat --proxy-auth u:s3cret fra", "ncat --proxy-auth u:*** fra"),
            ("ssh -o SetEnv=TOKEN=s3cret fra", "ssh -o SetEnv=TOKEN=*** fra"),
            ("ssh -oSetEnv=X=s3cret fra", "ssh -oSetEnv=X=*** fra"),
            ("ssh -o 'SetEnv A=s3cret B=s3cret' fra", "ssh -o 'SetEnv A=*** B=***' fra"),
            ("ssh -o 'SetEnv=A=s3 cret' fra", "ssh -o 'SetEnv=A=***' fra"),
            (r#""ssh" "-o" "SetEnv=A=s3cret" "fra""#, r#""ssh" "-o" "SetEnv=A=***" "fra""#),
            ("ssh -o 'ProxyCommand=p --password s3cret %h' fra", "ssh -o 'ProxyCommand=p --password *** %h' fra"),
            (r#"ssh -o 'ProxyCommand=p --pass "s3 cret" %h' fra"#, r#"ssh -o 'ProxyCommand=p --pass "***" %h' fra"#),
            (
                r#"ssh -o "ProxyCommand=p '--password=s3 cret' %h" fra"#,
                r#"ssh -o "ProxyCommand=p '--password=***' %h" fra"#,
            ),
            ("options: {SetEnv: A=s3cret}", "options: {SetEnv: A=***"),
            ("ssh -i ~/.ssh/key -o BatchMode=yes fra", "ssh -i ~/.ssh/key -o BatchMode=yes fra"),
        ] {
            assert_eq!(without_secrets(command), shown);
        }
    }

    #[test]
    fn what_is_covered_moves_nothing() {
        let text = "ssh_command: ssh -o 'SetEnv=TOKEN=s3crét' fra  # é";
        let covered = with_secrets_covered(text);
        assert_eq!((covered.len(), covered.find("fra")), (text.len(), text.find("fra")));
        assert!(!covered.contains("s3cr"), "{covered}");
    }

    proptest! {
        #[test]
        fn any_text_can_be_looked_at(text in r#"([ a-z=:'"\\,{}é]|password|SetEnv=|--token |://|@|-u |sshpass )*"#) {
            let covered = with_secrets_covered(&text);
            prop_assert_eq!(covered.len(), text.len());
            without_secrets(&text);
        }

        #[test]
        fn a_secret_behind_its_name_is_never_shown(
            before in "[ a-z:@é]*",
            name in "(password=|SetEnv=A=|--token |--password=|pwd=|TOKEN=|passfile=)",
            after in "( [a-z =:']*)?",
        ) {
            let text = format!("{before} {name}S3CRET{after}");
            prop_assert!(!without_secrets(&text).contains("S3CRET"), "{}", without_secrets(&text));
        }
    }
}
