"""How Sphinx builds these pages. Nothing is fetched from anywhere."""

import sys
from pathlib import Path

import gaffer

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parents[1])]

project = "gaffer"
author = "The gaffer contributors"
copyright = author  # noqa: A001
release = version = gaffer.__version__

extensions = ["sphinx.ext.autodoc", "gaffer_docs"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
exclude_patterns = ["_build", "_ext", "examples"]
nitpicky = True
highlight_language = "none"
smartquotes = False

html_theme = "alabaster"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "description": "runs your processes and keeps them running",
    "fixed_sidebar": True,
    "page_width": "72rem",
    "sidebar_width": "15rem",
}
