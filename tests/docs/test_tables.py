"""The reference tables: complete, current, and made of what the code says."""

from __future__ import annotations

import re

import gaffer_tables as tables
import pytest

import gaffer
from gaffer import hookspecs
from gaffer.cli.app.gaffer import SECTIONS as GAFFER_SECTIONS
from gaffer.cli.ctl.gafferctl import SECTIONS
from gaffer.config.fields import Bool, Field, Int, Seconds, Signal, TextList, parse_signal
from gaffer.config.jobconfig import CORE_FIELDS
from gaffer.config.options import CORE_OPTIONS, ENDPOINT_FIELDS
from gaffer.events import patterns
from gaffer.web.live.channel_session import COMMANDS

from ..kit.pages import DOCS, PAGES


def rows(text: str) -> list[list[str]]:
    """Return the cells of a list table."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("   * -"):
            found.append([])
        if re.match(r"   (\*|  )? ?-( |$)", line):
            found[-1].append(line[7:].strip())
    return found[1:]


def first_cells(text: str) -> list[str]:
    return [row[0] for row in rows(text)]


# -- what is in them


def test_every_job_setting_is_in_the_table():
    found = [row[0].strip("`") for row in rows(tables.job_settings())]
    assert found[: len(CORE_FIELDS)] == [field.name for field in CORE_FIELDS]
    assert set(found) == {field.name for field in gaffer.Manager(builtin=tables.builtin_plugins()).job_fields}


def test_a_row_says_what_the_setting_says():
    (row,) = (row for row in rows(tables.job_settings()) if row[0] == "``graceful_timeout``")
    assert row == ["``graceful_timeout``", "seconds", "``30``", "seconds between the stop signal and KILL", "—"]


def test_a_setting_of_a_plugin_gets_a_row(monkeypatch):
    class Mine(gaffer.Plugin):
        @gaffer.hookimpl
        def gaffer_job_settings(self, fields):
            fields.add("mine", Bool(), False, "of a plugin")

    monkeypatch.setattr(tables, "complete_manager", lambda: gaffer.Manager(plugins=[Mine]))
    assert rows(tables.job_settings())[-1] == ["``mine``", "true or false", "``false``", "of a plugin", "new processes"]


def test_every_option_is_in_one_table():
    sections = {"gaffer": "gaffer", "plugins": "plugins", "-": ""}
    for argument, section in sections.items():
        text = tables.option_table(argument)
        expected = [option for option in tables.all_options() if option.section == section]
        assert len(rows(text)) == len(expected) > 0
        for option, row in zip(expected, rows(text)):
            assert all(flag in row[1] for flag in option.flags)
            assert option.name in row[0] or not section
    known = {option.name for option in tables.all_options()}
    assert known > {option.name for option in CORE_OPTIONS}
    assert {option.section for option in tables.all_options()} == set(sections.values())


def test_every_key_of_an_endpoint_is_in_the_table():
    assert first_cells(tables.endpoint_settings()) == [f"``{field.name}``" for field in ENDPOINT_FIELDS]


def test_every_event_is_in_the_table():
    assert first_cells(tables.event_table()) == [f"``{event.name}``" for event in patterns.EVENTS]


def test_every_command_is_in_the_table():
    names = [f"``{command.name}``" for command in gaffer.Manager().commands]
    assert first_cells(tables.command_table()) == names


def test_every_command_of_the_channel_is_in_its_table():
    assert first_cells(tables.channel_commands()) == [f"``{name}``" for name in sorted(COMMANDS)]


def test_every_route_is_in_a_table():
    text = tables.route_tables()
    assert {route.path for route in tables.routes()} > {"/ping", "/jobs/<session>/<job>", "/processes"}
    for route in tables.routes():
        start = [f"``{route.method}``", f"``{tables.shown_path(route)}``"]
        found = [row for row in rows(text) if row[:2] == start]
        assert len(found) == 1, route
        assert found[0][2], f"{route} says not what it does"
        assert found[0][5] != "—", f"{route} says not who may use it"


def test_a_route_says_what_its_body_is():
    bodies = {str(route): tables._route_row(route)[3] for route in tables.routes()}
    assert bodies["GET /ping"] == "—"
    assert bodies["POST /jobs/<session>"] == ":ref:`a job <job-settings>`"
    assert bodies["POST /jobs/<session>/<job>/numprocesses"] == "``scale``"


def test_every_command_of_gafferctl_has_its_help():
    text = tables.client_commands("gafferctl")
    for command in [*(command for commands in SECTIONS.values() for command in commands), "webhooks"]:
        assert f"Usage: gafferctl {command} " in text


def test_every_command_of_gaffer_has_its_help():
    text = tables.client_commands("gaffer")
    for command in [command for commands in GAFFER_SECTIONS.values() for command in commands]:
        assert f"Usage: gaffer {command} " in text


def test_help_texts_do_not_depend_on_the_terminal(monkeypatch):
    before = tables.gafferd_help(), tables.client_help("gafferctl")
    monkeypatch.setenv("COLUMNS", "40")
    assert (tables.gafferd_help(), tables.client_help("gafferctl")) == before
    assert "--plugins-dir" in before[0] and "--connect" in before[1]


# -- hooks


def test_every_hook_has_a_section():
    text = "".join(tables.hook_reference(module.__name__.rpartition(".")[2]) for module in hookspecs.MODULES)
    for hook in tables.all_hooks():
        title = tables.signature(hook)
        assert f".. _{hook.__name__}:\n\n{title}\n{'^' * len(title)}\n" in text
    assert text.count("\n:On exception: ") == len(tables.all_hooks())


def test_a_hook_is_shown_with_its_exact_arguments():
    (hook,) = (hook for hook in tables.all_hooks() if hook.__name__ == "gaffer_restart_decision")
    assert tables.signature(hook) == "gaffer_restart_decision(job, process, status, history)"
    assert "``status``: ``ExitStatus | None``" in tables.hook_section(hook)


def test_a_hook_without_a_contract_is_refused():
    def gaffer_mine(job):
        """[TELL] It happened."""

    with pytest.raises(ValueError, match="the docstring of gaffer_mine is no contract"):
        tables.contract(gaffer_mine)


def test_every_module_of_hooks_is_on_the_page():
    page = (DOCS / "hooks.rst").read_text("utf-8")
    for module in hookspecs.MODULES:
        assert f".. gaffer-generated:: hooks {module.__name__.rpartition('.')[2]}\n" in page


# -- how they are made


@pytest.mark.parametrize(
    "field, shown",
    [
        (Field("a", Bool(), False), "``false``"),
        (Field("a", Int(0, 9), 7), "``7``"),
        (Field("a", Int(0, 9, optional=True), None), "none"),
        (Field("a", Seconds(), 1.5), "``1.5``"),
        (Field("a", TextList(), ()), "none"),
        (Field("a", TextList(), ("x", "y")), "``x, y``"),
        (Field("a", Signal(), parse_signal("TERM")), "``SIGTERM``"),
    ],
)
def test_defaults_as_a_reader_would_write_them(field, shown):
    assert tables.shown_default(field) == shown


def test_nothing_in_a_plain_text_is_markup():
    assert tables.plain("a_ `b` *c* |d| \\ e_f") == "a\\_ \\`b\\` \\*c\\* \\|d\\| \\\\ e_f"


def test_sections_of_the_contract_become_links():
    assert tables.linked("as docs/events.rst says (docs/http-api.rst)") == "as :doc:`events` says (:doc:`http-api`)"


def test_every_generator_is_used_by_a_page():
    used = {
        name for page in PAGES for name in re.findall(r"^\.\. gaffer-generated:: (\S+)", page.read_text("utf-8"), re.M)
    }
    assert used == set(tables.GENERATORS)


# -- what Sphinx makes of them


@pytest.mark.parametrize(
    "page, texts",
    [
        ("configuration", [field.name for field in CORE_FIELDS]),
        ("configuration", [option.name for option in CORE_OPTIONS if option.section]),
        ("events", [event.name for event in patterns.EVENTS]),
        ("hooks", [hook.__name__ for hook in tables.all_hooks()]),
        ("http-api", ["/jobs/SESSION/JOB", "/ping"]),
    ],
)
def test_the_built_page_has_them(built, page, texts):
    html = built.page(page)
    for text in texts:
        assert text in html
