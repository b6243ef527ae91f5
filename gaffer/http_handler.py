"""The documented place of :class:`HttpHandler`: the HTTP API as an application of a program's own manager."""

from gaffer_plugins.http.http_handler import HttpEndpoint, HttpHandler

__all__ = ["HttpEndpoint", "HttpHandler"]
