"""dotenv files, read by python-dotenv: quotes, ``export``, comments and ``${VAR}``."""

from __future__ import annotations

import os
import stat

from .errors import InvalidConfig

#: A larger file is refused: nobody means it.
MAX_SIZE = 1_048_576


def read_env_file(path: str) -> dict[str, str]:
    """Return the variables of the dotenv file at *path*; names without ``=`` are left out.

    :raises InvalidConfig: it cannot be read, is no file, too large, not UTF-8 or holds a NUL.
    """
    from dotenv import dotenv_values

    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would hold up everything
            raise InvalidConfig(f"env_file {path!r} is not a regular file")
        if found.st_size > MAX_SIZE:
            raise InvalidConfig(f"env_file {path!r} is larger than {MAX_SIZE} bytes")
        with open(path, encoding="utf-8") as stream:
            values = dotenv_values(stream=stream)
    except OSError as error:
        raise InvalidConfig(f"cannot read env_file {path!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"env_file {path!r} is not UTF-8: {error.reason} at byte {error.start}") from error
    for key, value in values.items():
        if "\0" in key + (value or ""):
            raise InvalidConfig(f"env_file {path!r} holds a NUL character in {key}")
    return {key: value for key, value in values.items() if value is not None}
