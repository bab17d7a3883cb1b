"""Which certificates no longer hold, by the revocation list as it lies there now.

Decided here: the list is looked at each time it is asked and read again once it was replaced, so that a certificate
that comes on it is refused from the next question on. One that cannot be read leaves the last one in use: what it named
stays refused. Implements DE-18 of docs/spec/depot.md.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cryptography import x509

from vedette import files
from vedette.errors import Integrity, NotFound, VedetteError

MAX_LIST_BYTES = 64 << 20  # 40 bytes a certificate and authority
_BEGIN = b"-----BEGIN X509 CRL-----"

_log = logging.getLogger("vedette.depot")


class Revoked:
    """The serial numbers on the list at `path`, one after the other for each authority; for one thread.

    Raises NotFound where there is no list, Integrity where it is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._serials = _read(path)

    def names(self, serial: int) -> bool:
        """Whether the list has this serial number now."""
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._serials, self._stamp = _read(self._path), stamp
        except (OSError, VedetteError) as error:
            _log.warning("the revocation list cannot be read, the last one stands: %s", error)
        return serial in self._serials


def _stamp(path: Path) -> tuple[int, int, int]:
    """What is another for each file that was put there: the list is replaced, never written over."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise NotFound(f"{path} is not there; start the centre, which writes it") from None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> frozenset[int]:
    lists = [_BEGIN + one for one in files.read(path, max_bytes=MAX_LIST_BYTES).split(_BEGIN)[1:]]
    if not lists:
        raise Integrity(f"{path} holds no revocation list; start the centre anew, which writes it")
    try:
        return frozenset(one.serial_number for text in lists for one in x509.load_pem_x509_crl(text))
    except ValueError:
        raise Integrity(f"{path} is damaged; start the centre anew, which writes it") from None
