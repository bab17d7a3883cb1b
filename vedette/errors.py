"""Every expected trouble as a type with an exit code; a programmer's mistake is not in here and crashes the service.

A message says what, which item and what to do, in one sentence.
"""

from __future__ import annotations


class VedetteError(Exception):
    """Root of every expected error; `exit_code` is what the command line returns for it."""

    exit_code = 1


class Refused(VedetteError):
    """The request is understood and not carried out: bad input, a busy port, a full disk, a file in the way."""

    exit_code = 1


class Usage(VedetteError):
    """The call itself is wrong: an unknown option, key or combination."""

    exit_code = 2


class NotFound(VedetteError):
    """A named file, item, device or model is not there."""

    exit_code = 3


class Integrity(VedetteError):
    """Bytes are not what they were: cut, changed, reordered or malformed."""

    exit_code = 10


class NotTrusted(VedetteError):
    """A signature, key or certificate is not one that this machine trusts."""

    exit_code = 11


class Expired(VedetteError):
    """The thing was valid and no longer is."""

    exit_code = 12
