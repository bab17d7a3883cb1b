"""What `verify.py` knows of keys, canonical JSON and records: Ed25519 (RFC 8032) in plain Python, forms of the records.

A part of verify.py (see `vedette.verifier`): standard library only.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

# ---- from here on in verify.py ----
KINDS = {"segment": "mp4", "hit": "hit", "custody": "custody.jsonl"}
PARTS = ("README.txt", "keys.json", "{0}.manifest", "{0}.receipt", "{0}.proof", "journal.jsonl")
REDACTED = ("{0}.redacted.mp4", "{0}.redaction", "{0}.plan.toml")
EXTRA = (
    "{0}.heads",
    "{0}.parts",
    "{0}.marks",
    "{0}.{1}.age",
    "{0}.{2}",
    "{0}.onvif.mp4",
    *REDACTED,
    "report.html",
    "report.pdf",
    "verify.py",
    "verify.html",
)
SINCE_2 = ("hardware", "firmware", "policy_sha256")
MAX_INTEGER, MAX_RECORD, MAX_LISTING, MAX_JOURNAL = (1 << 53) - 1, 256 << 10, 64 << 10, 64 << 20
UUID7 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DEVICE = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,57}[a-z0-9]")
HASH, NAME = re.compile("[0-9a-f]{64}"), re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
KEY_ID = re.compile("[0-9a-f]{32}")
EVENT, SERVICE = re.compile(r"[a-z]+(?:[._][a-z]+)*"), re.compile("[a-z][a-z0-9-]{1,31}")


class Bad(Exception):
    """Bytes are not what they were."""

    code = 10


class Untrusted(Bad):
    """A signature or key is not one that counts here."""

    code = 11


# Ed25519 (RFC 8032): points are extended coordinates, a table holds 0 to 15 times 16^row of one point.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


def add(a: Point, b: Point) -> Point:
    m, n = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def point(raw: bytes) -> Point:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or y >= P or (x == 0 and sign):
        raise Untrusted("a public key is no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


@functools.lru_cache(maxsize=8)
def table(raw: bytes, negative: bool) -> list[list[Point]]:
    x, y, z, t = point(raw)
    base, rows = ((P - x if negative else x), y, z, (P - t if negative else t)), []
    for _row in range(64):
        row: list[Point] = [(0, 1, 1, 0)]
        for _times in range(16):
            row.append(add(row[-1], base))
        base = row.pop()
        rows.append(row)
    return rows


BASE = (4 * pow(5, P - 2, P) % P).to_bytes(32, "little")


def verified(key: bytes, signature: bytes, message: bytes) -> None:
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    total = (0, 1, 1, 0)
    if len(signature) == 64 and s < L:
        for row, other in enumerate(table(key, True)):
            total = add(total, table(BASE, False)[row][s >> 4 * row & 15])
            total = add(total, other[h >> 4 * row & 15])
        z = pow(total[2], P - 2, P)
        x, y = total[0] * z % P, total[1] * z % P
        if (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]:
            return
    raise Untrusted(f"the signature is not one of key {key_id(key)}")


def key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:32]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Canonical JSON (docs/spec/record.md) and the fields of an object.
def refuse(text: object) -> Any:
    raise ValueError(f"{str(text)[:40]} is not allowed")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs) if len(dict(pairs)) == len(pairs) else refuse("a key that is there twice")


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def plain(value: Any, depth: int = 0) -> bool:
    if depth > 16 or (isinstance(value, int) and abs(value) > MAX_INTEGER):
        return False
    if isinstance(value, dict):
        return all(key.isascii() and plain(inner, depth + 1) for key, inner in value.items())
    return all(plain(inner, depth + 1) for inner in value) if isinstance(value, list) else True


def loads(content: bytes, most: int = MAX_RECORD) -> Any:
    if len(content) > most:
        raise Bad(f"a record of {len(content)} bytes is over the limit of {most}")
    try:
        text = content.decode()
        value = json.loads(text, parse_float=refuse, parse_constant=refuse, object_pairs_hook=unique)
        good = plain(value) and dumps(value) == content
    except (ValueError, RecursionError) as error:
        raise Bad(f"a record is not JSON: {str(error)[:120]}") from None
    if not good:
        raise Bad("a record is JSON but not in canonical form (key order, white space or escapes)")
    return value


Check = Callable[[Any], bool]


def text(most: int = 512) -> Check:
    return lambda value: isinstance(value, str) and len(value) <= most


def number(least: int = 0, most: int = MAX_INTEGER) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def like(pattern: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def among(*choices: object) -> Check:
    return lambda value: type(value) in map(type, choices) and value in choices


def maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


def shaped(value: Any, what: str, **checks: Check) -> Any:
    if not isinstance(value, dict):
        raise Bad(f"{what}: expected an object")
    for name, check in checks.items():
        if name not in value or not check(value[name]):
            raise Bad(f"{what}: the field {name!r} is missing or not what it must be")
    for name in sorted(set(value) - set(checks)):
        raise Bad(f"{what}: unknown field {name!r}")
    return value


def raw64(value: str, what: str, size: int | None = None) -> bytes:
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        raw = b""
    if base64.b64encode(raw).decode() != value or size not in (None, len(raw)):
        raise Bad(f"{what}: not base64 in its one form, or of another length")
    return raw


def public_key(value: str) -> bytes:
    if not value.startswith("ed25519:"):
        raise Bad(f"{value[:60]!r} is not a public key of the form ed25519:<base64 of 32 bytes>")
    return raw64(value[8:], "public key", 32)


def record(content: bytes, kind: str, key: bytes | None, most: int = MAX_RECORD) -> Any:
    """The body of a signed record; without a key nobody's signature counts."""
    whole = loads(content, most)
    shaped(whole, f"a {kind} record", body=is_object, key=text(), kind=among(kind), sig=text())
    if key is None or whole["key"] != key_id(key):
        raise Untrusted(f"the {kind} record is signed by key {whole['key'][:32]!r}, which is not trusted here")
    message = b"vedette-record\n" + kind.encode() + b"\n" + dumps(whole["body"])
    verified(key, raw64(whole["sig"], "a record's signature"), message)
    return whole["body"]


def manifest_body(body: Any, version: int) -> Any:
    """A manifest's fields; version 1 says less of what made the item (docs/spec/record.md RE-17)."""
    checks: dict[str, Check] = {
        **dict.fromkeys(("item", "recording"), like(UUID7)),
        **dict.fromkeys(("sealed_sha256", "plain_sha256", "policy_sha256"), like(HASH)),
        **dict.fromkeys(("sealed_size", "plain_size", "created_us", "started_us", "ended_us", "sequence"), number()),
        **dict.fromkeys(("activation", "software", "hardware", "firmware"), text()),
        **dict.fromkeys(("time", "media", "journal", "models"), is_object),
        "kind": among(*KINDS),
        "device": like(DEVICE),
        "complete": among(True, False),
        "priority": number(0, 4),
    }
    for name in (*SINCE_2, "plain_sha256", "recording", "activation", "media", "journal"):
        checks[name] = maybe(checks[name])
    numbers = dict.fromkeys(("width", "height", "duration_us", "frames"), number())
    media: dict[str, Check] = {"codec": text(), "sound": maybe(text()), **numbers}
    if version == 1:
        checks = {name: check for name, check in checks.items() if name not in SINCE_2}
        del media["sound"]
    shaped(body, "manifest", **checks)
    shaped(body["time"], "manifest.time", source=text(), error_us=maybe(number()))
    if body["media"] is not None:
        shaped(body["media"], "manifest.media", **media)
    if body["journal"] is not None:
        shaped(body["journal"], "manifest.journal", service=text(), seq=number(), head=like(HASH))
    if len(body["models"]) > 32 or not all(isinstance(one, str) for one in body["models"].values()):
        raise Bad("manifest: the field 'models' is not an object of 32 texts at most")
    return body


def manifest_of(content: bytes, key: bytes | None, unsigned: bool = False) -> Any:
    """The body of a manifest record of either version; `unsigned` asks for its form alone."""
    whole = loads(content)
    kind = whole.get("kind") if isinstance(whole, dict) else None
    version = 1 if kind == "vedette/manifest/1" else 2
    if not unsigned:
        return manifest_body(record(content, f"vedette/manifest/{version}", key), version)
    if kind != f"vedette/manifest/{version}":
        raise Bad("the file is not a manifest record")
    return manifest_body(whole.get("body"), version)


def listing_of(content: bytes) -> Any:
    body = loads(content, MAX_LISTING)
    body = shaped(
        body.get("body") if isinstance(body, dict) else None, "bundle.json", item=like(UUID7), kind=among(*KINDS),
        device=like(DEVICE), made_us=number(), note=text(2000), files=lambda value: isinstance(value, list),
    )  # fmt: skip
    for one in body["files"]:
        size, crc32 = number(0, 1 << 40), number(0, (1 << 32) - 1)
        shaped(one, "bundle.json: a file", name=like(NAME), size=size, sha256=like(HASH), crc32=crc32)
    names = [one["name"] for one in body["files"]]
    if len(names) > 32 or len(set(names)) != len(names) or "bundle.json" in names:
        raise Bad("bundle.json: it lists a file twice, or itself, or more than 32")
    return body
