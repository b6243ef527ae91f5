"""Client of a gafferd: the jobs API as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Collection, Mapping

from ..config.names import JobName, check_name, parse_job_name
from ..errors import BadRequest, NotFound
from .errors import CannotConnect
from .objects import Job, Process, event_path
from .transport import CONNECT_TIMEOUT, Transport

if TYPE_CHECKING:
    from ..config.jobconfig import JobConfig
    from .accounts import Accounts
    from .feeds import Feed, ServerEvent
    from .manager import ManagerChannel

DEFAULT_URI = "http://127.0.0.1:5000"


class Server:
    """A gafferd. Nothing is sent before the first call that needs an answer.

    :param uri: ``http://host:port``, ``https://host:port`` or ``unix:/path``.
    :param loop: accepted for old programs, unused.
    :param api_key: the key sent with every request.
    :param certfile: a client certificate, with *keyfile* its key.
    :param cacert: the authority that signed gafferd's certificate; by default the system's.
    :param timeout: seconds to wait for each answer; None waits for ever.
    :param connect_timeout: seconds to wait for the connection.
    :param served_by: ids of accounts. Without TLS, a gafferd of this machine must run as one of them, or nothing is
        sent to it and :class:`WrongServer` raised: the program at its port may be another account's. By default that
        is not asked (Linux).

    Every method raises :class:`CannotConnect` when gafferd cannot be reached,
    or the class of :mod:`gaffer.errors` that gafferd answered with. Jobs are
    named in any spelling; threads and greenlets may share a server.
    """

    def __init__(
        self,
        uri: str = DEFAULT_URI,
        loop: Any = None,
        api_key: str | None = None,
        *,
        certfile: str | None = None,
        keyfile: str | None = None,
        cacert: str | None = None,
        timeout: float | None = 30.0,
        served_by: Collection[int] | None = None,
        connect_timeout: float | None = CONNECT_TIMEOUT,
    ) -> None:
        self.uri, self.loop = uri, loop
        self.transport = Transport(
            uri, api_key, certfile, keyfile, cacert, timeout, served_by=served_by, connect_timeout=connect_timeout
        )

    def close(self) -> None:
        """Close idle connections; the server can still be used afterwards."""
        self.transport.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Server({self.uri!r})"

    def _get(self, path: str, key: str) -> Any:
        return self.transport.value("GET", path, key)

    # the node

    def ping(self) -> bool:
        """Return whether gafferd answers; False if it cannot be reached.

        :raises GafferError: it answers with an error.
        """
        try:
            return self.transport.request("GET", "/ping").text.strip() == "OK"
        except CannotConnect:
            return False

    def version(self) -> str:
        """Return gafferd's version."""
        return str(self._get("/version", "version"))

    def strays(self, kill: bool = False) -> list[dict[str, Any]]:
        """Return the descendants of processes that have exited: ``{"os_pid", "pid", "job"}`` each.

        :param kill: send KILL to them.
        """
        return list(self.transport.object("DELETE" if kill else "GET", "/strays")["strays"])

    def health(self) -> dict[str, Any]:
        """Return what gafferd and its plugins say about their health."""
        return self.transport.object("GET", "/health")

    def plugins(self) -> list[dict[str, Any]]:
        """Return the plugins: name, version, origin, description, kind, hooks and state of each."""
        return list(self._get("/plugins", "plugins"))

    def reload_config(self, force: bool = False) -> dict[str, Any]:
        """Make gafferd read its configuration again.

        :param force: also if that unloads more than half of the jobs.
        :returns: the names under ``loaded``, ``unloaded``, ``updated`` and ``unchanged``; the changed options that take
            effect when gafferd is started again under ``needs_restart``.
        :raises InvalidConfig: the configuration has problems; everything stays as it was.
        :raises Conflict: it would unload more than half of the jobs; everything stays as it was.
        """
        return self.transport.object("POST", "/reload?force=true" if force else "/reload")

    def shutdown(self) -> None:
        """Make gafferd stop all jobs and end; returns at once."""
        self.transport.request("POST", "/shutdown")

    @property
    def accounts(self) -> Accounts:
        """Logins, keys and users."""
        from .accounts import Accounts

        return Accounts(self)

    # lists

    def sessions(self) -> list[str]:
        """Return the names of the sessions."""
        return list(self._get("/sessions", "sessions"))

    def stop_order(self) -> list[list[str]]:
        """Return the full names of all jobs in the groups that are stopped together, the first of them first."""
        return [list(group) for group in self._get("/stop_order", "groups")]

    def jobs(self, sessionid: str | None = None) -> list[str]:
        """Return the full names ``session.job`` of all jobs, or of those of one session.

        :raises NotFound: there is no such session.
        """
        path = "/jobs" if sessionid is None else f"/jobs/{check_name(sessionid, 'session name')}"
        return list(self._get(path, "jobs"))

    def pids(self, name: str | JobName | None = None) -> list[int]:
        """Return gaffer's own pids of all live processes, or of those of one job."""
        return list(self._get("/pids" if name is None else f"{job_path(name)}/pids", "pids"))

    # jobs

    def load(
        self, config: Mapping[str, Any] | JobConfig, sessionid: str | None = None, start: bool | None = None
    ) -> Job:
        """Add a job.

        :param config: the settings of docs/configuration.rst.
        :param sessionid: the session of a bare name.
        :param start: overrides the setting of that name.
        :raises Conflict: a job of that name exists.
        :raises InvalidConfig: the settings cannot be used; nothing was added.
        """
        name, body = _body(config, sessionid, start)
        self.transport.request("POST", f"/jobs/{name.session}", body)
        return Job(self, name)

    def update(
        self, config: Mapping[str, Any] | JobConfig, sessionid: str | None = None, start: bool | None = None
    ) -> Job:
        """Replace the settings of a job; it stays up or down unless *start* says otherwise.

        :raises NotFound: there is no such job.
        """
        name, body = _body(config, sessionid, start)
        self.transport.request("PUT", job_path(name), body)
        return Job(self, name)

    def unload(self, name: str | JobName) -> None:
        """Stop a job and remove it."""
        self.transport.request("DELETE", job_path(name))

    def get_job(self, name: str | JobName) -> Job:
        """Return the job of that name.

        :raises NotFound: there is none.
        """
        job = Job(self, parse_job_name(name))
        job.info()
        return job

    def info(self, name: str | JobName) -> dict[str, Any]:
        """Return everything about a job: state, counts, pids, restarts, last exit and settings."""
        return self.transport.object("GET", job_path(name))

    def infos(self, sessionid: str | None = None) -> list[dict[str, Any]]:
        """Return everything about all jobs, or about those of one session, by one request.

        :raises NotFound: there is no such session.
        """
        try:
            found = list(self._get(f"/info{_of_session(sessionid)}", "jobs"))
        except NotFound:  # an older gafferd
            return [info for name in self.jobs(sessionid) if (info := self._look(name)) is not None]
        if not found and sessionid is not None:
            self.jobs(sessionid)  # tells an unknown session
        return found

    def _look(self, name: str) -> dict[str, Any] | None:
        try:
            return self.info(name)
        except NotFound:
            return None  # removed meanwhile

    def stats(self, sessionid: str | None = None) -> list[dict[str, Any]]:
        """Return the statistics of all jobs, or of those of one session, measured at once; names are short.

        :raises NotFound: there is no such session.
        """
        found = self.transport.array("GET", f"/stats{_of_session(sessionid)}")
        if sessionid is None:
            return found
        # An older gafferd shows all.
        found = [one for one in found if parse_job_name(one["name"]).session == sessionid]
        if not found:
            self.jobs(sessionid)
        return found

    # what goes on: feeds and channels; what they need is imported by the first of them

    def events(
        self,
        pattern: str = ".",
        *,
        since: str | None = None,
        tail: int | None = None,
        timeout: float | None = None,
        heartbeat: float | None = 20.0,
        patience: float = 30.0,
    ) -> Feed[dict[str, Any]]:
        """Return the events that *pattern* selects, as they happen: the messages of :doc:`events`.

        :param pattern: ``.`` for all, ``spawn``, ``proc.web``, ``proc(web).exit``, ``job.shop.web``.
        :param since: the id of an event, to begin after it.
        :param tail: begin with so many of the last events that gafferd keeps.
        :param timeout: seconds that iterating waits for an event before it raises :class:`Quiet`; None for ever.
        :param heartbeat: seconds between two signs of life; after three that stay away the connection is lost.
        :param patience: seconds to try to come back after a loss, and go on after the last event; then
            :class:`CannotConnect` is raised.

        Where events were lost on the way a message ``{"event": "gap", "lost": n}`` says so.
        """
        from .feeds import Feed, JsonEventParser

        query = {"feed": "eventsource", "since": since, "tail": tail}
        path = event_path(pattern)
        return Feed(self.transport, path, query, JsonEventParser(), timeout, heartbeat, patience, endless=True)

    def eventsource(
        self,
        path: str,
        *,
        timeout: float | None = None,
        heartbeat: float | None = 20.0,
        patience: float = 30.0,
        **query: Any,
    ) -> Feed[ServerEvent]:
        """Return any feed of gafferd or of a plugin as server-sent events; see :meth:`events`.

        :param path: ``/streams/3/stdout``.
        :param query: more of the URL: ``tail=10``.
        """
        from .feeds import EventParser, Feed

        query = {"feed": "eventsource", **query}
        return Feed(self.transport, path, query, EventParser(), timeout, heartbeat, patience)

    def follow_stats(self, interval: float = 1.0, *, timeout: float | None = None) -> Feed[list[dict[str, Any]]]:
        """Return the statistics of all jobs, measured every *interval* seconds (0.1 at least)."""
        from .feeds import Feed, JsonParser

        query = {"feed": "continuous", "interval": float(interval)}
        return Feed(self.transport, "/stats", query, JsonParser(list), timeout, endless=True)

    def channel(self, timeout: float | None = 30.0) -> ManagerChannel:
        """Return a websocket to the manager, to subscribe to topics and to command.

        :param timeout: seconds to wait for each answer.
        """
        from .manager import ManagerChannel

        return ManagerChannel(self.transport, timeout)

    # the names that older programs know

    def add_process(self, name: str, cmd: str, start: bool = True, **settings: Any) -> Job:
        """Add a job.

        :param cmd: the command, split with shell rules.
        :param start: whether its processes start at once.
        :param settings: any other setting of a job: ``numprocesses=3``.
        """
        return self.load({**settings, "name": name, "cmd": cmd}, start=start)

    def update_process(self, name: str, cmd: str, start: bool | None = None, **settings: Any) -> Job:
        """Replace all settings of a job by these."""
        return self.update({**settings, "name": name, "cmd": cmd}, start=start)

    def remove_process(self, name: str) -> None:
        """Stop a job and remove it."""
        self.unload(name)

    def get_process(self, name_or_pid: str | int) -> Job | Process:
        """Return the job of that name, or the process of that pid.

        :raises NotFound: there is none.
        """
        if isinstance(name_or_pid, int) or name_or_pid.isdigit():
            process = Process(self, int(name_or_pid))
            process.info()
            return process
        return self.get_job(name_or_pid)

    def processes(self) -> list[str]:
        """Return the short names of all jobs."""
        return [parse_job_name(name).short for name in self.jobs()]

    def running(self) -> list[int]:
        """Return gaffer's own pids of all live processes."""
        return self.pids()


def job_path(name: str | JobName) -> str:
    """Return the path of a job.

    :raises BadRequest: no job can have that name.
    """
    session, job = parse_job_name(name)
    return f"/jobs/{session}/{job}"


def _of_session(sessionid: str | None) -> str:
    return "" if sessionid is None else f"?sessionid={check_name(sessionid, 'session name')}"


def _body(
    config: Mapping[str, Any] | JobConfig, sessionid: str | None, start: bool | None
) -> tuple[JobName, dict[str, Any]]:
    settings = dict(config) if isinstance(config, Mapping) else config.to_dict()
    if not settings.get("name"):
        raise BadRequest('a job needs a name; add "name" to its settings')
    name = parse_job_name(settings["name"], check_name(sessionid, "session name") if sessionid else "default")
    settings["name"] = name.job
    if start is not None:
        settings["start"] = start
    return name, settings
