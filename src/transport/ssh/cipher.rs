//! Which cipher a connection begins its list with.
//!
//! OpenSSH puts `chacha20-poly1305` first, which costs several times the processor time of AES where the processor has
//! instructions for that, at both ends. The list that ssh would use, with its configuration files, is only put in
//! another order: what a site's policy forbids stays forbidden, and what the primary does not have is not used.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// Fast where the processor has AES, and known to every OpenSSH since 6.2.
const FAST: &str = "aes128-gcm@openssh.com";

/// What OpenSSH puts first unless it is told otherwise; whoever has another one first has chosen it.
const USUAL: &str = "chacha20-poly1305@openssh.com";

/// How long ssh may take to tell its configuration.
const PATIENCE: Duration = Duration::from_secs(5);

/// The value of `Ciphers` for a connection with this ssh command; `None` where ssh's own choice is right, is the user's, or
/// is not known.
pub(super) async fn preference(words: &[String]) -> Option<String> {
    let [program, options @ .., destination] = words else { return None };
    if is_chosen(options) || !has_aes(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()) {
        return None;
    }
    let mut command = Command::new(program);
    command.arg("-G").args(options).args(["--", destination]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    reordered(&String::from_utf8_lossy(&output.stdout))
}

/// Whether the user's words name ciphers: `-c`, or `-o Ciphers=…` in any spelling that ssh takes.
fn is_chosen(options: &[String]) -> bool {
    options.iter().any(|word| {
        let word = word.strip_prefix("-o").unwrap_or(word).trim_start();
        word.starts_with("-c") || word.get(.."ciphers".len()).is_some_and(|key| key.eq_ignore_ascii_case("ciphers"))
    })
}

/// Whether a processor has instructions for AES, by what Linux tells of it in `/proc/cpuinfo`.
fn has_aes(cpuinfo: &str) -> bool {
    let flags = |line: &str| {
        let (key, flags) = line.split_once(':')?;
        ["flags", "Features"].contains(&key.trim()).then(|| flags.split_whitespace().any(|flag| flag == "aes"))
    };
    cpuinfo.lines().find_map(flags).unwrap_or(false)
}

/// The list of what `ssh -G` prints, with the fast one in front.
fn reordered(configuration: &str) -> Option<String> {
    let list = configuration.lines().find_map(|line| line.strip_prefix("ciphers "))?;
    let ciphers: Vec<&str> = list.trim().split(',').collect();
    if ciphers.first() != Some(&USUAL) || !ciphers.contains(&FAST) {
        return None;
    }
    let rest = ciphers.into_iter().filter(|cipher| *cipher != FAST);
    Some(std::iter::once(FAST).chain(rest).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_put_in_another_order_and_nothing_is_added_to_it() {
        for (configuration, wanted) in [
            (
                "user barman\nciphers chacha20-poly1305@openssh.com,aes256-ctr,aes128-gcm@openssh.com\nport 22\n",
                Some("aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr"),
            ),
            ("ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com\n", None),
            ("ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-gcm@openssh.com\n", None),
            ("ciphers \n", None),
            ("usage: ssh\n", None),
        ] {
            assert_eq!(reordered(configuration).as_deref(), wanted, "{configuration}");
        }
    }

    #[test]
    fn who_names_ciphers_is_obeyed() {
        for (options, chosen) in [
            (&["-p", "22"][..], false),
            (&["-o", "Compression=no", "-C"], false),
            (&["-o", "ciphers aes256-ctr"], true),
            (&["-oCiphers=aes256-ctr"], true),
            (&["-o", "Ciphers=+3des-cbc"], true),
            (&["-c", "aes256-ctr"], true),
            (&["-caes256-ctr"], true),
        ] {
            let options: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(is_chosen(&options), chosen, "{options:?}");
        }
    }

    #[test]
    fn processors_tell_whether_they_have_aes() {
        assert!(has_aes("model name\t: aes of some sort\nflags\t\t: fpu sse4_2 aes avx\n"));
        assert!(has_aes("processor\t: 0\nFeatures\t: fp asimd aes pmull\n"));
        assert!(!has_aes("model name\t: aes\nflags\t\t: fpu vaes sse4_2\n"));
        assert!(!has_aes(""));
    }
}
