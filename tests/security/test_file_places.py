"""Every place of the code that opens, makes, locks or changes a file: each is checked, or says why it need not be."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).parents[2]
#: The module that checks and opens; all others call it.
TRUSTED = "gaffer/security/trusted_files.py"
_CALLS = {
    "chmod", "chown", "fchmod", "fchown", "lchown", "flock", "lockf", "mkdir", "makedirs", "mkstemp", "mkdtemp",
    "NamedTemporaryFile", "TemporaryDirectory", "read_text", "read_bytes", "write_text", "write_bytes", "touch",
    "load_cert_chain", "load_verify_locations", "create_default_context", "FileHandler", "WatchedFileHandler",
    "symlink", "mkfifo", "unlink", "rmtree",
}  # fmt: skip
_OF_MODULES = {"os": {"open", "rename", "replace", "remove", "rmdir", "link"}, "sqlite3": {"connect"}, "io": {"open"}}

#: Why a place need not go through it.
_REASONS: dict[str, tuple[str, ...]] = {
    "an environment in memory": (
        "gaffer/process/_fdexec.py read_environment open",
        "gaffer/process/spawn.py _unnamed_file open",
    ),
    "by a name from place(), or in a folder that is open": (
        "gaffer/config/addresses.py UnixListener.close unlink",
        "gaffer/config/addresses.py _bind_at os.open",
        "gaffer/config/addresses.py _make_way unlink",
        "gaffer/cli/accounts/keyfile.py KeyFile.put mkstemp",
        "gaffer/cli/accounts/keyfile.py KeyFile.put os.replace",
        "gaffer/cli/accounts/keyfile.py KeyFile.put unlink",
        "gaffer/daemon/recovery.py Leftovers._write unlink",
        "gaffer/daemon/recovery.py Leftovers.forget unlink",
        "gaffer/pidfile.py Pidfile.rename os.rename",
        "gaffer/pidfile.py Pidfile.unlink unlink",
        "gaffer/plugins/folders.py _gather os.rename",
        "gaffer/plugins/folders.py _gather os.rmdir",
        "gaffer/plugins/folders.py _open_staging mkdir",
        "gaffer/plugins/folders.py _open_staging os.open",
        "gaffer/plugins/folders.py _rename os.rename",
        "gaffer_plugins/logfiles/rotation.py _gzip os.open",
        "gaffer_plugins/logfiles/rotation.py _gzip unlink",
        "gaffer_plugins/logfiles/rotation.py _replace os.rename",
        "gaffer_plugins/logfiles/rotation.py _replace unlink",
        "gaffer_plugins/logfiles/rotation.py _source os.open",
        "gaffer_plugins/logfiles/rotation.py compress unlink",
        "gaffer_plugins/logfiles/rotation.py shift os.rename",
        "gaffer_plugins/logfiles/rotation.py shift unlink",
        "gaffer_plugins/logfiles/rotation.py trim unlink",
    ),
    "an open descriptor": (
        "gaffer/config/addresses.py _bind_at chmod",
        "gaffer/config/addresses.py _bind_at chown",
        "gaffer/config/addresses.py _bind_at fchmod",
        "gaffer/cli/app/export.py write_file fchmod",
        "gaffer/pidfile.py Pidfile.create fchmod",
        "gaffer/plugins/folders.py _open_staging fchmod",
        "gaffer/plugins/folders.py _open_staging fchown",
        "gaffer_plugins/audit/writer.py AuditWriter.open fchmod",
        "gaffer_plugins/auth/store.py make_private fchmod",
    ),
    "the null device": (
        "gaffer/service/daemonize.py Starter.ready os.open",
        "gaffer/service/rlimits.py hold_standard_streams os.open",
        "gaffer/cli/core/program.py _drop_output os.open",
        "gaffer/service/exit_codes.py _nothing_reads os.open",
        "gaffer/cli/core/program.py run open",
        "gaffer/util.py daemonize os.open",
    ),
    "standard output, no file": (
        "gaffer/cli/app/streams.py recv write_bytes",
        "gaffer/cli/operations/attach.py Attached._handle_frame write_bytes",
        "gaffer/cli/operations/logs.py _show_raw write_bytes",
        "gaffer/cli/core/output.py write_bytes write_bytes",
    ),
    "a command that a person runs, on the file that they name": (
        "gaffer/cli/core/shell_completion.py types read_text",
        "gaffer/cli/app/export.py write_file makedirs",
        "gaffer/cli/app/export.py write_file mkstemp",
        "gaffer/cli/app/export.py write_file open",
        "gaffer/cli/app/export.py write_file os.replace",
        "gaffer/cli/app/export.py write_file unlink",
        "gaffer/cli/ctl/jobs.py _read open",
        "gaffer/httpclient/transport.py Transport._context create_default_context",
        "gaffer/httpclient/transport.py Transport._context load_cert_chain",
        "gaffer/procfile/application.py _read_types read_text",
        "gaffer/procfile/depends.py read_needs read_text",
        "gaffer/procfile/parser.py Procfile.parse read_text",
        "gaffer/config/text_file.py read_text open",
    ),
    "~/.gaffer, of who runs the command": ("gaffer/cli/accounts/keyfile.py KeyFile.put makedirs",),
    "the system's time zone": ("gaffer_plugins/schedule/timetable.py _local open",),
    "the kernel's own file": (
        "gaffer/process/proc_scan.py _between_programs open",
        "gaffer/process/proc_scan.py _contents os.open",
        "gaffer/process/proc_scan.py _group open",
        "gaffer/service/port_holder.py _listening open",
        "gaffer/service/port_holder.py _name open",
        "gaffer/process/exit_status.py _paths open",
        "gaffer/process/exit_status.py _read open",
        "gaffer/process/spawn.py _explained open",
        "gaffer_plugins/stats/proc.py _read os.open",
    ),
    "the method of a pidfile": (
        "gaffer/daemon/service.py GafferdService.run unlink",
        "gaffer/lookupd/service.py LookupdService.run unlink",
    ),
    "check_read() in the same function, or in the one that calls it": (
        "gaffer/config/convert/common.py _read read_text",
        "gaffer/config/dotenv.py _read open",
        "gaffer/config/ini_reader.py _text open",
        "gaffer/config/settings.py _unreadable open",
        "gaffer/web/server/tls.py tls_context load_cert_chain",
        "gaffer/web/server/tls.py _content open",
        "gaffer/web/server/tls.py tls_context load_verify_locations",
        "gaffer_plugins/auth/store.py make_private makedirs",
        "gaffer_plugins/registry_etcd/key_layout.py check_files load_cert_chain",
        "gaffer_plugins/registry_etcd/key_layout.py check_files load_verify_locations",
        "gaffer_plugins/webhooks/config.py _read open",
    ),
    "checked with the configuration, before anything connects": (
        "gaffer_plugins/lookup/connection.py _connect create_default_context",
        "gaffer_plugins/lookup/connection.py _connect load_cert_chain",
        "gaffer_plugins/registry_etcd/key_layout.py read_password open",
        "gaffer_plugins/webhooks/trust.py _tls_context load_verify_locations",
    ),
    "make_private() has checked its folder": ("gaffer_plugins/auth/store.py Store.__init__ sqlite3.connect",),
    "a pipe of our own": (
        "gaffer/foreground/_guard.py read_all open",
        "gaffer/foreground/guard.py Guard.__init__ open",
    ),
    "a file with a new name": ("gaffer/pidfile.py Pidfile.create mkstemp",),
    "the folder below /run, where only root writes": (
        "gaffer/security/root_socket.py make_folder chmod",
        "gaffer/security/root_socket.py make_folder mkdir",
    ),
    "a file of gaffer's own package": ("gaffer/web/sockjs/pages.py _library read_bytes",),
    "no link is followed, and static files only are in it": (
        "gaffer/plugins/folders.py move_site os.open",
        "gaffer_plugins/sites.py _open_root os.open",
        "gaffer_plugins/sites.py open_inside os.open",
    ),
    "the last byte is read, to see whether it ends a line": ("gaffer_plugins/logfiles/file.py ends_a_line os.open",),
}
REASONS = {place: reason for reason, places in _REASONS.items() for place in places}


def _name(call: ast.Call) -> str:
    """Return the function's name if it is one of those that touch files."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id if function.id == "open" or function.id in _CALLS else ""
    if not isinstance(function, ast.Attribute):
        return ""
    module = function.value.id if isinstance(function.value, ast.Name) else ""
    if function.attr in _OF_MODULES.get(module, ()):
        return f"{module}.{function.attr}"
    return function.attr if function.attr in _CALLS else ""


def _places(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, str]]:
    """Yield function and call of every place."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and _name(node):
            yield inside or "<module>", _name(node)
        own = node.name if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else ""
        yield from _places(node, f"{inside}.{own}".strip(".") if own else inside)


def found() -> set[str]:
    """Return ``FILE FUNCTION CALL`` of every place."""
    places = set()
    for folder in ("gaffer", "gaffer_plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            file = str(path.relative_to(ROOT))
            if file != TRUSTED:
                places |= {f"{file} {function} {call}" for function, call in _places(ast.parse(path.read_text()))}
    return places


def test_every_place_that_touches_files_is_known() -> None:
    new = sorted(found() - REASONS.keys())
    assert not new, f"open it through gaffer.security.trusted_files, or add it to REASONS with the reason: {new}"


def test_no_reason_outlives_its_place() -> None:
    assert not REASONS.keys() - found()
