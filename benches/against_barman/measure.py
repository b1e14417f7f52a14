"""Rounds in turn: every contender once, then every contender again, so that a noisy minute hits all alike."""

import os
import resource
import statistics
import time


PEAK = 0


def note_memory(kilobytes):
    """Notes the memory that a command had at its peak, without those that it started."""
    global PEAK
    PEAK = max(PEAK, kilobytes)


class Contender:
    """Something that does a work; `reset` brings back what it starts from, and is not timed."""

    def __init__(self, name, work, reset=lambda: None):
        self.name, self.work, self.reset = name, work, reset
        self.seconds, self.processor, self.memory = [], [], []

    def go(self):
        global PEAK
        self.reset()
        os.sync()
        PEAK = 0
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        self.work()
        self.seconds.append(time.monotonic() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        self.memory.append(PEAK / 1024)


def race(title, contenders, rounds, out=print):
    """Runs the rounds and prints a table; the first contender is what the others are compared with."""
    for _ in range(rounds):
        for contender in contenders:
            contender.go()
    first = statistics.median(contenders[0].seconds)
    out(f"\n### {title}\n\n| | median | from | to | of {contenders[0].name} | processor here | memory |\n"
        "| --- | --: | --: | --: | --: | --: | --: |")
    for contender in contenders:
        median = statistics.median(contender.seconds)
        out(
            f"| {contender.name} | {median:.2f} s | {min(contender.seconds):.2f} | {max(contender.seconds):.2f}"
            f" | {median / first:.2f} | {statistics.median(contender.processor):.2f} s | {max(contender.memory):.0f} MiB |",
            flush=True,
        )
