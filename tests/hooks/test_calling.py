"""Calling hooks: who is asked, in which order, and what becomes of exceptions."""

import itertools
import logging
from types import SimpleNamespace

import gevent
import pluggy
import pytest
from gevent.event import Event

import gaffer
from gaffer.errors import InvalidConfig, NotFound, PluginError, Veto
from gaffer.plugins import calling as module
from gaffer.plugins.calling import Hooks, Killed


class Specs:
    @gaffer.hookspec
    def gaffer_asked(self, one, two):
        """[ASK] A question with two arguments."""

    @gaffer.hookspec
    def gaffer_told(self, word):
        """[TELL] Something that happened."""

    @gaffer.hookspec(historic=True)
    def gaffer_set_up(self, table):
        """[SETUP] A table to fill."""


@pytest.fixture
def hooks():
    pm = pluggy.PluginManager("gaffer")
    pm.add_hookspecs(Specs)
    return Hooks(pm)


def plugin(hooks, name, **functions):
    """Register a plugin that implements the hooks of these names; arguments are those of the functions."""
    made = SimpleNamespace(**{f"gaffer_{hook}": gaffer.hookimpl(function) for hook, function in functions.items()})
    hooks._pm.register(made, name)
    return made


@pytest.fixture
def three(hooks):
    """Three plugins, registered in this order, that answer with their name."""
    for name in ("first", "second", "third"):
        plugin(hooks, name, asked=lambda name=name: name)
    return hooks


def broken(error):
    def function():
        raise error

    return function


def deliver(hooks):
    assert hooks.flush(10) == []


# -- all kinds


def test_a_plugin_gets_the_arguments_that_it_names(hooks):
    plugin(hooks, "none", asked=lambda: "none")
    plugin(hooks, "one", asked=lambda two: two)
    plugin(hooks, "both", asked=lambda two, one: (two, one))
    assert hooks.ask("gaffer_asked", one=1, two=2) == [(2, 1), 2, "none"]


def test_hooks_without_an_implementation(hooks):
    assert not hooks.implemented("gaffer_asked")
    assert hooks.ask("gaffer_asked", one=1, two=2) == []
    assert hooks.ask_first("gaffer_asked", one=1, two=2) is None
    assert hooks.collect("gaffer_asked", one=1, two=2) == []
    assert hooks.fold("gaffer_asked", "one", 1, two=2) == 1


def test_hooks_without_a_specification(hooks):
    assert not hooks.implemented("gaffer_nothing")
    assert hooks.ask("gaffer_nothing", one=1) == []


def test_a_plugin_that_was_taken_out_is_not_called(hooks):
    made = plugin(hooks, "one", asked=lambda: 1)
    assert hooks.implemented("gaffer_asked")
    hooks._pm.unregister(made)
    assert not hooks.implemented("gaffer_asked") and hooks.ask("gaffer_asked", one=1, two=2) == []


def test_a_slow_implementation_is_logged_with_its_name(hooks, caplog, monkeypatch):
    caplog.set_level(logging.WARNING, module.slow.name)
    ticks = itertools.count(0, module.SLOW * 2)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    plugin(hooks, "snail", asked=lambda: 1)
    hooks.ask("gaffer_asked", one=1, two=2)
    assert caplog.messages == ["plugin snail: gaffer_asked took 100 ms"]


def test_a_quick_implementation_is_not_logged(three, caplog, monkeypatch):
    caplog.set_level(logging.WARNING, module.slow.name)
    ticks = itertools.count(0, module.SLOW / 2)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    three.ask("gaffer_asked", one=1, two=2)
    assert caplog.messages == []


# -- ask


def test_the_plugin_registered_last_is_asked_first(three):
    assert three.ask("gaffer_asked", one=1, two=2) == ["third", "second", "first"]


def test_plugins_get_ready_in_the_order_of_registration(hooks):
    called = []
    for name in ("first", "second"):
        plugin(hooks, name, asked=lambda name=name: called.append(name))
    hooks.ask_in_order("gaffer_asked", one=1, two=2)
    assert called == ["first", "second"]


def test_no_opinion_is_no_answer(hooks):
    plugin(hooks, "none", asked=lambda: None)
    plugin(hooks, "false", asked=lambda: False)
    assert hooks.ask("gaffer_asked", one=1, two=2) == [False]


def test_a_generator_is_an_answer_that_is_read_at_once(hooks):
    plugin(hooks, "one", asked=lambda: (number for number in range(3)))
    assert hooks.ask("gaffer_asked", one=1, two=2) == [[0, 1, 2]]


def test_the_first_opinion_wins_and_the_others_are_not_asked(hooks):
    asked = []
    plugin(hooks, "first", asked=lambda: asked.append("first"))
    plugin(hooks, "second", asked=lambda: 0)
    plugin(hooks, "third", asked=lambda: None)
    assert hooks.ask_first("gaffer_asked", one=1, two=2) == 0 and asked == []


def test_a_value_passes_through_all_from_the_first_registered_on(hooks):
    plugin(hooks, "add", asked=lambda one: one + "a")
    plugin(hooks, "keep", asked=lambda: None)
    plugin(hooks, "more", asked=lambda one, two: one + two)
    assert hooks.fold("gaffer_asked", "one", "x", two="b") == "xab"


@pytest.mark.parametrize("ask", ["ask", "ask_first", "ask_in_order"])
def test_an_exception_stops_the_question_and_names_the_plugin(hooks, ask, caplog):
    plugin(hooks, "bad", asked=broken(KeyError("x")))
    with pytest.raises(PluginError) as caught:
        getattr(hooks, ask)("gaffer_asked", one=1, two=2)
    assert str(caught.value).startswith("plugin bad failed in gaffer_asked: KeyError: 'x'; mend it")
    assert "--no-plugin bad" in str(caught.value)
    assert caplog.records[0].exc_info, "the traceback is in the log"


def test_an_exception_of_several_lines_is_one_sentence(hooks):
    plugin(hooks, "bad", asked=broken(ValueError("first\n  second\n")))
    with pytest.raises(PluginError, match="^plugin bad failed in gaffer_asked: ValueError: first second; mend it"):
        hooks.ask("gaffer_asked", one=1, two=2)


def test_plugins_after_an_exception_are_not_asked(hooks):
    asked = []
    plugin(hooks, "never", asked=lambda: asked.append(1))
    plugin(hooks, "bad", asked=broken(ValueError()))
    with pytest.raises(PluginError):
        hooks.ask("gaffer_asked", one=1, two=2)
    assert asked == []


def test_an_exception_while_a_generator_is_read_names_the_plugin_too(hooks):
    plugin(hooks, "bad", asked=lambda: (1 / number for number in (1, 0)))
    with pytest.raises(PluginError, match="plugin bad failed in gaffer_asked: ZeroDivisionError"):
        hooks.ask("gaffer_asked", one=1, two=2)


def test_an_error_of_ours_keeps_its_code_and_gets_the_plugins_name(hooks, caplog):
    plugin(hooks, "strict", asked=broken(Veto("not on Fridays")))
    with pytest.raises(Veto) as caught:
        hooks.ask("gaffer_asked", one=1, two=2)
    assert (str(caught.value), caught.value.status) == ("plugin strict: not on Fridays", 409)
    assert caplog.messages == [], "a refusal is no failure"


def test_an_error_that_passes_two_plugins_names_the_one_that_raised_it(hooks):
    inner = Hooks(hooks._pm)
    plugin(hooks, "inner", told=broken(NotFound("no job 'x'")))
    plugin(hooks, "outer", asked=lambda: inner.ask("gaffer_told", word="x"))
    with pytest.raises(NotFound, match="^plugin inner: no job 'x'$"):
        hooks.ask("gaffer_asked", one=1, two=2)


def test_an_error_that_is_raised_again_and_again_is_named_once(hooks):
    plugin(hooks, "strict", asked=broken(InvalidConfig("never")))
    for _ in range(3):
        with pytest.raises(InvalidConfig, match="^plugin strict: never$"):
            hooks.ask("gaffer_asked", one=1, two=2)


def test_leaving_the_program_is_not_up_to_a_plugin(hooks):
    plugin(hooks, "bad", asked=broken(SystemExit(1)))
    with pytest.raises(PluginError, match="SystemExit"):
        hooks.ask("gaffer_asked", one=1, two=2)


@pytest.mark.parametrize("call", ["ask", "ask_first", "collect"])
def test_greenlet_that_gaffer_kills_while_it_asks_ends(hooks, call):
    plugin(hooks, "one", asked=lambda: gevent.sleep(60))
    asking = gevent.spawn(getattr(hooks, call), "gaffer_asked", one=1, two=2)
    gevent.sleep(0)
    asking.kill(Killed)
    assert isinstance(asking.value, Killed)


@pytest.mark.parametrize("call", ["ask", "ask_first"])
def test_plugin_that_kills_the_greenlet_of_its_hook_has_failed(hooks, call):
    plugin(hooks, "one", asked=lambda: gevent.getcurrent().kill())
    asking = gevent.spawn(getattr(hooks, call), "gaffer_asked", one=1, two=2)
    asking.join(10)
    assert isinstance(asking.exception, PluginError) and "plugin one failed in gaffer_asked" in str(asking.exception)


# -- collect


def test_answers_come_with_the_name_of_their_plugin(three):
    assert three.collect("gaffer_asked", one=1, two=2) == [
        ("third", "third"),
        ("second", "second"),
        ("first", "first"),
    ]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), Veto("no")])
def test_a_plugin_that_fails_is_left_out_and_logged(three, caplog, error):
    plugin(three, "bad", asked=broken(error))
    assert [name for name, _ in three.collect("gaffer_asked", one=1, two=2)] == ["third", "second", "first"]
    (record,) = caplog.records
    assert record.getMessage() == f"plugin bad failed in gaffer_asked: {error!r}" and record.exc_info


def test_failures_can_be_had_as_answers(three):
    error = ValueError("x")
    plugin(three, "bad", asked=broken(error))
    assert next(three.attempts("gaffer_asked", one=1, two=2)) == ("bad", error)


def test_a_caller_that_has_heard_enough_may_stop_listening(three):
    for _ in three.attempts("gaffer_asked", one=1, two=2):
        break
    attempts = three.attempts("gaffer_asked", one=1, two=2)
    next(attempts)
    attempts.close()
    assert list(attempts) == []


# -- tell


def test_telling_does_not_wait(hooks):
    heard = []
    plugin(hooks, "one", told=lambda word: heard.append(word))
    hooks.tell("gaffer_told", word="a")
    assert heard == []
    deliver(hooks)
    assert heard == ["a"]


def test_each_plugin_is_told_everything_in_order(hooks):
    heard = {"one": [], "two": []}
    for name, words in heard.items():
        plugin(hooks, name, told=lambda word, words=words: words.append(word))
    for word in "abc":
        hooks.tell("gaffer_told", word=word)
    deliver(hooks)
    assert heard == {"one": ["a", "b", "c"], "two": ["a", "b", "c"]}


def test_a_plugin_that_waits_delays_only_itself(hooks):
    heard, never = [], Event()
    plugin(hooks, "slow", told=lambda: never.wait())
    plugin(hooks, "quick", told=lambda word: heard.append(word))
    hooks.tell("gaffer_told", word="a")
    assert hooks.flush(0.0) != []
    hooks.tell("gaffer_told", word="b")
    assert hooks.flush(0.01) == ["slow"] and heard == ["a", "b"]
    hooks.close()
    gevent.idle()


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), Veto("too late")])
def test_a_plugin_that_fails_when_told_is_logged_and_told_on(hooks, caplog, error):
    plugin(hooks, "bad", told=broken(error))
    hooks.tell("gaffer_told", word="a")
    hooks.tell("gaffer_told", word="b")
    deliver(hooks)
    assert caplog.messages == [f"plugin bad failed in gaffer_told: {error!r}"]
    assert hooks.counters()["bad"]["failures"] == 2


def test_only_the_hook_that_keeps_failing_is_muted(hooks):
    heard = []
    plugin(hooks, "half", told=broken(ValueError()), asked=lambda one: heard.append(one))
    for number in range(25):
        hooks.tell("gaffer_told", word="a")
        hooks.tell("gaffer_asked", one=number, two=2)
    deliver(hooks)
    assert hooks.counters()["half"]["muted"] == ["gaffer_told"] and len(heard) == 25


def test_only_plugins_that_were_told_something_are_counted(three):
    plugin(three, "teller", told=lambda: None)
    three.tell("gaffer_told", word="a")
    deliver(three)
    assert list(three.counters()) == ["teller"]


def test_after_closing_nothing_more_is_told(hooks):
    heard = []
    plugin(hooks, "one", told=lambda word: heard.append(word))
    hooks.tell("gaffer_told", word="a")
    hooks.close()
    deliver(hooks)
    assert heard == []


# -- set-up


def test_set_up_reaches_plugins_that_come_later(hooks):
    table = []
    plugin(hooks, "early", set_up=lambda table: table.append("early"))
    hooks.historic("gaffer_set_up", table=table)
    plugin(hooks, "late", set_up=lambda table: table.append("late"))
    assert table == ["early", "late"]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
def test_a_plugin_that_fails_at_set_up_is_named(hooks, error):
    plugin(hooks, "fine", set_up=lambda table: None)
    plugin(hooks, "bad", set_up=broken(error))
    plugin(hooks, "good", set_up=lambda table: None)
    with pytest.raises(PluginError, match=f"^plugin bad failed in gaffer_set_up: {type(error).__name__}"):
        hooks.historic("gaffer_set_up", table=[])


def test_an_error_of_ours_at_set_up_keeps_its_code(hooks):
    plugin(hooks, "bad", set_up=broken(InvalidConfig("no")))
    with pytest.raises(InvalidConfig, match="^plugin bad: no$"):
        hooks.historic("gaffer_set_up", table=[])
