"""gaffer.config.ini_reader: what a file says, line by line, and every problem at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gaffer.config.ini_reader import MAX_LINE_CHARACTERS, Ini, Value, parse_text, read_ini

#: The example of the first documentation, byte for byte.
SEED_001 = """\
[gaffer]
http_endpoints = public

[endpoint:public]
bind = 127.0.0.1:5000
;certfile=
;keyfile=

[webhooks]
;create = http://some/url
;proc.dummy.spawn = http://some/otherurl


[process:dummy]
cmd = ./dummy.py
;cwd = .
;uid =
;gid =
;detach = false
;shell = false
; flapping format: attempts=2, window=1., retry_in=7., max_retry=5
;flapping = 2, 1., 7., 5
numprocesses = 1
redirect_output = stdout, stderr
; redirect_input  = true
; graceful_timeout = 30

[process:echo]
cmd = ./echo.py
numprocesses = 1
redirect_output = stdout, stderr
redirect_input  = true
"""

#: The example of the second one.
SEED_002 = """\
[gaffer]
http_endpoints = public

[endpoint:public]
bind = 127.0.0.1:5000
;certfile=
;keyfile=

[webhooks]
;create = http://some/url
;proc.dummy.spawn = http://some/otherurl

[process:dummy]
cmd = ./dummy.py
;cwd =
;uid =
;gid =
;detach = false
;shell = false
; flapping format: attempts=2, window=1., retry_in=7., max_retry=5
;flapping = 2, 1., 7., 5
numprocesses = 1
redirect_output = stdout, stderr
; redirect_input = true
; graceful_timeout = 30

[process:echo]
cmd = ./echo.py
numprocesses = 1
redirect_output = stdout, stderr
redirect_input = true
"""


def texts(ini: Ini) -> dict[str, dict[str, str]]:
    return {section.header: {key: value.text for key, value in section.items.items()} for section in ini.sections}


def complaints(ini: Ini) -> list[str]:
    return [str(problem) for problem in ini.problems]


def raw(line: str) -> str:
    """The value of one key line, as a command gets it."""
    ini = parse_text(f"[process:x]\n{line}\n")
    assert not ini.problems
    return ini.sections[0].items["cmd"].raw


@pytest.mark.parametrize("text", [SEED_001, SEED_002], ids=["seed 001", "seed 002"])
def test_the_examples_of_the_seeds(text: str) -> None:
    ini = parse_text(text, "gaffer.ini")
    assert complaints(ini) == []
    assert texts(ini) == {
        "gaffer": {"http_endpoints": "public"},
        "endpoint:public": {"bind": "127.0.0.1:5000"},
        "webhooks": {},
        "process:dummy": {"cmd": "./dummy.py", "numprocesses": "1", "redirect_output": "stdout, stderr"},
        "process:echo": {
            "cmd": "./echo.py",
            "numprocesses": "1",
            "redirect_output": "stdout, stderr",
            "redirect_input": "true",
        },
    }


def test_every_section_and_value_knows_its_line() -> None:
    echo = parse_text(SEED_001, "gaffer.ini").sections[-1]
    assert (echo.kind, echo.name, echo.file, echo.line) == ("process", "echo", "gaffer.ini", 28)
    assert echo.items["numprocesses"] == Value("1", "gaffer.ini", 30, "1")
    assert str(echo.problem("too few", "numprocesses")) == "gaffer.ini:30: too few"
    assert str(echo.problem("too long")) == "gaffer.ini:28: too long"


@pytest.mark.parametrize(
    "value",
    [
        "sh -c 'echo a, b, c' # not a comment",
        '"my prog" -x "two words"',
        '"quoted whole"',
        "'quoted whole'",
        "date +%Y-%m-%d %(here)s %% $HOME ${HOME}",
        "run [a] [[b]] = c ; d",
        "say ünïcödé \u2028 here",
        "a = b",
        "\"unbalanced 'quotes",
        '"""a b""" c',
        ",",
    ],
)
def test_commands_are_left_untouched(value: str) -> None:
    assert raw(f"cmd = {value}") == value
    assert raw(f"  cmd={value}  ") == value


def test_other_values_lose_the_quotes_around_all_of_them() -> None:
    ini = parse_text("""[a]\none = "x y"\ntwo = 'x'\nthree = "x" "y"\n"four" = "\nfive = ""\n""")
    assert texts(ini) == {"a": {"one": "x y", "two": "x", "three": '"x" "y"', "four": '"', "five": ""}}


def test_values_over_several_lines() -> None:
    ini = parse_text('[a]\ncmd = """first\n; second\n# third = "x" """\nnext = 1\n')
    assert texts(ini) == {"a": {"cmd": 'first\n; second\n# third = "x" ', "next": "1"}}
    assert [value.line for value in ini.sections[0].items.values()] == [2, 5]


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.ini"
    file.write_bytes(b"\xef\xbb\xbf[a]\r\nx = 1\r\n")
    assert texts(read_ini(str(file))) == {"a": {"x": "1"}}


def test_all_problems_are_found_at_once() -> None:
    ini = parse_text(
        "top = 1\n[a]\nx = 1\nx = 2\n[a]\nx = 3\ny = 4\n"
        "[[c]]\n[d\n[e] ; no\n[f] = b\nzzz\n= 3\n[]\n[g]\nm = ''' never\n",
        "bad.ini",
    )
    assert sorted(ini.problems) == sorted(set(ini.problems))
    assert [str(problem) for problem in sorted(ini.problems)] == [
        "bad.ini:1: key 'top' stands before the first [SECTION]",
        "bad.ini:4: key 'x' appears a second time in its section",
        "bad.ini:5: section [a] appears a second time; the first is in line 2",
        "bad.ini:8: expected [SECTION] or KEY = VALUE, not '[[c]]'",
        "bad.ini:9: expected [SECTION] or KEY = VALUE, not '[d'",
        "bad.ini:10: expected [SECTION] or KEY = VALUE, not '[e] ; no'",
        "bad.ini:11: expected [SECTION] or KEY = VALUE, not '[f] = b'",
        "bad.ini:12: expected [SECTION] or KEY = VALUE, not 'zzz'",
        "bad.ini:13: expected [SECTION] or KEY = VALUE, not '= 3'",
        "bad.ini:14: expected [SECTION] or KEY = VALUE, not '[]'",
        "bad.ini:16: the closing ''' is missing",
    ]


def test_a_section_that_appears_twice_does_not_change_the_first() -> None:
    ini = parse_text("[a]\nx = 1\n[b]\n[a]\nx = 2\n[a]\n")
    assert texts(ini) == {"a": {"x": "1"}, "b": {}}
    assert len(ini.problems) == 2


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "latin.ini"
    file.write_bytes("[a]\nname = x\nwho = Jérôme\n".encode("latin-1"))
    assert complaints(read_ini(str(file))) == [f"{file}:3: byte 0xe9 is not UTF-8; save the file as UTF-8"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "no.ini"
    assert complaints(read_ini(str(missing))) == [f"{missing}: No such file or directory"]
    assert complaints(read_ini(str(tmp_path))) == [f"{tmp_path}: Is a directory"]


def test_a_pipe_is_refused_because_it_is_read_only_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.ini"
    os.mkfifo(pipe)
    sentence = "this is no file that can be read again, as a reload does; write it to one"
    assert complaints(read_ini(str(pipe))) == [f"{pipe}: {sentence}"]
    main = tmp_path / "main.ini"
    main.write_text("[gaffer]\ninclude = pipe.ini\n")
    assert complaints(read_ini(str(main))) == [f"{main}:2: cannot read {pipe}: {sentence}"]


def test_lines_are_bounded_and_reading_one_is_quick() -> None:
    ini = parse_text("[a]\nx = " + "y" * MAX_LINE_CHARACTERS, "f")
    assert complaints(ini) == [f"f:2: line is longer than {MAX_LINE_CHARACTERS} characters"]
    started = time.process_time()
    for hostile in (
        "[" * MAX_LINE_CHARACTERS,
        " " * MAX_LINE_CHARACTERS,
        "x" + " " * (MAX_LINE_CHARACTERS - 1),
        "[a" * (MAX_LINE_CHARACTERS // 2),
        '"' * MAX_LINE_CHARACTERS,
    ):
        parse_text(hostile)
    assert time.process_time() - started < 2.0


class TestIncludes:
    def write(self, folder: Path, name: str, text: str) -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def test_files_patterns_and_folders_relative_to_the_file(self, tmp_path: Path) -> None:
        main = self.write(tmp_path, "main.ini", "[gaffer]\ninclude = one.ini, apps/*.ini\ninclude_dir = more\n")
        self.write(tmp_path, "one.ini", "[process:one]\ncmd = one\n")
        self.write(tmp_path, "apps/b.ini", "[process:b]\ncmd = b\n")
        self.write(tmp_path, "apps/a.ini", "[process:a]\ncmd = a\n[gaffer]\ninclude = sub/x.ini\n")
        self.write(tmp_path, "apps/sub/x.ini", "[process:x]\ncmd = x\n")
        self.write(tmp_path, "more/c.ini", "[process:c]\ncmd = c\n")
        self.write(tmp_path, "more/deep/d.ini", "[process:d]\ncmd = d\n")
        self.write(tmp_path, "more/ignored.txt", "nonsense")
        ini = read_ini(main)
        assert complaints(ini) == []
        assert [section.name for section in ini.sections if section.name] == ["one", "a", "x", "b", "c", "d"]
        assert ini.files[0] == main and len(ini.files) == 7

    @pytest.mark.parametrize("words", ["a.ini b.ini", "a.ini, b.ini"])
    def test_files_separated_by_spaces_or_commas(self, tmp_path: Path, words: str) -> None:
        main = self.write(tmp_path, "main.ini", f"[gaffer]\ninclude = {words}\n")
        self.write(tmp_path, "a.ini", "[process:a]\ncmd = a\n")
        self.write(tmp_path, "b.ini", "[process:b]\ncmd = b\n")
        ini = read_ini(main)
        assert complaints(ini) == [] and [section.name for section in ini.sections if section.name] == ["a", "b"]

    def test_file_whose_name_has_a_space(self, tmp_path: Path) -> None:
        main = self.write(tmp_path, "main.ini", "[gaffer]\ninclude = my jobs.ini\n")
        self.write(tmp_path, "my jobs.ini", "[process:a]\ncmd = a\n")
        assert complaints(read_ini(main)) == []

    def test_missing_ones_are_problems_where_they_are_asked_for(self, tmp_path: Path) -> None:
        main = self.write(tmp_path, "main.ini", "[gaffer]\ninclude = none.ini, none*.ini\ninclude_dir = nowhere\n")
        assert complaints(read_ini(main)) == [
            f"{main}:2: cannot read {tmp_path}/none.ini: No such file or directory",
            f"{main}:3: include_dir: no folder {tmp_path}/nowhere",
        ]

    def test_circles(self, tmp_path: Path) -> None:
        main = self.write(tmp_path, "main.ini", "[gaffer]\ninclude = b.ini\n")
        self.write(tmp_path, "b.ini", "[gaffer]\ninclude = ./main.ini\n")
        ini = read_ini(main)
        assert complaints(ini) == [
            f"{tmp_path}/b.ini:2: include goes in a circle: {tmp_path}/main.ini includes itself",
        ]

    def test_a_pattern_that_matches_its_own_file_and_files_reached_twice(self, tmp_path: Path) -> None:
        main = self.write(tmp_path, "main.ini", "[gaffer]\ninclude = *.ini, b.ini\n[process:m]\n")
        self.write(tmp_path, "b.ini", "[process:b]\n")
        ini = read_ini(main)
        assert complaints(ini) == []
        assert [section.header for section in ini.sections] == ["gaffer", "process:m", "process:b"]

    def test_their_number_is_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gaffer.config.ini_reader.MAX_FILES", 3)
        main = self.write(tmp_path, "main.ini", "[gaffer]\ninclude_dir = .\n")
        for number in range(4):
            self.write(tmp_path, f"x{number}.ini", "")
        assert complaints(read_ini(main)) == [f"{main}:2: more than 3 files are included"] * 2

    def test_a_file_that_is_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gaffer.config.ini_reader.MAX_FILE", 10)
        main = self.write(tmp_path, "main.ini", "# 3456789\n")
        assert complaints(read_ini(main)) == []
        main = self.write(tmp_path, "main.ini", "# 3456789\n\n")
        assert complaints(read_ini(main)) == [f"{main}: larger than 10 bytes"]
