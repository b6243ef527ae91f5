"""The figures as text: a row a metric, a column a peer, then what is to be known about them."""

from __future__ import annotations

from typing import Iterable, Mapping

from .figures import METRICS, Figure, Figures, Metric, Verdict, number


def render(found: Figures, sizes: Mapping[str, int]) -> str:
    """Return the table. Beside each other peer's figure stands how many times gaffer's it is."""
    peers = list(found)
    rows = [["", *peers]]
    for name, metric in METRICS.items():
        if any(name in found[peer] for peer in peers):
            rows.append([metric.title.format(**sizes), *(_cell(name, metric, peer, found) for peer in peers)])
    return "\n".join(_aligned(rows))


def _cell(name: str, metric: Metric, peer: str, found: Figures) -> str:
    figure, own = found[peer].get(name), found.get("gaffer", {}).get(name)
    if figure is None:
        return "-"
    text = number(figure.median)
    if metric.spread:
        text += f" / {number(figure.p99)}"
    return text + _ratio(figure, own if peer != "gaffer" else None)


def _ratio(figure: Figure, own: Figure | None) -> str:
    if own is None or not own.median:
        return ""
    ratio = figure.median / own.median
    return f" ({ratio:.2f}x)" if ratio < 100 else f" ({ratio:,.0f}x)"


def _aligned(rows: list[list[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))
        )
        yield "  ".join([first, *others]).rstrip()


def render_verdicts(verdicts: Iterable[Verdict]) -> str:
    """Return gaffer's promises, each with whether this run kept it."""
    return "\n".join(f"{'kept  ' if verdict.kept else 'BROKEN'}  {verdict.promise}" for verdict in verdicts)
