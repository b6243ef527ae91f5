"""Reading a whole text file: bounded, UTF-8 with or without a byte order mark."""

from __future__ import annotations

import os
import stat

from ..errors import ConfigError, Problem


def read_text(path: str, most: int) -> str:
    """Return the text of a file; every line ends with ``\\n``, whatever the file has.

    :param most: bytes that it may have.
    :raises ConfigError: it cannot be read, is no regular file, larger, or not UTF-8.
    """
    try:
        # Reading a pipe would hold up everything.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError([Problem(path, 0, "this is no regular file")])
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ConfigError([Problem(path, 0, f"cannot be read: {error.strerror}")]) from None
    if len(data) > most:
        raise ConfigError([Problem(path, 0, f"larger than {most} bytes")])
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sentence = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise ConfigError([Problem(path, line, sentence)]) from None
