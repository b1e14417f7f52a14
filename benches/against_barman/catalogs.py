"""Large catalogs from the demo's small one: what they list is long, what they hold is little."""

import datetime
import os
import re
import shutil
from pathlib import Path

from ground import USER, run

SEGMENTS_PER_LOG = 4096  # of 1 MiB, as the demo's
LINKS = 30_000  # ext4 allows 65,000 names of one file


def wal_name(number):
    return f"00000001{number // SEGMENTS_PER_LOG:08X}{number % SEGMENTS_PER_LOG:08X}"


def lsn(number):
    return f"{number // SEGMENTS_PER_LOG:X}/{number % SEGMENTS_PER_LOG * 0x100000 + 0x28:X}"


class Archive:
    """A server with many WAL files and backups. The WAL is listed as encrypted, which nobody can look into."""

    def __init__(self, demo, server, wals, backups, files):
        self.demo, self.server, self.wals, self.step = demo, server, 0, wals // backups
        shutil.copytree(demo, server, ignore=shutil.ignore_patterns("base", "meta", "wals"))
        for name in ("base", "meta", "wals"):
            (server / name).mkdir()
        self.model = sorted((demo / "base").iterdir())[0]
        self.info = sorted((demo / "meta").glob("*-backup.info"))[0].read_text()
        self.add_wals(wals)
        for number in range(backups):
            self.add_backup(number, files)

    def add_wals(self, count):
        """Archives so many more."""
        # Line by line: what this process holds would count as the memory of those that it starts.
        with open(self.server / "wals" / f"{self.server.name}-xlog.db", "a") as xlogdb:
            for number in range(self.wals + 1, self.wals + count + 1):
                name = wal_name(number)
                path = self.server / "wals" / name[:16] / name
                if number % LINKS == 1 or number == self.wals + 1:
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(os.urandom(100))
                    os.utime(path, (1_700_000_000, 1_700_000_000))
                    first = path
                else:
                    if number % SEGMENTS_PER_LOG == 0:
                        path.parent.mkdir(exist_ok=True)
                    os.link(first, path)
                xlogdb.write(f"{name}\t100\t1700000000.0\tNone\tgpg\n")
        self.wals += count

    def add_backup(self, number, files):
        begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(days=number)
        backup, first = begin.strftime("%Y%m%dT%H%M%S"), number * self.step + 1
        base = self.server / "base" / backup
        run("cp", "-al", self.model, base)
        (base / "data/backup_manifest").unlink()
        directory = base / "data/base/5"
        filler = directory / "filler"
        filler.write_bytes(bytes(8192))
        for oid in range(files):
            os.link(filler, directory / str(100_000 + oid))
        filler.unlink()
        label = re.search(r"backup_label='(.*)'", self.info)[0]
        told = label.replace("0/300028", lsn(first)).replace("000000010000000000000003", wal_name(first))
        (base / "data/backup_label").unlink(missing_ok=True)
        (base / "data/backup_label").write_text(told[14:-1].replace("\\n", "\n"))
        keys = {
            "backup_label": told.partition("=")[2],
            "begin_time": begin.isoformat(" "),
            "end_time": (begin + datetime.timedelta(minutes=9)).isoformat(" "),
            "begin_wal": wal_name(first),
            "end_wal": wal_name(first + 1),
            "begin_xlog": lsn(first),
            "end_xlog": lsn(first + 1),
        }
        lines = (line.partition("=")[0] for line in self.info.splitlines())
        old = dict(line.split("=", 1) for line in self.info.splitlines())
        info = "".join(f"{key}={keys.get(key, old[key])}\n" for key in lines)
        (self.server / "meta" / f"{backup}-backup.info").write_text(info)


def site_of(server, catalog):
    """A site that has all of it: the same files under other names."""
    catalog.mkdir(parents=True)
    run("cp", "-al", server, catalog / server.name)
    for path in [catalog / server.name / "wals" / f"{server.name}-xlog.db", *(catalog / server.name / "meta").iterdir()]:
        content = path.read_bytes().replace(b"\nmode=postgres\n", b"\nmode=passive\n")
        path.unlink()
        path.write_bytes(content)


def fleet(demo, room, primaries, servers):
    """Barmans with many servers each, all like the demo's; the names and the configuration of each."""
    found = []
    for primary in range(primaries):
        home = room / f"fleet-{primary}"
        home.mkdir()
        config = room / f"fleet-{primary}.conf"
        text = f"[barman]\nbarman_home = {home}\nbarman_user = {USER}\nlog_file = {room}/fleet.log\n"
        for number in range(servers):
            name = f"s{primary}-{number}"
            run("cp", "-a", demo, home / name)
            xlogdb = home / name / "wals"
            (xlogdb / "main-xlog.db").rename(xlogdb / f"{name}-xlog.db")
            text += (
                f"[{name}]\ndescription = one of many\nconninfo = host=/nonexistent\n"
                f"streaming_conninfo = host=/nonexistent\nbackup_method = postgres\narchiver = on\n"
            )
        config.write_text(text)
        found.append(config)
    return found


def demo(antipode, room):
    """The demo's primary."""
    run(antipode, "demo", "--keep", room / "demo")
    return Path(room / "demo/frankfurt/main")
