"""The bundles of a recording that was redacted as a whole, good and with something wrong: what a checker must say."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from good_bundle import COPY, parts, redacted, sha

from vedette import bundle, records
from vedette.bundle import BundleParts
from vedette.keys import SigningKey
from vedette.redaction import REDACTION, REDACTION_2, Member, RedactedSet, open_redaction

RECORDING = "01a2076b-4400-7000-8000-000000000002"
ITEMS = tuple(f"01a2076b-4400-7f5c-8293-c2c1e62e580{number}" for number in range(3))
COPIES = tuple(f"01a2076b-4400-7f5c-8293-c2c1e62e590{number}" for number in range(3))
MEMBERS = tuple(
    Member(item=copy, parent=item, sequence=4 + number, derived_sha256=sha(COPY))
    for number, (item, copy) in enumerate(zip(ITEMS, COPIES, strict=True))
)
TOGETHER = RedactedSet(recording=RECORDING, plan_sha256="cd" * 32, members=MEMBERS)
KEY = SigningKey.generate()


@dataclass(frozen=True, kw_only=True)
class Case:
    """Bundles, the exit code of a checker, and what its failed findings must hold: each a part of a line."""

    bundles: list[BundleParts]
    exit_code: int = 10
    says: tuple[str, ...] = ()

    def lay(self, folder: Path) -> Path:
        """The bundles as the export of a recording leaves them in `folder`."""
        folder.mkdir()
        for number, one in enumerate(self.bundles, start=1):
            bundle.make(folder / f"{number:04d}.zip", one)
        return folder


def member(number: int, manifest: dict[str, Any] | None = None, **changes: Any) -> BundleParts:
    """The bundle of part `number` (from 0) with its copy; `manifest` and `changes` of the record are what is wrong."""
    good = parts(manifest={"item": ITEMS[number], "sequence": 4 + number, **(manifest or {})})
    return redacted(good, **{"item": COPIES[number], "together": TOGETHER, "by_key": KEY, **changes})


def other_set(**changes: Any) -> RedactedSet:
    return dataclasses.replace(TOGETHER, **changes)


def with_member(number: int, **changes: Any) -> RedactedSet:
    """The set with one member changed."""
    members = list(MEMBERS)
    members[number] = dataclasses.replace(members[number], **changes)
    return other_set(members=tuple(members))


def of_kind(one: BundleParts, kind: str) -> BundleParts:
    """The bundle whose record is signed as another kind than its fields are of."""
    record = one.companions["redaction"]
    assert isinstance(record, bytes)
    body = records.open_record(REDACTION_2, record, records.keyring(KEY.public), max_bytes=1 << 20)
    if kind == REDACTION_2:
        del body["set"]
    assert open_redaction(record, KEY.public).together == TOGETHER
    return dataclasses.replace(one, companions={**one.companions, "redaction": records.sign_record(kind, body, KEY)})


def cases() -> dict[str, Case]:
    first, second, third = (member(number) for number in range(3))
    absent = "redaction's set | {0} | part {1} of 3 of recording " + RECORDING + " is not here: the copy of item "
    swapped = [dataclasses.replace(a, companions=b.companions) for a, b in ((first, second), (second, first))]
    lone = SigningKey.generate()
    return {
        "whole": Case(bundles=[first, second, third], exit_code=0),
        "in-any-order": Case(bundles=[third, first, second], exit_code=0),
        "one-missing": Case(bundles=[first, third], says=(absent.format("case", 2) + ITEMS[1] + " (segment 5)",)),
        "two-missing": Case(bundles=[second], says=(ITEMS[0] + " (segment 4), and 1 more are missing",)),
        "swapped": Case(
            bundles=[*swapped, third],
            says=(
                f"redaction's parent | 0001.zip/{ITEMS[0]}.redaction | it is not the parent of this copy: its item",
                f"redaction's parent | 0002.zip/{ITEMS[1]}.redaction | it is not the parent of this copy: its item",
                f"redaction's place | 0001.zip/{ITEMS[0]}.redaction | item {ITEMS[0]} is not segment 5",
                absent.format("case", 1) + ITEMS[0],
            ),
        ),
        "by-two-keys": Case(
            bundles=[first, member(1, by_key=lone), third], exit_code=11, says=("are signed by different keys",)
        ),
        "of-two-sets": Case(
            bundles=[first, member(1, together=other_set(plan_sha256="ef" * 32)), third],
            says=(absent.format("case", 2), absent.format("case", 1), "and 1 more are missing"),
        ),
        "no-member": Case(
            bundles=[first, member(1, item="01a2076b-4400-7f5c-8293-c2c1e62e5999"), third],
            says=("redaction's place | 0002.zip/", "is no member of the set of 3"),
        ),
        "another-copy": Case(
            bundles=[member(0, together=with_member(0, derived_sha256="ab" * 32))],
            says=("the set has another copy or another item as its part 1",),
        ),
        "another-item": Case(
            bundles=[member(0, together=with_member(0, parent="01a2076b-4400-7f5c-8293-c2c1e62e5999"))],
            says=("the set has another copy or another item as its part 1",),
        ),
        "another-segment": Case(
            bundles=[first, member(1, manifest={"sequence": 9}), third],
            says=(f"item {ITEMS[1]} is not segment 5 of recording {RECORDING}",),
        ),
        "another-recording": Case(
            bundles=[first, member(1, manifest={"recording": ITEMS[0]}), third],
            says=(f"item {ITEMS[1]} is not segment 5 of recording {RECORDING}",),
        ),
        "with-a-gap": Case(
            bundles=[member(0, together=with_member(2, sequence=7))], says=("do not follow each other",)
        ),
        "an-item-twice": Case(
            bundles=[member(0, together=with_member(1, parent=ITEMS[0]))], says=("names a copy or an item twice",)
        ),
        "first-version-with-a-set": Case(bundles=[of_kind(first, REDACTION)], says=("unknown field 'set'",)),
        "second-version-without": Case(bundles=[of_kind(first, REDACTION_2)], says=("field 'set' is missing",)),
    }
