"""Names for plugins that add commands to ``gafferctl``.

Names are imported when they are first used (PEP 562). ``docs/python.rst`` describes each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import lazy_names

if TYPE_CHECKING:  # what __getattr__ finds, for tools that read the types
    from gaffer.cli.core.output import View as View
    from gaffer.cli.core.output import output_option as output_option
    from gaffer.cli.core.output import print_lines as print_lines
    from gaffer.cli.core.output import show as show
    from gaffer.cli.core.program import Program as Program
    from gaffer.cli.core.program import command as command

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "cli.core.output": "View output_option print_lines show",
        "cli.core.program": "Program command",
    },
)
