"""The bench of live output measures what it says; its limits are for a quiet machine, and no test's."""

from __future__ import annotations

import zlib

import pytest

from bench import live
from bench.live import Row
from bench.sockets import Reader, Socket
from bench.writer import BLOCK


class Canned:
    """A connection from which these pieces come."""

    def __init__(self, *pieces):
        self.pieces, self.sent = list(pieces), b""

    def recv(self, size):
        return self.pieces.pop(0) if self.pieces else b""

    def sendall(self, data):
        self.sent += data


def canned(*pieces):
    sock = Socket.__new__(Socket)
    sock.sock, sock.buffer = Canned(*pieces), b""
    return sock


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 200])
def test_frames_come_in_pieces_of_any_size(cut):
    data = b"\x82\x03one" + b"\x89\x02hi" + b"\x82\x7e\x00\xc8" + b"x" * 200 + b"\x88\x02\x03\xe8"
    sock = canned(*(data[at : at + cut] for at in range(0, len(data), cut)))
    reader = Reader(sock)
    while reader.read():
        pass
    assert (reader.size, reader.checksum) == (203, zlib.crc32(b"one" + b"x" * 200))
    assert sock.sock.sent == b"\x8a\x82\0\0\0\0hi"


def test_a_row_is_kept_or_broken():
    assert Row("speed", 500, "MB/s", 500, least=True).kept and not Row("cost", 2.1, "s", 2).kept
    assert live.shown(Row("speed", 499.5, "MB/s", 500, least=True)).split()[-1] == "BROKEN"


def test_the_log_file_of_the_bench_is_looked_at(monkeypatch):
    monkeypatch.setattr(live, "SIZE", 2_000_000)
    rows = {row.title.strip(): row for row in live.log_file(0)}
    assert rows["bytes lost"].value == rows["bytes of the file that are wrong"].value == 0
    assert len(BLOCK) == 100_000


def test_the_readers_of_the_bench_get_every_byte(monkeypatch):
    monkeypatch.setattr(live, "READERS", 2)
    total, _, whole = live.read_at(1_000_000, 300_000)
    assert whole and total > 0
