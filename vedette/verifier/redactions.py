"""What `verify.py` checks of a redacted copy whose parent lies in the same bundle: docs/spec/redaction.md.

A part of verify.py (see `vedette.verifier`): standard library only.
"""

from __future__ import annotations

from typing import Any

from vedette.verifier.records import (
    DEVICE,
    HASH,
    UUID7,
    Bad,
    Untrusted,
    among,
    is_object,
    like,
    loads,
    maybe,
    number,
    public_key,
    record,
    shaped,
    text,
)

# ---- from here on in verify.py ----
NO_ORIGINAL = (
    "the original is not in this bundle: that what the record does not list as changed is the original's cannot be"
    " compared here; whoever has the original can"
)


def agree_on(found: tuple[int, str], wanted: tuple[int, str], message: str) -> None:
    if found != wanted:
        raise Bad(message)


# A redacted copy (docs/spec/redaction.md): its record, and what of it can be checked with the parent sealed.
REDACTION, REDACTION_2, MAX_REDACTION = "vedette/redaction/1", "vedette/redaction/2", 16 << 20
MAX_RUNS, MAX_NAMES, MAX_PARTS = 50_000, 20_000, 1000


def listed(most: int) -> Any:
    return lambda value: isinstance(value, list) and len(value) <= most


def redaction_of(content: bytes, redactor: bytes | None) -> Any:
    """The body of a redaction record signed by `redactor`, without one by the key that the record names."""
    whole = loads(content, MAX_REDACTION)
    body = whole.get("body") if isinstance(whole, dict) else None
    key = public_key(str(body.get("signer")) if isinstance(body, dict) else "")
    if redactor not in (None, key):
        raise Untrusted("the redaction is signed by another key than the one that was given")
    is_member = isinstance(whole, dict) and whole.get("kind") == REDACTION_2
    body = record(content, REDACTION_2 if is_member else REDACTION, key, MAX_REDACTION)
    together = {"set": is_object} if is_member else {}
    counts = dict.fromkeys(("derived_size", "made_us", "width", "height", "frames"), number())
    shaped(
        body, "redaction", item=like(UUID7), parent=is_object, plan_sha256=like(HASH), derived_sha256=like(HASH),
        **dict.fromkeys(("by", "why", "signer", "software", "encoder"), text()), models=is_object,
        changed=listed(MAX_RUNS), reasons=listed(MAX_NAMES), mutes=listed(MAX_NAMES),
        sound=among("none", "kept", "muted", "dropped"), stamp=among("none", "kept", "without_position", "dropped"),
        cell_px=among(8), fill=lambda value: value == [110, 128, 128], **counts, **together,
    )  # fmt: skip
    shaped(
        body["parent"], "redaction.parent", plain_sha256=like(HASH), plain_size=number(), item=maybe(like(UUID7)),
        device=maybe(like(DEVICE)), sealed_sha256=maybe(like(HASH)), manifest_sha256=maybe(like(HASH)),
    )  # fmt: skip
    span = dict.fromkeys(("from_us", "to_us"), number())
    for one in body["changed"]:
        shaped(one, "redaction.changed", first=number(), last=number(), regions=text(MAX_NAMES * 41), **span)
    for one in body["mutes"]:
        shaped(one, "redaction.mutes", reason=text(), packets=number(), **span)
    for one in body["reasons"]:
        shaped(one, "redaction.reasons", region=text(), reason=text())
    if is_member:
        set_of(body["set"])
    return body


def set_of(together: Any) -> None:
    """The copies of one recording that were made together."""
    shaped(together, "redaction.set", recording=like(UUID7), plan_sha256=like(HASH), members=listed(MAX_PARTS))
    members = together["members"]
    for one in members:
        ids = dict.fromkeys(("item", "parent"), like(UUID7))
        shaped(one, "redaction.set.members", sequence=number(), derived_sha256=like(HASH), **ids)
    if any(one["sequence"] != members[0]["sequence"] + at for at, one in enumerate(members)):
        raise Bad("redaction.set: the segments of its members do not follow each other")
    if any(len({one[name] for one in members}) < len(members) for name in ("item", "parent")):
        raise Bad("redaction.set: it names a copy or an item twice")


def check_parent(body: Any, manifest: Any, manifest_sha256: str) -> None:
    named, ours = body["parent"], {**manifest, "manifest_sha256": manifest_sha256}
    words = {"item": "item", "device": "device", "sealed_sha256": "sealed bytes", "manifest_sha256": "manifest"}
    if manifest["plain_sha256"] is not None:
        words["plain_sha256"] = "opened bytes"
    for name, what in words.items():
        if named[name] is not None and named[name] != ours[name]:
            raise Bad(f"it is not the parent of this copy: its {what} is another")
    if named["manifest_sha256"] is None and manifest["plain_sha256"] is None:
        raise Bad("nothing in the record ties the copy to this item")


def changes_of(body: Any) -> str:
    """What was changed, in a sentence; the list must be one that can be read."""
    last, count, reasons = -1, 0, {one["region"] for one in body["reasons"]}
    for at, run in enumerate(body["changed"], start=1):
        if not last < run["first"] <= run["last"] < body["frames"] or run["from_us"] > run["to_us"]:
            raise Bad(f"run {at} of changed pictures, {run['first']} to {run['last']}, is out of order or place")
        if not set(run["regions"].split(" ")) <= reasons:
            raise Bad(f"run {at} of changed pictures names a region for which there is no reason")
        last, count = run["last"], count + run["last"] - run["first"] + 1
    return (
        f"{count} of {body['frames']} pictures covered in places, in {len(body['changed'])} runs;"
        f" sound {body['sound']}, {len(body['mutes'])} mutes; stamp {body['stamp'].replace('_', ' ')}"
    )


def place_of(body: Any, manifest: Any) -> str:
    """Which part of the recording the copy is, in a sentence."""
    together, item = body["set"], body["item"]
    members, recording = together["members"], together["recording"]
    place = next((at for at, one in enumerate(members, start=1) if one["item"] == item), None)
    if place is None:
        raise Bad(f"copy {item} is no member of the set of {len(members)} that its record names")
    one = members[place - 1]
    if (one["parent"], one["derived_sha256"]) != (body["parent"]["item"], body["derived_sha256"]):
        raise Bad(f"the set has another copy or another item as its part {place}")
    if (recording, one["sequence"]) != (manifest["recording"], manifest["sequence"]):
        raise Bad(f"item {manifest['item']} is not segment {one['sequence']} of recording {recording}")
    return f"part {place} of {len(members)} of recording {recording}"


def whole_set(together: Any, here: list[Any]) -> str:
    """That all copies of a set are `here`, signed by one key."""
    members, items = together["members"], {one["item"] for one in here}
    missing = [(at, one) for at, one in enumerate(members, start=1) if one["item"] not in items]
    if missing:
        at, one = missing[0]
        more = f", and {len(missing) - 1} more are missing" if len(missing) > 1 else ""
        raise Bad(
            f"part {at} of {len(members)} of recording {together['recording']} is not here: the copy of item"
            f" {one['parent']} (segment {one['sequence']}){more}"
        )
    if len({one["signer"] for one in here}) > 1:
        raise Untrusted(f"the copies of recording {together['recording']} are signed by different keys")
    return f"all {len(members)} parts of recording {together['recording']} are here"
