"""Home folders at the beginning of paths, as a shell has them."""

from __future__ import annotations

import os
import pwd

from .fields import Account, OptionalText


def expand_home(path: str, account: int | str | None = None) -> str:
    """Return *path* with its home folder for ``~`` or ``~USER`` at the beginning; unchanged if there is no such user.

    :param account: the user whose home folder ``~`` is; by default it is ``HOME``, else that of the user we run as.
    :raises KeyError: there is no such account.
    """
    if account is not None and (path == "~" or path.startswith("~/")):
        return pwd.getpwuid(Account().lookup(account)).pw_dir + path[1:]
    return os.path.expanduser(path)


class FilePath(OptionalText):
    """The path of a file or folder, or nothing; ``~`` is the home folder of the user we run as."""

    label = "path"

    def check(self, value: object) -> str | None:  # type: ignore[override]
        path = super().check(value)
        return path and expand_home(path)
