"""Applications to export."""

from __future__ import annotations

from typing import Any, Mapping

from hypothesis import strategies as st

from gaffer.config.jobconfig import JobConfig
from gaffer.procfile.export import Application, ExportJob

#: Whatever a process can be given; surrogates are no text.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
#: As people write them, with everything in them that means something to a format.
AWKWARD = st.text(st.sampled_from("ab %$\"'\\;#,(){}=é\t"), max_size=14) | st.sampled_from(
    [
        "%(here)s",
        "%%(here)s",
        "a ;b",
        "# c",
        " #",
        "$HOME",
        "${HOME:-x}",
        "$$",
        "%h",
        "%%",
        "it's",
        "\\n",
        "\\x41",
        "~",
        "no",
    ]
)
VARIABLES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
ENVIRONMENTS = st.dictionaries(VARIABLES, AWKWARD, max_size=3)


def application(*jobs: ExportJob, name: str = "shop", root: str = "/srv/shop") -> Application:
    return Application(name, root, jobs)


def job(
    cmd: str,
    env: Mapping[str, str] | None = None,
    name: str = "web",
    copies: int = 1,
    cwd: str = "/srv/shop",
    **settings: Any,
) -> ExportJob:
    """Return a type whose copies have a PORT each, as foreman gives them."""
    config = JobConfig(f"shop.{name}", cmd, env=env or {}, cwd=cwd, numprocesses=copies, **settings)
    return ExportJob(config, tuple({**(env or {}), "PORT": str(5100 + number)} for number in range(copies)))


def only_text(export: Any) -> str:
    (file,) = export.files
    return str(file.text)
