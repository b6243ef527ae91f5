"""Plugin folders (``gafferd -p DIR``): what is in them and how their Python is loaded.

A plugin is ``DIR/NAME/`` with a site (``_site/``), Python packages beside it, or
both; ``DIR/NAME.py`` is a plugin in one file. Nothing is put on ``sys.path``:
each package is loaded under a flat name of its own, so that two plugins that
both call their package ``plugin`` never meet, and neither do two plugin sets.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import re
import stat
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from itertools import islice
from types import ModuleType
from typing import Iterator, NamedTuple

from ..errors import PluginError
from ..security.trusted_files import SharedFile, check_read

log = logging.getLogger("gaffer.plugins")

#: The folder of a plugin's static files.
SITE = "_site"
#: Where a pure site's files are gathered before they become ``_site`` at once.
STAGING = "._site.moving"
#: A folder with more entries is not looked through while requests wait for it.
MAX_ENTRIES = 10_000
_PYTHON = (".py", ".pyc", ".so")
#: Files that belong to a source checkout and are no part of the plugin.
_NOT_PLUGINS = re.compile(r"__main__|setup|conftest|test_.*|.*_test")


class FolderEntry(NamedTuple):
    """Content of a plugin folder under one name.

    :param path: the plugin's own folder, or its single file.
    :param packages: what to load: folders as packages, or the single file.
    :param site: the root of its static files; the folder itself for a pure site
        that is not moved yet.
    :param python: whether there is any Python about it.
    """

    name: str
    path: str
    packages: tuple[str, ...] = ()
    site: str | None = None
    python: bool = True

    @property
    def pure_site(self) -> bool:
        """True if its content is to be moved under ``_site``."""
        return not self.python and self.site == self.path


def scan(directory: str) -> Iterator[FolderEntry]:
    """Yield the plugins in *directory* by name; hidden entries are not looked at.

    :raises OSError: the folder cannot be read.
    """
    for name in _entries(directory):
        if name.startswith((".", "__")) or name == SITE:
            continue
        path = os.path.join(directory, name)
        try:
            found = _look_inside(name, path) if os.path.isdir(path) else _single_file(name, path)
        except OSError as error:
            log.warning("plugin folder %s cannot be read: %s", path, error.strerror)
            continue
        if found is not None:
            yield found


def scan_sites(directory: str) -> Iterator[tuple[str, str]]:
    """Yield name and root of every site in *directory*: cheaper than :func:`scan`, for every request.

    A site that appeared a moment ago is served where it is, since a program that copies
    it may not be done; it is moved under ``_site`` by the next start.

    :raises OSError: the folder cannot be read, or has more than ``MAX_ENTRIES``.
    """
    for name in _entries(directory, MAX_ENTRIES):
        if name.startswith((".", "__")) or name == SITE:
            continue
        path = os.path.join(directory, name)
        root = os.path.join(path, SITE)
        try:
            if not is_site(root):
                found = _look_inside(name, path, MAX_ENTRIES) if os.path.isdir(path) else None
                root = found.site or "" if found else ""
        except OSError:
            continue  # gone again, unreadable or too big: the next start says what is wrong with it
        if root:
            yield name, root


def _entries(path: str, limit: int | None = None) -> list[str]:
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in islice(entries, limit))
    if limit is not None and len(names) >= limit:
        raise OSError(errno.EFBIG, f"more than {limit} entries", path)
    return names


def _single_file(name: str, path: str) -> FolderEntry | None:
    stem, extension = os.path.splitext(name)
    if extension != ".py" or _NOT_PLUGINS.fullmatch(stem) or not os.path.isfile(path):
        return None
    return FolderEntry(stem, path, (path,))


def _look_inside(name: str, path: str, limit: int | None = None) -> FolderEntry | None:
    entries = _entries(path, limit)
    folders = {
        entry: _entries(os.path.join(path, entry), limit)
        for entry in entries
        if not entry.startswith((".", "__")) and entry != SITE and os.path.isdir(os.path.join(path, entry))
    }
    packages = _packages(path, entries, folders)
    python = any(entry.endswith(_PYTHON) for names in (entries, *folders.values()) for entry in names)
    if SITE in entries:
        root = os.path.join(path, SITE)
        return FolderEntry(name, path, packages, root if is_site(root) else None, python)
    if python:
        return FolderEntry(name, path, packages)
    content = any(not entry.startswith(".") or entry == STAGING for entry in entries)
    return FolderEntry(name, path, (), path, False) if content else None


def _packages(path: str, entries: list[str], folders: dict[str, list[str]]) -> tuple[str, ...]:
    """Return the folders to load: the plugin's own when it is a package, else those with modules."""
    if "__init__.py" in entries:
        return (path,)
    inside = [name for name, names in folders.items() if name not in ("test", "tests") and _has_modules(names)]
    return (*([path] if _has_modules(entries) else []), *(os.path.join(path, name) for name in inside))


def _has_modules(entries: list[str]) -> bool:
    return "__init__.py" in entries or bool(_module_names(entries))


def _module_names(entries: list[str]) -> list[str]:
    stems = [entry[:-3] for entry in entries if entry.endswith(".py")]
    return [stem for stem in stems if stem.isidentifier() and stem != "__init__" and not _NOT_PLUGINS.fullmatch(stem)]


def is_site(path: str) -> bool:
    """Tell whether the folder *path* may be served; a link counts only when we or root made it.

    Another account's link could lead a gafferd that runs as root to any file.
    """
    try:
        entry = os.lstat(path)
    except OSError:
        return False
    if stat.S_ISLNK(entry.st_mode) and entry.st_uid not in (0, os.geteuid()):
        return False
    return os.path.isdir(path)


def load_modules(path: str, unique: str) -> list[ModuleType]:
    """Import a package folder or a single file.

    :param path: a folder with modules, ``__init__.py`` or not, or a ``.py`` file.
    :param unique: the module's name in ``sys.modules``; no dots, or relative imports would look for parents.
    :returns: the package and then its modules by name; sub-packages only as far as they are imported.
    :raises BaseException: whatever the plugin raises; nothing of it stays in ``sys.modules``.
    """
    importlib.invalidate_caches()
    try:
        if not os.path.isdir(path):
            return [_execute(unique, path, None)]
        modules = [_execute_package(unique, path)]
        modules += [importlib.import_module(f"{unique}.{name}") for name in _module_names(_entries(path))]
        return modules
    except BaseException:
        for name in [name for name in sys.modules if name == unique or name.startswith(unique + ".")]:
            del sys.modules[name]
        raise


def _execute_package(unique: str, path: str) -> ModuleType:
    init = os.path.join(path, "__init__.py")
    if os.path.isfile(init):
        return _execute(unique, init, [path])
    spec = ModuleSpec(unique, None, is_package=True)
    spec.submodule_search_locations = [path]
    module = sys.modules[unique] = module_from_spec(spec)
    return module


def _execute(unique: str, path: str, search: list[str] | None) -> ModuleType:
    spec = spec_from_file_location(unique, path, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = sys.modules[unique] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_owner(path: str, deep: bool = True) -> None:
    """Reject Python that other users can change or have put there: see ``gaffer.security.trusted_files``.

    :param path: a folder or a file.
    :param deep: whether all folders and Python files inside are looked at too, with what Python compiled of them.
    :raises PluginError: a sentence with the path and the command that mends it.
    """
    try:
        for item in _tree(path) if deep else (path,):
            check_read(item)
    except SharedFile as error:
        raise PluginError(str(error)) from error


def _tree(path: str) -> Iterator[str]:
    """Yield *path* and what Python could load from it; Python follows links to folders, and so does this, once."""
    yield path
    seen: set[str] = set()
    for folder, folders, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name != SITE and not name.startswith(".")]
        yield from (os.path.join(folder, name) for name in folders)
        yield from (os.path.join(folder, name) for name in files if name.endswith(_PYTHON))


def move_site(path: str) -> str:
    """Move the content of a pure site under its ``_site``; return the folder to serve.

    Everything is renamed into a staging folder, which then becomes ``_site`` in
    one step; a move that was interrupted is finished the next time. Where that is
    impossible — a read-only folder, a mount inside it, a link to another account's
    folder — the files stay, a warning says so and they are served where they are.
    """
    if os.path.islink(path):
        log.info("site %s is a link: its files are served where they are", path)
        return path
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        log.warning("site %s: %s; its files are served where they are", path, error.strerror)
        return path
    try:
        _gather(folder)
        return os.path.join(path, SITE)
    except OSError as error:
        log.warning("site %s: cannot be moved under %s (%s); served where it is", path, SITE, error.strerror)
        return path
    finally:
        os.close(folder)


def _gather(folder: int) -> None:
    """Do the move relative to open descriptors: a path could be swapped for a link meanwhile."""
    staging = _open_staging(folder)
    try:
        for name in os.listdir(folder):
            if name not in (STAGING, SITE):
                _rename(name, folder, staging)
        os.rename(STAGING, SITE, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        for name in os.listdir(staging):
            _rename(name, staging, folder)
        os.rmdir(STAGING, dir_fd=folder)
        raise
    finally:
        os.close(staging)


def _open_staging(folder: int) -> int:
    info = os.fstat(folder)
    try:
        os.mkdir(STAGING, 0o700, dir_fd=folder)
    except FileExistsError:
        pass  # an interrupted move: its files are in there, the rest joins them
    staging = os.open(STAGING, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        if os.geteuid() == 0:
            os.fchown(staging, info.st_uid, info.st_gid)
        os.fchmod(staging, stat.S_IMODE(info.st_mode))
    except OSError:
        os.close(staging)
        raise
    return staging


def _rename(name: str, source: int, target: int) -> None:
    """Rename without replacing anything: ``rename`` alone would overwrite a file."""
    try:
        os.lstat(name, dir_fd=target)
    except FileNotFoundError:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    else:
        raise FileExistsError(errno.EEXIST, f"{name} is there already", name)
