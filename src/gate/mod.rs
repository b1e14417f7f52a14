//! What a key that is tied to `antipode gate` may ask of a primary, read word by word off the command line that a client
//! asked for.
//!
//! A command line is taken apart as a shell would do it ([`words`]), except that whatever a shell would act on is refused;
//! no shell ever sees it. What is understood becomes a [`Request`], made of names that were checked and of options of rsync
//! that are known to be harmless ([`sender`]); all else is a [`Refusal`]. Whether the servers and directories that are named
//! are those of the key is for the caller to find out, who can look at them.

pub mod sender;
pub mod words;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::barman::ids::{ServerName, printable};
use crate::barman::wal::WalName;

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `barman sync-info SERVER [LAST_WAL [LAST_POSITION]]`
    SyncInfo {
        /// The barman.conf that is named by `-c`.
        conf: Option<PathBuf>,
        /// The server.
        server: ServerName,
        /// The last WAL that is known.
        last_wal: Option<WalName>,
        /// Where its line begins in xlog.db, in bytes.
        last_position: Option<u64>,
    },
    /// `barman list-servers --minimal`
    ListServers {
        /// The barman.conf that is named by `-c`.
        conf: Option<PathBuf>,
    },
    /// `rsync --server --sender OPTIONS . DIRECTORY`
    Send(Sending),
}

/// Files that rsync is to list or send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// Options, each of which only says what is read and how it is told.
    pub options: Vec<OsString>,
    /// The directory that all is below: absolute, or relative to where a login begins.
    pub directory: PathBuf,
}

/// Why something is not let through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody wants a shell.
    #[error("this key opens no shell: it lets a site of Antipode ask for its copies, and nothing else")]
    NoCommand,
    /// The command line is longer than any of ours.
    #[error("a command line of more than {MOST} bytes is refused")]
    TooLong,
    /// It is not a list of plain words.
    #[error("the command line is refused, as {0}")]
    Words(#[from] words::NotPlain),
    /// Another program.
    #[error("the program `{0}` is refused: only barman and rsync may be asked for")]
    Program(String),
    /// Another command of Barman, or an option of one.
    #[error(
        "`barman {0}` is refused: only `sync-info SERVER [LAST_WAL [LAST_POSITION]]` and `list-servers --minimal` may be asked for"
    )]
    Barman(String),
    /// A word that is not what it must be.
    #[error("`{word}` is refused: it is no {what}")]
    Word {
        /// As it came.
        word: String,
        /// What it must be.
        what: &'static str,
    },
    /// rsync is not asked to send.
    #[error("rsync is refused: it may only send, as `rsync --server --sender`")]
    NotSending,
    /// An option of rsync that is not known to be harmless.
    #[error("rsync's option `{0}` is refused: it may do more than list and send files")]
    Option(String),
    /// Not one directory.
    #[error("rsync is refused: it must name one directory behind its options, as `. DIRECTORY`")]
    NotOneDirectory,
    /// A server that is not served.
    #[error("the server {server} is refused: this key serves {served}")]
    Server {
        /// That was asked for.
        server: ServerName,
        /// Those of the key, as a list for people.
        served: String,
    },
    /// Another barman.conf.
    #[error(
        "the barman.conf {asked} is refused: this key reads {read}; leave out `barman.config` of the primary, or name that file"
    )]
    Conf {
        /// That was asked for.
        asked: String,
        /// That of the key.
        read: String,
    },
    /// A directory that belongs to none of the servers that are served.
    #[error("the directory {directory} is refused: it {why}")]
    Directory {
        /// As it was asked for.
        directory: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The longest command line that is read, in bytes: a directory has at most 4096.
pub const MOST: usize = 16 * 1024;

/// Understands a command line as a client asked for it, or says why it is refused.
pub fn read(asked: &OsStr) -> Result<Request, Refusal> {
    if asked.len() > MOST {
        return Err(Refusal::TooLong);
    }
    let words = words::split(asked.as_bytes())?;
    let Some((program, rest)) = words.split_first() else { return Err(Refusal::NoCommand) };
    match Path::new(program).file_name().and_then(OsStr::to_str) {
        Some("barman" | "antipode") => barman(rest),
        Some("rsync") if program == "rsync" => sender::read(rest).map(Request::Send),
        _ => Err(Refusal::Program(shown(program))),
    }
}

/// A command of Barman, which a site may have under another path or as Antipode's own.
fn barman(words: &[OsString]) -> Result<Request, Refusal> {
    let unknown = || Refusal::Barman(words.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" "));
    let texts: Vec<&str> = words.iter().map(|word| word.to_str().ok_or_else(unknown)).collect::<Result<_, _>>()?;
    let (conf, command) = match texts.as_slice() {
        ["-c" | "--config", conf, command @ ..] => (Some(PathBuf::from(conf)), command),
        command => (None, command),
    };
    match command {
        ["list-servers", "--minimal"] => Ok(Request::ListServers { conf }),
        ["sync-info", server, known @ ..] if known.len() <= 2 => {
            let server = parsed(server, "name of a server")?;
            let last_wal = known.first().map(|word| parsed(word, "name of a WAL file")).transpose()?;
            let last_position = known.get(1).map(|word| parsed(word, "position in xlog.db")).transpose()?;
            Ok(Request::SyncInfo { conf, server, last_wal, last_position })
        }
        _ => Err(unknown()),
    }
}

fn parsed<T: std::str::FromStr>(word: &str, what: &'static str) -> Result<T, Refusal> {
    word.parse().map_err(|_| Refusal::Word { word: shown(OsStr::new(word)), what })
}

/// A word as it can be printed, on one line and not too long.
pub fn shown(word: &OsStr) -> String {
    const LONGEST: usize = 200;
    let text = word.to_string_lossy();
    let short: String = text.chars().take(LONGEST).collect();
    let more = if text.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("{}{more}", printable(&short))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;

    fn refused(asked: &str) -> String {
        match read(OsStr::new(asked)) {
            Err(refusal) => refusal.to_string(),
            Ok(request) => panic!("{asked} was understood: {request:?}"),
        }
    }

    fn sending(asked: &str) -> Sending {
        match read(OsStr::new(asked)) {
            Ok(Request::Send(sending)) => sending,
            other => panic!("{asked}: {other:?}"),
        }
    }

    #[test]
    fn what_a_site_asks_of_barman_is_understood() {
        let main = || "main".parse().unwrap();
        let asked = |text: &str| read(OsStr::new(text)).unwrap();
        let last_wal = || Some("00000001000000000000000A".parse().unwrap());
        for (text, expected) in [
            (
                "barman sync-info main",
                Request::SyncInfo { conf: None, server: main(), last_wal: None, last_position: None },
            ),
            (
                "/usr/bin/barman -c /etc/barman.conf sync-info 'main' 00000001000000000000000A 512",
                Request::SyncInfo {
                    conf: Some("/etc/barman.conf".into()),
                    server: main(),
                    last_wal: last_wal(),
                    last_position: Some(512),
                },
            ),
            (
                "antipode sync-info main 00000001000000000000000A",
                Request::SyncInfo { conf: None, server: main(), last_wal: last_wal(), last_position: None },
            ),
            ("barman list-servers --minimal", Request::ListServers { conf: None }),
        ] {
            assert_eq!(asked(text), expected, "{text}");
        }
    }

    #[test]
    fn other_programs_and_commands_are_refused_by_name() {
        for (asked, expected) in [
            ("", "opens no shell"),
            ("   ", "opens no shell"),
            ("sh -c id", "`sh`"),
            ("scp -f /etc/passwd", "`scp`"),
            ("sudo -u postgres rsync --server --sender -re.L . /x/", "`sudo`"),
            ("/tmp/rsync --server --sender -re.L . /x/", "`/tmp/rsync`"),
            ("./rsync --server --sender -re.L . /x/", "`./rsync`"),
            ("-rsync", "`-rsync`"),
            ("BARMAN_CONF=/tmp/x barman sync-info main", "`BARMAN_CONF=/tmp/x`"),
            ("env barman sync-info main", "`env`"),
            ("/", "`/`"),
            ("barman", "`barman `"),
            ("barman delete main latest", "`barman delete main latest`"),
            ("barman sync-info --primary main", "no name of a server"),
            ("barman sync-info", "`barman sync-info`"),
            ("barman sync-info main 00000001000000000000000A 1 2", "may be asked for"),
            ("barman sync-info ../main", "no name of a server"),
            ("barman sync-info -- main", "no name of a server"),
            ("barman sync-info main -h", "no name of a WAL file"),
            ("barman sync-info main 00000001000000000000000A -1", "no position"),
            ("barman list-servers", "`barman list-servers`"),
            ("barman list-servers --minimal --minimal", "may be asked for"),
            ("barman -c /a -c /b sync-info main", "may be asked for"),
            ("barman --color always sync-info main", "may be asked for"),
            ("antipode apply --auto-approve", "`barman apply --auto-approve`"),
        ] {
            let told = refused(asked);
            assert!(told.contains(expected), "{asked}: {told}");
            assert!(!told.contains('\n'), "{told}");
        }
        let long = "x".repeat(MOST + 1);
        assert!(refused(&long).contains("16384 bytes"));
    }

    #[test]
    fn what_a_site_asks_of_rsync_is_understood() {
        for asked in [
            "rsync --server --sender -re.iLsfxCIvu --list-only --timeout=120 . /var/lib/barman/main/base/20261122T030000/",
            "rsync --server --sender -dRe.LsfxCIvu --list-only --timeout=120 --ignore-missing-args --files-from=- --from0 \
             --no-implied-dirs . /var/lib/barman/",
            "rsync --server --sender -tpe.LsfxCIvu --timeout=120 --info=NAME,STATS --files-from=- --from0 --no-relative . /d/",
            "rsync --server --sender -tpcRze.LsfxCIvu --compress-level=1 -B8192 --timeout=120 --bwlimit=1000 \
             --info=NAME,STATS --files-from=- --from0 --no-implied-dirs . /d/",
            "rsync --server --sender -ltpre.iLsfxCIvu --timeout=120 --safe-links --info=NAME,STATS . /d/",
            "rsync --server --sender -tpe.LsfxCIvu --timeout=120 --info=NAME,STATS --append --files-from=- --from0 \
             --no-relative . ./main/",
        ] {
            let sending = sending(asked);
            let told: Vec<&str> = sending.options.iter().map(|word| word.to_str().unwrap()).collect();
            let expected = format!("rsync --server --sender {} . {}", told.join(" "), sending.directory.display());
            assert_eq!(expected, asked.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        let odd = sending(r"rsync --server --sender -re.L . /it\'s\ a\ \[b\]\*/");
        assert_eq!(odd.directory, PathBuf::from("/it's a [b]*/"));
    }

    #[test]
    fn rsync_may_do_nothing_but_send() {
        for (asked, expected) in [
            ("rsync", "may only send"),
            ("rsync --server -re.L . /d/", "may only send"),
            ("rsync --sender --server -re.L . /d/", "may only send"),
            ("rsync --server --sende -re.L . /d/", "may only send"),
            ("rsync --daemon", "may only send"),
            ("rsync --server --daemon .", "may only send"),
            ("rsync -a /etc/ /tmp/x/", "may only send"),
            ("rsync --server --sender --daemon -re.L . /d/", "`--daemon`"),
            ("rsync --server --sender -re.L --remove-source-files . /d/", "`--remove-source-files`"),
            ("rsync --server --sender -re.L --remove-sent-files . /d/", "`--remove-sent-files`"),
            ("rsync --server --sender -re.L --remove-s . /d/", "`--remove-s`"),
            ("rsync --server --sender -re.L --log-file=/tmp/x . /d/", "`--log-file=/tmp/x`"),
            ("rsync --server --sender -re.L --log-file /tmp/x . /d/", "`--log-file`"),
            ("rsync --server --sender -re.L --log-format=%i . /d/", "`--log-format=%i`"),
            ("rsync --server --sender -re.L -e sh . /d/", "`-e`"),
            ("rsync --server --sender -re.L --rsh=sh . /d/", "`--rsh=sh`"),
            ("rsync --server --sender -re.L --rsync-path=sh . /d/", "`--rsync-path=sh`"),
            ("rsync --server --sender -re.L --files-from=/etc/passwd . /d/", "`--files-from=/etc/passwd`"),
            ("rsync --server --sender -re.L --files-from=:/etc/passwd . /d/", "`--files-from=:/etc/passwd`"),
            ("rsync --server --sender -re.L --files-from - . /d/", "`--files-from`"),
            ("rsync --server --sender -re.L --exclude-from=/etc/passwd . /d/", "`--exclude-from=/etc/passwd`"),
            ("rsync --server --sender -re.L --filter=._/etc/passwd . /d/", "`--filter=._/etc/passwd`"),
            ("rsync --server --sender -re.L --password-file=/etc/passwd . /d/", "`--password-file=/etc/passwd`"),
            ("rsync --server --sender -re.L --write-batch=/tmp/x . /d/", "`--write-batch=/tmp/x`"),
            ("rsync --server --sender -re.L --copy-links . /d/", "`--copy-links`"),
            ("rsync --server --sender -re.L --copy-unsafe-links . /d/", "`--copy-unsafe-links`"),
            ("rsync --server --sender -re.L --insecure-links . /d/", "`--insecure-links`"),
            ("rsync --server --sender -re.L --confine-root=/ . /d/", "`--confine-root=/`"),
            ("rsync --server --sender -re.L --copy-devices . /d/", "`--copy-devices`"),
            ("rsync --server --sender -re.L --copy-as=root . /d/", "`--copy-as=root`"),
            ("rsync --server --sender -re.L --chmod=a+w . /d/", "`--chmod=a+w`"),
            ("rsync --server --sender -re.L --temp-dir=/tmp . /d/", "`--temp-dir=/tmp`"),
            ("rsync --server --sender -re.L --timeout=x . /d/", "`--timeout=x`"),
            ("rsync --server --sender -re.L --timeout= . /d/", "`--timeout=`"),
            ("rsync --server --sender -re.L --bwlimit=1;id . /d/", "acts on"),
            ("rsync --server --sender -re.L --info=FLIST9 . /d/", "`--info=FLIST9`"),
            ("rsync --server --sender -re.L --debug=ALL9 . /d/", "`--debug=ALL9`"),
            ("rsync --server --sender -rLe.L . /d/", "`-rLe.L`"),
            ("rsync --server --sender -rke.L . /d/", "`-rke.L`"),
            ("rsync --server --sender -rDe.L . /d/", "`-rDe.L`"),
            ("rsync --server --sender -rse.L . /d/", "`-rse.L`"),
            ("rsync --server --sender -rbe.L . /d/", "`-rbe.L`"),
            ("rsync --server --sender -rMe.L . /d/", "`-rMe.L`"),
            ("rsync --server --sender -re./bin/sh . /d/", "`-re./bin/sh`"),
            ("rsync --server --sender -reL . /d/", "`-reL`"),
            ("rsync --server --sender -B . /d/", "`-B`"),
            ("rsync --server --sender -re.L -B8192x . /d/", "`-B8192x`"),
            ("rsync --server --sender -re.L -- . /d/", "`--`"),
            ("rsync --server --sender -re.L . -- /d/", "one directory"),
            ("rsync --server --sender -re.L . /d/ /etc/", "one directory"),
            ("rsync --server --sender -re.L /d/", "one directory"),
            ("rsync --server --sender -re.L .", "one directory"),
            ("rsync --server --sender -re.L . ''", "one directory"),
            ("rsync --server --sender -re.L . --remove-source-files", "one directory"),
            ("rsync --server --sender -re.L . . /d/", "one directory"),
        ] {
            let told = refused(asked);
            assert!(told.contains(expected), "{asked}: {told}");
        }
    }

    proptest! {
        /// Whatever is asked for, what is let through holds no word that could be taken for something else.
        #[test]
        fn what_is_let_through_is_known(bytes in proptest::collection::vec(any::<u8>(), 0..60), at in 0_usize..120) {
            let mut asked = b"rsync --server --sender -tpe.LsfxCIvu --timeout=120 --files-from=- --from0 . /var/lib/barman/main/".to_vec();
            let at = at.min(asked.len());
            asked.splice(at..at, bytes);
            let asked = OsString::from_vec(asked);
            if let Ok(Request::Send(sending)) = read(&asked) {
                prop_assert!(sending.options.iter().all(|word| sender::is_harmless(word)));
                prop_assert!(!sending.directory.as_os_str().as_bytes().starts_with(b"-"));
                prop_assert!(!sending.directory.as_os_str().is_empty());
            }
        }
    }
}
