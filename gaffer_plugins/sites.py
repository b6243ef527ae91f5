"""Static files of plugins at ``/_plugin/NAME/``: folders found by gafferd and those that plugins name.

Nothing outside a site's root is ever sent, hidden files are not sent, and a page
may load only what comes from this server, unless its site says otherwise.
"""

from __future__ import annotations

import gzip
import logging
import mimetypes
import os
import re
import secrets
import stat
import time
from collections import OrderedDict
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, Iterator
from urllib.parse import quote

import gevent

from gaffer import Plugin, Site, hookimpl
from gaffer.api import Forbidden, NotFound, nearest
from gaffer.api.web import Route, encode_json

if TYPE_CHECKING:
    from gaffer import Identity, Manager

__all__ = ["SitesPlugin"]

log = logging.getLogger("gaffer.sites")

INDEX = "index.html"
#: A hidden file of a site that holds the Content-Security-Policy of its files.
CSP_FILE = ".csp"
_MAX_CSP = 4_096
_CHUNK = 65_536
#: Text of a size between these is compressed for those who take gzip, and so many bytes of that are kept.
_GZIP_FROM, _GZIP_TO = 1_024, 1 << 20
_GZIP_KEPT = 8 << 20
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")
#: What every file carries. Caches have to ask each time, so that a new version is seen at once.
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'; object-src 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@lru_cache
def _types() -> mimetypes.MimeTypes:
    """Return the types of files: the same on every machine, whatever its ``mime.types`` says."""
    types = mimetypes.MimeTypes(filenames=())
    for extension, kind in (
        (".js", "text/javascript"),
        (".mjs", "text/javascript"),
        (".map", "application/json"),
        (".md", "text/markdown"),
        (".wasm", "application/wasm"),
        (".webmanifest", "application/manifest+json"),
        (".webp", "image/webp"),
        (".woff", "font/woff"),
        (".woff2", "font/woff2"),
        (".yaml", "application/yaml"),
    ):
        types.add_type(kind, extension)
    return types


class SitesPlugin(Plugin):
    """Serves every site of its manager."""

    name = "sites"
    description = "static files of plugins at /_plugin/NAME/"

    @hookimpl
    def gaffer_routes(self, manager: Manager) -> list[Route]:
        """Return the routes; what they need of bottle is imported by the first request."""
        sites = _Sites(manager)
        # Open to everybody: a private site is checked when it is known which one it is.
        opened: dict[str, Any] = {"permission": None, "tag": "Sites"}
        page: dict[str, Any] = {"handler": sites.file, "media": "*/*", "also": (206, 302, 304, 416), **opened}
        return [
            Route("GET", "/_plugin/<name>", handler=sites.redirect, status=302, summary="to its first page", **opened),
            Route("GET", "/_plugin/<name>/", summary="the first page of a plugin's site", **page),
            Route("GET", "/_plugin/<name>/<path:path>", summary="a file of a plugin's site", **page),
        ]


class Passes:
    """Cookies that open one private site to a browser, as long as the key is valid whose ticket it came with.

    A ticket is good for one request, and a page has pictures and scripts. The cookie opens files of that site only, and
    nothing that could be commanded; no other page can use it (SameSite), and no script can read it (HttpOnly).

    :param clock: monotonic seconds.
    """

    COOKIE = "gaffer-site"
    #: How long one is good, in seconds, and how many there may be; the oldest end first.
    LIFE, MOST = 43_200.0, 1000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._given: OrderedDict[str, tuple[float, str, Identity]] = OrderedDict()

    def issue(self, request: Any, site: str) -> str:
        """Return a new cookie for the caller of *request*, as the value of a header."""
        word = secrets.token_urlsafe(32)
        self._given[word] = self._clock() + self.LIFE, site, request.identity
        while len(self._given) > self.MOST:
            self._given.popitem(last=False)
        connection = request.environ.get("gaffer.connection")
        secure = "; Secure" if connection is not None and connection.secure else ""
        return f"{self.COOKIE}={word}; Path=/_plugin/{quote(site)}; HttpOnly; SameSite=Strict{secure}"

    def holds(self, request: Any, site: str) -> bool:
        """Tell whether *request* has a cookie that opens *site*, and its owner may still read."""
        ends, opened, identity = self._given.get(request.get_cookie(self.COOKIE) or "", (0.0, "", None))
        if identity is None or opened != site or ends < self._clock():
            return False
        access = request.environ.get("gaffer.access")
        return access is not None and bool(access.permits(identity, "read"))


class _Sites:
    """The handlers of the routes."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._passes = Passes()
        self._packed = PackedFiles()

    def find(self, request: Any, name: str) -> Site:
        """Return the site called *name*; folders come before what plugins name.

        :raises NotFound: there is none.
        :raises Unauthorized, Forbidden: it is private, and the caller may not read.
        """
        sites = self._manager.sites()
        site = next((site for site in sites if site.name == name), None)
        if site is None:
            raise NotFound(f"there is no site '{name}'{nearest(name, [site.name for site in sites])}")
        if site.private and not self._passes.holds(request, name):
            request.identify()
            request.check("read")
        return site

    def redirect(self, request: Any, name: str) -> Any:
        """Send the browser to the folder: its relative links would lead elsewhere without the slash."""
        site = self.find(request, name)
        return _to_folder(request, f"/_plugin/{name}", self._more(request, site))

    def _more(self, request: Any, site: Site) -> dict[str, str]:
        """Return the header that lets a browser load the rest of a private site, whose first URL had a ticket."""
        if not site.private or not request.query.get("ticket") or request.identity is None:
            return {}
        return {"Set-Cookie": self._passes.issue(request, site.name)}

    def file(self, request: Any, name: str, path: str = "") -> Any:
        """Answer with one file, the index of a folder, or "not modified"."""
        from bottle import HTTPResponse

        site = self.find(request, name)
        names = _segments(path, name)
        descriptor = open_inside(site.root, names)
        if descriptor is None:
            raise NotFound(f"the site '{name}' has no file '{path or INDEX}'")
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return _to_folder(request, f"/_plugin/{name}/{path}", self._more(request, site))
        body, kind = FileBody(descriptor), content_type(names[-1])
        wanted = request.headers.get("Range") if _is_same(request.headers, body) else None
        packable = "charset=" in kind and _GZIP_FROM <= body.size <= _GZIP_TO
        packed = packable and not wanted and takes_gzip(request.headers.get("Accept-Encoding", ""))
        etag = body.packed_etag if packed else body.etag
        headers = {**_HEADERS, "ETag": etag, "Last-Modified": formatdate(body.modified, usegmt=True)}
        headers |= {"Accept-Ranges": "bytes", **policy_of(site), **self._more(request, site)}
        if packable:
            headers["Vary"] = "Accept-Encoding"
        if is_current(request.headers, etag, body.modified):
            body.close()
            return HTTPResponse((), 304, headers)
        headers["Content-Type"] = kind
        if packed:
            data = self._packed.pack(site.name, names, body)
            return HTTPResponse((data,), 200, {**headers, "Content-Encoding": "gzip", "Content-Length": str(len(data))})
        return _whole_or_part(body, byte_range(wanted, body.size) if wanted else None, headers)


def _whole_or_part(body: FileBody, part: tuple[int, int] | None, headers: dict[str, str]) -> Any:
    from bottle import HTTPResponse

    if part is None:
        return HTTPResponse(body, 200, {**headers, "Content-Length": str(body.size)})
    begin, end = part
    if begin >= end:
        body.close()
        reason = f"the file has {body.size} bytes"
        problem = encode_json({"error": "range_not_satisfiable", "reason": reason, "errno": 416})
        headers |= {"Content-Type": "application/json", "Content-Range": f"bytes */{body.size}"}
        return HTTPResponse((problem,), 416, {**headers, "Content-Length": str(len(problem))})
    headers["Content-Range"] = f"bytes {begin}-{end - 1}/{body.size}"
    body.limit(begin, end)
    return HTTPResponse(body, 206, {**headers, "Content-Length": str(body.size)})


def policy_of(site: Site) -> dict[str, str]:
    """Return the header with the Content-Security-Policy that a site has of its own."""
    policy = site.csp
    descriptor = open_inside(site.root, [CSP_FILE]) if policy is None else None
    if descriptor is not None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            policy = " ".join(os.read(descriptor, _MAX_CSP).decode("utf-8", "replace").split())
        os.close(descriptor)
    if not policy:
        return {}
    if not policy.isascii() or not policy.isprintable():
        log.error("site %s: its Content-Security-Policy holds characters that no header may hold", site.name)
        return {}
    return {"Content-Security-Policy": policy}


class PackedFiles:
    """Compressed files, the latest ones."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
        self._size = 0

    def pack(self, site: str, names: list[str], body: FileBody) -> bytes:
        """Return what *body* is as gzip, and close it; a thread compresses."""
        key = (site, *names, body.etag)
        data = self._kept.get(key)
        if data is None:
            data = gevent.get_hub().threadpool.apply(gzip.compress, (b"".join(body), 6))
            self._size += len(data) - len(self._kept.get(key, b""))
            self._kept[key] = data
        body.close()
        self._kept.move_to_end(key)
        while self._size > _GZIP_KEPT:
            self._size -= len(self._kept.popitem(last=False)[1])
        return data


def takes_gzip(header: str) -> bool:
    """Tell whether an Accept-Encoding names gzip, and not with a weight of 0."""
    for one in header.lower().split(","):
        name, _, weight = one.replace(" ", "").partition(";")
        if name in ("gzip", "*"):
            return not weight.startswith("q=0") or any(digit in "123456789" for digit in weight)
    return False


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return where the one range that a header asks for begins and ends; the file has nothing of it if both are equal.

    None stands for the whole file: the header is not understood, or asks for several ranges (RFC 9110 §14.2).
    """
    found = _RANGE.match(header.replace(" ", ""))
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return min(int(first), size), min(size, int(last) + 1) if last else size


def _is_same(headers: Any, body: FileBody) -> bool:
    """Tell whether a range may be of this version (RFC 9110 §13.1.5)."""
    version = headers.get("If-Range")
    return version is None or version in (body.etag, formatdate(body.modified, usegmt=True))


def _segments(path: str, name: str) -> list[str]:
    """Return the names in *path*, the index's after a last slash.

    :raises NotFound: it could lead out of the site, or to something hidden.
    """
    names = path.split("/")
    if not names[-1]:
        names[-1] = INDEX
    if any(not part or part.startswith(".") or "\0" in part for part in names):
        raise NotFound(f"the site '{name}' has no file '{path}'")
    return names


def _to_folder(request: Any, path: str, more: dict[str, str]) -> Any:
    from bottle import HTTPResponse

    query = request.environ.get("QUERY_STRING")
    location = quote(path, safe="/") + "/" + (f"?{query}" if query else "")
    # Not a permanent one: browsers would remember it after the site is gone.
    return HTTPResponse("", 302, {**_HEADERS, "Location": location, **more})


def open_inside(root: str, names: list[str]) -> int | None:
    """Open a file or folder below *root*; return its descriptor, None if there is none.

    Links count as long as they stay below *root*. The way is first found and then
    walked folder by folder without following links, so that none can be swapped
    in between: gafferd may be root where the site's owner is not.

    :raises Forbidden: it exists, but must not be read.
    """
    real = os.path.realpath(root)
    target = os.path.realpath(os.path.join(real, *names))
    if not target.startswith(real.rstrip("/") + "/"):
        return None
    descriptor = -1
    try:
        descriptor = _open_root(root)
        for name in os.path.relpath(target, real).split("/"):
            # Non-blocking, since opening a pipe would wait for its other end.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            below = os.open(name, flags, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISREG(kind) or stat.S_ISDIR(kind):
            result, descriptor = descriptor, -1
            return result
        return None
    except PermissionError:
        raise Forbidden(f"'{'/'.join(names)}' cannot be read by gafferd's user") from None
    except OSError:
        return None
    finally:
        if descriptor != -1:
            os.close(descriptor)


def _open_root(root: str) -> int:
    """Open the folder of a site; a link in its place counts only if we or root made it."""
    entry = os.lstat(root)
    follow = 0
    if not stat.S_ISLNK(entry.st_mode):
        follow = os.O_NOFOLLOW
    elif entry.st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{root} is a link that belongs to another account")
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | follow)


class FileBody:
    """An open file as the body of an answer.

    :param descriptor: of a regular file; ours from now on.
    """

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        info = os.fstat(descriptor)
        self.size = info.st_size
        self.modified = int(info.st_mtime)
        self.etag = f'"{info.st_mtime_ns:x}-{info.st_size:x}"'
        self.packed_etag = f'{self.etag[:-1]}-gzip"'

    def limit(self, begin: int, end: int) -> None:
        """Send the bytes from *begin* to *end* only."""
        self._file.seek(begin)
        self.size = end - begin

    def __iter__(self) -> Iterator[bytes]:
        left = self.size
        with self._file:
            while left:
                data = self._file.read(min(_CHUNK, left))
                if not data:
                    # The promised length cannot be kept: only a broken connection tells the client.
                    raise OSError("the file became shorter while it was sent")
                left -= len(data)
                yield data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def content_type(name: str) -> str:
    """Return the type of the file called *name*, for text in UTF-8."""
    kind, encoding = _types().guess_type(f"/{name}")  # a path, or "data:x" would be taken for a URL
    if encoding is not None:
        return f"application/{encoding}"
    if kind is None:
        return "application/octet-stream"
    textual = kind.startswith("text/") or kind.endswith(("json", "xml", "yaml"))
    return f"{kind}; charset=utf-8" if textual else kind


def is_current(headers: Any, etag: str, modified: int) -> bool:
    """Tell whether the client has this version (RFC 9110 §13.1): its tags count before its date."""
    tags = headers.get("If-None-Match")
    if tags is not None:
        known = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return etag in known or known == ["*"]
    try:
        return int(parsedate_to_datetime(headers.get("If-Modified-Since", "")).timestamp()) >= modified
    except (TypeError, ValueError, OverflowError):
        return False
