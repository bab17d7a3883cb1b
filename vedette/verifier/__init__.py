"""The two verifiers that travel in a bundle: `verify.py` for Python's standard library, `verify.html` for a browser.

Decided here: each is one file that stands alone, the same bytes in every bundle of a version. `verify.py` is the
modules of this package one behind the other, without their imports of each other; they import nothing else of Vedette.
Both make the checks of `vedette.bundle_verify` (docs/spec/bundle.md) but for opening a sealed file.
"""

from __future__ import annotations

from pathlib import Path

SCRIPT, PAGE = "verify.py", "verify.html"
_PARTS = (
    "records.py",
    "container.py",
    "chains.py",
    "witnesses.py",
    "redactions.py",
    "heads.py",
    "parts.py",
    "fragments.py",
    "evidence.py",
    "command.py",
)
_FROM_HERE = "# ---- from here on in verify.py ----\n"
_HEAD = '''\
#!/usr/bin/env python3
"""Checks a Vedette evidence bundle with Python's standard library alone: no network, no other package, nothing written.

    python3 verify.py [BUNDLE] [--trust TRUST.json | --key ed25519:...] [--policy FILE] [--json]

BUNDLE is a folder or a .zip, or a folder of such; without it the folder in which this file lies. Exit code 0:
everything holds; 10: bytes are not what they were, or a part of a recording is missing or doubled; 11: only a signature
or key is not trusted. Needs Python 3.10 or newer.

A verifier that lies in a bundle proves nothing against whoever made the bundle: take this file from the project, or
compare its SHA-256 with that of a copy you trust. The sealed .age file is not opened; its bytes are checked against
what the device signed. With --policy (C2SP tlog-policy) witnesses must have cosigned the log's checkpoint. The rules
are docs/spec/bundle.md of Vedette. Licence: Apache-2.0.
"""

from __future__ import annotations

import argparse
import base64
import collections
import datetime
import functools
import hashlib
import hmac
import itertools
import json
import os
import re
import stat
import struct
import sys
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

'''


def script() -> bytes:
    """The bytes of verify.py."""
    folder = Path(__file__).parent
    bodies = [(folder / part).read_text(encoding="utf-8").split(_FROM_HERE, 1)[1] for part in _PARTS]
    return (_HEAD + "\n\n".join(body.strip("\n") + "\n" for body in bodies)).encode()


def page() -> bytes:
    """The bytes of verify.html."""
    return (Path(__file__).parent / PAGE).read_bytes()
