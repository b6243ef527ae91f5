"""The plugin: takes hooks from the settings, events from the manager, and shows what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable

from gaffer import Plugin, __version__, hookimpl

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Problem, Settings
    from gaffer.api.web import Route

    from .dispatcher import Dispatcher


class WebhooksPlugin(Plugin):
    """Posts events to the URLs of ``[webhooks]``.

    Without any it takes part in nothing: being told events costs a little each time.

    :param hooks: ``(event pattern, URL)``, beside those of the settings.
    :param options: keys of ``[plugin:webhooks]``; the settings' win.
    :raises BadRequest: a URL or an option cannot be used.
    """

    name = "webhooks"
    version = __version__
    description = "posts events to URLs"

    def __init__(self, hooks: Iterable[tuple[str, str]] = (), **options: Any) -> None:
        self._given = list(hooks)
        self._options = options
        self._dispatcher: Dispatcher | None = None
        if self._given or options:
            from .config import check_tuning, make_hooks

            make_hooks(self._given)
            check_tuning(options)

    # -- configuration ----------------------------------------------------------
    @hookimpl
    def gaffer_check_config(self, settings: Settings) -> list[Problem]:
        """Find URLs, patterns and options that cannot be meant."""
        if not is_set(settings):
            return []
        from .config import read_config

        return read_config(settings, self._options).problems

    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Begin, if there is any hook."""
        self._configure(manager)

    @hookimpl
    def gaffer_config_reloaded(self, manager: Manager) -> None:
        """Take changed hooks and options over."""
        self._configure(manager)

    def _configure(self, manager: Manager) -> None:
        if self._dispatcher is None and not self._given and not is_set(manager.settings):
            return  # as most daemons do, and their first process need not wait for what follows
        from gaffer.api import ConfigError

        from .config import make_hooks, read_config
        from .dispatcher import Dispatcher

        config = read_config(manager.settings, self._options)
        if config.problems:
            # Checked before, but a secret's file can be gone since: never go on unsigned.
            raise ConfigError(config.problems)
        hooks = [*make_hooks(self._given), *config.hooks]
        if self._dispatcher is not None:
            self._dispatcher.configure(hooks, config.tuning)
        elif hooks:
            self._dispatcher = Dispatcher(config.tuning)
            self._dispatcher.configure(hooks)
            manager.plugins.add(_WebhookEvents(self._dispatcher), name="webhooks.events", origin="webhooks")

    # -- the end ----------------------------------------------------------------
    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        """Send what is queued still: it was told before this."""
        if self._dispatcher is not None:
            self._dispatcher.drain()

    # -- what others see --------------------------------------------------------
    @hookimpl
    def gaffer_routes(self) -> list[Route]:
        """Return ``/webhooks``."""
        from .routes import make_routes

        return make_routes(lambda: self._dispatcher)

    @hookimpl
    def gaffer_health(self) -> dict[str, Any] | None:
        """Return the counters of all URLs together."""
        return None if self._dispatcher is None else self._dispatcher.health()


def is_set(settings: Settings | None) -> bool:
    """Tell whether the settings say anything about webhooks."""
    if settings is None:
        return False
    sections = settings.sections("webhooks", "plugin")
    return any(section.items for section in sections if "webhooks" in (section.kind, section.name))


class _WebhookEvents:
    """Registered once there is a hook."""

    description = "forwards events to webhooks"

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    @hookimpl
    def gaffer_event(self, event: dict[str, Any]) -> None:
        self._dispatcher.dispatch(event)
