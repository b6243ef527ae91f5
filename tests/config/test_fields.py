"""Kinds of values: whatever comes in, out comes the canonical value or a sentence."""

import grp
import pwd
import signal
from types import MappingProxyType

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gaffer.config.fields import (
    MOST_TEXT,
    Account,
    Bool,
    Choice,
    Environment,
    Flapping,
    FlappingRule,
    Int,
    IntList,
    Labels,
    OptionalText,
    Seconds,
    Signal,
    Text,
    TextList,
    Umask,
    Words,
    parse_signal,
)

KINDS = {
    "text": Text(),
    "required text": Text(empty=False),
    "optional text": OptionalText(),
    "bool": Bool(),
    "int": Int(),
    "optional int": Int(optional=True),
    "seconds": Seconds(),
    "choice": Choice("always", "never"),
    "texts": TextList(),
    "words": Words(),
    "labels": Labels(2, distinct=True, reserved=("stdin",)),
    "integers": IntList(),
    "environment": Environment(),
    "user": Account(),
    "group": Account(group=True),
    "umask": Umask(),
    "signal": Signal(),
    "flapping": FlappingRule(),
}
HUGE = st.sampled_from([10**400, -(10**400), 2**63, -1])
WORDS = st.sampled_from(
    ["", "always", "TERM", "15", "022", "0", "root", "a b", "it's", "\0", "²", "1_0", "2, 1., 7., 5"]
)
ATOMS = st.one_of(st.none(), st.booleans(), st.integers(), HUGE, st.floats(), WORDS, st.text(max_size=8))
RULES = st.fixed_dictionaries({key: st.one_of(st.integers(-2, 9), ATOMS) for key in Flapping._fields})
JSON = st.one_of(
    RULES,
    st.lists(st.integers(-1, 9), min_size=4, max_size=4),
    st.recursive(
        ATOMS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
)


every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def checked(call, value):
    """Return the canonical value; None when the kind refused with a sentence of its own."""
    try:
        return call(value)
    except ValueError as error:
        assert not str(error).startswith(("invalid literal", "Exceeds the limit")), "Python's words, not ours"
        return None


@every_kind
@given(value=JSON)
def test_json_gives_a_canonical_value_that_the_schema_allows_or_a_sentence(kind, value):
    canonical = checked(kind.check, value)
    if canonical is not None:
        shown = kind.to_json(canonical)
        assert jsonschema.Draft202012Validator(kind.schema).is_valid(shown)
        assert kind.check(shown) == kind.check(canonical) == canonical


@every_kind
@given(text=st.one_of(WORDS, st.text(max_size=12), st.integers().map(str), st.floats().map(str)))
@example(text="9" * 5000)
def test_ini_text_gives_a_canonical_value_or_a_sentence(kind, text):
    canonical = checked(kind.parse, text)
    if canonical is not None:
        assert kind.check(canonical) == canonical


@pytest.mark.parametrize("text", ["true", "Yes", "ON", " 1 "])
def test_words_for_true(text):
    assert Bool().parse(text) is True


@pytest.mark.parametrize("text", ["false", "No", "OFF", " 0 "])
def test_words_for_false(text):
    assert Bool().parse(text) is False


@pytest.mark.parametrize("value", [1, 0, "true", None])
def test_json_has_its_own_true_and_false(value):
    with pytest.raises(ValueError, match="expected true or false"):
        Bool().check(value)


def test_no_text_is_longer_than_a_program_could_be_given():
    assert Text().check("x" * MOST_TEXT)
    with pytest.raises(ValueError, match="longer than 131071 characters"):
        Text().check("x" * (MOST_TEXT + 1))


def test_text_says_what_a_process_cannot_be_given():
    with pytest.raises(ValueError, match="NUL"):
        Text().check("a\0b")


@pytest.mark.parametrize("value", ["", "  "])
def test_text_that_must_not_be_empty(value):
    with pytest.raises(ValueError, match="must not be empty"):
        Text(empty=False).check(value)


def test_an_empty_optional_text_is_not_set():
    assert OptionalText().check("") is None


@pytest.mark.parametrize("value", [0, 5])
def test_integers_at_their_bounds(value):
    assert Int(0, 5).check(value) == value


@pytest.mark.parametrize("value", [-1, 6])
def test_integers_beyond_their_bounds_are_told_them(value):
    with pytest.raises(ValueError, match="from 0 to 5"):
        Int(0, 5).check(value)


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_what_is_no_integer_in_json(value):
    with pytest.raises(ValueError, match="expected an integer"):
        Int().check(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 31_536_001, pytest.param(10**400, id="huge")])
def test_seconds_are_finite_and_no_more_than_a_year(value):
    with pytest.raises(ValueError, match="one year"):
        Seconds().check(value)


def test_seconds_may_be_whole_in_json_and_are_floats_for_us():
    assert isinstance(Seconds().check(30), float)


def test_choices_are_listed_when_none_was_taken():
    with pytest.raises(ValueError, match="one of always, never, not 'allways'"):
        Choice("always", "never").check("allways")


def test_lists_of_texts_are_separated_by_commas_in_ini():
    assert TextList().parse(" a, b c ,,d ") == ("a", "b c", "d")


def test_a_text_is_no_list_of_letters():
    with pytest.raises(ValueError, match="expected a list"):
        TextList().check("abc")


def test_arguments_as_text_are_kept_whole():
    assert Words().parse("-x 'a b'") == "-x 'a b'"


def test_arguments_with_an_open_quote_are_refused_where_they_are_written():
    with pytest.raises(ValueError, match="cannot be split"):
        Words().check("-x 'a b")


@pytest.mark.parametrize("label", ["", "a.b", "-a", "a b", "é", "a" * 65, "stdin"])
def test_labels_that_are_refused(label):
    with pytest.raises(ValueError, match="label"):
        Labels(2, reserved=("stdin",)).check([label])


def test_more_labels_than_there_are_streams():
    with pytest.raises(ValueError, match="at most 2"):
        Labels(2).check(["a", "b", "c"])


def test_one_label_for_two_streams_only_where_that_merges_them():
    assert Labels(2).check(["log", "log"]) == ("log", "log")
    with pytest.raises(ValueError, match="different"):
        Labels(2, distinct=True).check(["log", "log"])


def test_exit_codes_are_what_a_process_can_return():
    assert IntList().parse("0, 2,255") == (0, 2, 255)
    with pytest.raises(ValueError, match="from 0 to 255"):
        IntList().check([256])


def test_numbers_in_an_environment_become_text():
    assert Environment().check({"PORT": 80, "LOAD": 0.5}) == {"PORT": "80", "LOAD": "0.5"}


@pytest.mark.parametrize(
    "env", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0"}, {"A": True}, {"A": None}, {5: "x"}]
)
def test_environments_that_no_process_can_have(env):
    with pytest.raises(ValueError):
        Environment().check(env)


def test_a_checked_environment_cannot_be_changed_for_others():
    given = {"A": "1"}
    env = Environment().check(given)
    given["A"] = "2"
    assert env == {"A": "1"} and isinstance(env, MappingProxyType)


def test_a_shown_environment_can_be_changed_by_the_caller():
    env = Environment().check({"A": "1"})
    Environment().to_json(env)["B"] = "2"
    assert env == {"A": "1"}


@pytest.mark.parametrize("kind", [Account(), Account(group=True)])
def test_account_zero_by_name_and_by_number(kind):
    name = grp.getgrgid(0).gr_name if kind.group else pwd.getpwuid(0).pw_name
    assert kind.lookup(kind.check(name)) == kind.lookup(kind.check(0)) == kind.lookup(kind.check("0")) == 0


def test_the_number_of_an_account_is_a_number_however_it_is_written():
    assert Account().check("0") == Account().parse("0") == 0


@pytest.mark.parametrize("value", ["no-such-user", 2**31 - 7, -1, 2**80, "²"])
def test_accounts_that_do_not_exist(value):
    with pytest.raises(ValueError, match="no user"):
        Account().check(value)


@pytest.mark.parametrize("value", ["022", "0o22", 18])
def test_a_mask_as_text_is_octal(value):
    assert Umask().check(value) == 0o022


def test_a_mask_is_shown_in_octal():
    assert Umask().to_json(0o022) == "022"


@pytest.mark.parametrize("value", ["9", "1000", 512, -1, True, "rwx"])
def test_masks_that_are_refused(value):
    with pytest.raises(ValueError, match="octal"):
        Umask().check(value)


@pytest.mark.parametrize("value", [15, "15", "TERM", "term", "SIGTERM", "sigTerm", " TERM ", " 15 "])
def test_spellings_of_a_signal(value):
    assert parse_signal(value) is signal.SIGTERM


@pytest.mark.parametrize("value", [0, 99, -15, "0", "", "SIG", "SIGSIGTERM", "SIG_IGN", "²", True, None, 15.0])
def test_signals_that_do_not_exist(value):
    with pytest.raises(ValueError, match="no signal"):
        parse_signal(value)


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="macOS has no real-time signals")
@pytest.mark.parametrize(
    ("value", "number"),
    [
        (37, 37),
        ("37", 37),
        ("RTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("rtmin+3", signal.SIGRTMIN + 3),
        ("RTMAX-1", signal.SIGRTMAX - 1),
    ],
)
def test_real_time_signals(value, number):
    assert parse_signal(value) == number
    assert parse_signal(Signal().to_json(number)) == number


@pytest.mark.parametrize("value", ["RTMIN-1", "RTMAX+1", "RTMIN+99", "RTMIN+", 65, "33", "TERM+1"])
def test_real_time_signals_that_do_not_exist(value):
    with pytest.raises(ValueError, match="no signal"):
        parse_signal(value)


@given(st.sampled_from(sorted(signal.Signals)))
def test_every_signal_is_read_back_from_what_is_shown(signum):
    assert parse_signal(Signal().to_json(signum)) is signum


@pytest.mark.parametrize("text", ["2, 1., 7., 5", "2 1. 7. 5", "2., 1., 7., 5.", "2,1,7,5"])
def test_the_flapping_rule_of_the_seeds(text):
    assert FlappingRule().parse(text) == Flapping(2, 1.0, 7.0, 5)


@pytest.mark.parametrize("text", ["2.5, 1, 7, 5", "2, 1, 7, inf", "2 1 7"])
def test_flapping_rule_that_cannot_be_read(text):
    with pytest.raises(ValueError):
        FlappingRule().parse(text)


@pytest.mark.parametrize("value", [Flapping(2, 1, 7, 5), [2, 1, 7, 5], Flapping(2, 1, 7, 5)._asdict()])
def test_spellings_of_a_flapping_rule(value):
    assert FlappingRule().check(value) == Flapping(2, 1.0, 7.0, 5)


@pytest.mark.parametrize(
    "value", [[0, 1, 7, 5], [2, -1, 7, 5], [2, 1, 7, -2], [2, 1, 7], {"attempts": 2}, "2,1,7,5", 3]
)
def test_flapping_rules_that_make_no_sense(value):
    with pytest.raises(ValueError):
        FlappingRule().check(value)


def test_an_example_is_given_with_a_flapping_rule_that_cannot_be_read():
    with pytest.raises(ValueError, match="such as '2, 1., 7., 5', not '2, x, 7, 5'"):
        FlappingRule().parse("2, x, 7, 5")
