"""TLS for an endpoint. Imported only when there is one: OpenSSL takes a while to load."""

from __future__ import annotations

from typing import Any

from gevent import ssl

from ..errors import GafferError


class TlsError(GafferError):
    """A certificate or key that cannot be used."""

    code = "tls"


def tls_context(certfile: str, keyfile: str | None = None, cacert: str | None = None) -> Any:
    """Return the TLS settings of an endpoint: TLS 1.2 and later.

    :param certfile: the server's certificate chain, PEM.
    :param keyfile: its key, if that is another file.
    :param cacert: certificates that clients' certificates must be signed by; with it, clients need one.
    :raises TlsError: a file is missing or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certfile, keyfile or None)
    except OSError as error:
        files = " and ".join(name for name in (certfile, keyfile) if name)
        raise TlsError(f"cannot use the certificate {files}: {error.strerror or error}") from error
    if cacert:
        try:
            context.load_verify_locations(cacert)
        except OSError as error:
            raise TlsError(f"cannot use the clients' certificates in {cacert}: {error.strerror or error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context
