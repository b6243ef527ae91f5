"""Hooks around the life of a manager: set-up, configuration, start, reload, stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Sequence

from .markers import hookspec

if TYPE_CHECKING:
    import pluggy

    from ..config.jobconfig import JobConfig, JobFields
    from ..config.names import JobName
    from ..config.settings import Options, Settings
    from ..errors import Problem
    from ..manager.manager import Manager


@hookspec(historic=True)
def gaffer_addhooks(pluginmanager: pluggy.PluginManager) -> None:
    """[SETUP] Bring hook specifications of your own.

    When: the plugin is registered, before any other hook of it is called.
    May: call ``pluginmanager.add_hookspecs(module)``; names beginning with
    ``gaffer_`` are reserved for gaffer.
    Returns: nothing.
    On exception: the plugin is refused and the start stops with its name.

    Example::

        @gaffer.hookimpl
        def gaffer_addhooks(pluginmanager):
            pluginmanager.add_hookspecs(myhooks)
    """


@hookspec(historic=True)
def gaffer_add_options(options: Options) -> None:
    """[SETUP] Declare options of gafferd: ini keys, environment and command line at once.

    When: before the command line and the configuration are read.
    May: call ``options.add(name, kind, default, help, flags=…)``.
    Returns: nothing.
    On exception: the plugin is refused and the start stops with its name.

    Example::

        @gaffer.hookimpl
        def gaffer_add_options(options):
            options.add("mailer_bind", OptionalText(), None, "where mail comes in", flags=("--mailer-bind",))
    """


@hookspec(historic=True)
def gaffer_job_settings(fields: JobFields) -> None:
    """[SETUP] Declare job settings of your own, in the core's table.

    When: the plugin is registered with a manager.
    May: call ``fields.add(name, kind, default, help, needs_restart=…)``; the
    setting is then read from ini and JSON, checked, shown and documented like
    any other, and found as ``job.config.NAME``.
    Returns: nothing.
    On exception: the plugin is refused and the start stops with its name.

    Example::

        @gaffer.hookimpl
        def gaffer_job_settings(fields):
            fields.add("mail_to", OptionalText(), None, "who hears of crashes")
    """


@hookspec
def gaffer_check_config(settings: Settings, fields: JobFields, manager: Manager) -> Iterable[Problem] | None:
    """[COLLECT] Find what is wrong in the parts of the configuration that are yours.

    When: at start, ``gafferd --check`` and every reload, before anything is touched.
    May: read ``settings``, and look at the manager, which is not started at the first two; must not open sockets or
    start anything.
    Returns: problems, each with file, line and a sentence; or None.
    On exception: counts as a problem that names the plugin.

    Example::

        @gaffer.hookimpl
        def gaffer_check_config(settings):
            for section in settings.sections("mailer"):
                if "server" not in section.items:
                    yield Problem(section.file, section.line, "server: required")
    """


@hookspec(firstresult=True)
def gaffer_run_instead(settings: Settings) -> int | None:
    """[ASK1] Do what the command line asks for instead of starting.

    When: gafferd has read its command line and its settings; before they are checked, and before anything starts.
    May: read the settings, ask the user at the terminal, print.
    Returns: gafferd's exit status if there was something to do; None to start.
    On exception: gafferd ends with its sentence.

    Example::

        @gaffer.hookimpl
        def gaffer_run_instead(settings):
            if settings.get("pidfile") == "/dev/stdout":
                print("that is no place for a process id")
                return 2
    """


@hookspec
def gaffer_load_jobs(settings: Settings | None, fields: JobFields) -> Iterable[JobConfig] | None:
    """[ASK] Bring jobs: from an ini file, a Procfile, a database.

    When: at start and at every reload, which compares the answer with what is
    loaded and touches only what changed.
    May: anything that ends soon.
    Returns: job configurations; or None.
    On exception: the start fails; a reload keeps everything as it was.

    Example::

        @gaffer.hookimpl
        def gaffer_load_jobs(settings, fields):
            return [JobConfig("clock", "python -m clock", numprocesses=1)]
    """


@hookspec
def gaffer_check_jobs(
    configs: Sequence[JobConfig], others: Sequence[JobConfig]
) -> Iterable[tuple[JobName, str, str]] | None:
    """[ASK] Find what is wrong with the jobs of the configuration among each other.

    When: at start, ``gafferd --check`` and every reload, with all that ``gaffer_load_jobs`` brought, before any of
    them is touched. ``others`` are the jobs that were loaded otherwise and stay.
    May: look at all of them together; one by one, ``gaffer_before_load`` sees them.
    Returns: ``(job, setting, sentence)`` for each problem; gaffer adds file and line. Or None.
    On exception: the start fails; a reload keeps everything as it was.

    Example::

        @gaffer.hookimpl
        def gaffer_check_jobs(configs):
            folders = [config.cwd for config in configs if config.cwd]
            return [(one.job_name, "cwd", "is another's, too") for one in configs if folders.count(one.cwd) > 1]
    """


@hookspec
def gaffer_manager_start(manager: Manager) -> None:
    """[ASK] Get ready: bind sockets, open files.

    When: the manager starts, in the order of registration, before any process.
    May: call the manager, except to wait for processes.
    Returns: nothing.
    On exception: the start is given up with the plugin's name; all plugins
    get ``gaffer_manager_stopped``, without ``gaffer_ready``.

    Example::

        @gaffer.hookimpl
        def gaffer_manager_start(manager):
            state.socket = bind(manager.settings.get("mailer_bind"))
    """


@hookspec
def gaffer_ready(manager: Manager) -> None:
    """[TELL] The manager has started and its jobs are loaded; requests may be answered.

    When: once a start, after ``gaffer_load_jobs``.
    May: call the manager, start greenlets.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_ready(manager):
            print("watching", manager.jobs())
    """


@hookspec
def gaffer_config_reloaded(manager: Manager, old: Settings | None, new: Settings | None) -> None:
    """[TELL] A reload was carried out.

    When: after jobs were loaded, unloaded and updated.
    May: take over settings that changed.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_config_reloaded(manager, old, new):
            state.level = new.get("log_level")
    """


@hookspec
def gaffer_reopen_logs(manager: Manager) -> None:
    """[TELL] Log files were moved away: open them again.

    When: gafferd got the signal USR1, from logrotate for one.
    May: close its files and open them again.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_reopen_logs():
            state.journal = Journal("web", "stdout")
    """


@hookspec
def gaffer_manager_stopping(manager: Manager) -> None:
    """[TELL] A graceful stop begins; jobs are still running.

    When: once a stop, before the first process is signalled.
    May: refuse new work; the API still answers.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_manager_stopping(manager):
            state.accepting = False
    """


@hookspec
def gaffer_manager_stopped(manager: Manager) -> None:
    """[TELL] All processes are gone; close what ``gaffer_manager_start`` opened.

    When: last of all; the manager waits a few seconds for it. A start that
    failed, or was broken off by a stop, ends with it too, so it may come without
    ``gaffer_ready`` and even without this plugin's ``gaffer_manager_start``.
    May: block briefly.
    Returns: nothing.
    On exception: logged and counted under the plugin's name.

    Example::

        @gaffer.hookimpl
        def gaffer_manager_stopped(manager):
            if state.socket is not None:
                state.socket.close()
    """
