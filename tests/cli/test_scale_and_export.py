"""The words of gaffer's remote commands: what is scaled, times, exporting."""

from __future__ import annotations

import importlib
import stat
from pathlib import Path

import pytest

from gaffer.cli.app import export
from gaffer.cli.app.gaffer import make_program
from gaffer.cli.app.scaling import Scaling, parse
from gaffer.cli.app.status import clock
from gaffer.cli.core.program import run
from gaffer.errors import BadRequest
from gaffer.procfile.application import read_application
from gaffer.procfile.export import File

#: Its setup.py names the same module.
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "exporter"


@pytest.mark.parametrize(
    "words, app, found",
    [
        (["web=3"], None, [("web", "=3")]),
        (["web+1", "worker-2"], None, [("web", "+1"), ("worker", "-2")]),
        (["shop", "web=3"], "shop", [("web", "=3")]),
        ([".", "web=3"], ".", [("web", "=3")]),
        (["my-worker-1"], None, [("my-worker", "-1")]),
        (["a+b=2"], None, [("a+b", "=2")]),
        (["web-2-1"], None, [("web-2", "-1")]),
        (["other.web=0"], None, [("other.web", "=0")]),
    ],
)
def test_scale_arguments(words, app, found):
    assert parse(words) == (app, [Scaling(*one) for one in found])


def test_application_whose_name_looks_like_an_operation():
    assert parse(["shop-2", "web=3"], is_app=True) == ("shop-2", [Scaling("web", "=3")])


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "nothing to scale"),
        (["shop"], "nothing to scale"),
        (["web=3", "worker"], "'worker' is no operation"),
        (["x", "web=1.5"], "'web=1.5' is no operation"),
        (["x", "=3"], "'=3' is no operation"),
        (["web=-1"], "'web=-1' is no operation"),
    ],
)
def test_wrong_scale_arguments(words, sentence):
    with pytest.raises(BadRequest, match=sentence):
        parse(words)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.449, "0:00.44"),
        (59.999, "0:59.99"),
        (60, "1:00.00"),
        (3599.99, "59:59.99"),
        (3600, "1:00:00"),
        (86399, "23:59:59"),
        (90061.5, "1d 1:01:01"),
    ],
)
def test_uptimes(seconds, text):
    assert clock(seconds) == text


# -- exporting


def test_every_copy_has_its_environment(tmp_path):
    (tmp_path / "Procfile").write_text("web: a\nclock: b\n")
    (tmp_path / ".env").write_text("A=1\n")
    read = read_application(str(tmp_path / "Procfile"), name="shop", concurrency=["web=2"], environ={})
    exported = export.as_export(read)
    assert (exported.name, exported.root) == ("shop", str(tmp_path))
    assert [(name, env) for name, _, env in exported.processes()] == [
        ("web-1", {"A": "1", "PS": "web.1", "PORT": "5100"}),
        ("web-2", {"A": "1", "PS": "web.2", "PORT": "5101"}),
        ("clock-1", {"A": "1", "PS": "clock.1", "PORT": "5200"}),
    ]


class EntryPoint:
    def __init__(self, name, plugin, distribution):
        self.name, self.plugin = name, plugin
        self.dist = type("Distribution", (), {"name": distribution})

    def load(self):
        return self.plugin


class Formats:
    def __init__(self, *names):
        self.names = names

    def gaffer_exporters(self):
        return [export.Exporter(name, f"made by {self.names}", lambda app: None) for name in self.names]


def test_gaffer_exporters(monkeypatch, capsys):
    """The hook of exporters: every plugin on its own, and none replaces a format of gaffer."""

    class Broken:
        def gaffer_exporters(self):
            raise LookupError("no template")

    points = [
        EntryPoint("aaa", Formats("upstart", "ini"), "third-party"),
        EntryPoint("broken", Broken(), "third-party"),
        EntryPoint("exporters", Formats("ini"), "gaffer"),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points if group == "gaffer.exporters" else [])
    assert {name: plugin for name, (_, plugin) in export.exporters().items()} == {"ini": "exporters", "upstart": "aaa"}
    error = capsys.readouterr().err
    assert error == "gaffer: the formats of plugin 'broken' are missing: LookupError: no template\n"


def test_built_in_formats_are_found():
    assert list(export.exporters()) == ["ini", "json", "systemd", "supervisord", "docker-compose", "runit"]


@pytest.mark.parametrize("mode, kept", [(0o644, 0o600), (0o755, 0o700)])
def test_exported_files_are_readable_by_their_owner_only(tmp_path, mode, kept):
    path = tmp_path / "deep" / "file"
    export.write_file(str(path), File("file", "old", mode))
    export.write_file(str(path), File("file", "text\r\n", mode))
    assert path.read_bytes() == b"text\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == kept
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_names_export(monkeypatch, tmp_path, capsys):
    """The example of the documentation, found as an installed package would be."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    points = [EntryPoint("names", importlib.import_module("names_export"), "gaffer-names-export")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points if group == "gaffer.exporters" else [])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Procfile").write_text("web: ./web -v\nclock: date | cat\n")
    with pytest.raises(SystemExit) as ended:
        run(make_program(), ["export", "--format", "names", "-c", "web=2"])
    assert ended.value.code == 0
    assert capsys.readouterr() == ("web-1\t./web -v\nweb-2\t./web -v\nclock-1\t/bin/sh -c date | cat\n", "")


@pytest.fixture
def exported(tmp_path, call):
    """Return a function that exports an application ``shop``."""
    folder = tmp_path / "shop"
    folder.mkdir()

    def exported(*words, text="web: serve\n", env=""):
        (folder / "Procfile").write_text(text)
        (folder / ".env").write_text(env)
        return call("-d", str(folder), "export", *words, program=make_program())

    return exported


@pytest.mark.parametrize("form", ["ini", "json", "systemd"])
def test_format_where_a_name_is_expected(exported, form):
    refused = exported(form)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"gaffer: '{form}' would be the application's name; did you mean --format {form}?"
        " If not, say --format ini too\n"
    )
    assert "[process:json:web]" in exported("--format", "ini", "json").out


def test_type_where_a_name_is_expected(exported):
    ended = exported("web")
    assert (ended.code, ended.err) == (0, "gaffer: all types are exported; 'web' is the application's name\n")
    assert "[process:web:web]" in ended.out
    assert exported("shop", text="shop: serve\n").err == ""


@pytest.mark.parametrize("form", ["ini", "json", "systemd", "supervisord", "docker-compose", "runit"])
@pytest.mark.parametrize("value", ["s3cret\ntwo", "s3cret\rtwo", "'''s3cret\"\"\" ' \"", "s3cret %(here)s ; x"])
def test_values_that_a_format_cannot_hold_are_not_printed(exported, tmp_path, form, value):
    written = value.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r")
    ended = exported("--format", form, "--out", str(tmp_path / "out"), env=f'TOKEN="{written}"\n')
    assert "s3cret" not in ended.out + ended.err
    assert ended.code == 0 or "TOKEN" in ended.err
