"""The command that exports an application to other supervisors; the formats come from plugins."""

from __future__ import annotations

import os
import tempfile

import click

from ...config.jobconfig import JobConfig
from ...errors import BadRequest, nearest
from ...procfile.application import ProcfileApplication
from ...procfile.export import ENTRY_POINTS, Application, Export, Exporter, ExportJob, File
from ..core.output import View, print_lines, view_option, write
from ..core.program import command, complain, port_options
from .context import GafferContext

FORMAT_COLUMNS = ("FORMAT", "MAKES", "FROM")


def exporters() -> dict[str, tuple[Exporter, str]]:
    """Return all formats by name, each with the plugin it comes from; a plugin that fails is named and left out."""
    from importlib.metadata import entry_points

    found: dict[str, tuple[Exporter, str]] = {}
    for entry_point in sorted(
        entry_points(group=ENTRY_POINTS), key=lambda one: (one.dist and one.dist.name) != "gaffer"
    ):
        try:
            for exporter in entry_point.load().gaffer_exporters():
                # Ours come first: a plugin cannot replace them unseen.
                found.setdefault(exporter.name, (exporter, entry_point.name))
        except Exception as error:
            complain(
                "gaffer", f"the formats of plugin '{entry_point.name}' are missing: {type(error).__name__}: {error}"
            )
    return found


@command("export")
@click.option("--format", "form", metavar="FORMAT", default="ini", show_default=True, help="See --list.")
@click.option("--out", metavar="PATH", help="The file, or the folder, to write; by default a single file is printed.")
@click.option("--list", "listed", is_flag=True, help="List the formats.")
@port_options
@click.argument("name", required=False)
@view_option
@click.pass_context
def export(
    ctx: click.Context,
    form: str,
    out: str | None,
    listed: bool,
    concurrency: tuple[str, ...],
    port: int | None,
    no_port: bool,
    name: str | None,
) -> View | None:
    """Export the application to other supervisors.

    The formats are gafferd's own and those of others, see --list. NAME is what the application is called
    there, by default what its folder is called. Files are readable for their owner only: they hold the
    application's environment. What a format cannot express is said on stderr.

    Example: gaffer export --format systemd --out ./units
    """
    context: GafferContext = ctx.obj
    known = exporters()
    if listed:
        rows = [(name, one.help, plugin) for name, (one, plugin) in known.items()]
        data = [{"name": name, "help": help, "plugin": plugin} for name, help, plugin in rows]
        return View(data, list(known), FORMAT_COLUMNS, rows)
    if form not in known:
        remedy = nearest(form, known) or f"; there are {', '.join(known)}"
        raise BadRequest(f"there is no format '{form}'{remedy}")
    if name in known and ctx.get_parameter_source("form") is click.core.ParameterSource.DEFAULT:
        sentence = f"'{name}' would be the application's name; did you mean --format {name}?"
        raise BadRequest(f"{sentence} If not, say --format {form} too")
    exporter = known[form][0]
    if exporter.folder and out is None:
        raise BadRequest(f"{form} makes several files; name a folder for them with --out DIR")
    application = context.application(name=name, concurrency=concurrency, port=port, ports=not no_port)
    if name is not None and name != context.session() and name in {one.name for one in application.types}:
        complain("gaffer", f"all types are exported; '{name}' is the application's name")
    made = exporter.export(as_export(application))
    write_export(made, exporter.folder, out)
    for note in made.notes:
        complain("gaffer", note)
    return None


def as_export(application: ProcfileApplication) -> Application:
    """Return an application as exporters get it: the jobs, and the environment of each process."""
    jobs = tuple(ExportJob(config, tuple(_copies(config))) for config in application.configs())
    return Application(application.name, os.path.abspath(application.root), jobs)


def _copies(config: JobConfig) -> list[dict[str, str]]:
    """Return the environment of each copy; ``env`` wins over what gaffer adds."""
    found = []
    for index in range(config.numprocesses):
        own = {"PS": f"{config.job_name.job}.{index + 1}"}
        if config.port is not None:
            own["PORT"] = str(config.port + index)
        found.append({**own, **config.env})
    return found


def write_export(made: Export, folder: bool, out: str | None) -> None:
    """Write files to *out*; without, print the first.

    :raises BadRequest: one cannot be written.
    """
    if out is None:
        return write(made.files[0].text)
    for file in made.files:
        path = os.path.join(out, file.path) if folder or os.path.isdir(out) else out
        try:
            write_file(path, file)
        except OSError as error:
            raise BadRequest(f"cannot write {path}: {error.strerror}; choose another --out") from None
        print_lines([f"{path}: written"])


def write_file(path: str, file: File) -> None:
    """Write a file whole or not at all, readable for its owner only."""
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".gaffer-")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(file.text)
            os.fchmod(descriptor, file.mode & 0o700)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
