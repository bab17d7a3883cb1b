"""Bundles with the heads that their device had signed: what is short, and what is wrong. `python good_heads.py` makes
the zips in `heads/` anew; their `cases.json` says of each what a checker must find (`names`: a failed check, `says`:
one that holds or is absent).
"""

import base64
import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from good_bundle import BOOT, ITEM, NOW_US, ORIGIN, OTHER_ITEM, chain, keys, parts, sha

from vedette import bundle, custody_entry, records
from vedette.bundle import BundleParts
from vedette.bundle_heads import HELD_HEADS, HeldHeads
from vedette.custody_entry import parse_line
from vedette.custody_heads import HEADS, Head, Heads
from vedette.keys import SigningKey
from vedette.trust import Trust

HERE = Path(__file__).parent / "heads"
PROBLEM = "car-1: custody of recorder: lines were cut off on it"
AGAIN = "01a2076b-43f0-7000-8000-000000000009"
KEEPER = Head(service="keeper", boot=AGAIN, seq=3, head="cd" * 32)

Case = tuple[BundleParts, int, str, str]


def lines(count: int = 9) -> list[bytes]:
    """The recorder's chain of the good bundle, which is of lines 2 to 4, and what it wrote after."""
    _centre, device, _identity = keys()
    sealed = parts().sealed
    assert isinstance(sealed, bytes)
    found = chain(device, sealed)
    while len(found) < count:
        last = parse_line(found[-1])
        more = {"seq": last.seq + 1, "prev": last.sha256, "item": None, "event": "recorder.alive", "detail": {}}
        found.append(custody_entry.sign_entry(dataclasses.replace(last, **more), device).line)
    return found


def head(seq: int, **changes: Any) -> Head:
    return dataclasses.replace(Head.of(parse_line(lines()[seq - 1])), **changes)


def told(*heads: Head, by: SigningKey | None = None, device: str = "car-1", told_us: int = NOW_US + 7_000_000) -> bytes:
    """The device's own record."""
    made = Heads(device=device, told_us=told_us, time_source="ntp", time_error_us=500, heads=heads)
    return made.sign(by or keys()[1])


def held(*said: bytes, to: int | None = 9, **changes: Any) -> HeldHeads:
    """The centre's word; it has the lines up to `to`."""
    last = None if to is None else (to, sha(lines()[to - 1]))
    made = HeldHeads(item=ITEM, device="car-1", service="recorder", held=last, problem=None, records=said)
    return dataclasses.replace(made, **changes)


def with_heads(*said: bytes, to: int | None = 9, **changes: Any) -> BundleParts:
    return dataclasses.replace(parts(), heads=held(*said, to=to, **changes).sign(keys()[0]))


def journal_as_item() -> BundleParts:
    """The item is itself a closed file of the journal, of lines 1 to 4, whose turn has not come at the centre."""
    good, file = parts(), b"".join(line + b"\n" for line in lines(4))
    made = parts(plain=file, manifest={"kind": "custody", "recording": None, "activation": None})
    return dataclasses.replace(made, journal=[], signer=good.signer, heads=held(told(head(9)), to=2).sign(keys()[0]))


def raw(body: Mapping[str, Any], kind: str = HELD_HEADS) -> BundleParts:
    """The centre's record with this in its body."""
    whole = json.loads(held(told(head(4))).sign(keys()[0]))["body"]
    return dataclasses.replace(parts(), heads=records.sign_record(kind, {**whole, **body}, keys()[0]))


def own(body: Mapping[str, Any], kind: str = HEADS) -> BundleParts:
    """The device's record with this in its body."""
    whole = json.loads(told(head(4)))["body"]
    return with_heads(records.sign_record(kind, {**whole, **body}, keys()[1]))


def short_cases() -> dict[str, Case]:
    """Heads that hold, and what they show to be missing."""
    four, nine = told(head(4)), told(head(9))
    no_lines = dataclasses.replace(with_heads(nine, to=None), journal=[])
    return {
        "none": (parts(), 0, "", "how far the device had signed for its journal is not known"),
        "reached": (with_heads(four, to=4), 0, "", "for line 4 of recorder, and the journal here reaches it"),
        "before": (with_heads(told(head(1))), 0, "", "for line 1 of recorder, and the journal here reaches it"),
        "within": (with_heads(told(KEEPER, head(3))), 0, "", "signed by car-1: line 3"),
        "more": (with_heads(nine), 0, "", "ends at line 4: 5 lines that it signed for (5 to 9) are not in this bundle;"
            " the centre says that it has them"),
        "not-come": (with_heads(nine, to=6), 0, "", "3 lines that it signed for (7 to 9) HAD NOT COME to the centre"),
        "not-come-behind-the-bundle": (with_heads(told(head(5)), to=4), 0, "", "1 lines that it signed for (5 to 5)"),
        "no-lines": (no_lines, 0, "", "no line of it that holds is here; 9 lines that it signed for (1 to 9) HAD"),
        "no-lines-and-held": (
            dataclasses.replace(with_heads(nine), journal=[]), 0, "", "that holds is here; the centre says",
        ),
        "of-a-journal-as-item": (journal_as_item(), 0, "", "ends at line 4: 5 lines that it signed for (5 to 9)"),
        "with-a-problem": (with_heads(nine, to=6, problem=PROBLEM), 0, "", f"wrong with it: {PROBLEM}"),
        "several": (with_heads(four, nine, told(head(7))), 0, "", "signed by car-1: line 9"),
        "sixteen": (with_heads(*[four] * 16), 0, "", "signed by car-1: line 4"),
    }  # fmt: skip


def false_cases() -> dict[str, Case]:
    """Heads that say another thing than the journal, the manifest, each other or the centre."""
    other, file = SigningKey.generate(), f"{ITEM}.heads"
    four, wrong = told(head(4)), {"head": "ab" * 32}
    return {
        "of-another-chain": (with_heads(told(head(3, **wrong))), 10, "line 3 in the journal here is not", ""),
        "of-another-start": (with_heads(told(head(3, boot=AGAIN))), 10, "as one of another start", ""),
        "of-another-line-of-the-manifest": (
            dataclasses.replace(with_heads(told(head(4, **wrong))), journal=[]), 10, "that the manifest names", "",
        ),
        "of-two-chains": (with_heads(told(head(8)), told(head(8, **wrong))), 10, "line 8 for which the device", ""),
        "of-another-than-the-centres": (with_heads(told(head(9, **wrong))), 10, "line 9 that the centre has", ""),
        "of-less-than-is-here": (with_heads(four, to=3), 10, "it has 3 lines of recorder; line 4 is here", ""),
        "of-another-line-than-is-here": (
            with_heads(four, held=(4, "ab" * 32)), 10, "is not the one that the centre has", "",
        ),
        "of-another-item": (with_heads(four, item=OTHER_ITEM), 10, f"item {OTHER_ITEM}", ""),
        "of-another-device": (with_heads(told(head(4), device="car-2")), 10, "heads of car-1 name", ""),
        "of-another-device-by-the-centre": (
            with_heads(told(head(4), device="car-2"), device="car-2"), 10, f"of item {ITEM} of car-2", "",
        ),
        "of-another-service": (with_heads(told(KEEPER)), 10, "record 1 of the device: it says nothing of recorder", ""),
        "of-another-service-by-the-centre": (with_heads(told(KEEPER), service="keeper"), 10, "journal of keeper", ""),
        "by-another-device": (with_heads(four, told(head(4), by=other)), 11, "record 2 of the device", ""),
        "by-another-centre": (
            dataclasses.replace(parts(), heads=held(four).sign(other)), 11, file, "",
        ),
    }  # fmt: skip


def malformed_cases() -> dict[str, Case]:
    """Records that are none."""
    file, four = f"{ITEM}.heads", told(head(4))
    as_text = base64.b64encode(four).decode()
    two: list[dict[str, Any]] = [
        {"service": "recorder", "boot": BOOT, "seq": 4, "head": head(4).head},
        {"service": "keeper", "boot": BOOT, "seq": 1},
    ]
    whole = held(four).sign(keys()[0])
    return {
        "no-record": (with_heads(), 10, "no record of the device's", ""),
        "seventeen": (with_heads(*[four] * 17), 10, "records", ""),
        "cut": (dataclasses.replace(parts(), heads=whole[:-1]), 10, file, ""),
        "bytes-behind": (dataclasses.replace(parts(), heads=whole + b"\n"), 10, file, ""),
        "future-version": (raw({}, "vedette/held-heads/2"), 10, file, ""),
        "unknown-field": (raw({"officer": "x"}), 10, "officer", ""),
        "held-of-line-0": (raw({"held": {"seq": 0, "head": "ab" * 32}}), 10, "seq", ""),
        "held-with-more": (raw({"held": {"seq": 9, "head": "ab" * 32, "more": 1}}), 10, "more", ""),
        "problem-too-long": (raw({"problem": "x" * 513}), 10, "problem", ""),
        "not-base64": (raw({"records": [{"record": as_text[:-1] + "?"}]}), 10, file, ""),
        "record-with-more": (raw({"records": [{"record": as_text, "more": 1}]}), 10, "more", ""),
        "own-future-version": (own({}, "vedette/heads/2"), 10, "record 1 of the device", ""),
        "own-unknown-field": (own({"place": "x"}), 10, "place", ""),
        "own-of-line-0": (own({"heads": [{**two[0], "seq": 0}]}), 10, "seq", ""),
        "own-without-a-hash": (own({"heads": [two[1]]}), 10, "head", ""),
        "own-out-of-order": (own({"heads": [two[0], {**two[1], "head": "ab" * 32}]}), 10, "by service", ""),
        "own-twice": (own({"heads": [two[0], two[0]]}), 10, "by service", ""),
        "own-too-long": (own({"time": {"source": "n" * 33, "error_us": None}}), 10, "source", ""),
    }  # fmt: skip


def cases() -> dict[str, Case]:
    """name → (parts, exit code, what a failed check names, what one that holds or is absent says)."""
    return {**short_cases(), **false_cases(), **malformed_cases()}


def main(made: Sequence[tuple[str, Case]]) -> None:
    centre, _device, identity = keys()
    text = identity.recipient.text
    trust = Trust(
        centre=centre.public,
        list_signer=centre.public,
        log_origin=ORIGIN,
        evidence=(text,),
        oversight=(text,),
        triage=text,
    )
    shutil.rmtree(HERE, ignore_errors=True)
    (HERE / "zip").mkdir(parents=True)
    (HERE / "trust.json").write_bytes(trust.to_bytes())
    for name, (one, _code, _names, _says) in made:
        bundle.make(HERE / "zip" / f"{name}.zip", one)
    listed = [{"name": name, "exit_code": code, "names": named, "says": said} for name, (_, code, named, said) in made]
    (HERE / "cases.json").write_text(json.dumps(listed, indent=1) + "\n")


if __name__ == "__main__":
    main(list(cases().items()))
