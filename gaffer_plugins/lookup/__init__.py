"""Tells lookupds what runs here (docs/topologies.rst): this node, its jobs and their processes."""

from .plugin import LookupPlugin

__all__ = ["LookupPlugin"]
