"""Two ends on one machine: a PostgreSQL, a Barman that backs it up, an sshd, and sites that copy."""

import collections
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parents[2]
PG = Path(sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]) if Path("/usr/lib/postgresql").is_dir() else None
TAIL = 1 << 20  # of what a command prints, more or less
USER = pwd.getpwuid(os.getuid()).pw_name


def run(*command, check=True, env=None, **options):
    """Runs a command to its end; what it printed is shown when it fails."""
    command = [str(word) for word in command]
    ran = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0, env={**os.environ, **(env or {})}, **options
    )
    said = collections.deque(maxlen=TAIL >> 16)
    # Of hundreds of megabytes the end is enough; to put all of them together would be timed, too.
    while piece := ran.stdout.read(1 << 16):
        said.append(piece)
    said = b"".join(said)
    _, status, used = os.wait4(ran.pid, 0)
    ran.returncode = os.waitstatus_to_exitcode(status)
    measure.note_memory(used.ru_maxrss)
    if check and ran.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {ran.returncode}\n{said[-4000:].decode(errors='replace')}")
    return said.decode(errors="replace")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing answers at port {port}")


def changed_pages(path, older, page):
    """The bytes of the pages of a file that an older version has not."""
    changed = 0
    with open(path, "rb") as new, open(older if older.is_file() else os.devnull, "rb") as old:
        # Page by page: what this process holds would count as the memory of those that it starts.
        while content := new.read(page):
            changed += 0 if content == old.read(page) else len(content)
    return changed


class Sshd:
    """An sshd of our own keys, through which `barman` is the given one, and lines to it. A login begins in `barman_home`,
    as that of the user whom the packages of Debian and Red Hat make."""

    def __init__(self, room, barman, config, barman_home):
        self.room, self.daemons = room, []
        (room / "bin").mkdir(parents=True)
        self.begin_in(barman_home)
        for key in ("host_key", "user_key"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", room / key)
        shutil.copy(room / "user_key.pub", room / "authorized")
        program = room / "bin/barman"
        program.write_text(f'#!/bin/sh\nexec {barman} -c {config} "$@"\n')
        program.chmod(0o755)
        self.port = free_port()
        path = f"{room}/bin:/usr/local/bin:/usr/bin:/bin"
        (room / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {room}/host_key\nAuthorizedKeysFile {room}/authorized\n"
            f"PasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\nSetEnv PATH={path}\n"
            f'ForceCommand cd {room}/login && eval "$SSH_ORIGINAL_COMMAND"\n'
        )
        self.daemon("/usr/sbin/sshd", "-D", "-f", room / "sshd_config", "-E", room / "log")
        wait_for(self.port)
        self.known = room / "known_hosts"
        self.ports = {self.port}
        self.note_ports()

    def begin_in(self, directory):
        """Where a login begins."""
        (self.room / "login").unlink(missing_ok=True)
        (self.room / "login").symlink_to(directory)

    def note_ports(self):
        key = " ".join((self.room / "host_key.pub").read_text().split()[:2])
        self.known.write_text("".join(f"[127.0.0.1]:{port} {key}\n" for port in self.ports))

    def daemon(self, *command):
        self.daemons.append(subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL))

    def line(self, round_trip, rate=0, counts=None):
        """A port that leads here over a line, which may count what comes over it into a file."""
        port = free_port()
        counting = [] if counts is None else [counts]
        self.daemon(sys.executable, Path(__file__).with_name("line.py"), port, self.port, round_trip, rate, *counting)
        wait_for(port)
        self.ports.add(port)
        self.note_ports()
        return port

    def command(self, port=None, *options):
        return " ".join(
            ["ssh -F none", *options, f"-p {port or self.port} -i {self.room}/user_key -o IdentitiesOnly=yes",
             f"-o BatchMode=yes -o UserKnownHostsFile={self.known} {USER}@127.0.0.1"]
        )

    def stop(self):
        for daemon in self.daemons:
            daemon.terminate()


class Ground:
    """All that the benches stand on, below one directory."""

    def __init__(self, room, antipode, barman, scale):
        self.room, self.antipode, self.barman_program, self.scale = room, antipode, barman, scale
        self.primary = room / "primary"
        self.config = room / "barman.conf"
        self.socket = room / "pg-socket"
        self.primary.mkdir(parents=True)
        self.socket.mkdir()
        self.pg_port = free_port()
        conninfo = f"host={self.socket} port={self.pg_port} user={USER} dbname=postgres"
        self.config.write_text(
            f"[barman]\nbarman_home = {self.primary}\nbarman_user = {USER}\nlog_file = {room}/barman.log\n"
            f"path_prefix = {PG}\n[main]\ndescription = main\nconninfo = {conninfo}\nstreaming_conninfo = {conninfo}\n"
            f"backup_method = postgres\narchiver = on\n"
        )
        self.sshd = Sshd(room / "ssh", barman, self.config, self.primary)

    def barman(self, *words):
        return run(self.barman_program, "-c", self.config, *words)

    def sql(self, *statements):
        for statement in statements:
            run(PG / "psql", "-qX", "-h", self.socket, "-p", self.pg_port, "-d", "postgres", "-c", statement)

    def pgbench(self, *words):
        run(PG / "pgbench", "-q", "-h", self.socket, "-p", self.pg_port, *words, "postgres")

    def fill(self):
        """A cluster of two equal halves of which one changes, two backups of it, and the WAL of bulk writes."""
        data = self.room / "pgdata"
        run(PG / "initdb", "-k", "-A", "trust", "-U", USER, "-D", data)
        with open(data / "postgresql.conf", "a") as conf:
            conf.write(
                f"listen_addresses = ''\nunix_socket_directories = '{self.socket}'\nport = {self.pg_port}\n"
                f"archive_mode = on\narchive_command = 'cp %p {self.primary}/main/incoming/%f'\nfsync = off\n"
                f"max_wal_size = 4GB\nwal_keep_size = 0\nautovacuum = off\ncheckpoint_timeout = 1h\n"
            )
        (self.primary / "main/incoming").mkdir(parents=True)
        run(PG / "pg_ctl", "-D", data, "-w", "-l", self.room / "pg.log", "start", stdin=subprocess.DEVNULL)
        self.pgbench("-i", "-s", self.scale, "-F", 80)
        self.sql("create table settled as select * from pgbench_accounts", "vacuum freeze", "checkpoint")
        self.backup()
        self.bulk_wal(48)
        self.change_pages()
        self.backup()
        self.bulk_wal(48)
        self.archive()

    def change_pages(self):
        """Changes a third of the pages of the larger table, in place."""
        self.sql("update pgbench_accounts set abalance = abalance + 1 where (ctid::text::point)[1] < 2 and (ctid::text::point)[0]::int % 3 = 0",
                 "checkpoint")

    def bulk_wal(self, segments):
        """WAL of rows that are written and thrown away: what a busy cluster archives."""
        self.sql("create unlogged table if not exists unused()")
        for _ in range(max(1, segments // 12)):
            self.sql(f"create table bulk as select g, repeat(md5(g::text), 8) from generate_series(1, {12 * 52_000}) g",
                     "drop table bulk")

    def backup(self):
        self.archive()
        self.barman("backup", "main", "--immediate-checkpoint")
        self.archive()

    def archive(self):
        self.sql("select pg_switch_wal()")
        incoming = self.primary / "main/incoming"
        for _ in range(20):
            self.barman("archive-wal", "main")
            time.sleep(0.2)
            if not any(incoming.iterdir()):
                return

    def backups(self):
        return sorted(entry.name for entry in (self.primary / "main/base").iterdir())

    def changed_bytes(self, page=8192):
        """What the newest backup has that the one before it has not: whole files, and pages of those that both have."""
        previous, newest = (self.primary / "main/base" / name / "data" for name in self.backups()[-2:])
        files = (path for path in newest.rglob("*") if path.is_file())
        return sum(changed_pages(path, previous / path.relative_to(newest), page) for path in files)

    def stop(self):
        if (self.room / "pgdata/postmaster.pid").exists():
            run(PG / "pg_ctl", "-D", self.room / "pgdata", "-m", "immediate", "stop", check=False)
        self.sshd.stop()


class OurSite:
    """A site that Antipode keeps."""

    def __init__(self, ground, catalog, port=None, transfer="", primary=""):
        self.ground, self.catalog = ground, catalog
        catalog.mkdir(parents=True, exist_ok=True)
        self.file = catalog.with_name(catalog.name + ".yaml")
        self.file.write_text(
            f'version: 1\nsite: lisbon\ncatalog: {{path: {catalog}, barman: "3.19.1"}}\n'
            f"primaries:\n  frankfurt:\n    ssh_command: {ground.sshd.command(port)}\n{primary}"
            f"replicas:\n  main: {{primary: frankfurt{transfer}}}\n"
        )

    def __call__(self, command, *words):
        return run(self.ground.antipode, command, "-f", self.file, *words)

    def apply(self, *words):
        return self("apply", "--auto-approve", *words)


class BarmanSite:
    """A site that Barman's passive node keeps."""

    def __init__(self, ground, catalog, port=None, settings=""):
        self.ground, self.catalog = ground, catalog
        catalog.mkdir(parents=True, exist_ok=True)
        self.config = catalog.with_name(catalog.name + ".conf")
        self.config.write_text(
            f"[barman]\nbarman_home = {catalog}\nbarman_user = {USER}\nlog_file = {catalog}.log\n[main]\n"
            f"description = main\nprimary_ssh_command = {ground.sshd.command(port)}\n{settings}"
        )

    def __call__(self, *words):
        return run(self.ground.barman_program, "-c", self.config, *words)

    def ask(self):
        self("sync-info", "--primary", "main")

    def sync(self, backups=None):
        """What `barman cron` starts one after the other, minute by minute, without its pauses."""
        self.ask()
        for backup in self.ground.backups() if backups is None else backups:
            self("sync-backup", "main", backup)
        self("sync-wals", "main")
