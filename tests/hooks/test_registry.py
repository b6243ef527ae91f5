"""Plugin sets: every kind of plugin, where plugins come from, and what is said of broken ones."""

import gc
import shutil
import sys
import types
import weakref
from importlib import metadata
from pathlib import Path

import pluggy
import pytest

import gaffer
from gaffer.errors import PluginError
from gaffer.plugins.registry import Plugin, PluginSet, Site
from gaffer.process.process import ExitStatus

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"


@pytest.fixture
def plugins():
    return PluginSet()


def module(name, **members):
    made = types.ModuleType(name)
    vars(made).update(members)
    return made


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def refused(function, *args, **kwargs):
    with pytest.raises(PluginError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


@gaffer.hookimpl
def gaffer_event(event):
    event["seen"] = True


class Audit:
    """Writes down who did what."""

    version = "2.1"

    @gaffer.hookimpl
    def gaffer_event(self, event):
        event["seen"] = True


class Dummy(Plugin):
    name = "dummy"
    version = "1.0"
    description = "test"

    def app(self, cfg):
        self.cfg = cfg
        return SeedApp()


class SeedApp:
    """The application that the documentation prints, misspelling and all."""

    def start(self, loop, manager):
        pass

    def stop(sef):
        pass

    def rester(self):
        pass


def shown(info):
    return tuple(info.to_dict().values())


class TestKinds:
    def test_module_with_hooks(self, plugins):
        plugins.add(module("audit", gaffer_event=gaffer_event, __doc__="Writes.\n\nMore."))
        [info] = plugins.list()
        assert shown(info) == ("audit", "", "embedder", "Writes.", "hooks", ["gaffer_event"], "loaded")
        event = {}
        plugins.pm.hook.gaffer_event(event=event)
        assert event == {"seen": True}

    def test_object_with_hooks(self, plugins):
        plugins.add(Audit())
        [info] = plugins.list()
        assert (info.name, info.version, info.description) == ("Audit", "2.1", "Writes down who did what.")
        assert plugins.apps == []

    def test_class_is_instantiated_once_per_set(self):
        made = []

        class Counting(Audit):
            def __init__(self):
                made.append(self)

        first, second = PluginSet(), PluginSet()
        first.add(Counting)
        second.add(Counting)
        assert len(made) == 2
        assert first.pm.get_plugin("Counting") is made[0]
        assert second.pm.get_plugin("Counting") is made[1]

    def test_plugin_class_makes_its_application_from_the_settings(self, plugins):
        plugins.add(Dummy)
        plugins.configure("settings")
        [(name, app)] = plugins.apps
        assert name == "dummy" and isinstance(app, SeedApp)
        assert plugins.pm.get_plugin("dummy").cfg == "settings"
        [info] = plugins.list()
        assert shown(info)[:6] == ("dummy", "1.0", "embedder", "test", "plugin", [])

    def test_plugin_is_asked_for_its_application_once(self, plugins):
        plugins.add(Dummy())
        assert plugins.apps == plugins.apps
        assert plugins.pm.get_plugin("dummy").cfg is None

    def test_plugin_with_hooks_and_application(self, plugins):
        class Both(Dummy):
            @gaffer.hookimpl
            def gaffer_ready(self, manager):
                pass

        plugins.add(Both())
        assert plugins.list()[0].hooks == ["gaffer_ready"]
        assert len(plugins.apps) == 1

    def test_plugin_without_application(self, plugins):
        class Quiet(Plugin):
            """Says nothing."""

        plugins.add(Quiet)
        assert plugins.apps == []
        assert shown(plugins.list()[0])[:5] == ("Quiet", "", "embedder", "Says nothing.", "plugin")

    @pytest.mark.parametrize("method", ["start", "stop", "restart"])
    def test_bare_application_needs_one_method(self, plugins, method):
        app = type("App", (), {method: lambda self, *args: None})()
        plugins.add(app)
        assert plugins.apps == [("App", app)]
        assert plugins.list()[0].kind == "app"

    def test_two_applications_of_one_class(self, plugins):
        first, second = SeedApp(), SeedApp()
        plugins.add(first)
        plugins.add(second)
        assert plugins.apps == [("SeedApp", first), ("SeedApp-2", second)]

    def test_module_as_application(self, plugins):
        clock = module("clock", start=lambda loop, manager: None)
        plugins.add(clock)
        assert plugins.apps == [("clock", clock)]

    def test_hooks_do_not_make_an_application_unless_said(self, plugins):
        class Listener(Audit):
            def stop(self):
                pass

        plain, app = Listener(), Listener()
        plugins.add(plain, name="plain")
        plugins.add(app, name="app", app=True)
        assert plugins.apps == [("app", app)]

    def test_application_order_is_that_of_registration(self, plugins):
        for name in "cab":
            plugins.add(SeedApp(), name=name)
        assert [name for name, _ in plugins.apps] == ["c", "a", "b"]

    @pytest.mark.parametrize("thing", [object(), "text", module("empty"), module("helper", VALUE=1)])
    def test_what_is_no_plugin_is_refused(self, plugins, thing):
        sentence = refused(plugins.add, thing)
        assert "has neither hook functions" in sentence and "\n" not in sentence
        assert "--no-plugin" not in sentence, "an embedding program has no such option"

    def test_class_that_cannot_be_made(self, plugins):
        class Broken(Audit):
            def __init__(self):
                raise RuntimeError("no disk")

        sentence = refused(plugins.add, Broken)
        assert "plugin 'Broken'" in sentence and "RuntimeError: no disk" in sentence
        assert __file__ in sentence
        assert plugins.list()[0].state == "failed"

    def test_app_that_is_none(self, plugins):
        class Wrong(Plugin):
            def app(self, cfg):
                return 42

        plugins.add(Wrong)
        assert refused(plugins.configure, None) == (
            "plugin 'Wrong' (embedder): app() returned 42, which has none of start, stop and restart"
        )

    def test_app_that_raises(self, plugins):
        class Wrong(Plugin):
            def app(self, cfg):
                raise SystemExit("bye")

        plugins.add(Wrong)
        assert "SystemExit: bye" in refused(plugins.configure, None)

    def test_sets_share_nothing(self):
        first, second = PluginSet(), PluginSet()
        first.add(Audit())
        assert second.list() == []
        assert not second.pm.hook.gaffer_event.get_hookimpls()

    def test_a_set_can_be_collected(self):
        plugins = PluginSet()
        plugins.add(Audit())
        gone = weakref.ref(plugins)
        del plugins
        gc.collect()
        assert gone() is None


class TestHooks:
    def test_unknown_hook_names_the_nearest(self, plugins):
        @gaffer.hookimpl
        def gaffer_exitted(job):
            pass

        sentence = refused(plugins.add, module("typo", gaffer_exitted=gaffer_exitted))
        assert sentence == "plugin 'typo' (embedder): unknown hook gaffer_exitted; did you mean 'gaffer_exited'?"
        assert not plugins.pm.has_plugin("typo")

    def test_unknown_hook_may_be_optional(self, plugins):
        @gaffer.hookimpl(optionalhook=True)
        def gaffer_of_tomorrow(job):
            pass

        plugins.add(module("ahead", gaffer_of_tomorrow=gaffer_of_tomorrow))
        plugins.check_mandatory()
        assert plugins.list()[0].state == "loaded"

    def test_wrong_argument_names_the_nearest(self, plugins):
        @gaffer.hookimpl
        def gaffer_exited(jobs):
            pass

        sentence = refused(plugins.add, module("typo", gaffer_exited=gaffer_exited))
        assert sentence == "plugin 'typo' (embedder): gaffer_exited has no argument 'jobs'; did you mean 'job'?"

    def test_wrong_argument_without_a_near_one(self, plugins):
        @gaffer.hookimpl
        def gaffer_event(anything):
            pass

        assert refused(plugins.add, module("typo", gaffer_event=gaffer_event)).endswith("'anything'; it has event")

    def test_fewer_arguments_are_fine(self, plugins):
        @gaffer.hookimpl
        def gaffer_exited():
            pass

        plugins.add(module("terse", gaffer_exited=gaffer_exited))

    def test_wrapper_is_refused(self, plugins):
        @gaffer.hookimpl(wrapper=True)
        def gaffer_event(event):
            return (yield)

        assert "plain function, not a wrapper" in refused(plugins.add, module("wrap", gaffer_event=gaffer_event))

    def test_specname(self, plugins):
        @gaffer.hookimpl(specname="gaffer_event")
        def on_event(event):
            event["seen"] = True

        plugins.add(module("other", on_event=on_event))
        assert plugins.list()[0].hooks == ["gaffer_event"]

    def test_later_registered_is_asked_first(self, plugins):
        order = []
        for name in "ab":

            @gaffer.hookimpl
            def gaffer_event(event, name=name):
                order.append(name)

            plugins.add(module(name, gaffer_event=gaffer_event))
        plugins.pm.hook.gaffer_event(event={})
        assert order == ["b", "a"]

    def test_properties_of_a_plugin_are_not_run(self, plugins):
        class Touchy(Audit):
            @property
            def temper(self):
                raise RuntimeError("do not touch")

        plugins.add(Touchy())


@gaffer.hookspec
def acme_backup(path):
    """A hook of another project."""


@gaffer.hookimpl(specname="acme_backup")
def back_up(path):
    return f"saved {path}"


class TestSpecifications:
    def test_embedder_brings_specifications(self):
        plugins = PluginSet(hookspecs=[module("acme", acme_backup=acme_backup)])
        plugins.add(module("tape", acme_backup=back_up))
        plugins.check_mandatory()
        assert plugins.pm.hook.acme_backup(path="/x") == ["saved /x"]

    def test_plugin_brings_specifications_and_another_uses_them(self, plugins):
        @gaffer.hookimpl
        def gaffer_addhooks(pluginmanager):
            pluginmanager.add_hookspecs(module("acme", acme_backup=acme_backup))

        plugins.add(module("tape", acme_backup=back_up))
        assert "the hook acme_backup, which nothing specifies" in refused(plugins.check_mandatory)
        plugins.add(module("acme", gaffer_addhooks=gaffer_addhooks))
        plugins.check_mandatory()
        assert plugins.pm.hook.acme_backup(path="/x") == ["saved /x"]

    def test_reserved_names(self):
        @gaffer.hookspec
        def gaffer_mine(path):
            pass

        sentence = refused(PluginSet, hookspecs=[module("acme", gaffer_mine=gaffer_mine)])
        assert sentence == "acme specifies gaffer_mine, but hooks beginning with gaffer_ are reserved"

    def test_reserved_names_in_a_plugin(self, plugins):
        @gaffer.hookspec
        def gaffer_mine(path):
            pass

        @gaffer.hookimpl
        def gaffer_addhooks(pluginmanager):
            pluginmanager.add_hookspecs(module("specs", gaffer_mine=gaffer_mine))

        sentence = refused(plugins.add, module("acme", gaffer_addhooks=gaffer_addhooks))
        assert sentence.startswith("plugin 'acme' (embedder): specs specifies gaffer_mine")
        assert not plugins.pm.has_plugin("acme"), "a refused plugin must not stay half registered"

    def test_no_specifications(self):
        assert "cannot be used as hook specifications" in refused(PluginSet, hookspecs=[module("empty")])

    def test_gaffer_has_its_own(self, plugins):
        names = [name for name in vars(plugins.pm.hook) if plugins.pm.hook.__dict__[name].has_spec()]
        assert "gaffer_event" in names and all(name.startswith("gaffer_") for name in names)
        assert isinstance(plugins.pm, pluggy.PluginManager)


class TestNames:
    def test_double_name_tells_both_origins(self, plugins):
        plugins.add(Audit(), name="audit", origin="acme 1.0")
        assert refused(plugins.add, SeedApp(), name="audit", origin="/srv/plugins/audit") == (
            "two plugins are called 'audit': acme 1.0 and /srv/plugins/audit; remove one of them"
        )

    def test_same_object_twice(self, plugins):
        audit = Audit()
        plugins.add(audit, name="one")
        assert refused(plugins.add, audit, name="two").endswith("is registered already as 'one'")

    @pytest.mark.parametrize("mandatory", ["tape", ["tape"], ("tape",)])
    def test_mandatory_plugin_is_missing(self, plugins, mandatory):
        plugins.add(type("Needy", (Dummy,), {"mandatory": mandatory}))
        plugins.add(SeedApp(), name="tapes")
        assert refused(plugins.check_mandatory) == (
            "plugin 'dummy' (embedder) needs plugin 'tape', which is not installed; did you mean 'tapes'?; "
            "provide it, or leave this one out with --no-plugin dummy"
        )

    def test_mandatory_plugin_is_there(self, plugins):
        plugins.add(type("Needy", (Dummy,), {"mandatory": ["tape"]}))
        plugins.add(SeedApp(), name="tape")
        plugins.check_mandatory()

    def test_muted(self, plugins):
        plugins.add(Audit())
        assert [info.state for info in plugins.list(muted={"Audit"})] == ["muted"]


ACME = """
import gaffer

@gaffer.hookimpl
def gaffer_event(event):
    event.setdefault("asked", []).append(__name__)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution: modules and entry points, found by importlib.metadata."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def install(name, points, files=None, version="1.0"):
        info = tmp_path / f"{name}-{version}.dist-info"
        write(info, {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"})
        write(info, {"entry_points.txt": "[gaffer.plugins]\n" + "".join(f"{point}\n" for point in points)})
        write(tmp_path, files or {})

    # It hides the real distribution, whose plugins are not what is tested here.
    install("gaffer", ["ours = zz_ours"], {"zz_ours.py": ACME}, "99")
    yield install
    for name in set(sys.modules) - before:
        del sys.modules[name]


class TestEntryPoints:
    def test_ours_first_then_others_by_name(self, plugins, install):
        install("acme", ["beta = acme_b", "alpha = acme_a"], {"acme_a.py": ACME, "acme_b.py": ACME})
        plugins.load_entry_points()
        assert [(info.name, info.origin, info.version) for info in plugins.list()] == [
            ("ours", "gaffer 99", "99"),
            ("alpha", "acme 1.0", "1.0"),
            ("beta", "acme 1.0", "1.0"),
        ]
        event = {}
        plugins.pm.hook.gaffer_event(event=event)
        assert event["asked"] == ["acme_b", "acme_a", "zz_ours"]

    def test_each_distribution_is_read_once(self, plugins, install, monkeypatch):
        install("acme", ["a = acme_a", "b = acme_b"], {"acme_a.py": ACME, "acme_b.py": ACME})
        read, read_text = [], metadata.PathDistribution.read_text

        def counting(self, filename):
            if filename == "METADATA":
                read.append(self._path.name)
            return read_text(self, filename)

        monkeypatch.setattr(metadata.PathDistribution, "read_text", counting)
        plugins.load_entry_points()
        assert read.count("acme-1.0.dist-info") <= 2, "more than finding it, and asking for its name and version"

    def test_disabled_is_not_imported(self, plugins, install):
        install("acme", ["bomb = acme_bomb"], {"acme_bomb.py": "raise SystemExit(3)"})
        plugins.load_entry_points(disabled=["bomb"])
        assert [(info.name, info.state) for info in plugins.list()] == [("ours", "loaded"), ("bomb", "disabled")]
        assert "acme_bomb" not in sys.modules

    def test_only(self, plugins, install):
        install("acme", ["bomb = acme_bomb"], {"acme_bomb.py": "raise SystemExit(3)"})
        plugins.load_entry_points(only=["ours"])
        assert [info.name for info in plugins.list()] == ["ours"]

    def test_only_nothing(self, plugins, install):
        plugins.load_entry_points(only=())
        assert plugins.list() == []

    def test_only_what_exists(self, plugins, install):
        assert refused(plugins.load_entry_points, only=["our"]) == (
            "no installed plugin is called 'our'; did you mean 'ours'?"
        )

    @pytest.mark.parametrize(
        ("source", "reason", "line"),
        [
            ("import gaffer\nimport no_such_library", "ModuleNotFoundError: No module named 'no_such_library'", 2),
            ("x = (", "SyntaxError: '(' was never closed", 1),
            ("\n\nraise SystemExit('bye')", "SystemExit: bye", 3),
            ("1 / 0", "ZeroDivisionError: division by zero", 1),
        ],
    )
    def test_broken_module(self, plugins, install, tmp_path, source, reason, line):
        install("acme", ["broken = acme_broken", "fine = acme_fine"], {"acme_broken.py": source, "acme_fine.py": ACME})
        assert refused(plugins.load_entry_points) == (
            f"plugin 'broken' ({tmp_path}/acme_broken.py:{line}) cannot be loaded: {reason}; "
            "mend it, or leave it out with --no-plugin broken"
        )
        assert {info.name: info.state for info in plugins.list()} == {
            "ours": "loaded",
            "broken": "failed",
            "fine": "loaded",
        }

    def test_all_broken_ones_are_told_at_once(self, plugins, install):
        install("acme", ["a = nowhere_a", "b = nowhere_b:Thing"])
        lines = refused(plugins.load_entry_points).splitlines()
        assert [line[: line.index(" cannot")] for line in lines] == [
            "plugin 'a' (acme 1.0, nowhere_a)",
            "plugin 'b' (acme 1.0, nowhere_b:Thing)",
        ]

    def test_module_with_plugin_class(self, plugins, install):
        source = "import gaffer\n__all__ = ['P']\nclass P(gaffer.Plugin):\n    'Does.'\n"
        install("acme", ["tape = acme_tape"], {"acme_tape.py": source})
        plugins.load_entry_points()
        assert shown(plugins.list()[1])[:5] == ("tape", "1.0", "acme 1.0", "Does.", "plugin")

    def test_class_and_object(self, plugins, install):
        source = "class App:\n    def start(self, loop, manager): pass\napp = App()\n"
        install("acme", ["cls = acme_app:App", "obj = acme_app:app"], {"acme_app.py": source})
        plugins.load_entry_points()
        assert [name for name, _ in plugins.apps] == ["cls", "obj"]

    def test_nothing_in_it(self, plugins, install):
        install("acme", ["empty = acme_empty"], {"acme_empty.py": ""})
        sentence = refused(plugins.load_entry_points)
        assert sentence.startswith("plugin 'empty' (acme 1.0) has neither") and sentence.endswith("--no-plugin empty")

    def test_two_distributions_with_one_name(self, plugins, install):
        install("acme", ["tape = acme_a"], {"acme_a.py": ACME})
        install("rival", ["tape = acme_b"], {"acme_b.py": ACME})
        assert refused(plugins.load_entry_points) == (
            "two plugins are called 'tape': acme 1.0 and rival 1.0; remove one of them"
        )

    def test_mandatory_plugin_is_disabled(self, plugins, install):
        plugins.load_entry_points(disabled=["ours"])
        plugins.add(type("Needy", (Dummy,), {"mandatory": ["ours"]}))
        assert "needs plugin 'ours', which is disabled" in refused(plugins.check_mandatory)


def test_the_examples(tmp_path, plugins, capsys, caplog):
    shutil.copytree(EXAMPLES, tmp_path / "plugins")
    plugins.load_folder(tmp_path / "plugins")
    assert [(info.name, info.kind, info.state) for info in plugins.list()] == [
        ("crashlog", "hooks", "loaded"),
        ("dummy", "plugin", "loaded"),
        ("board", "site", "loaded"),
        ("hello_site", "site", "loaded"),
    ]
    [(name, app)] = plugins.apps
    app.start(None, None)
    app.restart()
    app.stop()
    assert capsys.readouterr().out == "start dummy app\nrestart dummy\nstop dummy\n"
    assert [(site.name, Path(site.root).name) for site in plugins.sites] == [
        ("board", "_site"),
        ("dummy", "_site"),
        ("hello_site", "_site"),
    ]

    process = types.SimpleNamespace(os_pid=7)
    for status in (ExitStatus(0, None), ExitStatus(None, 15), ExitStatus(3, None), ExitStatus(None, 11)):
        plugins.pm.hook.gaffer_exited(job=types.SimpleNamespace(name="web"), process=process, status=status)
    assert caplog.messages == ["web: process 7 failed with code 3", "web: process 7 failed with signal SIGSEGV"]


def test_site_is_importable_from_the_top():
    assert gaffer.Plugin is Plugin
    assert Site("a", "/a") == ("a", "/a", False, None)
