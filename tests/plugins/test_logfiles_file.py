"""Log files on disk: rotation, caps, compression, and files that other programs move, remove or cut."""

from __future__ import annotations

import errno
import gzip
import os
import pty
import socket
import stat
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaffer.config.fields import Field
from gaffer_plugins.logfiles import rotation
from gaffer_plugins.logfiles.file import SLACK, DiskFile, RotationPolicy, open_log
from gaffer_plugins.logfiles.kinds import FileName, OptionalSize, Size
from gaffer_plugins.logfiles.lines import MAX_STAMPED_LINE, LineStamper

NOON = 1_700_000_000.0


def make(folder, **policy):
    return DiskFile(str(folder / "web.log"), RotationPolicy(**policy), threading.Lock())


def put(file, *parts):
    for part in parts:
        file.add(part)
    file.flush()


def content(path):
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def contents(folder):
    """Return what the files hold, the oldest first."""
    path = folder / "web.log"
    old = [content(folder / os.path.basename(one.path)) for one in reversed(rotation.backups(str(path)))]
    return [*old, path.read_bytes()] if path.exists() else old


# -- rotation -----------------------------------------------------------------------------------

line = st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"") + b"\n")
pieces = st.lists(st.one_of(line, st.lists(line, max_size=9).map(b"".join), st.binary(min_size=1, max_size=90)))


@settings(max_examples=150, deadline=None)
@given(batches=st.lists(pieces, max_size=8), maxbytes=st.integers(1, 120))
def test_rotated_files_hold_every_byte_in_order_and_whole_lines(tmp_path_factory, batches, maxbytes):
    folder = tmp_path_factory.mktemp("logs")
    file = make(folder, maxbytes=maxbytes, backups=10_000)
    batches = [[piece for piece in batch if piece] for batch in batches]
    for batch in batches:
        put(file, *batch)
    file.close()
    found = contents(folder)
    assert b"".join(found) == b"".join(piece for batch in batches for piece in batch)
    for one in found[:-1]:
        assert one.endswith(b"\n")
    for one in found:
        # Too long is only what had to be: its last line began within the size.
        assert len(one[:-1].rpartition(b"\n")[0]) < maxbytes


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 400), backups=st.integers(0, 5), total=st.integers(4096, 9000), size=st.integers(1, 200))
def test_there_are_never_more_files_or_bytes_than_allowed(tmp_path_factory, count, backups, total, size):
    folder = tmp_path_factory.mktemp("logs")
    file = make(folder, maxbytes=3000, backups=backups, total=total)
    for number in range(count):
        put(file, b"%d" % number + b"x" * size + b"\n")
        assert sum(path.stat().st_size for path in folder.iterdir()) <= total
    assert len(names(folder)) <= backups + 1
    assert contents(folder)[-1].endswith(b"%d" % (count - 1) + b"x" * size + b"\n")


def test_a_line_without_end_is_cut_at_last(tmp_path):
    file = make(tmp_path, maxbytes=1000, backups=9)
    put(file, b"a" * (2 * (1000 + SLACK) + 5))
    put(file, b"b\n", b"next\n")
    assert [len(one) for one in contents(tmp_path)] == [1000 + SLACK, 1000 + SLACK, 5 + 2 + 5]


def test_fewer_backups_than_there_were(tmp_path):
    file = make(tmp_path, maxbytes=10, backups=5)
    for number in range(8):
        put(file, b"%08d\n" % number)
    assert len(names(tmp_path)) == 6
    file.policy = RotationPolicy(maxbytes=10, backups=2)
    put(file, b"%08d\n" % 8)
    assert names(tmp_path) == ["web.log", "web.log.1", "web.log.2"]


def test_no_size_is_no_rotation(tmp_path):
    file = make(tmp_path, maxbytes=0)
    put(file, b"x" * 200_000)
    assert names(tmp_path) == ["web.log"] and file.rotations == 0


def test_what_is_no_backup_is_left_alone(tmp_path):
    others = ["web.log.0", "web.log.01", "web.log.x", "web.log.1.bz2", "web.log.1.gz.tmp", "other.log.1"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    file = make(tmp_path, maxbytes=1, backups=0)
    put(file, b"one\n")
    put(file, b"two\n")
    assert names(tmp_path) == sorted([*others, "web.log"])


def test_a_rotation_that_fails_stops_nothing(tmp_path):
    (tmp_path / "web.log.1").mkdir()
    (tmp_path / "web.log.1" / "in the way").touch()
    file = make(tmp_path, maxbytes=4, backups=1)
    put(file, b"one\n")
    put(file, b"two\n")
    put(file, b"three\n")
    assert (tmp_path / "web.log").read_bytes() == b"one\ntwo\nthree\n"
    assert (file.failures, file.rotations) == (1, 0)


# -- compression --------------------------------------------------------------------------------


def test_backups_are_compressed_and_shifted_on(tmp_path):
    file = make(tmp_path, maxbytes=10, backups=3)
    for number in range(6):
        put(file, b"%08d\n" % number)
        rotation.compress(file.path, threading.Lock())
    assert names(tmp_path) == ["web.log", "web.log.1.gz", "web.log.2.gz", "web.log.3.gz"]
    assert contents(tmp_path) == [b"%08d\n" % number for number in (2, 3, 4, 5)]
    assert stat.S_IMODE((tmp_path / "web.log.1.gz").stat().st_mode) & 0o137 == 0


def test_a_backup_that_is_shifted_while_it_is_compressed(tmp_path):
    file = make(tmp_path, maxbytes=10, backups=3)
    put(file, b"00000000\n")
    put(file, b"11111111\n")

    class Meanwhile:
        """Taken when the compressed file is about to take its place."""

        def __enter__(self):
            put(file, b"22222222\n")

        def __exit__(self, *exc):
            pass

    rotation.compress(file.path, Meanwhile())
    assert names(tmp_path) == ["web.log", "web.log.1", "web.log.2.gz"]
    assert contents(tmp_path) == [b"00000000\n", b"11111111\n", b"22222222\n"]


def test_what_an_interrupted_compression_left_is_no_obstacle(tmp_path):
    file = make(tmp_path, maxbytes=1, backups=3)
    put(file, b"one\n")
    put(file, b"two\n")
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / "web.log.gz-part").symlink_to(victim)
    rotation.compress(file.path, threading.Lock())
    assert names(tmp_path) == ["victim", "web.log", "web.log.1.gz"] and victim.read_bytes() == b"untouched"


def test_a_link_or_a_pipe_in_place_of_a_backup_is_not_compressed(tmp_path):
    """Where others may write, a link would have gafferd copy what only it can read, and a pipe would hold it up."""
    secret = tmp_path / "private"
    secret.write_bytes(b"secret")
    (tmp_path / "web.log.1").symlink_to(secret)
    os.mkfifo(tmp_path / "web.log.2")
    (tmp_path / "web.log.3").write_bytes(b"three\n")
    rotation.compress(str(tmp_path / "web.log"), threading.Lock())
    assert names(tmp_path) == ["private", "web.log.1", "web.log.2", "web.log.3.gz"]
    assert content(tmp_path / "web.log.3.gz") == b"three\n"


# -- files that others touch --------------------------------------------------------------------


def test_a_file_that_was_removed_is_made_again(tmp_path):
    file = make(tmp_path / "deep" / "er")
    put(file, b"one\n")
    (tmp_path / "deep/er/web.log").unlink()
    (tmp_path / "deep/er").rmdir()
    put(file, b"two\n")
    assert (tmp_path / "deep/er/web.log").read_bytes() == b"two\n"


def test_a_file_that_was_moved_is_left(tmp_path):
    file = make(tmp_path)
    put(file, b"one\n")
    (tmp_path / "web.log").rename(tmp_path / "moved")
    put(file, b"two\n")
    assert ((tmp_path / "moved").read_bytes(), (tmp_path / "web.log").read_bytes()) == (b"one\n", b"two\n")


def test_a_file_that_was_cut_goes_on_at_its_end(tmp_path):
    file = make(tmp_path, maxbytes=10)
    put(file, b"12345678\n")
    os.truncate(tmp_path / "web.log", 0)
    put(file, b"abcdefgh\n")
    assert contents(tmp_path) == [b"abcdefgh\n"] and file.rotations == 0


def test_a_file_that_ends_in_the_middle_of_a_line(tmp_path):
    (tmp_path / "web.log").write_bytes(b"no end")
    file = make(tmp_path)
    file.look()
    file.add(b"new\n", begin=True)
    file.flush()
    assert contents(tmp_path) == [b"no end\nnew\n"]


def test_a_file_that_is_there_is_appended_to(tmp_path):
    (tmp_path / "web.log").write_bytes(b"before\n")
    put(make(tmp_path), b"after\n")
    assert contents(tmp_path) == [b"before\nafter\n"]


def test_a_link_is_not_followed_to_a_file(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    (tmp_path / "web.log").symlink_to(victim)
    file = make(tmp_path)
    with pytest.raises(OSError, match="symbolic link"):
        put(file, b"evil\n")
    assert victim.read_bytes() == b"" and file.pending
    (tmp_path / "web.log").unlink()
    (tmp_path / "web.log").symlink_to("/dev/null")
    file.flush()
    os.close(open_log("/dev/null"))


def test_a_link_that_changes_while_it_is_opened_is_not_followed_to_a_file(tmp_path, monkeypatch):
    victim, link = tmp_path / "victim", tmp_path / "web.log"
    victim.write_bytes(b"")
    link.symlink_to("/dev/null")
    opened = os.open

    def swap(path, flags, *args, **more):
        if os.path.basename(path) == link.name and not flags & os.O_NOFOLLOW:
            link.unlink(missing_ok=True)
            link.symlink_to(victim)
        return opened(path, flags, *args, **more)

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(OSError, match="symbolic link"):
        put(make(tmp_path), b"evil\n")
    assert victim.read_bytes() == b""


def test_a_full_disk_takes_up_where_it_stopped(tmp_path):
    (tmp_path / "web.log").symlink_to("/dev/full")
    file = make(tmp_path)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            put(file, b"one\n")
    (tmp_path / "web.log").unlink()
    file.flush()
    assert contents(tmp_path) == [b"one\none\n"]


# -- lines --------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=30), max_size=12), st.booleans())
def test_lines_lose_no_byte(parts, hold):
    lines = LineStamper("out")
    assert b"".join(lines.text(part, NOON, False, hold) for part in parts) + lines.end(NOON, False) == b"".join(parts)


@given(st.lists(st.binary(max_size=30), max_size=12), st.booleans())
def test_every_line_has_one_time(parts, hold):
    lines = LineStamper("out")
    stamped = b"".join(lines.text(part, NOON, True, hold) for part in parts) + lines.end(NOON, True)
    plain = b"".join(parts)
    mark = LineStamper("x").text(b"\n", NOON, True, False)[:-1]
    assert b"\n".join(one[len(mark) :] for one in stamped.split(b"\n")) == plain
    assert all(one.startswith(mark) for one in stamped.split(b"\n") if one)


def test_lines_among_others_are_held_until_they_are_whole():
    lines = LineStamper("out")
    assert lines.text(b"one\ntw", NOON, False, True) == b"one\n"
    assert lines.text(b"o\n", NOON, False, True) == b"two\n"
    assert lines.text(b"x" * MAX_STAMPED_LINE, NOON, False, True) == b""
    assert lines.text(b"x", NOON, False, True) == b"x" * (MAX_STAMPED_LINE + 1)


def test_a_notice_stands_on_a_line_of_its_own():
    lines = LineStamper("out of process 3")
    notice = b"gaffer: 7 bytes of out of process 3 are missing here\n"
    assert lines.text(b"half", NOON, False, False) + lines.notice(7, NOON, False) == b"half\n" + notice
    assert lines.text(b"whole\n", NOON, False, False) + lines.notice(7, NOON, False) == b"whole\n" + notice


def test_a_new_stream_begins_a_line(tmp_path):
    file = make(tmp_path)
    file.add(b"no end")
    file.flush()
    file.add(b"of another\n", begin=True)
    file.add(b"more\n", begin=True)
    file.flush()
    assert contents(tmp_path) == [b"no end\nof another\nmore\n"]


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("1000", 1000), ("1k", 1024), ("50MB", 50 << 20), (" 2 gb ", 2 << 30), ("7B", 7)]
)
def test_sizes(text, size):
    assert Size().parse(text) == size == Size().check(size)


@pytest.mark.parametrize("text", ["", "-1", "1.5MB", "many", "10TB", "9" * 30])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="expected"):
        Size().parse(text)


def test_a_total_may_be_missing():
    kind = Field("logfile_total", OptionalSize()).kind
    assert (kind.parse(""), kind.check(None), kind.parse("1MB")) == (None, None, 1 << 20)
    with pytest.raises(ValueError, match="from 4096"):
        kind.parse("100")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("%(nmae)s.log", r"%\(nmae\)s stands for nothing; did you mean 'name'\?"),
        ("50%.log", "has a % that stands for nothing"),
        ("%s.log", "has a % that stands for nothing"),
        ("%(name)d.log", "only numbers"),
        ("%(name)9999999s.log", "has a % that stands for nothing"),
        ("logs/", "is the name of a folder"),
        ("a\0b", "NUL"),
        (7, "expected a string"),
    ],
)
def test_names_that_are_none(name, why):
    with pytest.raises(ValueError, match=why):
        FileName(template=True).check(name)


def test_names():
    kind = FileName(template=True)
    for name in (None, "web.log", "/var/log/%(session)s/%(job)s-%(index)02d.%(label)s", "100%%.log"):
        assert kind.check(name) == name
    assert FileName().check("/var/100%") == "/var/100%"


# -- gafferd's own output -----------------------------------------------------------------------


@pytest.fixture
def own(monkeypatch):
    """Return a function that makes a descriptor what is taken for gafferd's own output."""
    return lambda fd: monkeypatch.setattr("gaffer.security.trusted_files._OWN_OUTPUTS", {"/dev/stdout": fd})


def own_file():
    return DiskFile("/dev/stdout", RotationPolicy(maxbytes=4), threading.Lock())


def test_a_socket_that_is_full_holds_up_nothing_and_keeps_its_flags(own):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        own(theirs.fileno())
        file = own_file()
        with pytest.raises(BlockingIOError):
            put(file, *[b"x" * 65_536] * 64)
        assert os.get_blocking(theirs.fileno()) and file.pending and file.written
        file.close()
        assert os.get_blocking(theirs.fileno())


def test_a_file_of_its_own_is_written_where_it_is_and_never_rotated(own, tmp_path):
    with (tmp_path / "out").open("wb", buffering=0) as out:
        out.write(b"before\n")
        own(out.fileno())
        file = own_file()
        put(file, b"one\n", b"two\n")
        out.write(b"after\n")
        file.close()
    assert (tmp_path / "out").read_bytes() == b"before\none\ntwo\nafter\n" and names(tmp_path) == ["out"]


@pytest.fixture
def pipe(own):
    """A pipe as gafferd's own output: its ends."""
    reader, writer = os.pipe()
    own(writer)
    yield reader, writer
    for end in (reader, writer):
        os.close(end)


@pytest.fixture
def not_ours(monkeypatch):
    """Nothing below /proc can be opened, as if another account had made it."""
    real = os.open

    def refuse(path, *args, **more):
        if str(path).startswith("/proc/self/fd"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *args, **more)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize("whose", ["ours", "not_ours"])
def test_a_pipe_of_its_own_is_written_without_waiting_and_keeps_its_flags(pipe, whose, request):
    if whose == "not_ours":
        request.getfixturevalue(whose)
    reader, writer = pipe
    file = own_file()
    put(file, b"one\n", b"two\n")
    assert os.read(reader, 100) == b"one\ntwo\n"
    with pytest.raises(BlockingIOError):
        put(file, *[b"x" * 65_536] * 4)
    assert os.get_blocking(writer) and file.pending
    file.close()
    assert os.get_blocking(writer)


def test_a_terminal_of_another_account_is_written(own, not_ours):
    master, slave = pty.openpty()
    own(slave)
    file = own_file()
    put(file, b"one\n")
    assert os.read(master, 100) == b"one\r\n"
    file.close()
    os.close(master)
    os.close(slave)
