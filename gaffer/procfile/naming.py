"""Folder and name of an application, for commands that read no Procfile."""

from __future__ import annotations

import os

from ..config.names import check_name, clean_name


def find_procfile(procfile: str | None = None, root: str | None = None) -> tuple[str, str]:
    """Return the path of a Procfile and the folder of its application.

    :param procfile: its path; by default ``Procfile`` in *root*.
    :param root: the folder; by default the one that holds the Procfile.
    """
    path = procfile or os.path.join(root or "", "Procfile")
    return path, root or os.path.dirname(path) or "."


def application_name(name: str | None, root: str) -> str:
    """Return the name of an application: *name*, or that of its folder if it is None or ``.``.

    :raises BadRequest: it is no name.
    """
    if name in (None, "", "."):
        return clean_name(os.path.basename(os.path.abspath(root)))
    return check_name(name, "application name")
