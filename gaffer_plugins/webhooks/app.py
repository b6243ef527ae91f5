"""``WebHooks`` of gaffer 0.5: an application for programs that have a manager of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Mapping

import gevent

from gaffer import hookimpl
from gaffer.api import ALL

from .config import Hook, check_tuning, make_hook, make_hooks
from .dispatcher import Dispatcher

if TYPE_CHECKING:
    from gaffer import Manager


class WebHooks:
    """Posts a manager's events to URLs: ``manager.start(apps=[WebHooks(hooks=[("create", url)])])``.

    It hears events while it is started *and* they are needed: each hook counts for one, and so does each
    :meth:`incref`.

    :param hooks: ``(event pattern, URL)``.
    :param options: those of ``[plugin:webhooks]``, such as ``secret`` and ``timeout``.
    :raises BadRequest: a URL or an option cannot be used.
    """

    description = "posts events to URLs"

    def __init__(self, hooks: Iterable[tuple[str, str]] = (), **options: Any) -> None:
        self._hooks: list[Hook] = []
        self._tuning = check_tuning(options)
        self._dispatcher = Dispatcher(self._tuning)
        self._manager: Manager | None = None
        self._hearing = False
        #: How many need events: hooks and calls of :meth:`incref`.
        self.refcount = 0
        for hook in make_hooks(hooks):
            self._add(hook)

    # -- the application --------------------------------------------------------
    def start(self, loop: Any, manager: Manager) -> None:
        """Begin to hear the events of *manager*.

        :param loop: accepted as in gaffer 0.5.
        """
        self._manager = manager
        self._dispatcher.configure(self._hooks)
        self.maybe_start_monitor()

    def stop(self) -> None:
        """Hear no more events; what is queued gets ``flush_timeout`` seconds."""
        if self._manager is None:
            return
        self._unsubscribe()
        self._manager = None
        self._dispatcher.drain()

    def restart(self) -> None:
        """Make attempts now that wait for their time; called when the manager restarts. Nothing is forgotten."""
        self._dispatcher.hurry()

    def close(self) -> None:
        """Stop, and forget all hooks and references."""
        self.stop()
        self._hooks.clear()
        self.refcount = 0

    # -- hooks ------------------------------------------------------------------
    def register_hook(self, event: str, url: str) -> None:
        """Post the events that the pattern *event* selects to *url*; a second time changes nothing.

        :raises BadRequest: the URL cannot be used.
        """
        self._add(make_hook(event, url))

    def _add(self, hook: Hook) -> None:
        if hook not in self._hooks:
            self._hooks.append(hook)
            self._changed()
            self.incref()

    def unregister_hook(self, event: str, url: str) -> None:
        """Take a hook back; nothing happens if there is none. Without a hook left, its URL's queue is forgotten.

        :raises BadRequest: it is no URL at all.
        """
        hook = make_hook(event, url)
        if hook in self._hooks:
            self._hooks.remove(hook)
            self._changed()
            self.decref()

    def _changed(self) -> None:
        if self._manager is not None:
            self._dispatcher.configure(self._hooks)

    # -- hearing ----------------------------------------------------------------
    def incref(self) -> None:
        """Count one more user of events."""
        self.refcount += 1
        self.maybe_start_monitor()

    def decref(self) -> None:
        """Count one user of events less."""
        self.refcount = max(0, self.refcount - 1)
        self.maybe_stop_monitor()

    def maybe_start_monitor(self) -> None:
        """Subscribe to the manager's events if it is started and they are needed."""
        if self._manager is not None and self.refcount > 0 and not self._hearing:
            self._hearing = True
            self._manager.subscribe(ALL, self._on_event)

    def maybe_stop_monitor(self) -> None:
        """End the subscription if events are no longer needed."""
        if self.refcount == 0:
            self._unsubscribe()

    def _unsubscribe(self) -> None:
        if self._hearing and self._manager is not None:
            # What happened until now is on its way to us; one turn of the hub brings it.
            if gevent.getcurrent() is not gevent.get_hub():
                gevent.sleep(0)
            self._hearing = False
            self._manager.unsubscribe(ALL, self._on_event)

    def _on_event(self, name: str, event: Mapping[str, Any]) -> None:
        self._dispatcher.dispatch(event)

    # -- what others see --------------------------------------------------------
    def status(self) -> dict[str, Any]:
        """Return what ``GET /webhooks`` would show: every URL with its counters, and the dead letters."""
        return self._dispatcher.status()

    @hookimpl
    def gaffer_health(self) -> dict[str, Any]:
        """Return the counters of all URLs together."""
        return self._dispatcher.health()
