"""Where keys are kept, and which gafferd is shown which."""

from __future__ import annotations

import os
import time

import pytest

from gaffer.cli.accounts.keyfile import KeyFile, address_of, key_for
from gaffer.errors import BadRequest, GafferError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("http://localhost:5000", "http://localhost:5000"),
        ("localhost:5000", "http://localhost:5000"),
        ("http://LOCALHOST:5000/", "http://localhost:5000"),
        ("http://localhost", "http://localhost:80"),
        ("https://example.org", "https://example.org:443"),
        ("https://example.org/gaffer/", "https://example.org:443/gaffer"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("unix:/run/gaffer.sock", "unix:/run/gaffer.sock"),
        ("unix:///run/../run/gaffer.sock", "unix:/run/gaffer.sock"),
    ],
)
def test_one_gafferd_has_one_address(uri, address):
    assert address_of(uri) == address


def test_what_is_kept_is_found_for_its_gafferd_only(home):
    KeyFile().put("http://a:1", {"api_key": "one"})
    KeyFile().put("http://b:1", {"api_key": "two", "expires": time.time() + 100})
    KeyFile().put("http://c:1", {"api_key": "three", "expires": time.time() - 1})
    assert key_for("http://a:1", None) == "one" and key_for("http://b:1/", None) == "two"
    assert key_for("http://c:1", None) is None and key_for("https://a:1", None) is None
    assert key_for("http://a:1", "given") == "given"
    KeyFile().put("http://a:1", None)
    assert key_for("http://a:1", None) is None and key_for("http://b:1", None) == "two"
    path = home / ".gaffer" / "keys.json"
    assert path.stat().st_mode & 0o777 == 0o600 and os.listdir(path.parent) == ["keys.json"]
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", ["", "[]", "{", '{"http://a:1": 5}', '{"http://a:1": {}}', '{"x": {"api_key": 1}}'])
def test_broken_file_is_a_sentence(home, content):
    KeyFile().put("http://a:1", {"api_key": "one"})
    (home / ".gaffer" / "keys.json").write_text(content)
    with pytest.raises(GafferError, match="is broken; delete it"):
        key_for("http://a:1", None)
    assert key_for("http://a:1", "given") == "given"


def test_what_cannot_be_read_or_written_is_a_sentence(home):
    (home / ".gaffer").write_text("a file")
    with pytest.raises(GafferError, match="cannot be"):
        KeyFile().put("http://a:1", {"api_key": "one"})
    with pytest.raises(BadRequest):
        key_for("http://", None)
