"""Canonical JSON: the one byte form of every record that is signed or hashed (a subset of RFC 8785, JCS).

Decided here: objects with ASCII keys in code-point order, no white space, UTF-8, no floats, integers below 2^53 in
magnitude, bounded depth and size. A reader accepts only the canonical bytes, so that two readers can never
disagree about what was signed.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from vedette.errors import Integrity

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
MAX_INTEGER = (1 << 53) - 1

Value = Any


def dumps(value: Value) -> bytes:
    """The canonical bytes of `value` (dict, list, str, int, bool, None), or `Integrity` when it has none."""
    _check(value, 0)
    text = _ENCODER.encode(value)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Integrity(f"a record's text has a lone surrogate at character {error.start}") from None


def loads(data: bytes, *, max_bytes: int = MAX_BYTES) -> Value:
    """The value of canonical bytes; `Integrity` for anything `dumps` would not have written, `max_bytes` at most."""
    if len(data) > max_bytes:
        raise Integrity(f"a record of {len(data)} bytes is over the limit of {max_bytes}")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValueError) as error:
        raise Integrity(f"a record is not JSON: {str(error)[:120]}") from None
    if dumps(value) != data:
        raise Integrity("a record is JSON but not in canonical form (key order, white space or escapes)")
    return value


def _check(value: Value, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Integrity(f"a record is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise Integrity(f"a record's key {str(key)[:40]!r} is not ASCII text")
            _check(inner, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check(inner, depth + 1)
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise Integrity("a record's integer is not below 2^53")
    elif value is not None and not isinstance(value, str):
        raise Integrity(f"a record may not hold a {type(value).__name__}")


def _no_float(text: str) -> NoReturn:
    raise Integrity(f"a record may not hold the number {text[:40]}")


def _unique(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Integrity("a record's object names one key twice")
    return found


# Made once: `json.dumps` and `json.loads` would make them anew for each record.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
_DECODER = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float, object_pairs_hook=_unique)
