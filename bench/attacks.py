"""What others have of gafferd and gaffer_lookupd while a client attacks: one row for each attack of tests/security.

    .venv/bin/python -m bench.attacks                           # a minute for each of eighty; --seconds 5 is a look
    .venv/bin/python -m bench.attacks --only pipelined chunks   # those whose names hold one of the words

Beside the program, the attacker takes a core of its own and the measuring a little; on a machine with fewer cores, or
with other work, the figures say more about that.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Callable, Iterable, Iterator, NamedTuple

from tests.kit.floods import FLOODS, SINK, endless, endless_for_lookupd, many
from tests.kit.gafferd import Gafferd
from tests.kit.under_attack import Attack, Figures, gafferd, listening, lookupd, under_attack
from tests.security.flooding import ANSWERS, LINKS, MANNERS, WATCHES, Flood, serve

#: What must hold, in milliseconds and, for TERM, in seconds.
PING, RESTART, TERM = 100.0, 50.0, 5.0
#: Connections of one attacker with many.
MANY = 200
_CROWDS = ("empty lines before a request", "pipelined requests", "websocket: messages")
_WIDTH = 58
Make = Callable[[Path], Gafferd]


class Row(NamedTuple):
    """An attack to be measured.

    :param make: makes the program that it attacks. :param attack: None for peace.
    :param early: it begins before the program, as servers do that the program talks to.
    """

    name: str
    make: Make
    attack: Attack | None
    early: bool = False


def attacks() -> Iterator[Row]:
    """Give each; the first one is peace."""

    def make(folder: Path) -> Gafferd:
        return gafferd(folder, sections=SINK)

    yield Row("(none)", make, None)
    for name, attack in endless().items():
        yield Row(name, make, attack)
    for name in _CROWDS:
        yield Row(f"{MANY} × {name}", make, many(FLOODS[name].endless(), MANY))
    for name, attack in endless_for_lookupd().items():
        yield Row(f"lookupd: {name}", lookupd, attack)
    for manner in MANNERS:
        yield from servers(manner)


def servers(manner: str) -> Iterator[Row]:
    """Give the attacks of servers that the programs talk to."""
    receivers, lookupds = [listening() for _ in ANSWERS], [listening() for _ in ANSWERS | LINKS]

    def with_receivers(folder: Path) -> Gafferd:
        return gafferd(folder, sections=f"[webhooks]\n. = {_urls(receivers)}\n[plugin:webhooks]\nbackoff = 0.1\n")

    def with_lookupds(folder: Path) -> Gafferd:
        return gafferd(folder, f"lookupd_address = {_urls(lookupds)}")

    def serving(sockets: list[socket.socket], floods: Iterable[Flood]) -> Attack:
        return partial(serve, list(zip(sockets, floods)), manner)

    yield Row(
        f"{len(receivers)} webhook receivers: {manner}", with_receivers, serving(receivers, ANSWERS.values()), True
    )
    links = (ANSWERS | LINKS).values()
    yield Row(f"{len(lookupds)} lookupds: {manner}", with_lookupds, serving(lookupds, links), True)
    for name, flood in {**ANSWERS, **{f"watch: {name}": flood for name, flood in WATCHES.items()}}.items():
        with listening() as etcd:
            registry = f"--registry etcd://127.0.0.1:{etcd.getsockname()[1]}"
            make = partial(lookupd, options=registry)
            yield Row(f"lookupd, etcd: {name}, {manner}", make, serving([etcd], [flood]), True)


def _urls(sockets: list[socket.socket]) -> str:
    return ", ".join(f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in sockets)


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
    for one in attacks():
        if any(word in one.name for word in options.only):
            with tempfile.TemporaryDirectory() as folder:
                program = one.make(Path(folder))
                cells, good = row(under_attack(program, one.attack or _peace, options.seconds, early=one.early))
            bad += not good
            print(f"{one.name:{_WIDTH}} {cells}{'' if good else '  !'}", flush=True)
    print(f"{bad} not within /ping p99 {PING:g} ms, restart {RESTART:g} ms (median), TERM {TERM:g} s")


if __name__ == "__main__":
    main()
