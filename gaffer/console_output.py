"""The documented place of :class:`ConsoleOutput`: an application that prints what happens, and what processes say."""

from gaffer_plugins.console.app import Color, ConsoleOutput, status_bar

__all__ = ["Color", "ConsoleOutput", "status_bar"]
