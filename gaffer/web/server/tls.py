"""TLS for an endpoint. Imported only when there is one: OpenSSL takes a while to load."""

from __future__ import annotations

from typing import Any

from gevent import ssl

from ...errors import GafferError
from ...security.trusted_files import check_read


class TlsError(GafferError):
    """A certificate or key that cannot be used."""

    code = "tls"


class _Encrypted(Exception):
    """A key has a passphrase."""


#: Bytes of a certificate's file that are looked at for an explanation.
_MAX_FILE = 1 << 20


def _no_passphrase() -> str:
    """OpenSSL would ask the terminal, and everything would wait for the answer."""
    raise _Encrypted("its key has a passphrase, and a server cannot ask for it; store the key without one")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_MAX_FILE)


def _swapped(certfile: str, keyfile: str | None) -> str:
    """Return what is wrong where the files hold what the other one should."""
    try:
        certificate = _content(certfile)
        key = _content(keyfile) if keyfile else certificate
    except OSError:
        return ""
    if b"CERTIFICATE-----" not in certificate and b"CERTIFICATE-----" in key:
        return "; certfile and keyfile are swapped"
    if b"CERTIFICATE-----" not in certificate:
        return f"; {certfile} holds no certificate"
    return "" if b"PRIVATE KEY-----" in key else f"; {keyfile or certfile} holds no private key"


def tls_context(certfile: str, keyfile: str | None = None, cacert: str | None = None) -> Any:
    """Return the TLS settings of an endpoint: TLS 1.2 and later, forward secrecy and authenticated ciphers only.

    :param certfile: the server's certificate chain, PEM.
    :param keyfile: its key, if that is another file.
    :param cacert: certificates that clients' certificates must be signed by; with it, clients need one.
    :raises TlsError: a file is missing or not what it should be. :raises SharedFile: others can change it.
    """
    for path in filter(None, (certfile, keyfile, cacert)):
        check_read(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # TLS 1.3 has no others; of 1.2 the old ones are left out. A client must not make us negotiate again and again.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.load_cert_chain(certfile, keyfile or None, _no_passphrase)
    except (OSError, _Encrypted) as error:
        files = " and ".join(name for name in (certfile, keyfile) if name)
        raise TlsError(f"cannot use the certificate {files}: {_reason(error)}{_swapped(certfile, keyfile)}") from error
    if cacert:
        try:
            context.load_verify_locations(cacert)
        except OSError as error:
            raise TlsError(f"cannot use the clients' certificates in {cacert}: {_reason(error)}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context
