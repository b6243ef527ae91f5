"""The plugin: options, and what becomes of them when the manager starts and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaffer import Plugin, __version__, hookimpl
from gaffer.api import BadRequest, FilePath, OptionalText, TextList

if TYPE_CHECKING:
    from gaffer import Manager
    from gaffer.api import Job, Options, Problem, Process, Settings

    from .links import Links


class LookupPlugin(Plugin):
    """Registers this node with lookupds. Without an address it takes part in nothing."""

    name = "lookup"
    version = __version__
    description = "registers jobs of this gafferd at lookupds"

    def __init__(self) -> None:
        self._links: Links | None = None

    @hookimpl
    def gaffer_add_options(self, options: Options) -> None:
        """Declare where the lookupds are and how this node shows itself."""
        options.add(
            "lookupd_address",
            TextList(),
            (),
            "URL or host:port of a lookupd to register with; may be repeated",
            flags=("--lookupd-address",),
            aliases=("lookupd_address*",),
            multiple=True,
            metavar="URL",
        )
        options.add(
            "broadcast_address",
            OptionalText(),
            None,
            "URL at which others reach this gafferd (default: its own address)",
            flags=("--broadcast-address",),
            metavar="URL",
        )
        for name, help in (("client_certfile", "certificate to show to lookupds"), ("client_keyfile", "its key")):
            flag = "--" + name.replace("_", "-")
            options.add(name, FilePath(), None, help, flags=(flag,), metavar="FILE")
        options.add(
            "lookupd_key",
            OptionalText(),
            None,
            "key to show to lookupds; better set as GAFFERD_LOOKUPD_KEY: others can see command lines",
            flags=("--lookupd-key",),
            metavar="K",
        )

    @hookimpl
    def gaffer_check_config(self, settings: Settings) -> list[Problem]:
        """Find addresses, labels and files that cannot be meant."""
        from .config import find_problems

        return find_problems(settings)

    # -- life -----------------------------------------------------------------------------------
    @hookimpl
    def gaffer_manager_start(self, manager: Manager) -> None:
        """Listen to events from the first job on, if there is a lookupd to tell."""
        from .config import read_config

        if not manager.option("lookupd_address"):
            return
        from .links import Links

        config = read_config(manager.settings)
        if config.problems:
            raise BadRequest("; ".join(str(problem) for problem in config.problems))
        self._links = Links(manager, config)
        manager.plugins.add(_Told(self._links), name="lookup.told", origin="lookup")

    @hookimpl
    def gaffer_ready(self, manager: Manager) -> None:
        """Connect: the API is answered from now on."""
        if self._links is not None:
            self._links.start()

    @hookimpl
    def gaffer_manager_stopped(self) -> None:
        """Say good-bye: what is said until here is true."""
        links, self._links = self._links, None
        if links is not None:
            links.stop()

    @hookimpl
    def gaffer_health(self) -> dict[str, Any] | None:
        """Return how each connection is. A lookupd that cannot be reached makes nothing of this node unhealthy."""
        return None if self._links is None else self._links.health()


class _Told:
    """Registered once there is a lookupd: being told costs a little each time."""

    description = "forwards events to lookupds"

    def __init__(self, links: Links) -> None:
        self._links = links

    @hookimpl
    def gaffer_job_loaded(self, job: Job) -> None:
        self._links.desk.add_job(job.name.full)

    @hookimpl
    def gaffer_job_unloaded(self, job: Job) -> None:
        self._links.desk.remove_job(job.name.full)

    @hookimpl
    def gaffer_spawned(self, job: Job, process: Process) -> None:
        self._links.desk.add_process(job.name.full, process.pid)

    @hookimpl
    def gaffer_reaped(self, job: Job, process: Process) -> None:
        self._links.desk.remove_process(job.name.full, process.pid)
