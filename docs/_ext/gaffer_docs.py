"""The directive ``.. gaffer-generated:: NAME [ARGUMENT…]``: reference tables, made from the code at every build."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from gaffer_tables import GENERATORS, linked
from sphinx.util.docutils import SphinxDirective


class Generated(SphinxDirective):
    """Puts the text of one generator in its place."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        # The code may have changed where the page has not.
        self.env.note_reread()
        name, *arguments = self.arguments
        if name not in GENERATORS:
            raise self.error(f"there is no generator {name!r}; there are {', '.join(GENERATORS)}")
        return self.parse_text_to_nodes(GENERATORS[name](*arguments), allow_section_headings=True)


def link_contract(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn the contract's sections in docstrings into links to our pages."""
    lines[:] = [linked(line) for line in lines]


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", link_contract)
    app.add_directive("gaffer-generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
