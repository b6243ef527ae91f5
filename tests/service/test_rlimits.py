"""gaffer.service.rlimits and patching, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def run(code: str, **options: object) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, **options)  # type: ignore[call-overload]
    assert result.stderr == ""
    return str(result.stdout)


def test_the_soft_limit_of_files_is_raised_and_the_old_one_returned() -> None:
    code = """if True:
        import resource
        from gaffer.service.rlimits import raise_file_limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
        print(raise_file_limit(), resource.getrlimit(resource.RLIMIT_NOFILE), raise_file_limit())
    """
    assert run(code) == "(100, 300) (300, 300) (300, 300)\n"


def test_standard_streams_that_are_closed_are_held() -> None:
    code = """if True:
        import os, sys
        from gaffer.service.rlimits import hold_standard_streams
        report, probe = os.dup(1), os.dup(0)
        os.close(probe)
        os.close(0)
        os.close(2)
        hold_standard_streams()
        where = [os.readlink(f"/proc/self/fd/{number}") for number in (0, 2)]
        again = os.dup(1)
        os.write(report, repr((where, again == probe)).encode())
    """
    assert run(code) == "(['/dev/null', '/dev/null'], True)"


def test_descriptors_left_open_for_us_are_not_passed_on() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    code = f"""if True:
        import os
        from gaffer.service.rlimits import inherit_nothing
        print(os.get_inheritable({writer}))
        inherit_nothing()
        print(os.get_inheritable({writer}), os.get_inheritable(1))
    """
    try:
        assert run(code, pass_fds=(writer,)) == "True\nFalse True\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_patching_leaves_processes_and_signals_native() -> None:
    code = """if True:
        from importlib import metadata
        look = metadata.entry_points
        from gaffer.service.monkey_patch import patch
        patch()
        import os, signal, socket, ssl, subprocess, threading, time
        from gevent import monkey
        print([name for name in ("os", "signal", "subprocess") if monkey.is_module_patched(name)])
        print([name for name in ("socket", "ssl", "threading", "time") if not monkey.is_module_patched(name)])
        print(metadata.entry_points is look)
    """
    assert run(code) == "[]\n[]\nTrue\n"


def test_nothing_is_patched_before_main_runs() -> None:
    code = (
        "import sys, gaffer.daemon.main; print([name for name in ('gevent', 'gaffer.errors') if name in sys.modules])"
    )
    assert run(code) == "[]\n"
