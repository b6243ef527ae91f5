"""dotenv files: the syntax, and files that are named by mistake."""

import os

import pytest

from gaffer.config.dotenv import MAX_SIZE, read_env_file
from gaffer.errors import InvalidConfig


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a file of the given content."""

    def read(content):
        path = tmp_path / ".env"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_env_file(str(path))

    return read


def refused(path):
    with pytest.raises(InvalidConfig) as caught:
        read_env_file(str(path))
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_names_and_values(read):
    assert read("A=1\nB = two words \n\n") == {"A": "1", "B": "two words"}


def test_a_later_line_wins(read):
    assert read("A=1\nA=2\n") == {"A": "2"}


def test_comments_and_export(read):
    assert read("# all of it\nexport A=1 # the rest\n") == {"A": "1"}


def test_quotes_keep_what_is_in_them(read):
    assert read("""A=' # x '\nB="line\\nline"\nC="it's"\n""") == {"A": " # x ", "B": "line\nline", "C": "it's"}


def test_variables_of_the_file_are_put_in(read):
    assert read("HOST=db\nURL=pg://${HOST}/x\n") == {"HOST": "db", "URL": "pg://db/x"}


def test_variables_of_the_environment_are_put_in(read, monkeypatch):
    monkeypatch.setenv("REGION", "eu")
    assert read("WHERE=${REGION}-1\n") == {"WHERE": "eu-1"}


def test_a_default_for_a_variable_that_is_not_there(read, monkeypatch):
    monkeypatch.delenv("NOT_THERE", raising=False)
    assert read("A=${NOT_THERE:-x}\n") == {"A": "x"}


def test_single_quotes_and_dollars_of_no_variable_stay(read):
    assert read("A=a$b\n") == {"A": "a$b"}


def test_a_name_without_a_value_is_refused_and_an_empty_one_is_not(tmp_path, read):
    assert read("B=\n") == {"B": ""}
    path = tmp_path / ".env"
    path.write_text("B=\nA\n")
    assert f"{path}:2: A has no value" in refused(path)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("TYPO: 2", "expected NAME=VALUE, not 'TYPO: ...'"),
        ('A="never closed', 'the " is never closed'),
        ("A=${NOPE}", "${NOPE} is not set"),
        ('A="x${NOPE}"', "${NOPE} is not set"),
        ("A=${HOME:+x}", "${HOME... means nothing here"),
        ('A="${HOME:?no}"', "${HOME... means nothing here"),
        ("A=x${HOME", "${HOME... means nothing here"),
    ],
)
def test_wrong_lines_are_refused_with_their_number(tmp_path, line, sentence):
    path = tmp_path / "app.env"
    path.write_text(f"# a comment\n{line}\n")
    said = refused(path)
    assert "app.env:2: " in said and sentence in said


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A='pa${ss}word'", "pa${ss}word"),
        ("export A = '${ss}'", "${ss}"),
        (r'A="pa\${HOME}"', "pa${HOME}"),
        (r"A=pa\${HOME}", "pa${HOME}"),
        (r"A=\${ss}${B}", "${ss}b"),
        ("A=${NOPE-dflt}", "dflt"),
        ("A=${NOPE:-dflt}", "dflt"),
        ("A=${NOPE-}", ""),
        ("A=${B-dflt}", "b"),
        ("A=${NOPE-a-b}", "a-b"),
    ],
)
def test_dollars_are_read_as_a_shell_reads_them(read, monkeypatch, line, value):
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.delenv("NOPE", raising=False)
    assert read(f"B=b\n{line}\n")["A"] == value


def test_a_value_over_several_lines_of_a_file_with_crlf_has_plain_line_ends(read):
    assert read(b'A="one\r\ntwo"\r\nB=1\r\n') == {"A": "one\ntwo", "B": "1"}


def test_an_empty_file(read):
    assert read("") == {}


def test_a_byte_order_mark_is_no_part_of_the_first_name(read):
    assert read(b"\xef\xbb\xbfA=1\n") == {"A": "1"}


def test_values_of_other_languages(read):
    assert read("A=höhe\n") == {"A": "höhe"}


def test_a_file_that_is_not_there(tmp_path):
    assert "No such file" in refused(tmp_path / "none")


def test_a_folder(tmp_path):
    assert "not a regular file" in refused(tmp_path)


def test_a_pipe_that_would_never_end(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "not a regular file" in refused(path)


def test_a_device_that_never_ends():
    assert "not a regular file" in refused("/dev/zero")


def test_a_file_of_unreasonable_size(tmp_path):
    path = tmp_path / ".env"
    path.touch()
    os.truncate(path, MAX_SIZE + 1)
    assert f"larger than {MAX_SIZE} bytes" in refused(path)


def test_a_file_in_another_encoding(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"A=h\xf6he\n")
    assert "not UTF-8" in refused(path)


def test_a_nul_is_named_instead_of_losing_the_variable(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"A=1\nB=x\0y\n")
    assert refused(path).endswith(":2: a NUL character in B")
