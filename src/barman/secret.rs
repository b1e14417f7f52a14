//! Passwords in texts from elsewhere that are about to be shown.

/// What stands in the place of a password.
pub const MASK: &str = "***";

/// The text without what follows `password=`, `password:` or its like, and without the password of a URI.
pub fn without_passwords(text: &str) -> String {
    without_uri_passwords(&without_named_passwords(text))
}

/// libpq: `password=word`, `password = 'two words'`; JSON: `"password": "word"`; a URI's `?password=word&`.
fn without_named_passwords(text: &str) -> String {
    const NAME: &str = "password";
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    // Lowering ASCII moves no byte.
    while let Some(at) = rest.to_ascii_lowercase().find(NAME) {
        let (before, after) = rest.split_at(at + NAME.len());
        shown.push_str(before);
        let value = after.trim_start_matches(['"', '\'', '\\', ' ']);
        rest = match value.strip_prefix(['=', ':']) {
            Some(value) => {
                shown.push_str(&after[..after.len() - value.len()]);
                shown.push_str(MASK);
                after_value(value.trim_start())
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown
}

/// What follows a value; of one whose quote is not closed, nothing does.
fn after_value(value: &str) -> &str {
    let quoted = value.trim_start_matches('\\');
    match quoted.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => quoted[1..].split_once(quote).map_or("", |(_, rest)| rest),
        None => value.find([' ', '"', '\'', '&', '\n', '\t']).map_or("", |end| &value[end..]),
    }
}

/// `postgresql://user:word@host`
fn without_uri_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str("://");
        let authority = part.find(['/', ' ', '"', '\'', '\n', '?']).unwrap_or(part.len());
        let (authority, rest) = part.split_at(authority);
        match authority.rsplit_once('@').map(|(login, host)| (login.split_once(':'), host)) {
            Some((Some((user, _)), host)) => {
                shown.push_str(user);
                shown.push(':');
                shown.push_str(MASK);
                shown.push('@');
                shown.push_str(host);
            }
            _ => shown.push_str(authority),
        }
        shown.push_str(rest);
    }
    shown
}

/// A shell command without the words that carry secrets: the password of `sshpass -p`, and the values of
/// assignments and options whose names speak of one, such as `TOKEN=x` and `--password x`.
pub fn without_command_secrets(command: &str) -> String {
    let mut shown: Vec<String> = Vec::new();
    let (mut sshpass, mut secret_next) = (false, false);
    for word in command.split(' ') {
        let masked = match word {
            "" => word.to_owned(),
            _ if secret_next => MASK.to_owned(),
            _ if sshpass && word.starts_with("-p") && word != "-p" => format!("-p{MASK}"),
            _ => match word.split_once('=') {
                Some((name, _)) if names_a_secret(name) => format!("{name}={MASK}"),
                _ => word.to_owned(),
            },
        };
        if !word.is_empty() {
            let is_option = word.starts_with("--") && !word.contains('=') && names_a_secret(word);
            secret_next = !secret_next && (is_option || sshpass && word == "-p");
            sshpass = word.rsplit('/').next() == Some("sshpass") || sshpass && word.starts_with('-');
        }
        shown.push(masked);
    }
    without_passwords(&shown.join(" "))
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["pass", "passwd", "password", "passphrase", "secret", "token", "secret_key", "access_key"]
        .iter()
        .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_however_they_are_written() {
        for (text, shown) in [
            ("host=pg password=s3cret dbname=x", "host=pg password=*** dbname=x"),
            ("password = 's3 cret' user=b", "password =*** user=b"),
            ("password='s3cr", "password=***"),
            (r#""conninfo": "user=b password=s3cret", "x": 1"#, r#""conninfo": "user=b password=***", "x": 1"#),
            (r#"{"password": "s3cret", "x": 1}"#, r#"{"password":***, "x": 1}"#),
            ("PGPASSWORD=s3cret PASSWORD=s3cret", "PGPASSWORD=*** PASSWORD=***"),
            ("postgresql://b:s3cret@pg:5432/x?password=s3cret&y", "postgresql://b:***@pg:5432/x?password=***&y"),
            ("password authentication failed for user é", "password authentication failed for user é"),
            ("http://pg:5432/x a@b", "http://pg:5432/x a@b"),
        ] {
            assert_eq!(without_passwords(text), shown);
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
            ("psql 'host=x password=s3cret'", "psql 'host=x password=***"),
            ("curl https://u:s3cret@hooks/x", "curl https://u:***@hooks/x"),
        ] {
            assert_eq!(without_command_secrets(command), shown);
        }
    }
}
