"""The documented place of :class:`WebHooks`: an application that posts a manager's events to URLs."""

from gaffer_plugins.webhooks.app import WebHooks

__all__ = ["WebHooks"]
