"""``python -m bench.run``: measure gaffer beside other supervisors and print the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any, Callable

from .figures import Samples, figures, verdicts
from .peers import PEERS, Peer
from .scenarios import SCENARIOS, Scenario, Size
from .stamps import BenchError, build_child, kill_strays
from .table import render, render_verdicts

WORK = Path(__file__).resolve().parent / ".work"
#: Peers measured when none are named.
USUAL = ("bare", "supervisor", "runit", "gaffer")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    size = Size()
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=USUAL, help="default: %(default)s")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="default: all")
    parser.add_argument("--runs", type=int, default=3, help="alternating runs of each peer (%(default)s)")
    parser.add_argument("--crowd", type=int, default=size.crowd, help="children in bursts (%(default)s)")
    parser.add_argument("--many", type=int, default=size.many, help="children for memory and idling (%(default)s)")
    parser.add_argument("--kills", type=int, default=size.kills, help="restarts in each run (%(default)s)")
    parser.add_argument("--launches", type=int, default=size.launches, help="starts in each run (%(default)s)")
    parser.add_argument("--idle", type=float, default=size.idle, help="seconds of idling watched (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, help="write every sample and figure there, as JSON")
    return parser.parse_args(argv)


class Bench:
    """All lives of all peers; results and what went wrong."""

    def __init__(self, peers: list[str], size: Size, say: Callable[[str], None]) -> None:
        WORK.mkdir(exist_ok=True)
        self.child = build_child(WORK)
        self.size = size
        self.say = say
        self.notes: list[str] = []
        self.results: dict[str, list[Samples]] = {}
        for name in peers:
            reason = PEERS[name].missing()
            if reason:
                self.notes.append(f"{name} is missing: {reason}")
            else:
                PEERS[name].install(WORK)
                self.results[name] = []

    def run(self, scenarios: list[str]) -> None:
        """Let each peer live through each scenario once, one peer after the other."""
        for peer, runs in self.results.items():
            samples: dict[str, list[float]] = {}
            for name in scenarios:
                if not SCENARIOS[name].peers or peer in SCENARIOS[name].peers:
                    samples.update(self._live(PEERS[peer], name, SCENARIOS[name]))
            runs.append(samples)

    def _live(self, kind: type[Peer], name: str, scenario: Scenario) -> Samples:
        peer = kind(self.child, WORK)
        self.say(f"  {kind.name}: {name}")
        try:
            samples = scenario.run(peer, self.size)
        except (BenchError, OSError) as error:
            self.notes.append(f"{kind.name}, {name}: {error}")
            samples = {}
        left = peer.end()
        if left:
            self.notes.append(f"{kind.name}, {name}: {left} children outlived their supervisor")
        return samples


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    size = Size(options.crowd, options.many, options.launches, options.kills, options.idle)
    began, load = time.time(), os.getloadavg()[0]
    bench = Bench(list(options.peers), size, lambda line: print(line, file=sys.stderr, flush=True))
    if load > 0.5:
        bench.notes.append(f"the machine was not idle when this began (load {load:.1f}): compare ratios only")
    try:
        for number in range(1, options.runs + 1):
            bench.say(f"run {number} of {options.runs}")
            bench.run(options.scenarios)
    finally:
        kill_strays(bench.child)
    report(bench, size, began, options.output)
    return 0


def report(bench: Bench, size: Size, began: float, output: Path | None) -> None:
    """Print the table, the promises and the notes; write the samples to *output*."""
    found = figures(bench.results)
    sizes = {"crowd": size.crowd, "many": size.many}
    judged = verdicts(found, sizes)
    print(render(found, sizes))
    print("\n(n.nnx): that peer's figure divided by gaffer's.  a / b: median / 99th percentile.")
    for part in (render_verdicts(judged), "\n".join(bench.notes)):
        if part:
            print(f"\n{part}")
    if output is not None:
        output.write_text(json.dumps(_document(bench, size, began, found, judged), indent=1), "utf-8")


def _document(bench: Bench, size: Size, began: float, found: Any, judged: Any) -> dict[str, Any]:
    return {
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "took_s": round(time.time() - began, 1),
        "machine": {"kernel": platform.release(), "python": platform.python_version(), "cores": os.cpu_count()},
        "size": size._asdict(),
        "figures": {peer: {name: value._asdict() for name, value in of.items()} for peer, of in found.items()},
        "promises": [verdict._asdict() for verdict in judged],
        "notes": bench.notes,
        "samples": bench.results,
    }


if __name__ == "__main__":
    sys.exit(main())
