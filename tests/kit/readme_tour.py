"""Reading the README's tour: the commands behind ``$`` and what they are said to print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, NamedTuple

README = Path(__file__).parents[2] / "README.rst"


class Step(NamedTuple):
    """A command and the lines it prints; ``...`` stands for anything, alone on a line for any lines."""

    command: str
    expected: list[str]

    def matches(self, output: str) -> bool:
        pattern = "\n".join(self.expected)
        parts = re.split(r"(?m)(^\.\.\.(?:\n|\Z)|\.\.\.)", pattern)
        return re.fullmatch("".join(map(_regex, parts)), output.rstrip("\n")) is not None


def _regex(part: str) -> str:
    if part in ("...", "...\n"):
        return r"(?:.|\n)*"
    # Columns are as wide as what is in them.
    return re.sub(r"(?:\\ ){2,}", " {2,}", re.escape(part))


def blocks(text: str) -> Iterator[list[Step]]:
    """Return the steps of each console block."""
    for block in re.findall(r"^\.\. code-block:: console\n\n((?:    .*\n|\n)+)", text, re.MULTILINE):
        yield list(steps(line[4:] for line in block.rstrip().splitlines()))


def steps(lines: Iterator[str]) -> Iterator[Step]:
    """Cut the lines of a block into steps."""
    step: Step | None = None
    for line in lines:
        if line.startswith("$ "):
            if step is not None:
                yield step
            step = Step(line[2:], [])
        elif step is not None and line.startswith(">") and not step.expected:
            step = step._replace(command=f"{step.command}\n{line[2:]}")
        elif step is not None:
            step.expected.append(line)
    if step is not None:
        yield step
