"""Certificates for localhost, made by openssl; tests that need them are skipped without it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def make_certificates(folder: Path, *names: str) -> None:
    """Write ``NAME.pem`` and ``NAME.key`` for each name; each is its own authority."""
    for name in names:
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}"]
        command += ["-addext", "subjectAltName=DNS:localhost"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is needed to make certificates")
