"""The way to a log file of a gafferd that is root: links of others lead nowhere but into their own folders."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaffer.security.trusted_files import Walk, place
from gaffer_plugins.logfiles.file import DiskFile, RotationPolicy, open_log

OTHER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has others whose links it could follow")


@pytest.fixture
def theirs(tmp_path):
    """A folder of another account."""
    folder = tmp_path / "home"
    folder.mkdir()
    os.chown(folder, OTHER, OTHER)
    return folder


@pytest.fixture
def victim(tmp_path):
    """A folder where only root may write."""
    folder = tmp_path / "cron.d"
    folder.mkdir()
    return folder


def link(path, target, owner=OTHER):
    path.symlink_to(target)
    os.lchown(path, owner, owner)


def written(path, data=b"line\n", **policy):
    file = DiskFile(str(path), RotationPolicy(**policy), threading.Lock())
    try:
        file.add(data)
        file.flush()
    finally:
        file.close()
    return path.read_bytes()


@as_root
@pytest.mark.parametrize("below", ["", "new/er"])
def test_a_link_of_another_account_leads_nowhere(theirs, victim, below):
    link(theirs / "logs", victim)
    with pytest.raises(OSError, match=f"uid {OTHER} made a symbolic link"):
        open_log(str(theirs / "logs" / below / "web.log"))
    assert os.listdir(victim) == []


@as_root
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_nor_does_one_where_all_may_write(tmp_path, victim, mode):
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, 0, 50)
    shared.chmod(mode)
    link(shared / "logs", victim)
    with pytest.raises(OSError, match=f"uid {OTHER} made a symbolic link"):
        open_log(str(shared / "logs/web.log"))
    assert os.listdir(victim) == []


@as_root
def test_it_may_lead_into_their_own_folders(theirs):
    for name in ("releases", "releases/5", "releases/5/log"):
        (theirs / name).mkdir()
        os.chown(theirs / name, OTHER, OTHER)
    link(theirs / "current", "releases/5")
    assert written(theirs / "current/log/web.log") == b"line\n"
    assert (theirs / "releases/5/log/web.log").exists()
    assert written(theirs / "current/made/web.log") == b"line\n"
    link(theirs / "far", theirs / "releases")
    assert written(theirs / "far/web.log") == b"line\n"


@as_root
def test_our_own_links_are_followed(tmp_path, victim):
    (tmp_path / "logs").symlink_to("cron.d/../cron.d/.")
    assert written(tmp_path / "logs/web.log") == b"line\n"
    assert (victim / "web.log").exists()


@as_root
def test_the_last_part_is_no_link_of_another_account(theirs, tmp_path):
    link(theirs / "web.log", "/dev/null")
    with pytest.raises(OSError, match="where others may make some"):
        open_log(str(theirs / "web.log"))
    (tmp_path / "web.log").symlink_to("/dev/null")
    os.close(open_log(str(tmp_path / "web.log")))


@as_root
def test_a_file_with_another_name_elsewhere_is_not_written(theirs, victim):
    (victim / "passwd").write_bytes(b"")
    os.link(victim / "passwd", theirs / "web.log")
    with pytest.raises(OSError, match="another name elsewhere"):
        open_log(str(theirs / "web.log"))
    os.link(victim / "passwd", victim / "both")
    assert written(victim / "both") == b"line\n"


@as_root
def test_nothing_is_renamed_where_a_folder_became_a_link(theirs, victim):
    (theirs / "logs").mkdir()
    file = DiskFile(str(theirs / "logs/web.log"), RotationPolicy(maxbytes=10, backups=2, total=20), threading.Lock())
    file.add(b"123456789\n")
    file.flush()
    os.rename(theirs / "logs", theirs / "moved")
    link(theirs / "logs", victim)
    for name in ("web.log", "web.log.1", "web.log.2"):
        (victim / name).write_bytes(b"x" * 100)
    file.rotate()
    assert (file.failures, file.rotations) == (1, 0)
    with pytest.raises(OSError, match="symbolic link"):
        with place(str(theirs / "logs/web.log")):
            pass
    assert sorted(os.listdir(victim)) == ["web.log", "web.log.1", "web.log.2"]
    file.close()


@as_root
def test_old_files_in_a_folder_of_another_account_are_kept_as_elsewhere(theirs):
    path = theirs / "logs/web.log"
    file = DiskFile(str(path), RotationPolicy(maxbytes=10, backups=2), threading.Lock())
    for number in range(4):
        file.add(b"number %d\n" % number)
        file.flush()
    file.close()
    assert sorted(os.listdir(theirs / "logs")) == ["web.log", "web.log.1", "web.log.2"]
    assert path.read_bytes() == b"number 3\n" and (theirs / "logs/web.log.2").read_bytes() == b"number 1\n"


def test_links_without_end_are_no_way(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        Walk(str(tmp_path / "a/c"))


NAMES = st.sampled_from(["a", "b", "c", "..", "."])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@settings(max_examples=60, deadline=None)
@given(
    folders=st.lists(PATHS, max_size=4),
    links=st.dictionaries(PATHS, PATHS, max_size=3),
    path=PATHS,
    whole=st.booleans(),
)
def test_it_ends_where_the_kernel_would(folders, links, path, whole):
    with tempfile.TemporaryDirectory() as top:
        # So far down that nothing is made outside: a path goes up by four at the most, and so do three links in it.
        root = os.path.join(top, *["down"] * 30)
        os.makedirs(root)
        for made in folders:
            os.makedirs(f"{root}/{made}", exist_ok=True)
        for name, target in links.items():
            with suppress(OSError):
                os.symlink(f"{root}/{target}" if whole else target, f"{root}/{name}")
        compare(f"{root}/{path}")


def compare(path):
    """Both the kernel and we find one folder, or none."""
    try:
        expected = os.stat(path)
    except OSError:
        with pytest.raises(OSError):
            Walk(path).close()
        return
    walk = Walk(path)
    found = os.fstat(walk.fd)
    walk.close()
    assert os.path.samestat(found, expected)
