"""Applications that handle the signals of a program: add one to a manager, and TERM stops it gracefully."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

import gevent

from .errors import Conflict
from .service.signals import Signals

if TYPE_CHECKING:
    from .manager.manager import Manager

__all__ = ["BaseSigHandler", "SigHandler"]


class BaseSigHandler:
    """Calls a method, in a greenlet of its own, for each signal that arrives; subclasses say what follows.

    Between :meth:`start` and :meth:`stop` the program's own handlers are set aside.
    """

    #: The signals that :meth:`handle_quit` is for; :meth:`handle_reload` is for HUP.
    QUIT_SIGNALS = (signal.SIGQUIT, signal.SIGTERM, signal.SIGINT)

    _signals: Signals | None = None

    def start(self, loop: Any = None) -> None:
        """Handle signals from now on; a second call changes nothing.

        :param loop: gevent's hub loop.
        :raises Conflict: this is not the main thread, where alone signals can be handled.
        """
        if self._signals is not None:
            return
        handlers = {signum: self.handle_quit for signum in self.QUIT_SIGNALS}
        handlers[signal.SIGHUP] = self.handle_reload
        actions: dict[int, Callable[[], Any] | None] = {
            signum: partial(handler, self, signum) for signum, handler in handlers.items()
        }
        signals = Signals(loop or gevent.get_hub().loop, actions)
        try:
            signals.install()
        except ValueError:
            signals.close()
            raise Conflict("signals can be handled in the main thread only") from None
        self._signals = signals

    def stop(self) -> None:
        """Put back the handlers that were there before."""
        signals, self._signals = self._signals, None
        if signals is not None:
            signals.remove()

    def restart(self) -> None:
        """The manager restarts: signals go on being handled."""

    def handle_quit(self, handle: Any, signum: int) -> None:
        """Handle one of :attr:`QUIT_SIGNALS`.

        :param handle: this application.
        """

    def handle_reload(self, handle: Any, signum: int) -> None:
        """HUP arrived."""


class SigHandler(BaseSigHandler):
    """Stops its manager at a signal to quit, kills at a second one, and restarts all jobs at HUP."""

    _manager: Manager | None = None

    def start(self, loop: Any, manager: Manager) -> None:  # type: ignore[override]
        """Handle signals for *manager* from now on."""
        self._manager = manager
        super().start(loop)

    def handle_quit(self, handle: Any, *args: Any) -> None:
        """Stop the manager; if it is stopping already, kill what is left."""
        if self._manager is None:
            return
        if self._manager.state == "stopping":
            self._manager.halt()
        else:
            self._manager.stop()

    def handle_reload(self, handle: Any, *args: Any) -> None:
        """Restart all jobs."""
        if self._manager is not None:
            self._manager.restart()
