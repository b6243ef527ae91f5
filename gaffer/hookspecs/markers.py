"""The pluggy markers of the project name ``gaffer``."""

from __future__ import annotations

import pluggy

hookspec = pluggy.HookspecMarker("gaffer")
hookimpl = pluggy.HookimplMarker("gaffer")
