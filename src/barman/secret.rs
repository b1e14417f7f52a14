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
    // What the words before mean for this one.
    let mut before = Before::default();
    for word in words(text) {
        // Within what is masked already nothing speaks.
        if found.last().is_some_and(|last| word.start < last.end) {
            continue;
        }
        found.extend(before.secret(text, &word));
    }
    found.retain(|secret| !secret.is_empty());
    found
}

/// A text that has none of these has no secret: most are looked at no closer.
fn speaks_of_any(text: &str) -> bool {
    let lowered = text.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "://", "setenv", "auth", "-u", "user"]
        .iter()
        .any(|sign| lowered.contains(sign))
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

/// What the words so far say of the next one.
#[derive(Default)]
struct Before {
    /// An option, or a name, that is a secret's: the next word is one.
    is_named: bool,
    /// An option whose value has a password behind its colon.
    is_login: bool,
    /// `sshpass`, whose `-p` names a password.
    is_sshpass: bool,
    /// `SetEnv`: each value is taken for a secret.
    is_environment: bool,
}

impl Before {
    /// What is secret of a word and what follows it.
    fn secret(&mut self, text: &str, word: &Range<usize>) -> Option<Range<usize>> {
        let said = &text[word.clone()];
        let before = std::mem::take(self);
        if before.is_named && !matches!(said, "=" | ":") {
            return Some(value(text, word.start, None));
        }
        if before.is_named {
            self.is_named = true;
            return None;
        }
        if before.is_login
            && let Some(colon) = said.find(':')
        {
            return Some(word.start + colon + 1..word.end);
        }
        self.is_sshpass = said.rsplit('/').next() == Some("sshpass") || before.is_sshpass && said.starts_with('-');
        if before.is_sshpass
            && let Some(password) = said.strip_prefix("-p")
        {
            self.is_named = password.is_empty();
            return (!password.is_empty()).then(|| word.start + 2..word.end);
        }
        self.of_word(text, word, before.is_environment)
    }

    fn of_word(&mut self, text: &str, word: &Range<usize>, is_environment: bool) -> Option<Range<usize>> {
        let said = &text[word.clone()];
        if let Some(userinfo) = of_uri(said) {
            return Some(word.start + userinfo.start..word.start + userinfo.end);
        }
        self.is_login = LOGINS.contains(&said);
        // `a=b=c` names two: `-oSetEnv=TOKEN=x`, `options=password=x`.
        for (at, sign) in said.char_indices().filter(|(_, c)| matches!(c, '=' | ':')) {
            let begins = said[..at].rfind(['=', ':', '&', '?', ';']).map_or(0, |before| before + 1);
            let name = &said[begins..at];
            if is_set_env(name) {
                self.is_environment = true;
                continue;
            }
            let is_assigned = (is_environment || self.is_environment) && sign == '=' && is_name(name);
            // In prose a colon follows many a word; in a text of a program it does after a name.
            let is_named = names_a_secret(name) && (sign == '=' || name.to_ascii_lowercase().ends_with("password"));
            if is_assigned || is_named {
                self.is_environment |= is_environment;
                return Some(self.after(text, word, word.start + at + 1));
            }
        }
        self.is_environment |= is_set_env(said) || is_environment && said.contains('=');
        self.is_named = is_option(text, word) && names_a_secret(said);
        None
    }

    /// What stands behind a sign; the next word where nothing does in this one.
    fn after(&mut self, text: &str, word: &Range<usize>, at: usize) -> Range<usize> {
        if at == word.end {
            let gap = text[at..].find(|c: char| !matches!(c, ' ' | '\\') && !is_quote(c));
            let quoted = gap.is_some_and(|gap| text[at..at + gap].contains(is_quote));
            if !quoted {
                self.is_named = gap.is_some_and(|gap| gap > 0);
                return at..at;
            }
        }
        value(text, at, Some(word.start))
    }
}

/// The value that begins at a place: what its quotes hold, or one word; what the quotes hold that its name stands in.
fn value(text: &str, at: usize, name: Option<usize>) -> Range<usize> {
    let lead = text[at..].find(|c: char| !matches!(c, ' ' | '\\')).map_or(text.len(), |gap| at + gap);
    let opening = |place: usize| text[..place].chars().next_back().filter(|c| is_quote(*c));
    if let Some(quote) = text[lead..].chars().next().filter(|c| is_quote(*c)) {
        return at..closing(text, lead + 1, quote).map_or(text.len(), |end| end + 1);
    }
    if let Some(quote) = opening(name.unwrap_or(at)) {
        return at..closing(text, at, quote).unwrap_or(text.len());
    }
    let end = text[at..].find(|c: char| c.is_whitespace() || is_quote(c) || matches!(c, '&' | '`'));
    at..end.map_or(text.len(), |length| at + length)
}

/// Where the quote ends that holds a place; an escaped one ends none.
fn closing(text: &str, from: usize, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    text[from..].char_indices().find_map(|(at, c)| {
        let ends = c == quote && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends.then_some(from + at)
    })
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

/// Whether a word is an option, or the name in a map of JSON or YAML: `--password`, `"password": `.
fn is_option(text: &str, word: &Range<usize>) -> bool {
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
            ("password='s3cr", "password=***"),
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
            ("options: {SetEnv: A=s3cret}", "options: {SetEnv: A=***}"),
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
