"""What `verify.py` knows of the centre's log (signed note, checkpoint, inclusion) and of a custody chain.

A part of verify.py (see `vedette.verifier`): standard library only.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from typing import Any

from vedette.verifier.records import (
    DEVICE,
    EVENT,
    HASH,
    KEY_ID,
    KINDS,
    MAX_INTEGER,
    SERVICE,
    UUID7,
    Bad,
    Untrusted,
    dumps,
    is_object,
    key_id,
    like,
    loads,
    maybe,
    number,
    raw64,
    sha,
    shaped,
    text,
    verified,
)

# ---- from here on in verify.py ----


def when(utc_us: int) -> str:
    moment = datetime.datetime.fromtimestamp(utc_us // 10**6, datetime.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{utc_us % 10**6:06d}Z"


# The centre's log: signed note, checkpoint and inclusion proof (docs/spec/log.md).
def decimal(value: str, what: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 16) or str(int(value)) != value:
        raise Bad(f"{what}: {value[:20]!r} is not a plain decimal number")
    return int(value) if int(value) <= MAX_INTEGER else number_too_large(what)


def number_too_large(what: str) -> int:
    raise Bad(f"{what}: it is not below 2^53")


def checkpoint(note: str, origin: str, key: bytes) -> tuple[int, bytes]:
    """Tree size and root of a checkpoint of log `origin` that `key` signed."""
    body, separator, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    control = any(one < " " and one != "\n" for one in note)
    if control or len(note) > 64 << 10 or not separator or lines.pop() or not 1 <= len(lines) <= 16:
        raise Bad("note: not a text, an empty line and 1 to 16 signature lines")
    if len(set(lines)) != len(lines):
        raise Bad("note: a signature line is there twice")
    mine, signed = hashlib.sha256(f"{origin}\n\x01".encode() + key).digest()[:4], False
    for line in lines:
        dash, name, blob = [*line.split(" "), "", ""][:3]
        raw = raw64(blob, "note signature")
        if line.count(" ") != 2 or dash != "\u2014" or not name or "+" in name or len(raw) < 5:
            raise Bad(f"note: {line[:60]!r} is not a signature line")
        if (name, raw[:4]) == (origin, mine):
            verified(key, raw[4:], body.encode() + b"\n")
            signed = True
    if not signed:
        raise Untrusted(f"the note carries no signature of a key that is trusted here: {origin}")
    fields = body.split("\n")
    if len(fields) < 3 or "" in fields:
        raise Bad("checkpoint: not three or more lines that each hold something")
    if fields[0] != origin:
        raise Untrusted(f"the checkpoint is of log {fields[0][:80]!r}, expected {origin!r}")
    return decimal(fields[1], "checkpoint size"), raw64(fields[2], "checkpoint root", 32)


def inclusion(leaf: bytes, index: int, size: int, hashes: list[bytes], root: bytes) -> None:
    """RFC 9162 section 2.1.3.2."""
    node, at, last = hashlib.sha256(b"\0" + leaf).digest(), index, size - 1
    good = index < size
    for one in hashes:
        good = good and last > 0
        if at & 1 or at == last:
            node = hashlib.sha256(b"\1" + one + node).digest()
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + one).digest()
        at, last = at >> 1, last >> 1
    if not good or last or node != root:
        raise Bad(f"inclusion proof of leaf {index} in {size}: hashes too many, too few, or to another root")


def proof_of(content: str, origin: str, key: bytes) -> tuple[Any, int, int]:
    """The proven leaf, its index and the tree's size."""
    head, _, note = content.partition("\n\n")
    lines = head.split("\n")
    if len(lines) < 3 or len(lines) > 67 or lines[0] != "c2sp.org/tlog-proof@v1":
        raise Bad("proof: not a c2sp.org/tlog-proof@v1 with an index and a checkpoint")
    if not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise Bad("proof: the second line is not the leaf ('extra ...') or the third not 'index ...'")
    raw, index = raw64(lines[1][6:], "proof leaf"), decimal(lines[2][6:], "proof index")
    hashes = [raw64(line, "proof hash", 32) for line in lines[3:]]
    size, root = checkpoint(note, origin, key)
    inclusion(raw, index, size, hashes, root)
    leaf = shaped(
        loads(raw, 4096), "log leaf", item=like(UUID7), kind=lambda value: value in KINDS, device=like(DEVICE),
        sealed_sha256=like(HASH), sealed_size=number(), manifest_sha256=like(HASH), received_us=number(),
    )  # fmt: skip
    return leaf, index, size


# The custody journal (docs/spec/custody-journal.md).
def is_detail(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) > 32:
        return False
    return all(one is None or (isinstance(one, (int, str)) and len(str(one)) <= 4096) for one in value.values())


def entry_of(line: bytes) -> Any:
    entry = shaped(
        loads(line, 16 << 10), "custody line", seq=number(1), prev=like(HASH), utc_us=number(), mono_us=number(),
        time=is_object, boot=like(UUID7), device=like(DEVICE), service=like(SERVICE), event=like(EVENT),
        item=maybe(like(UUID7)), detail=is_detail, key=like(KEY_ID), sig=text(88),
    )  # fmt: skip
    shaped(entry["time"], "custody line.time", source=text(32), error_us=maybe(number()))
    return entry


def chain_of(lines: list[bytes], key: bytes) -> list[Any]:
    entries: list[Any] = []
    for count, line in enumerate(lines, start=1):
        where = f"line {count}" + (f" (seq {entries[-1]['seq'] + 1})" if entries else "")
        try:
            entry = entry_of(line)
            before = entries[-1] if entries else {**entry, "seq": entry["seq"] - 1}
            prev = sha(lines[count - 2]) if entries else "0" * 64 if entry["seq"] == 1 else entry["prev"]
            if entry["seq"] != before["seq"] + 1:
                raise Bad(f"its seq is {entry['seq']}: lines are missing, repeated or out of order")
            if entry["prev"] != prev:
                raise Bad("it does not follow the line before it: that line was changed, or this is another chain's")
            if (entry["device"], entry["service"]) != (before["device"], before["service"]):
                raise Bad(f"it is of {entry['device']}/{entry['service']}, not of the chain's device and service")
            if entry["key"] != key_id(key):
                raise Untrusted(f"it is signed by key {entry['key']}, the chain is checked against {key_id(key)}")
            body = {name: value for name, value in entry.items() if name != "sig"}
            verified(key, raw64(entry["sig"], "custody line's signature"), b"vedette-custody\n" + dumps(body))
        except Bad as error:
            raise type(error)(f"custody chain, {where}: {error}") from None
        entries.append(entry)
    return entries


def check_extent(entries: list[Any], manifest: Any) -> None:
    """No line is cut off before or behind what the chain must say of this item."""
    events = {entry["event"] for entry in entries if entry["item"] == manifest["item"]}
    head, first, last = manifest["journal"], entries[0], entries[-1]
    if head and head["service"] != last["service"]:
        raise Bad(f"it is the chain of {last['service']}; the manifest was signed over that of {head['service']}")
    if head and not events and last["seq"] < head["seq"]:
        raise Bad(f"it ends at seq {last['seq']}, the manifest was signed after seq {head['seq']}: its tail is missing")
    if manifest["kind"] == "segment" and "segment.opened" not in events:
        raise Bad(f"it begins at seq {first['seq']}, after this item was opened: its beginning is missing")
    if manifest["kind"] == "segment" and not {"segment.closed", "segment.recovered"} & events:
        raise Bad(f"it ends at seq {last['seq']}, before this item was closed: its tail is missing")


Mark = tuple[int, str, int, bool]


def marks_of(entries: list[Any], item: str) -> list[Mark]:
    marks: list[Mark] = []
    for entry in entries:
        event, detail = entry["event"], entry["detail"]
        if entry["item"] != item or event not in ("segment.checkpoint", "segment.closed", "segment.recovered"):
            continue
        is_end = event != "segment.checkpoint"
        offset, digest = (
            detail.get(name) for name in (("sealed_size", "sealed_sha256") if is_end else ("offset", "sha256"))
        )
        if not number()(offset) or not like(HASH)(digest) or not number()(detail.get("media_us")):
            raise Bad(f"custody seq {entry['seq']}, {event}: its fields are missing or not what they must be")
        if event == "segment.recovered":
            marks = [one for one in marks if one[0] <= offset]
        if marks and offset < marks[-1][0]:
            raise Bad(f"custody seq {entry['seq']}: the checkpoint goes back to byte {offset}")
        marks.append((offset, digest, detail["media_us"], is_end))
    return marks


def marked(pieces: Iterator[bytes], marks: list[Any]) -> str:
    """What holds where the file's bytes are those of the marks, up to the last of them."""
    running, position, rest = hashlib.sha256(), 0, b""
    good: Any = (0, "", 0, False)
    for mark in marks:
        while position < mark[0]:
            rest = rest or next(pieces, b"")
            if not rest:
                break
            taken, rest = rest[: mark[0] - position], rest[mark[0] - position :]
            running.update(taken)
            position += len(taken)
        ends = f"the file ends at byte {position}" if position < mark[0] else ""
        if ends or running.hexdigest() != mark[1]:
            where = f"between byte {good[0]} and byte {mark[0]} ({good[2] / 1e6:.3f} s to {mark[2] / 1e6:.3f} s)"
            raise Bad(f"{ends or 'the bytes are not those that were recorded'} {where}; what is before is whole")
        good = mark
    if any(mark[3] for mark in marks) and (rest or next(pieces, b"")):
        raise Bad(f"bytes follow after the end that was recorded (byte {good[0]})")
    return f"{len(marks)} hold: {good[0]} bytes, {good[2] / 1e6:.3f} s"
