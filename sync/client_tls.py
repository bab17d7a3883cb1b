"""How a side that connects proves who it is: TLS 1.3, the centre's authority, its own certificate (WI-10)."""

from __future__ import annotations

import ssl
from pathlib import Path

from vedette.errors import NotFound, Refused


def client_tls(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for connecting; raises NotFound where a file is missing and Refused where they do not load."""
    for path in (ca, certificate, key):
        if not path.is_file():
            raise NotFound(f"{path} is not there; enrol this side at the centre first")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(ca)
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise Refused(f"{certificate}: certificate, key and CA do not load: {error}") from None
    return context
