"""Plugin folders: the structure of gaffer 0.5, sites and their move, broken and unsafe ones."""

import errno
import os
import sys
from pathlib import Path

import pytest

from gaffer.plugins import folders
from gaffer.plugins.registry import PluginSet, Site

from .test_registry import refused, write

PLUGIN = """
from gaffer import Plugin

__all__ = ["{cls}"]

from .app import App


class {cls}(Plugin):
    name = "{name}"

    def app(self, cfg):
        return App()
"""
APP = "class App:\n    owner = {name!r}\n    def start(self, loop, manager):\n        pass\n"
HOOK = "import gaffer\n@gaffer.hookimpl\ndef gaffer_event(event):\n    event.setdefault('asked', []).append(__file__)\n"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="the check is for root alone")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "plugins"
    path.mkdir()
    return path


@pytest.fixture
def plugins():
    return PluginSet()


def seed_plugin(folder, name, package="plugin"):
    """Write a plugin with the structure of the documentation."""
    write(
        folder / name,
        {
            f"{package}/__init__.py": PLUGIN.format(cls=name.title() + "Plugin", name=name),
            f"{package}/app.py": APP.format(name=name),
            "_site/index.html": name,
        },
    )


class TestPython:
    def test_two_plugins_with_a_package_called_plugin(self, folder, plugins):
        seed_plugin(folder, "one")
        seed_plugin(folder, "two")
        before = list(sys.path)
        plugins.load_folder(folder)
        assert [(name, app.owner) for name, app in plugins.apps] == [("one", "one"), ("two", "two")]
        assert plugins.sites == [
            Site("one", str(folder / "one" / "_site")),
            Site("two", str(folder / "two" / "_site")),
        ]
        assert sys.path == before
        assert "plugin" not in sys.modules

    def test_package_may_have_any_name(self, folder, plugins):
        seed_plugin(folder, "one", package="anything")
        plugins.load_folder(folder)
        assert [info.name for info in plugins.list()] == ["one"]

    def test_plugin_that_is_a_package_itself(self, folder, plugins):
        write(folder / "one", {"__init__.py": PLUGIN.format(cls="P", name="one"), "app.py": APP.format(name="one")})
        plugins.load_folder(folder)
        assert [info.name for info in plugins.list()] == ["one"]

    def test_modules_without_init(self, folder, plugins):
        write(folder / "one", {"hooks.py": HOOK, "plugin/entry.py": PLUGIN.format(cls="P", name="")})
        write(folder / "one" / "plugin", {"app.py": APP.format(name="one")})
        plugins.load_folder(folder)
        assert [(info.name, info.kind) for info in plugins.list()] == [("one", "plugin"), ("one.hooks", "hooks")]

    def test_class_and_hooks_in_one_package(self, folder, plugins):
        seed_plugin(folder, "one")
        write(folder / "one" / "plugin", {"hooks.py": HOOK})
        plugins.load_folder(folder)
        assert [(info.name, info.kind) for info in plugins.list()] == [("one", "plugin"), ("one.hooks", "hooks")]

    def test_re_exported_hooks_are_called_once(self, folder, plugins):
        write(folder / "one" / "plugin", {"__init__.py": "from .hooks import gaffer_event", "hooks.py": HOOK})
        plugins.load_folder(folder)
        event = {}
        plugins.pm.hook.gaffer_event(event=event)
        assert event["asked"] == [str(folder / "one" / "plugin" / "hooks.py")]

    def test_re_exported_class_is_one_plugin(self, folder, plugins):
        seed_plugin(folder, "one")
        (folder / "one/plugin/__init__.py").rename(folder / "one/plugin/main.py")
        write(folder / "one/plugin", {"__init__.py": "__all__ = ['OnePlugin']\nfrom .main import OnePlugin"})
        plugins.load_folder(folder)
        assert [info.name for info in plugins.list()] == ["one"]

    def test_single_file(self, folder, plugins):
        write(folder, {"crash-log.py": HOOK})
        plugins.load_folder(folder)
        [info] = plugins.list()
        assert (info.name, info.origin, info.hooks) == ("crash-log", str(folder / "crash-log.py"), ["gaffer_event"])
        assert plugins.sites == []

    def test_two_sets_load_one_folder(self, folder):
        seed_plugin(folder, "one")
        first, second = PluginSet(), PluginSet()
        first.load_folder(folder)
        second.load_folder(folder)
        assert type(first.pm.get_plugin("one")) is not type(second.pm.get_plugin("one"))

    def test_loading_a_folder_twice_changes_nothing(self, folder, plugins):
        seed_plugin(folder, "one")
        plugins.load_folder(folder)
        plugins.load_folder(str(folder) + "/")
        assert len(plugins.list()) == 1

    def test_what_is_not_looked_at(self, folder, plugins):
        bomb = "raise SystemExit(3)"
        names = [".hidden/plugin/__init__.py", "__pycache__/x.py", ".x.py", "__init__.py", "conftest.py", "setup.py"]
        write(folder, {**dict.fromkeys(names, bomb), "notes.txt": "", "_site/index.html": ""})
        seed_plugin(folder, "one")
        inside = ["setup.py", "plugin/test_it.py", "plugin/__main__.py", "tests/test_more.py", ".git/x.py"]
        write(folder / "one", dict.fromkeys(inside, bomb))
        plugins.load_folder(folder)
        assert [info.name for info in plugins.list()] == ["one"]

    def test_disabled_is_not_imported(self, folder, plugins):
        write(folder, {"bomb.py": "raise SystemExit(3)", "boom/plugin/__init__.py": "1 / 0", "plain/index.html": ""})
        plugins.load_folder(folder, disabled=["bomb", "boom", "plain"])
        assert [(info.name, info.state) for info in plugins.list()] == [
            ("bomb", "disabled"),
            ("boom", "disabled"),
            ("plain", "disabled"),
        ]
        assert plugins.sites == []
        assert os.listdir(folder / "plain") == ["index.html"]

    def test_disabled_by_the_name_in_the_class(self, folder, plugins):
        write(
            folder / "box" / "plugin",
            {"__init__.py": PLUGIN.format(cls="P", name="inner"), "app.py": APP.format(name="x")},
        )
        plugins.load_folder(folder, disabled=["inner"])
        assert [(info.name, info.state) for info in plugins.list()] == [("inner", "disabled")]
        assert plugins.apps == []

    def test_double_name_over_two_folders(self, tmp_path, plugins):
        write(tmp_path, {"a/log.py": HOOK, "b/log.py": HOOK})
        plugins.load_folder(tmp_path / "a")
        assert refused(plugins.load_folder, tmp_path / "b") == (
            f"two plugins are called 'log': {tmp_path}/a/log.py and {tmp_path}/b/log.py; remove one of them"
        )

    def test_private_site(self, folder, plugins):
        seed_plugin(folder, "one")
        path = folder / "one/plugin/__init__.py"
        path.write_text(path.read_text() + "    private_site = True\n")
        plugins.load_folder(folder)
        assert [site.private for site in plugins.sites] == [True]

    def test_policy_of_a_site(self, folder, plugins):
        seed_plugin(folder, "one")
        path = folder / "one/plugin/__init__.py"
        path.write_text(path.read_text() + "    site_csp = \"default-src 'none'\"\n")
        plugins.load_folder(folder)
        assert [site.csp for site in plugins.sites] == ["default-src 'none'"]


class TestBroken:
    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
            ("def broken(:", "SyntaxError: invalid syntax"),
            ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ],
    )
    def test_module_that_does_not_load(self, folder, plugins, source, reason):
        write(folder / "bad" / "plugin", {"__init__.py": "from .app import App", "app.py": source})
        seed_plugin(folder, "good")
        assert refused(plugins.load_folder, folder) == (
            f"plugin 'bad' ({folder}/bad/plugin/app.py:1) cannot be loaded: {reason}; "
            "mend it, or leave it out with --no-plugin bad"
        )
        assert [(info.name, info.state) for info in plugins.list()] == [("bad", "failed"), ("good", "loaded")]
        assert not [name for name, value in sys.modules.items() if str(folder / "bad") in str(value)]

    def test_nothing_in_it(self, folder, plugins):
        write(folder / "lib", {"useful.py": "x = 1"})
        sentence = refused(plugins.load_folder, folder)
        assert sentence.startswith(f"plugin 'lib' ({folder}/lib) has neither hook functions")
        assert sentence.endswith("; mend it, or leave it out with --no-plugin lib")

    def test_all_lists_what_is_not_there(self, folder, plugins):
        write(folder / "bad" / "plugin", {"__init__.py": "__all__ = ['BadPlugin']"})
        assert "__all__ lists 'BadPlugin', which the module does not define" in refused(plugins.load_folder, folder)

    def test_folder_that_does_not_exist(self, tmp_path, plugins):
        sentence = refused(plugins.load_folder, tmp_path / "nowhere")
        assert sentence == f"plugin folder {tmp_path}/nowhere cannot be read: No such file or directory"

    def test_file_instead_of_a_folder(self, tmp_path, plugins):
        write(tmp_path, {"file": ""})
        assert "Not a directory" in refused(plugins.load_folder, tmp_path / "file")


@root_only
class TestOwner:
    """As root, code that others can write is their way to become root."""

    @pytest.mark.parametrize("path", [".", "one", "one/plugin", "one/plugin/app.py"])
    def test_writable_by_every_account(self, folder, plugins, path):
        seed_plugin(folder, "one")
        (folder / path).chmod(0o777)
        sentence = refused(plugins.load_folder, folder)
        place = (folder / path).resolve()
        assert f"{place} can be written by other users" in sentence and f"chmod go-w {place}" in sentence

    def test_writable_by_the_group_of_another_user(self, folder, plugins):
        seed_plugin(folder, "one")
        (folder / "one").chmod(0o775)
        os.chown(folder / "one", 0, 12345)
        assert "can be written by other users" in refused(plugins.load_folder, folder)

    def test_roots_group_may_write(self, folder, plugins, caplog):
        seed_plugin(folder, "one")
        (folder / "one").chmod(0o775)
        plugins.load_folder(folder)
        assert caplog.messages == []

    def test_another_owner_is_refused(self, folder, plugins, monkeypatch):
        monkeypatch.delenv("SUDO_UID", raising=False)
        seed_plugin(folder, "one")
        os.chown(folder / "one" / "plugin" / "app.py", 12345, 12345)
        sentence = refused(plugins.load_folder, folder)
        assert "app.py belongs to user 12345" in sentence and "try: chown -h 0" in sentence

    def test_who_called_sudo_is_trusted(self, folder, plugins, caplog, monkeypatch):
        monkeypatch.setenv("SUDO_UID", "12345")
        seed_plugin(folder, "one")
        os.chown(folder / "one", 12345, 12345)
        plugins.load_folder(folder)
        assert caplog.messages == []

    def test_no_link_of_another_account_makes_a_site(self, folder, plugins, caplog):
        (folder / "one").mkdir()
        os.symlink("/etc", folder / "one" / "_site")
        os.lchown(folder / "one" / "_site", 12345, 12345)
        plugins.load_folder(folder)
        assert plugins.sites == []
        assert caplog.messages == [f"{folder}/one is no folder that may be served; that site is left out"]
        os.lchown(folder / "one" / "_site", 0, 0)
        assert plugins.sites == [Site("one", str(folder / "one" / "_site"))]


def tree(path):
    return {str(item.relative_to(path)): item.read_text() for item in Path(path).rglob("*") if item.is_file()}


def start(plugins, folder):
    plugins.load_folder(folder)
    plugins.configure(None)


class TestSites:
    def test_loading_alone_moves_nothing(self, folder, plugins):
        write(folder / "hello", {"index.html": "hi"})
        plugins.load_folder(folder)
        assert tree(folder / "hello") == {"index.html": "hi"}
        assert plugins.sites == [Site("hello", str(folder / "hello"))]

    def test_content_is_moved(self, folder, plugins):
        write(folder / "hello", {"index.html": "hi", "img/a.txt": "a", ".hidden": "h"})
        (folder / "hello").chmod(0o750)
        start(plugins, folder)
        assert tree(folder / "hello") == {"_site/index.html": "hi", "_site/img/a.txt": "a", "_site/.hidden": "h"}
        assert (folder / "hello" / "_site").stat().st_mode & 0o777 == 0o750
        assert plugins.sites == [Site("hello", str(folder / "hello" / "_site"))]
        assert [(info.name, info.kind, info.state) for info in plugins.list()] == [("hello", "site", "loaded")]

    def test_links_are_moved_and_not_followed(self, folder, tmp_path, plugins):
        write(tmp_path, {"elsewhere/index.html": "else"})
        write(folder / "hello", {"index.html": "hi"})
        os.symlink(tmp_path / "elsewhere", folder / "hello" / "link")
        start(plugins, folder)
        assert os.readlink(folder / "hello" / "_site" / "link") == str(tmp_path / "elsewhere")
        assert tree(tmp_path / "elsewhere") == {"index.html": "else"}

    def test_link_to_a_folder_of_another_account_is_served_where_it_is(self, folder, tmp_path, plugins):
        write(tmp_path, {"docs/index.html": "docs"})
        os.symlink(tmp_path / "docs", folder / "docs")
        start(plugins, folder)
        assert tree(tmp_path / "docs") == {"index.html": "docs"}
        assert plugins.sites == [Site("docs", str(folder / "docs"))]

    def test_loading_again_moves_nothing(self, folder):
        write(folder / "hello", {"index.html": "hi"})
        for _ in range(2):
            start(PluginSet(), folder)
        assert tree(folder / "hello") == {"_site/index.html": "hi"}

    def test_content_beside_a_site_stays(self, folder, plugins):
        write(folder / "hello", {"_site/index.html": "hi", "README": "r"})
        start(plugins, folder)
        assert tree(folder / "hello") == {"_site/index.html": "hi", "README": "r"}

    def test_python_keeps_its_place(self, folder, plugins):
        write(folder / "lib", {"index.html": "", "src/useful.py": "x = 1"})
        refused(plugins.load_folder, folder)
        assert (folder / "lib" / "index.html").exists()

    def test_interrupted_move_is_finished(self, folder, plugins):
        write(folder / "hello", {f"{folders.STAGING}/a.html": "a", "b.html": "b"})
        start(plugins, folder)
        assert tree(folder / "hello") == {"_site/a.html": "a", "_site/b.html": "b"}

    def test_move_that_lacked_only_its_last_step(self, folder, plugins):
        write(folder / "hello", {f"{folders.STAGING}/a.html": "a"})
        start(plugins, folder)
        assert tree(folder / "hello") == {"_site/a.html": "a"}

    def test_interrupted_move_overwrites_nothing(self, folder, plugins, caplog):
        files = {f"{folders.STAGING}/a.html": "old", "a.html": "new"}
        write(folder / "hello", files)
        start(plugins, folder)
        assert tree(folder / "hello") == files
        assert "cannot be moved under _site (a.html is there already)" in caplog.text

    def test_read_only_folder_is_served_where_it_is(self, folder, plugins, caplog, monkeypatch):
        write(folder / "hello", {"index.html": "hi"})

        def refuse(*args, **kwargs):
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(os, "mkdir", refuse)
        start(plugins, folder)
        assert plugins.sites == [Site("hello", str(folder / "hello"))]
        assert caplog.messages == [
            f"site {folder}/hello: cannot be moved under _site (Read-only file system); served where it is"
        ]

    def test_file_that_cannot_be_moved_brings_all_back(self, folder, plugins, caplog, monkeypatch):
        files = {"a.html": "a", "b.html": "b", "mount/c.html": "c"}
        write(folder / "hello", files)
        rename = os.rename

        def busy(source, target, **kwargs):
            if source == "mount":
                raise OSError(errno.EBUSY, "Device or resource busy")
            rename(source, target, **kwargs)

        monkeypatch.setattr(os, "rename", busy)
        start(plugins, folder)
        assert tree(folder / "hello") == files
        assert plugins.sites == [Site("hello", str(folder / "hello"))]

    @root_only
    def test_owner_of_the_site_can_still_change_it(self, folder, plugins):
        write(folder / "hello", {"index.html": "hi"})
        os.chown(folder / "hello", 12345, 12345)
        start(plugins, folder)
        assert (folder / "hello" / "_site").stat().st_uid == 12345

    @root_only
    def test_staging_that_is_a_link_of_another_account_is_not_followed(self, folder, tmp_path, plugins):
        (tmp_path / "target").mkdir()
        write(folder / "hello", {"index.html": "hi"})
        os.symlink(tmp_path / "target", folder / "hello" / folders.STAGING)
        start(plugins, folder)
        assert os.listdir(tmp_path / "target") == []
        assert (folder / "hello" / "index.html").read_text() == "hi"

    def test_site_that_appears_later_is_served_where_it_is(self, folder, plugins):
        start(plugins, folder)
        assert plugins.sites == []
        write(folder / "late", {"index.html": "hi"})
        write(folder / "ready", {"_site/index.html": "hi"})
        assert plugins.sites == [Site("late", str(folder / "late")), Site("ready", str(folder / "ready" / "_site"))]
        assert tree(folder / "late") == {"index.html": "hi"}

    def test_plugin_that_appears_later_is_no_site(self, folder, plugins):
        start(plugins, folder)
        write(folder / "late", {"plugin/secret.py": "", "index.html": ""})
        assert plugins.sites == []

    def test_site_that_disappears(self, folder, plugins):
        write(folder / "hello", {"_site/index.html": "hi"})
        start(plugins, folder)
        os.rename(folder / "hello", folder / ".hello")
        assert plugins.sites == []

    def test_empty_folder_is_nothing_yet(self, folder, plugins):
        (folder / "empty").mkdir()
        start(plugins, folder)
        assert plugins.list() == []
        assert os.listdir(folder / "empty") == []

    def test_first_folder_wins(self, tmp_path, plugins):
        write(tmp_path, {"a/hello/_site/x": "", "b/hello/_site/x": ""})
        plugins.load_folder(tmp_path / "a")
        plugins.load_folder(tmp_path / "b")
        assert plugins.sites == [Site("hello", str(tmp_path / "a/hello/_site"))]

    def test_looking_for_sites_is_bounded(self, folder, plugins, monkeypatch, caplog):
        start(plugins, folder)
        write(folder, {f"late/{number}.html": "" for number in range(4)})
        write(folder, {"ready/_site/index.html": ""})
        monkeypatch.setattr(folders, "MAX_ENTRIES", 3)
        assert [site.name for site in plugins.sites] == ["ready"]
        (folder / "third").mkdir()
        assert plugins.sites == []
        assert caplog.messages == [f"plugin folder {folder} cannot be read: more than 3 entries"]

    def test_site_counts_as_mandatory(self, folder, plugins):
        write(folder / "hello", {"index.html": "hi"})
        seed_plugin(folder, "one")
        path = folder / "one/plugin/__init__.py"
        path.write_text(path.read_text() + "    mandatory = ['hello']\n")
        start(plugins, folder)
        plugins.check_mandatory()


def test_modules_beside_one_that_lists_its_plugins_are_no_plugins(tmp_path):
    plugins = PluginSet()
    code = "from gaffer import Plugin\n\n\nclass {0}(Plugin):\n    name = 'shown'\n"
    listed = code.format("Shown") + "\n\n__all__ = ['Shown']\n"
    write(tmp_path / "box" / "plugin", {"__init__.py": listed, "base.py": code.format("Base")})
    plugins.load_folder(tmp_path)
    assert [(info.name, info.state) for info in plugins.list()] == [("shown", "loaded")]
