"""Antipode beside Barman's passive node and the bare tools, over a real sshd, in one run.

    python3 benches/against_barman [--rounds N] [--scale N] [--room DIR] [--antipode FILE] [--barman FILE] [WORK...]

Needs what `./test` installs, a release build, and a user that is not root (PostgreSQL refuses it). `--scale` is
pgbench's: 60 makes a catalog of about 4 GB. Prints tables for docs/performance.md. WORK is one or some of the names
that `--list` prints; without any, all are done.
"""

import argparse
import fcntl
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from catalogs import Archive, demo, fleet, site_of
from ground import ROOT, BarmanSite, Ground, OurSite, run
from measure import Contender, race

GCM = "-c aes128-gcm@openssh.com"
MB = 1_000_000


def remove(path):
    shutil.rmtree(path, ignore_errors=True)


def replace(seed, copy):
    """Makes a directory what another is; `cp` keeps links between files."""
    remove(copy)
    run("cp", "-a", seed, copy)


def shares_of(counts, limit, seconds):
    """What came over a line of what a limit lets come: in all, and in the worst and the best five seconds. It is counted
    from when files began to come until they ended, or until the time was up."""
    samples = [tuple(map(float, line.split())) for line in counts.read_text().splitlines()]
    most = samples[-1][1]
    begun = next(at for at, (_, carried) in enumerate(samples) if carried > min(0.02 * most, 0.2 * limit))
    until = samples[begun][0] + seconds - 3
    ended = next((at for at, (when, carried) in enumerate(samples) if carried >= 0.99 * most or when >= until), -1)
    samples = samples[begun:ended]
    rate = lambda first, last: (last[1] - first[1]) / (last[0] - first[0]) / limit
    windows = [rate(first, last) for first, last in zip(samples, samples[50:])] or [rate(samples[0], samples[-1])]
    return rate(samples[0], samples[-1]), min(windows), max(windows)


def carried(counts):
    """What has come over a line by now."""
    time.sleep(0.25)
    return int(counts.read_text().splitlines()[-1].split()[1])


class Held:
    """How long somebody holds a lock, while this is entered: it is tried every few milliseconds."""

    def __init__(self, path):
        self.path, self.seconds, self.ended = path, 0.0, threading.Event()

    def __enter__(self):
        self.watching = threading.Thread(target=self.watch)
        self.watching.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.watching.join()

    def watch(self):
        with open(self.path, "a") as lock:
            before = time.monotonic()
            while not self.ended.wait(0.003):
                now = time.monotonic()
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    fcntl.flock(lock, fcntl.LOCK_UN)
                except BlockingIOError:
                    self.seconds += now - before
                before = now


WORKS = {}


def work(method):
    """One that can be asked for by its name."""
    WORKS[method.__name__] = method
    return method


class Works:
    """The works, by name. Each sets up what it compares and races it."""

    def __init__(self, ground, rounds):
        self.ground, self.rounds, self.room = ground, rounds, ground.room
        self.seeds = {}

    def race(self, title, *contenders, rounds=None):
        race(title, contenders, rounds or self.rounds)

    def seed(self, kind):
        """A finished site, without the newest backup (`backup`), without WAL (`wals`), or whole."""
        if kind not in self.seeds:
            path = self.room / f"seed-{kind}"
            if kind == "whole":
                OurSite(self.ground, path).apply()
            else:
                replace(self.seed("whole"), path)
                self.take_away(path / "main", kind)
            self.seeds[kind] = path
        return self.seeds[kind]

    def take_away(self, server, kind):
        newest = self.ground.backups()[-1]
        if kind == "wals":
            for entry in (server / "wals").iterdir():
                remove(entry) if entry.is_dir() else entry.unlink()
        else:
            remove(server / "base" / newest)
            for info in [server / "meta" / f"{newest}-backup.info", server / f"sync-wals.info"]:
                info.unlink(missing_ok=True)

    def ours(self, name="antipode", seed=None, port=None, words=(), **settings):
        catalog = self.room / "ours"
        site = OurSite(self.ground, catalog, port, **settings)

        def reset():
            replace(self.seed(seed), catalog) if seed else remove(catalog)
            catalog.mkdir(exist_ok=True)
            OurSite(self.ground, catalog, port, **settings)

        contender = Contender(name, lambda: site.apply(*words), reset)
        contender.settings = settings
        return contender

    def theirs(self, name="Barman", seed=None, port=None, settings="", work=BarmanSite.sync):
        catalog = self.room / "theirs"

        def reset():
            replace(self.seed(seed), catalog) if seed else remove(catalog)
            BarmanSite(self.ground, catalog, port, settings)
            remove(catalog / "main/.antipode")

        def sync():
            work(BarmanSite(self.ground, catalog, port, settings))

        return Contender(name, sync, reset)

    def rsync(self, name, *jobs, seed=None, port=None, ssh=GCM):
        """Bare rsyncs side by side, then a sync: each job is its options, what it copies, and into what."""
        catalog = self.room / "raw"
        shell = self.ground.sshd.command(port, ssh).rsplit(" ", 1)
        there = f"{shell[1]}:{self.ground.primary}/main"

        def reset():
            replace(self.seed(seed), catalog) if seed else remove(catalog)
            (catalog / "main").mkdir(parents=True, exist_ok=True)

        def work():
            commands = [
                ["rsync", "-a", "-e", shell[0], *options, f"{there}/{what}", str(catalog / "main" / into)]
                for options, what, into in jobs
            ]
            running = [subprocess.Popen(command) for command in commands]
            if any(job.wait() for job in running):
                sys.exit("rsync failed")
            run("sync", "-f", catalog)

        return Contender(name, work, reset)

    @work
    def first_copy(self):
        """First copy of the whole catalog over loopback."""
        copy = self.room / "copy"

        def cp():
            run("cp", "-a", self.ground.primary / "main", copy)
            run("sync", "-f", copy)

        self.race(
            "First copy",
            self.ours(),
            self.theirs(),
            self.rsync("two rsyncs, aes128-gcm", ([], "base", "."), ([], "wals", ".")),
            Contender("cp -a", cp, lambda: remove(copy)),
        )
        remove(copy)

    @work
    def first_base(self):
        """A first base alone over loopback: files of all sizes over several streams."""
        newest = self.ground.backups()[-1]
        self.race(
            "First base",
            self.ours(words=["--target", f"main/backup/{newest}"]),
            self.theirs(work=lambda site: (site.ask(), site("sync-backup", "main", newest))),
            self.rsync("one rsync, aes128-gcm", ([], f"base/{newest}", "base")),
        )

    @work
    def next_backup(self):
        """The next backup over loopback: half of the cluster as it was, a third of the pages of the rest changed."""
        previous, newest = self.ground.backups()[-2:]
        link = ["--no-W", f"--link-dest=../{previous}"]
        self.race(
            "Next backup",
            self.ours(seed="backup"),
            self.theirs("Barman, default", seed="backup"),
            self.theirs("Barman, reuse_backup = link", seed="backup", settings="reuse_backup = link\n"),
            self.rsync("rsync --no-W --link-dest", (link, f"base/{newest}/", f"base/{newest}"), seed="backup"),
        )

    @work
    def next_backup_slow(self):
        """The next backup over a line of 10 MB/s, and how many bytes come over it."""
        counts = self.room / "counts-next"
        port = self.ground.sshd.line(0.001, 10 * MB, counts=counts)
        plain = self.ours("antipode, compress: none", seed="backup", port=port, transfer=", transfer: {compress: none}")
        contenders = [
            self.knowing_the_line(self.ours(seed="backup", port=port), port),
            self.knowing_the_line(plain, port),
            self.theirs("Barman, default", seed="backup", port=port),
        ]
        came = {contender.name: self.counting(contender, counts) for contender in contenders}
        self.race("Next backup over 10 MB/s", *contenders, rounds=1)
        changed = self.ground.changed_bytes()
        print(f"\nIn files that came or changed, {changed / MB:.1f} MB of pages changed; over the line came:")
        for name, sizes in came.items():
            print(f"- {name}: {sizes[-1] / MB:.1f} MB ({sizes[-1] / changed:.2f} x)", flush=True)

    def counting(self, contender, counts):
        """Notes how much came over a line while a contender was at work."""
        work, came = contender.work, []

        def counted():
            before = carried(counts)
            work()
            came.append(carried(counts) - before)

        contender.work = counted
        return came

    def knowing_the_line(self, ours, port):
        """What starts from a site that brought some WAL over this line before, as any but a new one has."""

        def bring_wal():
            catalog = self.room / "ours"
            replace(self.seed("whole"), catalog)
            archive = catalog / "main/wals"
            lines = (archive / "main-xlog.db").read_text().splitlines(keepends=True)
            newest = {name for name in (line.split()[0] for line in lines[-6:]) if len(name) == 24}
            (archive / "main-xlog.db").write_text("".join(line for line in lines if line.split()[0] not in newest))
            for name in newest:
                (archive / name[:16] / name).unlink()
            OurSite(self.ground, catalog, port, transfer=", transfer: {compress: none}").apply()
            self.take_away(catalog / "main", "backup")
            OurSite(self.ground, catalog, port, **ours.settings)

        ours.reset = bring_wal
        return ours

    @work
    def far_wal(self):
        """All WAL over a round trip of 100 ms."""
        port = self.ground.sshd.line(0.1)
        self.race(
            "WAL over 100 ms",
            self.ours(seed="wals", port=port),
            self.theirs(seed="wals", port=port, work=lambda site: site.sync(backups=[])),
            rounds=min(self.rounds, 2),
        )

    @work
    def far_base(self):
        """A first base over a round trip of 100 ms."""
        port = self.ground.sshd.line(0.1)
        newest = self.ground.backups()[-1]
        self.race(
            "First base over 100 ms",
            self.ours(port=port, words=["--target", f"main/backup/{newest}"]),
            self.theirs(port=port, work=lambda site: (site.ask(), site("sync-backup", "main", newest))),
            rounds=min(self.rounds, 2),
        )

    @work
    def far_gigabit(self, seconds=20):
        """How much of a line of 1 Gb/s is filled at a round trip of 100 ms: a first copy, and WAL alone."""
        print("\n### 1 Gb/s at 100 ms\n\n| | of the line | any 5 s: least | most |\n| --- | --: | --: | --: |")
        for what, seed in [("everything", None), ("WAL", "wals")]:
            shares = self.shares(what, seed, 125 * MB, seconds, round_trip=0.1, rate=125 * MB)
            print(f"| {what} | " + " | ".join(f"{share:.1%}" for share in shares) + " |", flush=True)

    def shares(self, what, seed, limit, seconds, round_trip, rate=0, **settings):
        """What comes of a limit over a line, uncompressed, in so many seconds."""
        counts = self.room / f"counts-{len(self.ground.sshd.ports)}"
        port = self.ground.sshd.line(round_trip, rate, counts=counts)
        ours = self.ours(seed=seed, port=port, transfer=", transfer: {compress: none}", **settings)
        ours.reset()
        told = self.room / "told"
        with told.open("w") as log:
            running = subprocess.Popen(
                [self.ground.antipode, "apply", "-f", self.room / "ours.yaml", "--auto-approve"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )
            try:
                status = running.wait(seconds)
            except subprocess.TimeoutExpired:
                running.terminate()
                running.wait()
                status = 0
        if status != 0:
            sys.exit(f"apply: exit {status}\n{told.read_text()[-4000:]}")
        return shares_of(counts, limit, seconds)

    @work
    def bandwidth(self, seconds=20):
        """What comes over the line under a declared bandwidth, of small and large files over several streams, and, as a part
        of 100 MB/s, without one: more than that no limit lets come."""
        print(f"\n### A declared bandwidth, for {seconds} s\n\n| | | of the limit | any 5 s: least | most |\n| --- | --- | --: | --: | --: |")
        for limit in [1, 10, 100, None]:
            declared = f"{limit} MB/s" if limit else "unlimited"
            for what, seed in [("everything", None), ("WAL", "wals")]:
                primary = f"    bandwidth: {declared}\n"
                shares = self.shares(what, seed, (limit or 100) * MB, seconds, round_trip=0.02, primary=primary)
                print(f"| {declared} | {what} | " + " | ".join(f"{share:.1%}" for share in shares) + " |", flush=True)

    @work
    def nothing(self, port=None, title="Nothing to do"):
        """Nothing to do, one server."""
        ours = OurSite(self.ground, self.seed("whole"), port)
        replace(self.seed("whole"), self.room / "theirs")
        theirs = BarmanSite(self.ground, self.room / "theirs", port)
        theirs.sync()
        ours.apply()
        ours("plan")
        shell, host = self.ground.sshd.command(port).rsplit(" ", 1)
        listing = ["rsync", "-e", shell, "--list-only", "-r", "--exclude=/base/*/*", "--exclude=/.*"]
        self.race(
            title,
            Contender("antipode plan", lambda: ours("plan")),
            Contender("Barman: sync-info --primary", theirs.ask),
            Contender("ssh barman sync-info", lambda: run(*shell.split(), host, "barman", "sync-info", "main")),
            Contender("ssh rsync --list-only", lambda: run(*listing, f"{host}:{self.ground.primary}/main/")),
            rounds=max(self.rounds, 5),
        )

    @work
    def nothing_far(self):
        """Nothing to do, one server, at a round trip of 100 ms."""
        self.nothing(self.ground.sshd.line(0.1), "Nothing to do at 100 ms")

    @work
    def sync_info(self):
        """sync-info of this catalog, ours and Barman's."""
        config = self.ground.config
        self.race(
            "sync-info",
            Contender("antipode sync-info", lambda: run(self.ground.antipode, "-c", config, "sync-info", "main")),
            Contender("barman sync-info", lambda: self.ground.barman("sync-info", "main")),
            rounds=max(self.rounds, 5),
        )

    @work
    def large(self, wals=1_000_000, backups=400, files=1_000):
        """An archive of a million WAL and 400 backups: nothing to do, 1,000 new WAL, the first plan, sync-info."""
        home = self.room / "large"
        archive = Archive(self.demo(), home / "main", wals, backups, files)
        config = self.room / "large.conf"
        config.write_text(self.ground.config.read_text().replace(str(self.ground.primary), str(home)))
        barman = f"  barman: {{config: {config}}}\n".replace("  barman", "    barman", 1)
        self.ground.sshd.begin_in(home)
        site_of(home / "main", self.room / "large-site")
        ours = OurSite(self.ground, self.room / "large-site", primary=barman)
        ours.apply()
        # What changed a moment ago is not believed: after these all is remembered.
        for _ in range(3):
            ours("plan")
        shell, host = self.ground.sshd.command().rsplit(" ", 1)
        listing = ["rsync", "-e", shell, "--list-only", "-r", "--exclude=/base/*/*", "--exclude=/.*"]
        self.race(
            f"Nothing to do, {wals:,} WAL and {backups} backups",
            Contender("antipode plan", lambda: ours("plan")),
            Contender("antipode status", lambda: ours("status")),
            Contender("ssh rsync --list-only", lambda: run(*listing, f"{host}:{home}/main/")),
        )
        empty = OurSite(self.ground, self.room / "large-empty", primary=barman)
        self.race(
            "Its first plan",
            Contender("antipode plan", lambda: empty("plan"), lambda: remove(empty.catalog / "main")),
            rounds=1,
        )
        held = []

        def apply():
            with Held(ours.catalog / ".main-xlogdb.lock") as lock:
                ours.apply()
            held.append(lock.seconds)

        self.race("1,000 new WAL", Contender("antipode apply", apply, lambda: archive.add_wals(1_000)))
        print(f"\nThe lock of xlog.db was held for {statistics.median(held):.2f} s.", flush=True)
        barman = [self.ground.barman_program, "-c", config, "sync-info", "main"]
        self.race(
            f"sync-info of {wals:,} WAL",
            Contender("antipode sync-info", lambda: run(self.ground.antipode, "-c", config, "sync-info", "main")),
            Contender("barman sync-info", lambda: run(*barman)),
            rounds=1,
        )
        self.ground.sshd.begin_in(self.ground.primary)
        remove(home), remove(ours.catalog), remove(empty.catalog)

    @work
    def large_curve(self):
        """Nothing to do at 10,000 to 1,000,000 WAL."""
        for wals in (10_000, 100_000, 300_000):
            self.large(wals, wals // 2_500, 100)

    @work
    def many(self, primaries=10, servers=20):
        """Nothing to do, 200 replicas of ten primaries."""
        configs = fleet(self.demo(), self.room, primaries, servers)
        catalog = self.room / "fleet-site"
        catalog.mkdir()
        text = f'version: 1\nsite: lisbon\ncatalog: {{path: {catalog}, barman: "3.19.1"}}\nprimaries:\n'
        for number, config in enumerate(configs):
            text += f"  p{number}:\n    ssh_command: {self.ground.sshd.command()}\n    barman: {{config: {config}}}\n"
        text += "mirrors:\n" + "".join(f"  - {{primary: p{number}}}\n" for number in range(primaries))
        file = self.room / "fleet.yaml"
        file.write_text(text)
        run(self.ground.antipode, "apply", "-q", "-f", file, "--auto-approve")
        for _ in range(3):
            run(self.ground.antipode, "plan", "-f", file)
        self.race(
            f"Nothing to do, {primaries * servers} replicas of {primaries} primaries",
            Contender("antipode plan", lambda: run(self.ground.antipode, "plan", "-f", file)),
        )

    def demo(self):
        if not (self.room / "demo").exists():
            demo(self.ground.antipode, self.room)
        return self.room / "demo/frankfurt/main"


# What needs no catalog of PostgreSQL's.
SYNTHETIC = {"large", "large_curve", "many"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", metavar="WORK")
    parser.add_argument("--list", action="store_true", help="the names of the works")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=60)
    parser.add_argument("--room", type=Path, help="an empty directory for all that is made; default: one in /var/tmp")
    parser.add_argument("--antipode", type=Path, default=ROOT / "target/release/antipode")
    parser.add_argument("--barman", type=Path, default=ROOT / "target/laboratory/barman-3.19.1/bin/barman")
    options = parser.parse_args()
    if options.list:
        for name, method in WORKS.items():
            print(f"{name:18} {method.__doc__}")
        return
    if os.getuid() == 0:
        sys.exit("PostgreSQL does not run as root: run this as another user")
    unknown = [name for name in options.works if name not in WORKS]
    if unknown:
        sys.exit(f"no such work: {', '.join(unknown)}; --list names them")
    room = options.room or Path(tempfile.mkdtemp(prefix="against-barman-", dir="/var/tmp"))
    ground = Ground(room, options.antipode, options.barman, options.scale)
    try:
        if not options.works or set(options.works) - SYNTHETIC:
            ground.fill()
            size = run("du", "-sm", ground.primary / "main").split()[0]
            print(f"{len(ground.backups())} backups, {size} MB in all")
        print(f"{os.cpu_count()} cores, {run('rsync', '--version').splitlines()[0]}")
        works = Works(ground, options.rounds)
        for name in options.works or WORKS:
            getattr(works, name)()
    finally:
        ground.stop()
        remove(room)


main()
