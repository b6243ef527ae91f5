"""gaffer.service.logging: one line a record, in a file that can be moved away."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import Iterator

import gevent
import pytest

from gaffer.errors import GafferError
from gaffer.service.logging import Log, log_failures


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Put the process' logging back."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.raiseExceptions, threading.excepthook, sys.unraisablehook)
    yield
    for handler in root.handlers:
        if handler not in before[0]:
            handler.close()
    root.handlers[:], root.level = before[0], before[1]
    logging.raiseExceptions, threading.excepthook, sys.unraisablehook = before[2:]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


def test_one_line_a_record(file: Path) -> None:
    Log(str(file), "info")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("a").exception("it failed\n  badly")
    logging.getLogger("b").info("good")
    logging.getLogger("b").debug("not shown")
    first, second = file.read_text().splitlines()
    assert "ERROR a: it failed |   badly | Traceback" in first and first.endswith("| ValueError: two | lines")
    assert second.endswith("INFO b: good")


def test_without_tracebacks(file: Path) -> None:
    Log(str(file), "info", tracebacks=False)
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("a").exception("it failed")
    assert file.read_text().endswith("ERROR a: it failed\n")


def test_the_level_can_be_changed(file: Path) -> None:
    log = Log(str(file), "error")
    logging.info("no")
    log.set_level("debug")
    logging.debug("yes")
    assert file.read_text().endswith("DEBUG root: yes\n")
    assert len(file.read_text().splitlines()) == 1


def test_reopen(file: Path, tmp_path: Path) -> None:
    log = Log(str(file), "info")
    logging.info("one")
    file.rename(tmp_path / "old.log")
    logging.info("two")
    log.reopen()
    logging.info("three")
    assert [line.split()[-1] for line in (tmp_path / "old.log").read_text().splitlines()] == ["one", "two"]
    assert [line.split()[-1] for line in file.read_text().splitlines()] == ["three"]
    assert len(logging.getLogger().handlers) == 1


def test_a_file_that_cannot_be_opened_again_keeps_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = Log(str(folder / "x.log"), "info")
    folder.rename(tmp_path / "moved")
    log.reopen()
    logging.info("still here")
    kept = (tmp_path / "moved/x.log").read_text()
    assert "cannot write the log" in kept and "still here" in kept


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(GafferError, match="^cannot write the log /no/such/x.log: No such file or directory$"):
        Log("/no/such/x.log", "info")


def test_text_that_is_no_utf8(file: Path) -> None:
    Log(str(file), "info")
    logging.info("bad \udc80")
    assert file.read_text().endswith("bad \\udc80\n")


def test_standard_error_is_not_opened_again(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(None, "info")
    log.reopen()
    logging.info("hello")
    assert capsys.readouterr().err.endswith("INFO root: hello\n")


def test_uncaught_failures_are_logged(file: Path) -> None:
    Log(str(file), "info")
    hub = gevent.get_hub()
    log_failures(hub)
    try:
        greenlet = gevent.spawn(lambda: 1 / 0)
        greenlet.join()
    finally:
        del hub.print_exception
    (line,) = file.read_text().splitlines()
    assert "ERROR gafferd: failure in <Greenlet" in line and line.endswith("ZeroDivisionError: division by zero")
