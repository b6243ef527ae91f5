"""The variables of our own environment that children inherit."""

from __future__ import annotations

import os
from typing import Mapping

from .secret_names import is_secret

#: Options of gaffer's own programs; a child has no use for them, nor for what of ``GAFFER_`` is a secret.
OWN = ("GAFFERD_", "GAFFERCTL_", "GAFFER_LOOKUPD_")
_OWN_SECRETS = "GAFFER_"

_withheld: set[str] = set()


def withhold(name: str) -> None:
    """Keep a variable from children, whatever it is called: a plugin reads a secret from it."""
    _withheld.add(name)


def inherited(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what children get of our environment: without options and secrets of gaffer's own programs."""
    found = os.environ if environ is None else environ
    return {name: value for name, value in found.items() if not _is_own(name)}


def _is_own(name: str) -> bool:
    if name in _withheld or name.startswith(OWN):
        return True
    return name.startswith(_OWN_SECRETS) and (is_secret(name) or name.endswith("KEY"))
