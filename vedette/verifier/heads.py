"""What `verify.py` makes of the heads in a bundle: how far the device had signed for its journal.

A part of verify.py (see `vedette.verifier`): standard library only.
"""

from __future__ import annotations

from typing import Any

from vedette.verifier.chains import when
from vedette.verifier.records import (
    DEVICE,
    HASH,
    SERVICE,
    UUID7,
    Bad,
    Untrusted,
    is_object,
    like,
    maybe,
    number,
    raw64,
    record,
    sha,
    shaped,
    text,
)

# ---- from here on in verify.py ----
MAX_HEADS, MOST_HEADS, MAX_HEADS_64 = 8 << 10, 16, 10924


def short_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_HEADS


def held_of(content: bytes, centre: bytes | None) -> Any:
    """The centre's word: the device's records of heads, and the last line that the centre has."""
    body = shaped(
        record(content, "vedette/held-heads/1", centre), "held heads", item=like(UUID7), device=like(DEVICE),
        service=text(32), held=maybe(is_object), problem=maybe(text(512)), records=short_list,
    )  # fmt: skip
    if body["held"] is not None:
        shaped(body["held"], "held heads.held", seq=number(1), head=like(HASH))
    for one in body["records"]:
        shaped(one, "held heads.records", record=text(MAX_HEADS_64))
    if not body["records"]:
        raise Bad("held heads: there is no record of the device's in it")
    return body


def heads_of(content: bytes, device: str, key: bytes) -> Any:
    """The body of one of the device's own records."""
    body = record(content, "vedette/heads/1", key, MAX_HEADS)
    shaped(body, "heads", device=like(DEVICE), told_us=number(), time=is_object, heads=short_list)
    shaped(body["time"], "heads.time", source=text(32), error_us=maybe(number()))
    for one in body["heads"]:
        shaped(one, "heads.heads", service=like(SERVICE), boot=like(UUID7), seq=number(1), head=like(HASH))
    services = [one["service"] for one in body["heads"]]
    if services != sorted(set(services)):
        raise Bad("heads: not one for each service, by service")
    if body["device"] != device:
        raise Bad(f"heads of {device} name {body['device'][:80]!r}")
    return body


def signed_of(held: Any, key: bytes) -> list[Any]:
    """(when it was told, the head) of that journal in each of the device's records."""
    found = []
    for count, one in enumerate(held["records"], start=1):
        try:
            body = heads_of(raw64(one["record"], "a record of heads"), held["device"], key)
            mine = [head for head in body["heads"] if head["service"] == held["service"]]
            if not mine:
                raise Bad(f"it says nothing of {held['service']}")
        except Bad as error:
            raise type(error)(f"record {count} of the device: {error}") from None
        found.append((body["told_us"], mine[0]))
    return found


def check_heads(content: bytes, manifest: Any, lines: list[tuple[Any, bytes]], keys: tuple[Any, Any]) -> Any:
    """Whether lines are missed, with the sentence; the furthest line signed for; the centre's problem; and the numbers
    of the lines that had not come, with that furthest line and its hash.
    """
    centre, device = keys
    held, journal = held_of(content, centre), manifest["journal"]
    if device is None:
        raise Untrusted("no key of the device is known here that somebody vouches for")
    ours = (manifest["item"], manifest["device"], journal and journal["service"])
    if (held["item"], held["device"], held["service"]) != ours:
        raise Bad(f"it is of item {held['item']} of {held['device']} and its journal of {held['service']}")
    signed, last = signed_of(held, device), lines[-1][0]["seq"] if lines else None
    if last is None and manifest["kind"] == "custody" and journal:
        last = journal["seq"]
    known = {entry["seq"]: (sha(line), "in the journal here") for entry, line in lines}
    if journal:
        known.setdefault(journal["seq"], (journal["head"], "that the manifest names"))
    held_to = held["held"]["seq"] if held["held"] else 0
    if held["held"]:
        agree(known, held_to, held["held"]["head"], "that the centre has")
        here = lines[-1][0]["seq"] if lines else 0
        if held_to < here:
            raise Bad(f"the centre says that it has {held_to} lines of {held['service']}; line {here} is here")
    boots = {entry["seq"]: entry["boot"] for entry, _line in lines}
    for told_us, head in signed:
        agree(known, head["seq"], head["head"], f"for which the device signed at {when(told_us)}")
        if boots.get(head["seq"], head["boot"]) != head["boot"]:
            raise Bad(f"line {head['seq']} was signed for at {when(told_us)} as one of another start")
    told_us, head = max(signed, key=lambda one: (one[1]["seq"], one[0]))
    said = f"the device signed at {when(told_us)} for line {head['seq']} of {held['service']}"
    owed = None if last is None else (range(max(last, held_to) + 1, head["seq"] + 1), head["seq"], head["head"])
    return shortfall(said, head["seq"], last, held_to), head["seq"], held["problem"], owed


def agree(known: dict[int, tuple[str, str]], seq: int, digest: str, whose: str) -> None:
    other, theirs = known.setdefault(seq, (digest, whose))
    if other != digest:
        raise Bad(f"line {seq} {theirs} is not the one {whose}: lines were cut off or replaced")


def shortfall(said: str, signed_to: int, last: int | None, held_to: int) -> tuple[bool, str]:
    """Whether lines are missed, and the sentence."""
    here = last or 0
    if here >= signed_to:
        return False, f"{said}, and the journal here reaches it"
    short = f"the journal here ends at line {here}: {lines_of(here, signed_to)} are not in this bundle"
    if last is None:
        short = "no line of it that holds is here"
    if held_to >= signed_to:
        return last is None, f"{said}; {short}; the centre says that it has them"
    owed = lines_of(max(here, held_to), signed_to)
    return True, f"{said}; {short}; {owed} HAD NOT COME to the centre when this was made, as it says itself"


def journal_here(manifest: Any, lines: list[tuple[Any, bytes]]) -> Any:
    """The lines of a journal that stand in a bundle, by number; None where its item names no journal."""
    journal = manifest["journal"]
    here = {entry["seq"]: sha(line) for entry, line in lines}
    return journal and {"journal": (manifest["device"], journal["service"]), "here": here, "owed": None}


def is_elsewhere(mine: Any, all_lines: list[Any]) -> bool:
    """Whether all lines that a bundle misses stand in others, up to the very line that was signed for."""
    if mine is None or mine["owed"] is None:
        return False
    numbers, signed_to, head = mine["owed"]
    there: dict[int, str] = {}
    for one in all_lines:
        if one["journal"] == mine["journal"]:
            there |= one["here"]
    return there.get(signed_to) == head and all(number in there for number in numbers)


def elsewhere_said(finding: Any) -> Any:
    """The finding, where it misses lines that stand in other bundles: that it does not."""
    what, where, _code, said = finding
    return (what, where, 0, f"{said}; they stand in other bundles here") if what == "signed lines" else finding


def lines_of(before: int, last: int) -> str:
    return f"{last - before} lines that it signed for ({before + 1} to {last})"
