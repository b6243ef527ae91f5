"""What others have of gafferd and gaffer_lookupd while a client attacks: one row for each attack of tests/security.

    .venv/bin/python -m bench.attacks                           # a minute for each of forty; --seconds 5 is a look
    .venv/bin/python -m bench.attacks --only pipelined chunks   # those whose names hold one of the words

Beside the program, the attacker takes a core of its own and the measuring a little; on a machine with fewer cores, or
with other work, the figures say more about that.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

from tests.kit.floods import FLOODS, SINK, endless, endless_for_lookupd, many
from tests.kit.gafferd import Gafferd
from tests.kit.under_attack import Attack, Figures, gafferd, lookupd, under_attack

#: What must hold, in milliseconds and, for TERM, in seconds.
PING, RESTART, TERM = 100.0, 50.0, 5.0
#: Connections of one attacker with many.
MANY = 200
_CROWDS = ("empty lines before a request", "pipelined requests", "websocket: messages")
_WIDTH = 58
Make = Callable[[Path], Gafferd]


def attacks() -> Iterator[tuple[str, Make, Attack | None]]:
    """Give the name of each, what makes the program that it attacks, and the attack; the first one is peace."""

    def make(folder: Path) -> Gafferd:
        return gafferd(folder, sections=SINK)

    yield "(none)", make, None
    for name, attack in endless().items():
        yield name, make, attack
    for name in _CROWDS:
        yield f"{MANY} × {name}", make, many(FLOODS[name].endless(), MANY)
    for name, attack in endless_for_lookupd().items():
        yield f"lookupd: {name}", lookupd, attack


def _peace(port: int) -> None:
    time.sleep(3600)


def row(figures: Figures) -> tuple[str, bool]:
    """Return the cells of a row, and whether all of them are as they must be."""
    pings = sorted(ping * 1000 for ping in figures.pings)
    p99 = pings[len(pings) * 99 // 100]
    restarts = [restart * 1000 for restart in figures.restarts]
    cells = f"{pings[len(pings) // 2]:8.1f} {p99:8.1f} {pings[-1]:8.1f}"
    if restarts:
        cells += f" {statistics.median(restarts):9.1f} {max(restarts):8.1f}"
    else:
        cells += " " * 19
    good = p99 < PING and (not restarts or statistics.median(restarts) < RESTART)
    return f"{cells} {figures.term:7.2f}", good and figures.term < TERM and figures.status == 0


def main() -> None:
    """Run them, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each attack lasts")
    parser.add_argument("--only", nargs="*", default=[""], metavar="WORD", help="attacks whose names hold one of these")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores; times in ms, TERM in s")
    print(f"{'attack':{_WIDTH}} ping p50      p99    worst   restart    worst    TERM")
    bad = 0
    for name, make, attack in attacks():
        if any(word in name for word in options.only):
            with tempfile.TemporaryDirectory() as folder:
                cells, good = row(under_attack(make(Path(folder)), attack or _peace, options.seconds))
            bad += not good
            print(f"{name:{_WIDTH}} {cells}{'' if good else '  !'}", flush=True)
    print(f"{bad} not within /ping p99 {PING:g} ms, restart {RESTART:g} ms (median), TERM {TERM:g} s")


if __name__ == "__main__":
    main()
