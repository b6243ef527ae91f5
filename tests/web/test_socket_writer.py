"""Long output is sent piece by piece, without copies, in order."""

from __future__ import annotations

import pytest

from gaffer.web.server.socket_writer import PIECE_BYTES, send_parts


class Turn:
    def __init__(self):
        self.given = 0

    def give_way(self, bulk=False):
        assert bulk
        self.given += 1


class Plain:
    """Takes at most *most* bytes at a time."""

    def __init__(self, most):
        self.most, self.sent, self.calls = most, b"", 0

    def sendall(self, data):
        self.sent += data

    def sendmsg(self, parts):
        self.calls += 1
        data = b"".join(parts)[: self.most]
        self.sent += data
        return len(data)


class Encrypted(Plain):
    sendmsg = None

    def do_handshake(self):
        raise AssertionError

    def send(self, data):
        assert len(data) <= PIECE_BYTES
        return Plain.sendmsg(self, [data])


PARTS = (b"a" * 10, b"", b"b" * 200_000, b"\r\n", b"c" * 3_000)


@pytest.mark.parametrize("most", [1_000, 4_099, 70_000, 1_000_000])
@pytest.mark.parametrize("kind", [Plain, Encrypted])
def test_parts_arrive_in_order_and_others_are_let_in_between(kind, most):
    sock, turn = kind(most), Turn()
    send_parts(sock, PARTS, turn)
    assert sock.sent == b"".join(PARTS)
    assert turn.given == sock.calls - 1


def test_short_parts_are_sent_together():
    sock, turn = Plain(1_000_000), Turn()
    send_parts(sock, (b"5\r\n", b"hello", b"\r\n"), turn)
    send_parts(sock, [b"x" * 10] * 2_000, turn)
    assert sock.sent == b"5\r\nhello\r\n" + b"x" * 20_000 and sock.calls == 1 and not turn.given
