"""Bundles of recordings that the real recorder made, with the opened MP4 as it was and changed in every way: what must
be said of its fragments.

Where they lie is read from the MP4 itself, and not from the marks.
"""

import dataclasses
import functools
import io
import itertools
import json
import tempfile
from pathlib import Path

import good_bundle

from simulator.specimen import Maker, make_cut_specimen, make_specimens, new_maker
from vedette import bundle, custody_entry, mp4_boxes, records, sealed
from vedette.bundle import BundleParts
from vedette.fragment_marks import to_key_file

NOT_HERE = "so a change of it is found, but not where in it"
Case = tuple[BundleParts, int, str]


@functools.cache
def made() -> tuple[Maker, BundleParts, BundleParts, BundleParts]:
    """Who made them; a whole segment, the next one, and one that a power cut ended."""
    maker = new_maker()
    with tempfile.TemporaryDirectory() as folder:
        specimens = make_specimens(maker, Path(folder))
        cut = make_cut_specimen(maker, Path(folder))
    whole, other = (dataclasses.replace(one, companions={}) for one in specimens.siblings[:2])
    return maker, whole, other, cut


def video(good: BundleParts) -> bytes:
    assert isinstance(good.opened, bytes)
    return good.opened


def fragments(content: bytes) -> list[tuple[int, int]]:
    """Where each fragment begins and ends: behind each `mdat`, and the last one with the index behind it."""
    boxes = mp4_boxes.top_boxes(io.BytesIO(content))
    ends = [box.end for box in boxes if box.kind == b"mdat"]
    return list(itertools.pairwise([0, *ends[:-1], boxes[-1].end if boxes[-1].kind == b"mfra" else ends[-1]]))


def packed(good: BundleParts, folder: Path) -> bytes:
    """The zip, listed and signed by the centre over whatever is in it now: only the device's word is left."""
    path = bundle.make(folder / "made.zip", good)
    whole = path.read_bytes()
    path.unlink()
    return whole


def opened(good: BundleParts, content: bytes) -> BundleParts:
    return dataclasses.replace(good, opened=content)


def signed(good: BundleParts, **details: object) -> BundleParts:
    """The second checkpoint with other details, chain and manifest signed anew by the device: what it never wrote."""
    maker, manifest, lines = made()[0], records.peek_manifest(good.manifest), list[bytes]()
    for line in good.journal:
        entry = custody_entry.parse_line(line)
        changed = {**entry.detail, **(details if line == good.journal[2] else {})}
        detail = {name: value for name, value in changed.items() if value is not ...}
        prev = good_bundle.sha(lines[-1]) if lines else entry.prev
        lines.append(custody_entry.sign_entry(dataclasses.replace(entry, detail=detail, prev=prev), maker.device).line)
    last = custody_entry.parse_line(lines[-1])
    head = records.JournalHead(service=last.service, seq=last.seq, head=last.sha256)
    record = records.sign_record(records.MANIFEST, dataclasses.replace(manifest, journal=head).to_body(), maker.device)
    return dataclasses.replace(good, journal=lines, manifest=record, heads=None)


def of_whole() -> dict[str, Case]:
    """A whole segment and what may be done to its opened file: name → (parts, exit code, what must be said)."""
    _maker, good, other, _cut = made()
    content, theirs = video(good), video(other)
    places = fragments(content)
    count, (b, b_end), (c, c_end) = len(places), places[3], places[6]
    fourth, middle = f"fragment 4 of {count} (0.600 s to 0.800 s, bytes {b} to {b_end - 1})", (b + b_end) // 2
    seventh = f"fragment 7 of {count} (1.200 s to 1.400 s, bytes {c} to {c_end - 1})"
    rest = f"fragments 7 to {count} of {count} (1.200 s to 2.000 s, bytes {c} to {len(content) - 1}) are"
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    swapped = content[:b] + content[c:c_end] + content[b_end:c] + content[b:b_end] + content[c_end:]
    foreign_first, foreign_end = fragments(theirs)[3]
    return {
        "good": (good, 0, f"{count} hold: {len(content)} bytes, 2.000 s, each by the device's own mark"),
        "flipped": (opened(good, flipped), 10, f"{fourth} is changed"),
        "flipped-twice": (
            opened(good, flipped[:c] + b"?" + flipped[c + 1 :]),
            10,
            f"{fourth} is changed; {seventh} is changed",
        ),
        "cut-at-an-edge": (opened(good, content[:c]), 10, f"{rest} cut off"),
        "cut-within": (opened(good, content[: c + 9]), 10, f"{rest} cut off or changed: 9 bytes stand at byte {c}"),
        "empty": (opened(good, b""), 10, f"fragments 1 to {count} of {count} "),
        "inserted-within": (
            opened(good, content[:middle] + b"?" + content[middle:]),
            10,
            f"{fourth} is changed: {b_end - b + 1} bytes stand at byte {b} in place of {b_end - b}",
        ),
        "inserted-between": (
            opened(good, content[:c] + bytes(100) + content[c:]),
            10,
            f"100 bytes that the device did not write stand at byte {c}, behind fragment 6 of {count} ",
        ),
        "swapped": (
            opened(good, swapped),
            10,
            f"{seventh} stands out of its place, at byte {b}; {fourth} stands out of its place, at byte "
            f"{c_end - b_end + b}",
        ),
        "taken-out": (opened(good, content[:b] + content[b_end:]), 10, f"{fourth} is missing"),
        "doubled": (opened(good, content[:b_end] + content[b:]), 10, f"{fourth} stands a second time, at byte {b_end}"),
        "appended": (opened(good, content + b"hello"), 10, f"5 bytes follow behind its end (byte {len(content)})"),
        "anothers-fragment": (
            opened(good, content[:b] + theirs[foreign_first:foreign_end] + content[b_end:]),
            10,
            f"{fourth} is changed: {foreign_end - foreign_first} bytes stand at byte {b}",
        ),
        "another-recording": (opened(good, theirs), 10, f"fragments 1 to {count} of {count} "),
        "damaged-everywhere": (
            opened(good, content[:5] + b"?" + content[6:b] + content[b_end : c + 5] + b"!!" + content[c + 5 :]),
            10,
            f"fragment 1 of {count} (0.000 s to 0.200 s, bytes 0 to {places[0][1] - 1}) is changed; "
            f"{fourth} is missing; {seventh} is changed: {c_end - c + 2} bytes",
        ),
    }


def of_cut() -> dict[str, Case]:
    """The same of a recording that a power cut ended, whose opened file nobody but the device can vouch for."""
    _maker, _good, _other, good = made()
    content, lines = video(good), [json.loads(line) for line in good.journal]
    marks = [one["detail"]["fragments"] for one in lines if one["event"] == "segment.checkpoint"]
    count = len(",".join(filter(None, marks)).split(","))
    places = fragments(content)[:count]
    end, (b, b_end), unmarked = places[-1][1], places[4], len(content) - places[-1][1]
    fifth = f" s, bytes {b} to {b_end - 1})"
    assert count > 10
    assert unmarked > 0
    return {
        "cut": (good, 0, f"; the {unmarked} bytes behind them are under no mark"),
        "cut-and-flipped": (
            opened(good, content[: b + 99] + b"\0?\0" + content[b + 102 :]),
            10,
            f"{fifth} is changed",
        ),
        "cut-and-flipped-at-the-end": (
            opened(good, content[: end - 9] + b"?" + content[end - 8 :]),
            10,
            f"fragment {count} of {count} ",
        ),
        "cut-and-cut-again": (opened(good, content[:b_end]), 10, f"fragments 6 to {count} of {count} "),
        "cut-and-cut-behind-the-marks": (
            opened(good, content[: end + 1]),
            10,
            f"{unmarked - 1} bytes are cut off at its end, behind the last fragment (byte {end + 1})",
        ),
        "cut-and-appended": (
            opened(good, content + b"hello"),
            10,
            f"5 bytes follow behind its end (byte {len(content)})",
        ),
        "cut-and-taken-out": (opened(good, content[:b] + content[b_end:]), 10, f"{fifth} is missing"),
    }


def of_marks() -> dict[str, Case]:
    """Marks and keys that are not there, or not what they must be."""
    _maker, good, other, _cut = made()
    item, plain = records.peek_manifest(good.manifest).item, video(good)
    sealed_again = sealed.HybridIdentity.generate()
    of_other_file = sealed.fragments_key_of(io.BytesIO(sealed.seal(b"", [sealed_again.recipient])), [sealed_again])
    first, second = (custody_entry.parse_line(line).detail["fragments"] for line in good.journal[1:3])
    assert isinstance(first, str)
    assert isinstance(second, str)
    flipped = opened(good, plain[:99] + b"?" + plain[100:])
    return {
        "of-older-software": (
            good_bundle.parts(),
            0,
            f"no line that holds has marks of its fragments (older software, or nobody activated it), {NOT_HERE}",
        ),
        "without-the-key": (dataclasses.replace(good, marks=None), 0, NOT_HERE),
        "without-the-key-and-flipped": (dataclasses.replace(flipped, marks=None), 10, "opened file"),
        "key-of-another-item": (dataclasses.replace(good, marks=other.marks), 10, "it is the key to the marks of item"),
        "key-of-another-file": (
            dataclasses.replace(good, marks=to_key_file(item, of_other_file)),
            10,
            "the key to the marks is not the one that the device's lines name",
        ),
        "key-that-is-none": (dataclasses.replace(good, marks=b"{}"), 10, "the key to the marks"),
        "marks-of-no-form": (
            signed(good, fragments=second + ","),
            10,
            "its fragments are missing or not what they must",
        ),
        "marks-left-out": (signed(good, fragments=...), 10, "its fragments are missing or not what they must be"),
        "marks-of-two-keys": (
            signed(good, fragments_key="ab" * 16),
            10,
            "name no key of their fragments' marks, or more",
        ),
        "marks-twice": (signed(good, fragments=first), 10, "its lines sign fragments of"),
        "marks-that-go-back": (
            signed(good, fragments=second.replace(":600000:", ":900000:")),
            10,
            "a fragment ends before it begins, at 800000 us",
        ),
    }


def cases() -> dict[str, Case]:
    """All of them."""
    return {**of_whole(), **of_cut(), **of_marks()}
