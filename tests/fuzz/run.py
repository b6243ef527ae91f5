"""Fuzz one target, or each in turn, with atheris: ``python -m tests.fuzz.run --seconds 60 [TARGET…]``.

atheris is not among our requirements, since it exists for few systems: ``pip install atheris``. What it finds is
printed, and belongs into ``FOUND`` of ``test_parsers.py`` when it is mended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

#: More than that is refused before any of the targets sees it.
LONGEST = 2000
#: A single input may take so long, in seconds; it shows what is quadratic.
SLOWEST = 2


def fuzz(name: str, seconds: float, corpus: Path) -> None:
    """Fuzz *name* in this process, until it ends with what it found."""
    import atheris

    with atheris.instrument_imports(include=["gaffer", "gaffer_plugins", "json", "urllib", "configobj", "dotenv"]):
        from tests.fuzz.targets import TARGETS, feed
    for number, seed in enumerate(TARGETS[name].seeds):
        (corpus / f"seed{number}").write_bytes(seed)
    flags = [f"-max_total_time={seconds:g}", f"-max_len={LONGEST}", f"-timeout={SLOWEST}", "-rss_limit_mb=1024"]
    flags += ["-print_final_stats=1", f"-artifact_prefix={corpus}/"]
    atheris.Setup([sys.argv[0], str(corpus), *flags], lambda data: feed(name, data))
    atheris.Fuzz()


def main() -> int:
    """Run every target in a process of its own; returns 1 if one of them found something."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="*")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--here", metavar="CORPUS", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here is not None:
        fuzz(given.target[0], given.seconds, given.here)
        return 0
    from tests.fuzz.targets import TARGETS

    found = 0
    for name in given.target or TARGETS:
        with tempfile.TemporaryDirectory(prefix="gaffer-fuzz-") as folder:
            command = [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", str(given.seconds), "--here", folder]
            done = subprocess.run(command, capture_output=True, text=True)
            files = len(list(Path(folder).iterdir()))
        runs = [line.split()[1] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        print(f"{name:16} {given.seconds:6g} s  {runs[0] if runs else '?':>9} inputs  {files:5} kinds  ", end="")
        print("nothing" if done.returncode == 0 else "FOUND", flush=True)
        if done.returncode:
            found += 1
            print(done.stdout[-3000:], done.stderr[-5000:])
    return min(1, found)


if __name__ == "__main__":
    sys.exit(main())
