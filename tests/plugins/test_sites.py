"""Sites over HTTP: files, types, caching; and nothing that lies outside or is hidden."""

import gzip
import os
import re
import types
import warnings

import gevent
import pytest
from gevent import socket as green

import gaffer
from gaffer.commands.authorization import Authorization
from gaffer.commands.identity import Identity, Permissions
from gaffer.manager.reports import Reports
from gaffer.plugins.calling import Hooks
from gaffer.plugins.registry import PluginSet, Site
from gaffer.web.application import App
from gaffer.web.requests.routes import check_routes
from gaffer_plugins.sites import FileBody, PackedFiles, Passes, SitesPlugin, content_type, open_inside

from ..hooks.test_registry import module, write
from ..kit.web import call, served


@pytest.fixture
def folder(tmp_path):
    return write(
        tmp_path / "plugins",
        {
            "hello/_site/index.html": "<h1>hello</h1>",
            "hello/_site/img/logo.svg": "<svg/>",
            "hello/_site/sub/index.html": "sub",
            "hello/_site/.secret": "hidden",
            "hello/_site/empty/readme.txt": "",
            "hello/plugin.txt": "beside the site",
            "secret.txt": "above",
        },
    )


@pytest.fixture
def plugins(folder):
    plugins = PluginSet()
    plugins.add(SitesPlugin())
    plugins.load_folder(folder)
    return plugins


@pytest.fixture
def manager(plugins):
    made = types.SimpleNamespace(plugins=plugins, hooks=Hooks(plugins.pm))
    made.access = Authorization(made.hooks)
    made.sites = Reports(made).sites
    return made


@pytest.fixture
def app(manager):
    return App(check_routes([("sites", manager.hooks.ask("gaffer_routes", manager=manager)[0])]), access=manager.access)


class TestFiles:
    @pytest.mark.parametrize(
        ("path", "kind", "body"),
        [
            ("", "text/html; charset=utf-8", "<h1>hello</h1>"),
            ("index.html", "text/html; charset=utf-8", "<h1>hello</h1>"),
            ("img/logo.svg", "image/svg+xml; charset=utf-8", "<svg/>"),
            ("sub/", "text/html; charset=utf-8", "sub"),
            ("empty/readme.txt", "text/plain; charset=utf-8", ""),
        ],
    )
    def test_get(self, app, path, kind, body):
        answer = call(app, "GET", f"/_plugin/hello/{path}")
        assert (answer.status, answer.text) == (200, body)
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-length"] == str(len(body))

    def test_security_headers(self, app):
        headers = call(app, "GET", "/_plugin/hello/").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'self'" in headers["content-security-policy"]

    def test_head_sends_no_body_and_leaves_no_file_open(self, app):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answer = call(app, "HEAD", "/_plugin/hello/")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "14")

    @pytest.mark.parametrize(
        ("path", "location"),
        [
            ("/_plugin/hello", "/_plugin/hello/"),
            ("/_plugin/hello?a=b", "/_plugin/hello/?a=b"),
            ("/_plugin/hello/sub", "/_plugin/hello/sub/"),
        ],
    )
    def test_folder_without_slash(self, app, path, location):
        answer = call(app, "GET", path)
        assert (answer.status, answer.headers["location"]) == (302, location)

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_nothing_can_be_changed(self, app, method):
        call(app, method, "/_plugin/hello/").assert_problem(405, "method_not_allowed")

    def test_names_with_spaces_and_umlauts(self, app, folder):
        write(folder, {"hello/_site/schöne seite.html": "schön", "my site/_site/index.html": "mine"})
        assert call(app, "GET", "/_plugin/hello/sch%C3%B6ne%20seite.html").text == "schön"
        assert call(app, "GET", "/_plugin/my%20site/").text == "mine"
        assert call(app, "GET", "/_plugin/my%20site").headers["location"] == "/_plugin/my%20site/"

    def test_site_that_appeared_later(self, app, folder):
        call(app, "GET", "/_plugin/late/").assert_problem(404, "not_found")
        write(folder, {"late/index.html": "late"})
        assert call(app, "GET", "/_plugin/late/").text == "late"

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("app.js", "text/javascript; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("data.json", "application/json; charset=utf-8"),
            ("font.woff2", "font/woff2"),
            ("picture.png", "image/png"),
            ("archive.tar.gz", "application/gzip"),
            ("strange.xyzzy", "application/octet-stream"),
            ("noname", "application/octet-stream"),
            ("data:text,x.png", "image/png"),
        ],
    )
    def test_types(self, name, kind):
        assert content_type(name) == kind


class TestMissing:
    def test_site(self, app):
        reason = call(app, "GET", "/_plugin/helo/").assert_problem(404, "not_found")
        assert reason == "there is no site 'helo'; did you mean 'hello'?"

    @pytest.mark.parametrize("path", ["nothing.html", "empty/", "index.html/", "index.html/more", "img//logo.svg"])
    def test_file(self, app, path):
        reason = call(app, "GET", f"/_plugin/hello/{path}").assert_problem(404, "not_found")
        assert reason.startswith("the site 'hello' has no file")

    def test_unreadable(self, app, monkeypatch):
        def refuse(*args, **kwargs):
            raise PermissionError

        monkeypatch.setattr(os, "open", refuse)
        reason = call(app, "GET", "/_plugin/hello/").assert_problem(403, "forbidden")
        assert reason == "'index.html' cannot be read by gafferd's user"


class TestEscapes:
    @pytest.mark.parametrize(
        "path",
        [
            "../plugin.txt",
            "..%2fplugin.txt",
            "%2e%2e/plugin.txt",
            "img/../../plugin.txt",
            "../../secret.txt",
            "/etc/passwd",
            "%2fetc%2fpasswd",
            "..",
            "../",
            ".",
            "./index.html",
            ".secret",
            "img/..%5c..%5cplugin.txt",
        ],
    )
    def test_path(self, app, path):
        answer = call(app, "GET", f"/_plugin/hello/{path}")
        assert answer.status == 404, answer
        assert b"beside" not in answer.body and b"above" not in answer.body

    def test_nul(self, app):
        assert call(app, "GET", "/_plugin/hello/index.html%00.png").status in (400, 404)

    @pytest.mark.parametrize("name", ["..", ".", "%2e%2e", "..%2f"])
    def test_site_name(self, app, name):
        assert call(app, "GET", f"/_plugin/{name}/secret.txt").status == 404

    @pytest.mark.parametrize("target", ["/etc", "../..", "../../secret.txt", "/etc/passwd"])
    def test_link_out_of_the_site(self, app, folder, target):
        os.symlink(target, folder / "hello/_site/out")
        for path in ("out", "out/passwd", "out/secret.txt"):
            assert call(app, "GET", f"/_plugin/hello/{path}").status == 404

    def test_link_inside_the_site(self, app, folder):
        os.symlink("index.html", folder / "hello/_site/home.html")
        os.symlink("../sub", folder / "hello/_site/img/sub")
        assert call(app, "GET", "/_plugin/hello/home.html").text == "<h1>hello</h1>"
        assert call(app, "GET", "/_plugin/hello/img/sub/").text == "sub"

    def test_link_that_is_swapped_in_between(self, folder, monkeypatch):
        site = folder / "hello/_site"
        real = os.path.realpath

        def swap(path):
            found = real(path)
            if found.endswith("logo.svg"):
                os.rename(site / "img", site / "old")
                os.symlink("/etc", site / "img")
                write(site, {"../../etc/logo.svg": "stolen"})
            return found

        monkeypatch.setattr(os.path, "realpath", swap)
        assert open_inside(str(site), ["img", "logo.svg"]) is None

    def test_loop_of_links(self, app, folder):
        os.symlink("loop", folder / "hello/_site/loop")
        assert call(app, "GET", "/_plugin/hello/loop").status == 404

    def test_pipes_and_devices_are_no_files(self, app, folder):
        os.mkfifo(folder / "hello/_site/pipe")
        assert call(app, "GET", "/_plugin/hello/pipe").status == 404

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_root_that_became_a_link_of_another_account(self, folder):
        site = folder / "hello/_site"
        os.rename(site, folder / "hello/old")
        os.symlink("/etc", site)
        os.lchown(site, 12345, 12345)
        with pytest.raises(gaffer.errors.Forbidden):
            open_inside(str(site), ["passwd"])


class TestCaching:
    @pytest.mark.parametrize("wrap", ["{}", "W/{}", '"other", {}', "*"])
    def test_etag(self, app, wrap):
        tag = call(app, "GET", "/_plugin/hello/").headers["etag"]
        answer = call(app, "GET", "/_plugin/hello/", HTTP_IF_NONE_MATCH=wrap.format(tag))
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == tag
        assert "content-length" not in answer.headers

    def test_changed_file(self, app, folder):
        tag = call(app, "GET", "/_plugin/hello/").headers["etag"]
        write(folder, {"hello/_site/index.html": "new text"})
        answer = call(app, "GET", "/_plugin/hello/", HTTP_IF_NONE_MATCH=tag)
        assert (answer.status, answer.text) == (200, "new text")

    def test_date(self, app):
        date = call(app, "GET", "/_plugin/hello/").headers["last-modified"]
        assert call(app, "GET", "/_plugin/hello/", HTTP_IF_MODIFIED_SINCE=date).status == 304

    @pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "nonsense", "", "Mon, 01 Jan 99999999"])
    def test_older_and_broken_dates(self, app, date):
        assert call(app, "GET", "/_plugin/hello/", HTTP_IF_MODIFIED_SINCE=date).status == 200

    def test_tags_count_before_dates(self, app):
        date = call(app, "GET", "/_plugin/hello/").headers["last-modified"]
        answer = call(app, "GET", "/_plugin/hello/", HTTP_IF_MODIFIED_SINCE=date, HTTP_IF_NONE_MATCH='"other"')
        assert answer.status == 200


class TestRanges:
    @pytest.mark.parametrize(
        ("wanted", "status", "body", "content_range"),
        [
            ("bytes=0-3", 206, "<h1>", "bytes 0-3/14"),
            ("bytes=4-", 206, "hello</h1>", "bytes 4-13/14"),
            ("bytes=-5", 206, "</h1>", "bytes 9-13/14"),
            ("bytes=-500", 206, "<h1>hello</h1>", "bytes 0-13/14"),
            ("bytes=4-500", 206, "hello</h1>", "bytes 4-13/14"),
            ("bytes=0-1,4-5", 200, "<h1>hello</h1>", None),
            ("bytes=5-4", 200, "<h1>hello</h1>", None),
            ("lines=1-2", 200, "<h1>hello</h1>", None),
            ("bytes=-", 200, "<h1>hello</h1>", None),
        ],
    )
    def test_part(self, app, wanted, status, body, content_range):
        answer = call(app, "GET", "/_plugin/hello/", HTTP_RANGE=wanted)
        assert (answer.status, answer.text, answer.headers.get("content-range")) == (status, body, content_range)
        assert int(answer.headers["content-length"]) == len(body)
        assert answer.headers["accept-ranges"] == "bytes"

    @pytest.mark.parametrize("wanted", ["bytes=14-", "bytes=99-100", "bytes=-0"])
    def test_nothing_there(self, app, wanted):
        answer = call(app, "GET", "/_plugin/hello/", HTTP_RANGE=wanted)
        answer.assert_problem(416, "range_not_satisfiable")
        assert answer.headers["content-range"] == "bytes */14"

    def test_part_of_another_version_is_the_whole(self, app):
        now = call(app, "GET", "/_plugin/hello/").headers
        for version, status in ((now["etag"], 206), (now["last-modified"], 206), ('"other"', 200), ("x", 200)):
            answer = call(app, "GET", "/_plugin/hello/", HTTP_RANGE="bytes=0-3", HTTP_IF_RANGE=version)
            assert answer.status == status


class TestCompression:
    @pytest.fixture
    def page(self, folder):
        text = "a line of text\n" * 1000
        (folder / "hello/_site/long.txt").write_text(text)
        (folder / "hello/_site/long.png").write_bytes(text.encode())
        return text

    @pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5", "*", "br, GZIP ; q=1"])
    def test_text_for_those_who_take_it(self, app, page, accepted):
        answer = call(app, "GET", "/_plugin/hello/long.txt", HTTP_ACCEPT_ENCODING=accepted)
        assert answer.headers["content-encoding"] == "gzip" and answer.headers["vary"] == "Accept-Encoding"
        assert gzip.decompress(answer.body).decode() == page and len(answer.body) < 1000
        again = call(app, "GET", "/_plugin/hello/long.txt", HTTP_ACCEPT_ENCODING=accepted)
        assert again.body == answer.body
        tag = answer.headers["etag"]
        assert (
            call(app, "GET", "/_plugin/hello/long.txt", HTTP_ACCEPT_ENCODING=accepted, HTTP_IF_NONE_MATCH=tag)[0] == 304
        )

    @pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "gzip; q=0.0", "br"])
    def test_others_get_it_as_it_is(self, app, page, accepted):
        answer = call(app, "GET", "/_plugin/hello/long.txt", HTTP_ACCEPT_ENCODING=accepted)
        assert answer.text == page and "content-encoding" not in answer.headers
        assert answer.headers["vary"] == "Accept-Encoding"

    def test_pictures_small_files_and_parts_are_not_compressed(self, app, page):
        for path, more in (("long.png", {}), ("", {}), ("long.txt", {"HTTP_RANGE": "bytes=0-99"})):
            answer = call(app, "GET", f"/_plugin/hello/{path}", HTTP_ACCEPT_ENCODING="gzip", **more)
            assert "content-encoding" not in answer.headers

    def test_what_is_kept_is_bounded(self, app, folder, monkeypatch):
        monkeypatch.setattr("gaffer_plugins.sites._GZIP_KEPT", 2000)
        packed = PackedFiles()
        for number in range(20):
            path = folder / f"{number}.bin"
            path.write_bytes(os.urandom(600))
            packed.pack("hello", [path.name], FileBody(os.open(path, os.O_RDONLY)))
        assert packed._size == sum(map(len, packed._kept.values())) <= 2000 and len(packed._kept) == 3


class TestPolicy:
    STRICT = "default-src 'self'"
    OWN = "default-src 'self'; script-src 'self' 'unsafe-inline'"

    def policy(self, app, name="hello"):
        return call(app, "GET", f"/_plugin/{name}/").headers["content-security-policy"]

    def test_file_of_the_site(self, app, folder):
        assert self.policy(app).startswith(self.STRICT + "; base-uri")
        (folder / "hello/_site/.csp").write_text(self.OWN.replace("; ", ";\n") + "\n")
        assert self.policy(app) == self.OWN
        assert call(app, "GET", "/_plugin/hello/.csp").status == 404

    def test_site_of_a_hook(self, plugins, app, folder):
        class Pages(gaffer.Plugin):
            name = "pages"

            @gaffer.hookimpl
            def gaffer_sites(self, manager):
                return [Site("own", str(folder / "hello/_site"), csp=TestPolicy.OWN)]

        plugins.add(Pages())
        assert self.policy(app, "own") == self.OWN

    @pytest.mark.parametrize("policy", ["é", "a\0b"])
    def test_what_no_header_may_hold_is_left_out(self, app, folder, policy, caplog):
        (folder / "hello/_site/.csp").write_text(policy)
        assert self.policy(app).startswith(self.STRICT) and "site hello" in caplog.text


class TestHooks:
    def test_gaffer_sites(self, plugins, app, tmp_path):
        write(tmp_path, {"manual/index.html": "manual"})

        @gaffer.hookimpl
        def gaffer_sites(manager):
            return [Site("manual", str(tmp_path / "manual")), Site("hello", str(tmp_path / "manual"))]

        plugins.add(module("docs", gaffer_sites=gaffer_sites))
        assert call(app, "GET", "/_plugin/manual/").text == "manual"
        assert call(app, "GET", "/_plugin/hello/").text == "<h1>hello</h1>", "folders come first"

    def test_a_broken_plugin_hurts_only_its_own_sites(self, plugins, app, caplog):
        @gaffer.hookimpl
        def gaffer_sites():
            raise RuntimeError("no")

        @gaffer.hookimpl(specname="gaffer_sites")
        def wrong():
            return ["not a site"]

        plugins.add(module("broken", gaffer_sites=gaffer_sites))
        plugins.add(module("wrong", gaffer_sites=wrong))
        assert call(app, "GET", "/_plugin/hello/").status == 200
        assert call(app, "GET", "/_plugin/other/").status == 404
        assert "plugin wrong: gaffer_sites must return gaffer.Site objects, not 'not a site'" in caplog.messages

    def test_private_site_needs_a_key_where_there_are_keys(self, plugins, manager, app, tmp_path):
        write(tmp_path, {"manual/index.html": "manual"})

        @gaffer.hookimpl
        def gaffer_sites():
            return [Site("manual", str(tmp_path / "manual"), private=True)]

        plugins.add(module("docs", gaffer_sites=gaffer_sites))
        assert call(app, "GET", "/_plugin/manual/").status == 200

        @gaffer.hookimpl
        def gaffer_identify(credentials):
            return {"full": ALL, "some": SOME}.get(credentials.key)

        @gaffer.hookimpl
        def gaffer_permit(identity, permission, resource):
            return identity.permissions.allows(permission, resource)

        plugins.add(module("keys", gaffer_identify=gaffer_identify, gaffer_permit=gaffer_permit))
        manager.access.strict = True
        call(app, "GET", "/_plugin/manual/").assert_problem(401, "unauthorized")
        call(app, "GET", "/_plugin/manual").assert_problem(401, "unauthorized")
        call(app, "GET", "/_plugin/manual/", HTTP_X_API_KEY="none").assert_problem(401, "unauthorized")
        call(app, "GET", "/_plugin/manual/", HTTP_X_API_KEY="some").assert_problem(403, "forbidden")
        assert call(app, "GET", "/_plugin/manual/", HTTP_X_API_KEY="full").status == 200
        assert call(app, "GET", "/_plugin/hello/").status == 200

    def test_a_ticket_opens_a_private_site_to_a_browser(self, plugins, manager, app, tmp_path):
        write(tmp_path, {"manual/index.html": "manual", "manual/style.css": "x", "other/index.html": "other"})
        tickets = {"one": Identity("1", permissions=Permissions(read=frozenset("*")))}

        @gaffer.hookimpl
        def gaffer_sites():
            return [Site(name, str(tmp_path / name), private=True) for name in ("manual", "other")]

        @gaffer.hookimpl
        def gaffer_identify(credentials):
            return tickets.pop(credentials.ticket, None)

        @gaffer.hookimpl
        def gaffer_permit(identity, permission, resource):
            return identity.permissions.allows(permission, resource)

        plugins.add(module("docs", gaffer_sites=gaffer_sites))
        plugins.add(module("keys", gaffer_identify=gaffer_identify, gaffer_permit=gaffer_permit))
        manager.access.strict, who = True, tickets["one"]
        # Without the last slash first, as people type it: the ticket is used by then.
        answer = call(app, "GET", "/_plugin/manual?ticket=one")
        assert answer.status == 302
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        assert attributes == ["Path=/_plugin/manual", "HttpOnly", "SameSite=Strict"]
        call(app, "GET", "/_plugin/manual/?ticket=one").assert_problem(401, "unauthorized")
        for path in ("/_plugin/manual/?ticket=one", "/_plugin/manual/style.css"):
            answer = call(app, "GET", path, HTTP_COOKIE=f"a=b; {cookie}")
            assert answer.status == 200 and "set-cookie" not in answer.headers
        call(app, "GET", "/_plugin/other/", HTTP_COOKIE=cookie).assert_problem(401, "unauthorized")
        call(app, "GET", "/_plugin/manual/", HTTP_COOKIE="gaffer-site=x").assert_problem(401, "unauthorized")
        who.end()
        call(app, "GET", "/_plugin/manual/", HTTP_COOKIE=cookie).assert_problem(401, "unauthorized")

    def test_a_cookie_is_not_good_for_ever_and_there_are_not_any_number(self):
        now, request = [1000.0], types.SimpleNamespace(identity=ALL, environ={})
        request.environ["gaffer.access"] = types.SimpleNamespace(permits=lambda identity, permission: True)
        passes = Passes(lambda: now[0])
        request.get_cookie = lambda name: words[0]
        words = [passes.issue(request, "manual").partition("=")[2].partition(";")[0]]
        assert passes.holds(request, "manual") and not passes.holds(request, "other")
        now[0] += Passes.LIFE + 1
        assert not passes.holds(request, "manual")
        for _ in range(Passes.MOST + 5):
            passes.issue(request, "manual")
        assert len(passes._given) == Passes.MOST and words[0] not in passes._given


ALL = Identity("1", permissions=Permissions(read=frozenset("*")))
SOME = Identity("2", permissions=Permissions(read=frozenset(["web"])))


class TestServed:
    """Through the real server."""

    def ask(self, address, *requests):
        connection = green.create_connection(address)
        connection.sendall("".join(f"{request} HTTP/1.1\r\nHost: localhost\r\n\r\n" for request in requests).encode())
        connection.shutdown(green.SHUT_WR)
        data = b""
        with gevent.Timeout(10):
            while piece := connection.recv(65_536):
                data += piece
        connection.close()
        return data

    def test_large_file(self, app, folder):
        content = os.urandom(300_000)
        (folder / "hello/_site/large.bin").write_bytes(content)
        with served(app) as (address, _):
            head, _, body = self.ask(address, "GET /_plugin/hello/large.bin").partition(b"\r\n\r\n")
        assert b"200 OK" in head and b"Content-Length: 300000" in head
        assert body == content

    def test_many_on_one_connection(self, app):
        with served(app) as (address, _):
            tag = call(app, "GET", "/_plugin/hello/").headers["etag"]
            data = self.ask(
                address,
                "GET /_plugin/hello",
                "HEAD /_plugin/hello/",
                f"GET /_plugin/hello/ HTTP/1.1\r\nIf-None-Match: {tag}\r\nX:",
                "GET /_plugin/hello/nothing",
                "GET /_plugin/hello/img/logo.svg",
            )
        assert re.findall(rb"HTTP/1.1 (\d+)", data) == [b"302", b"200", b"304", b"404", b"200"]
        assert data.endswith(b"<svg/>")

    def test_file_that_becomes_shorter_breaks_the_connection(self, app, folder, monkeypatch):
        path = folder / "hello/_site/large.bin"
        path.write_bytes(bytes(100_000))
        monkeypatch.setattr("gaffer_plugins.sites._CHUNK", 1000)
        real = os.fdopen

        def shrinking(descriptor, *args, **kwargs):
            gevent.get_hub().loop.run_callback(os.truncate, path, 10)
            return real(descriptor, *args, **kwargs)

        monkeypatch.setattr("gaffer_plugins.sites.os.fdopen", shrinking)
        body = app.reply({"REQUEST_METHOD": "GET", "PATH_INFO": "/_plugin/hello/large.bin"}).body
        gevent.sleep(0)
        with pytest.raises(OSError, match="became shorter"):
            list(body)
        body.close()
