"""Events: emitting, keeping and filtering them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import lazy_names

if TYPE_CHECKING:
    from .emitter import EventEmitter as EventEmitter

__all__, __getattr__, __dir__ = lazy_names(__name__, {"events.emitter": "EventEmitter"})
