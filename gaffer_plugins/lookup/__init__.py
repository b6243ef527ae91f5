"""Tells lookupds what runs here (CONTRACT §9): this node, its jobs and their processes."""

from .plugin import LookupPlugin

__all__ = ["LookupPlugin"]
