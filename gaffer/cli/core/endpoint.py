"""The default address of gafferd."""

from __future__ import annotations

import os

from ...security.root_socket import ROOT_SOCKET, answers

#: The client's default, repeated here to save its import.
DEFAULT_ENDPOINT = "http://127.0.0.1:5000"
#: :func:`default_endpoint` in help texts.
DEFAULT_ENDPOINT_HELP = f"{DEFAULT_ENDPOINT}; for root first unix:{ROOT_SOCKET}"


def default_endpoint() -> str:
    """Return the default address of gafferd: for root its own socket, if a gafferd of root's listens there."""
    return f"unix:{ROOT_SOCKET}" if os.geteuid() == 0 and answers() else DEFAULT_ENDPOINT
