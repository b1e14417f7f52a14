//! An sshd on a loopback port, with keys of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::account::ACCOUNT;
use crate::antipode::program_path;
use crate::barman::Barman;
use crate::process::{Daemon, program, run, wait_until};
use crate::tools;

/// What this sshd does beside running commands.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// Printed on standard output before each command's own: what a talkative
    /// profile of a shell does.
    pub banner: String,
    /// A pause before each command.
    pub delay: Duration,
    /// Counts the bytes that each command sends: see [`Sshd::sent`].
    pub counts: bool,
    /// Runs whatever it is asked for: a Barman asks for more than a site does, for which there is `antipode gate`.
    pub has_shell: bool,
    /// The rsync that sends, where it is not that of the host.
    pub rsync: Option<PathBuf>,
}

/// A running sshd; killed when dropped.
#[derive(Debug)]
pub struct Sshd {
    port: u16,
    directory: PathBuf,
    server: Daemon,
}

impl Sshd {
    /// Starts an sshd through which `barman` is the given one, as if it were
    /// the only one of its host.
    pub fn start(directory: &Path, barman: &Barman) -> Self {
        Self::start_with(directory, barman, &Manners::default())
    }

    /// Starts an sshd that behaves in some other way.
    pub fn start_with(directory: &Path, barman: &Barman, manners: &Manners) -> Self {
        let directory = ACCOUNT.make_directory(directory);
        make_key(&directory.join("host_key"));
        make_key(&directory.join("user_key"));
        install_barman(&directory, barman);
        install_login(&directory, barman, manners);
        // Another process may take the port between its choice and its use.
        for _ in 0..5 {
            let port = free_port();
            if let Some(server) = serve(&directory, port) {
                return Self { port, directory, server };
            }
        }
        panic!("sshd does not start\n{}", fs::read_to_string(directory.join("sshd.log")).unwrap_or_default());
    }

    /// The process id of the listener.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The private key that may log in.
    pub fn identity_file(&self) -> PathBuf {
        self.directory.join("user_key")
    }

    /// The `known_hosts` file that has the host's key.
    pub fn known_hosts(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }

    /// The command line that logs in, as `primary_ssh_command` has it: it
    /// neither reads nor writes anything of the user's own.
    pub fn command_line(&self) -> String {
        format!(
            "ssh -F none -p {port} -i {key} -o IdentitiesOnly=yes -o BatchMode=yes \
             -o UserKnownHostsFile={known_hosts} {user}@127.0.0.1",
            port = self.port,
            key = self.identity_file().display(),
            known_hosts = self.known_hosts().display(),
            user = ACCOUNT.name,
        )
    }

    /// Bytes that commands have sent, when these are counted; all have ended.
    #[track_caller]
    pub fn sent(&self) -> u64 {
        let read = || fs::read_to_string(self.directory.join("sent")).unwrap_or_default();
        wait_until("every command is counted", || read().lines().count() == self.commands().len());
        let counts = read();
        counts.lines().filter_map(|line| line.trim().parse::<u64>().ok()).sum()
    }

    /// Every command that clients asked for, in order.
    pub fn commands(&self) -> Vec<String> {
        fs::read_to_string(self.directory.join("commands")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn make_key(path: &Path) {
    run(program("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "laboratory", "-f"]).arg(path))
        .expect_success();
}

/// Makes `bin/barman`, which sshd's PATH has first.
fn install_barman(directory: &Path, barman: &Barman) {
    let bin = ACCOUNT.make_directory(&directory.join("bin"));
    ACCOUNT.write_program(
        &bin.join("barman"),
        format!(
            "#!/bin/sh\nexec {}/barman -c {} \"$@\"\n",
            barman.version.programs().display(),
            barman.config.display()
        ),
    );
}

/// Makes the program that every login runs instead of its command: it notes the command down, then lets it through
/// `antipode gate`, or runs it as sshd would.
fn install_login(directory: &Path, barman: &Barman, manners: &Manners) {
    let asked = if manners.has_shell {
        "/bin/bash -c \"$SSH_ORIGINAL_COMMAND\"".to_owned()
    } else {
        let (program, conf) = (program_path(), &barman.config);
        let rsync = manners.rsync.as_ref().map(|rsync| format!(" --rsync {}", rsync.display())).unwrap_or_default();
        format!("{} gate --all -c {}{rsync} $answers", program.display(), conf.display())
    };
    // Where there is no Barman, Antipode answers.
    let real = directory.join("bin/barman");
    let answers = format!("[ ! -e {0} ] || answers='--barman {0}'", real.display());
    let run = if manners.counts {
        let sent = directory.join("sent");
        format!("{asked} | tee >(wc -c >> {})\nexit ${{PIPESTATUS[0]}}", sent.display())
    } else {
        format!("exec {asked}")
    };
    let login = format!(
        "#!/bin/bash\nprintf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" >> {commands}\nsleep {delay}\n\
         printf '%s' {banner}\n{answers}\n{run}\n",
        commands = directory.join("commands").display(),
        delay = manners.delay.as_secs_f64(),
        banner = shell_words::quote(&manners.banner),
    );
    ACCOUNT.write_program(&directory.join("login"), login);
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Starts sshd; nothing if it ends at once, as when the port is taken.
fn serve(directory: &Path, port: u16) -> Option<Daemon> {
    write_configuration(directory, port);
    let mut command = program(tools::sshd());
    command.arg("-D").arg("-e").arg("-f").arg(directory.join("sshd_config"));
    let mut daemon = Daemon::start(&mut command, &directory.join("sshd.log"));
    while !daemon.has_ended() {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Some(daemon);
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

fn write_configuration(directory: &Path, port: u16) {
    let at = directory.display();
    let host_key = fs::read_to_string(directory.join("host_key.pub")).expect("read the host key");
    ACCOUNT.write(&directory.join("known_hosts"), format!("[127.0.0.1]:{port} {host_key}"));
    // As the README lets a site in.
    let user_key = fs::read_to_string(directory.join("user_key.pub")).expect("read the user's key");
    ACCOUNT.write(&directory.join("authorized_keys"), format!("restrict,from=\"127.0.0.1\" {user_key}"));
    ACCOUNT.write(
        &directory.join("sshd_config"),
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_key\n\
             AuthorizedKeysFile {at}/authorized_keys\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nPrintMotd no\n\
             SetEnv PATH={at}/bin:/usr/local/bin:/usr/bin:/bin\nForceCommand {at}/login\n"
        ),
    );
}
