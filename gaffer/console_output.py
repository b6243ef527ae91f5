"""The documented place of :class:`ConsoleOutput`: an application that prints what happens, and what processes say."""

from gaffer_plugins.console.app import Color, ConsoleOutput, colored, status_bar
from gaffer_plugins.console.batches import RunConsole

__all__ = ["Color", "ConsoleOutput", "RunConsole", "colored", "status_bar"]
