"""Clients of /channel leave nothing behind in gafferd; the bench lets ten thousand come, this test fewer."""

from __future__ import annotations

from bench import sockets_flat

#: Bytes that a visit may leave; what the allocator keeps after the first ones is less when there are more of them.
MOST = 2000


def test_nothing_is_left_behind(monkeypatch):
    for name in ("HTTP_MAX_CONNECTIONS", "HTTP_MAX_PEER_CONNECTIONS", "HTTP_MAX_WEBSOCKETS", "SOCKJS_SESSIONS"):
        monkeypatch.setenv(f"GAFFERD_{name}", "10000")
    monkeypatch.setenv("GAFFERD_SOCKJS_TIMEOUT", str(sockets_flat.FORGOTTEN))
    before, after = sockets_flat.come_and_go(1000)
    assert after.descriptors == before.descriptors
    assert after.resident - before.resident < MOST * 1000
