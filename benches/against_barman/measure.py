"""Rounds in turn: every contender once, then every contender again, so that a noisy minute hits all alike."""

import os
import resource
import statistics
import time


class Contender:
    """Something that does a work; `reset` brings back what it starts from, and is not timed."""

    def __init__(self, name, work, reset=lambda: None):
        self.name, self.work, self.reset = name, work, reset
        self.seconds, self.processor = [], []

    def go(self):
        self.reset()
        os.sync()
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        self.work()
        self.seconds.append(time.monotonic() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def race(title, contenders, rounds, out=print):
    """Runs the rounds and prints a table; the first contender is what the others are compared with."""
    for _ in range(rounds):
        for contender in contenders:
            contender.go()
    first = statistics.median(contenders[0].seconds)
    out(f"\n### {title}\n\n| | median | from | to | of {contenders[0].name} | processor here |\n| --- | --: | --: | --: | --: | --: |")
    for contender in contenders:
        median = statistics.median(contender.seconds)
        out(
            f"| {contender.name} | {median:.2f} s | {min(contender.seconds):.2f} | {max(contender.seconds):.2f}"
            f" | {median / first:.2f} | {statistics.median(contender.processor):.2f} s |",
            flush=True,
        )
