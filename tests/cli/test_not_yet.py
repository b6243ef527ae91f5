"""The programs whose time has not come say so and do not pretend."""

import pytest

from gaffer import __version__
from gaffer.lookupd.main import main as lookupd

PROGRAMS = [(lookupd, "gaffer_lookupd")]


@pytest.mark.parametrize("main, name", PROGRAMS)
def test_version_and_help(main, name, capsys):
    for option, begin in [("--version", f"{name} {__version__}\n"), ("--help", f"usage: {name} ")]:
        with pytest.raises(SystemExit) as ended:
            main([option])
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(begin)


@pytest.mark.parametrize("main, name", PROGRAMS)
@pytest.mark.parametrize("args", [[], ["start"], ["--bind", "127.0.0.1:5010"], ["ps", "-x"]])
def test_anything_else_is_refused(main, name, args, capsys):
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{name}: ") and err.count("\n") == 1 and "not available in this version" in err
