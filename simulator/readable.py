"""Whether bytes say anything that only who has the keys may read: what is looked for, and in how many disguises.

Pure. Decided here: the spellings of a word and of a place, which pieces of a picture or video are looked for, and which
wrappings are opened (base64, hexadecimal, gzip and zlib, two deep). What a finding means is its caller's to say.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import struct
import urllib.parse
import zlib
from collections.abc import Iterable, Iterator

MAX_UNPACKED_BYTES = 1 << 22
EVERY, WINDOW = 16 * 1024, 16
BEGINS = 1024
ID_OR_TIME = rb"""[a-z_]{0,6}"?[0-9a-f,":-]{8,}"?[a-z_]{0,6}"""


def spelled(text: str) -> set[bytes]:
    """A word as it is, without separators, in capitals or not, escaped as JSON and URLs do, and in UTF-16."""
    bare = re.sub(r"\W", "", text)
    words = {one for word in (text, bare) for one in (word, word.lower(), word.upper())}
    words |= {json.dumps(one)[1:-1] for one in words} | {urllib.parse.quote(one) for one in words}
    return {one.encode() for one in words} | {one.encode("utf-16-le") for one in (text, bare)}


def placed(lat_e7: int, lon_e7: int) -> set[bytes]:
    """A place (1e-7 degree) in integers, in degrees, in degrees and minutes, in NMEA's form, and in binary forms."""
    found = {str(one).encode() for one in (abs(lat_e7), abs(lon_e7))}
    for value in (abs(lat_e7), abs(lon_e7)):
        degrees, rest = divmod(value, 10**7)
        minutes_e5 = rest * 60 // 100
        found |= {f"{degrees}.{rest:07d}"[: -cut or None].encode() for cut in (0, 1, 2)}
        found.add(f"{degrees}.{(rest + 50) // 100:05d}".encode())  # as it is written over the pictures
        found.add(f"{degrees:02d}{minutes_e5 // 10**5:02d}.{minutes_e5 % 10**5:05d}"[:-1].encode())
        found |= {f"{degrees}\N{DEGREE SIGN}{space}{minutes_e5 // 10**5:02d}".encode() for space in ("", " ")}
    for order in "<>":
        found |= {struct.pack(f"{order}2i", lat_e7, lon_e7), struct.pack(f"{order}2i", lon_e7, lat_e7)}
        found |= {struct.pack(f"{order}d", one / 1e7) for one in (lat_e7, lon_e7)}
    return found


def windows(plain: bytes) -> set[bytes]:
    """Pieces of a picture or video, every 16 KiB, that are no padding, and no id or time, which the broker may know,
    nor one with an end or a beginning of its field's name.
    """
    pieces = {plain[at : at + WINDOW] for at in range(BEGINS, len(plain) - WINDOW, EVERY)}
    return {one for one in pieces if len(set(one)) > WINDOW // 2 and not re.fullmatch(ID_OR_TIME, one)}


def holding(payloads: Iterable[tuple[str, bytes]], wanted: set[bytes]) -> set[tuple[str, bytes]]:
    """Which of these named payloads say which of the `wanted`, wrapped or not.

    A number is said where it stands as a whole: eight digits of a longer one, of a time in microseconds, are chance.
    """
    return {
        (name, mark)
        for name, payload in payloads
        for layer in layers(payload)
        for mark in wanted
        if mark in layer and (not mark.isdigit() or re.search(rb"(?<!\d)%b(?!\d)" % mark, layer))
    }


def shown(plain: bytes, wanted: set[bytes]) -> set[bytes]:
    """Which of the `wanted` these bytes say."""
    return {mark for _name, mark in holding([("", plain)], wanted)}


def layers(payload: bytes, depth: int = 2) -> Iterator[bytes]:
    """The payload, what any base64 or hexadecimal text or compressed stream in it says, and what any in that says."""
    yield payload
    for inner in _inside(payload) if depth else ():
        yield from layers(inner, depth - 1)


def _inside(payload: bytes) -> Iterator[bytes]:
    for text in re.findall(rb"[A-Za-z0-9+/_-]{16,}", payload):
        plain = text.translate(bytes.maketrans(b"-_", b"+/"))
        for at in range(4):  # what stands before a base64 text may look like more of it
            rest = plain[at : len(plain) - ((len(plain) - at) % 4 == 1)]
            yield base64.b64decode(rest + b"=" * (-len(rest) % 4))
    for text in re.findall(rb"(?:[0-9A-Fa-f]{2}){8,}", payload):
        yield bytes.fromhex(text.decode())
    for found in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", payload):
        with contextlib.suppress(zlib.error):
            unpacked = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(
                payload[found.start() :], MAX_UNPACKED_BYTES
            )
            if unpacked:
                yield unpacked
