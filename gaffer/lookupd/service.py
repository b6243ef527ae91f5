"""gaffer_lookupd while it serves: sockets, registry, signals, pidfile and log."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any, Callable, Mapping

import gevent
from gevent.event import Event

from ..commands.authorization import Authorization
from ..config.settings import Settings, read_settings
from ..errors import ConfigError, PluginError, Problem
from ..pidfile import Pidfile
from ..plugins.calling import Hooks, named_call
from ..plugins.registry import PluginSet
from ..service.daemonize import Starter
from ..service.logging import Log, log_failures
from ..service.rlimits import inherit_nothing, raise_file_limit
from ..service.signals import STOP, Signals
from ..util import setproctitle_
from ..version import __version__
from ..web.application import App
from ..web.requests.access_guard import AccessGuard
from ..web.requests.routes import check_routes
from ..web.server.connection import ConnectionLimits
from ..web.server.endpoints import Bound, bind_all, host_names, make_rules, renewed, wrong_rules
from ..web.server.server import HttpServer
from .backends import Backend
from .event_printer import EventPrinter
from .node_protocol import NodeSessions
from .options import LOOKUPD_PORT, make_options
from .registry import Registry
from .routes import routes

log = logging.getLogger("gaffer_lookupd")

NAME = "gaffer_lookupd"
#: Connections that may be open at each address: nodes stay.
MOST_CONNECTIONS = 25_000
#: How long running requests may take at the end, in seconds.
_LAST_REQUESTS = 2.0
_GONE = "keys are required, but no plugin that checks them is loaded, so every request would be rejected"


class LookupdService:
    """Serves from the first signal handler to the last log line.

    :param starter: the process that waits until we are ready, if we are a daemon.
    :param overrides: what the command line says; it is read again, with the options of plugins that check keys.
    :raises ConfigError: the settings ask for what is not there.
    """

    def __init__(self, settings: Settings, starter: Starter | None, overrides: Mapping[str, Any] | None = None) -> None:
        self.plugins = load_plugins(settings)
        self.hooks = Hooks(self.plugins.pm)
        self.settings = settings = self._read_again(overrides or {})
        self.access = Authorization(self.hooks)
        self.access.strict = settings.get("require_key") or any(one.require_key for one in settings.endpoints)
        self.backend = self._find_backend()
        self.registry = Registry(self.backend.id)
        self.sessions = NodeSessions(self.registry, self.backend, settings.get("ping_interval"))
        self._starter = starter
        self._log: Log | None = None
        self._stop = Event()
        self._bound: list[Bound] = []
        self._server: HttpServer

    def _read_again(self, overrides: Mapping[str, Any]) -> Settings:
        """Return the settings with the options of plugins that check keys, such as where the keys are."""
        options = make_options()
        self._call_keepers("gaffer_add_options", options=options)
        return read_settings(None, options, overrides)

    def _call_keepers(self, hook: str, **arguments: Any) -> None:
        """Call a hook of the plugins that check keys: of the others' lives we are no part."""
        keepers = {call.plugin for call in self.hooks.implementations("gaffer_identify")}
        for call in self.hooks.implementations(hook):
            if call.plugin in keepers:
                named_call(call, arguments)

    def _find_backend(self) -> Backend:
        problems = wrong_rules(self.settings)
        if self.access.strict and not self.hooks.implemented("gaffer_identify"):
            problems.append(self.settings.problem("require_key", _GONE))
        url = self.settings.get("registry")
        backend: Backend | None = self.hooks.ask_first("gaffer_registry", url=url)
        if backend is None:
            sentence = f"no plugin knows the registry {url!r}; there are memory: and etcd://host:port[,host:port]"
            problems.append(self.settings.problem("registry", sentence))
        if problems or backend is None:
            raise ConfigError(problems)
        return backend

    def list_plugins(self) -> None:
        """Print the plugins that keep registries."""
        for call in self.hooks.implementations("gaffer_registry"):
            print(call.plugin)

    # -- life -----------------------------------------------------------------
    def run(self) -> None:
        """Serve until a signal stops us.

        :raises GafferError: we could not start.
        """
        inherit_nothing()
        self._log = Log(self.settings.get("error_log"), self.settings.get("log_level"), program=NAME)
        log_failures(gevent.get_hub(), NAME)
        signals = Signals(gevent.get_hub().loop, self._actions())
        signals.install()
        pidfile = Pidfile(self.settings.get("pidfile"), NAME)
        try:
            if pidfile.fname:
                pidfile.create(os.getpid())
            raise_file_limit()
            if not signals.arrived(*STOP):
                self._serve()
        finally:
            pidfile.unlink()
            signals.finish()

    def _serve(self) -> None:
        bound = bind_all(self.settings.endpoints, LOOKUPD_PORT)
        server = HttpServer(
            self.application(),
            ConnectionLimits(connections=MOST_CONNECTIONS, per_peer=MOST_CONNECTIONS, websockets=MOST_CONNECTIONS),
        )
        self._bound, self._server = bound, server
        for sock, tls, policy, _ in bound:
            server.add(sock, tls, policy)
        self._call_keepers("gaffer_manager_start", manager=self)
        self.backend.start(self.registry, self.sessions.patience, self.sessions.refuse)
        server.start()
        printer = EventPrinter(self.registry.events) if self.settings.get("verbose") else None
        try:
            self._ready(bound)
            self._stop.wait()
        finally:
            server.stop(_LAST_REQUESTS)
            self.backend.stop()
            self._call_keepers("gaffer_manager_stopped", manager=self)
            if printer is not None:
                printer.close()
        log.info("stopped")

    def application(self) -> Callable[..., Any]:
        """Return what answers requests, behind what decides who may come."""
        rules = make_rules(self.settings, None)
        app = App(check_routes([("lookup", routes(self.sessions, rules.origins))]), access=self.access)
        names = host_names(self.settings.endpoints)
        return AccessGuard(app, rules._replace(hosts=(*rules.hosts, *names)), program=NAME)

    def _ready(self, bound: list[Bound]) -> None:
        from ..config.addresses import format_address

        where = ", ".join(format_address(sock.getsockname()) for sock, *_ in bound)
        log.info("gaffer_lookupd %s is ready at %s; process id %d", __version__, where, os.getpid())
        if self._starter is not None:
            if self.settings.get("error_log") is None:
                log.warning("nothing is logged from now on: a daemon needs --error-log FILE for that")
            self._starter.ready()
        setproctitle_(f"gaffer_lookupd [{where}]")

    # -- signals ----------------------------------------------------------------
    def _actions(self) -> dict[int, Callable[[], Any] | None]:
        actions: dict[int, Callable[[], Any] | None] = {number: self._told_to_stop for number in STOP}
        actions[signal.SIGHUP] = self._renew
        actions[signal.SIGUSR1] = self._reopen
        actions[signal.SIGUSR2] = None
        return actions

    def _renew(self) -> None:
        """Read certificates again."""
        for sock, tls in renewed(self._bound):
            self._server.renew(sock, tls)

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            os._exit(0)
        log.info("stopping; a second signal ends at once")
        self._stop.set()

    def _reopen(self) -> None:
        if self._log is not None:
            self._log.reopen()
            log.info("log opened again")


def load_plugins(settings: Settings) -> PluginSet:
    """Return the plugins; a lookupd only ever calls the hooks that are its own.

    :raises ConfigError: one cannot be used.
    """
    plugins = PluginSet()
    disabled = settings.get("no_plugin")
    try:
        plugins.load_entry_points(disabled=disabled)
        for path in settings.plugin_dirs:
            plugins.load_folder(path, disabled)
    except PluginError as error:
        raise ConfigError(Problem("", 0, line) for line in str(error).splitlines()) from None
    return plugins
