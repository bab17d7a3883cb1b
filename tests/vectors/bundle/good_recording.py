"""The bundles of a recording of four parts, all of them and with something missing, doubled or wrong."""

import dataclasses
import functools
from typing import Any

from good_bundle import BOOT, NOW_US, PLAIN, keys, parts, sealed_once, sha
from good_set import Case as SetCase

from vedette import bundle, custody_entry, records
from vedette.bundle import BundleParts
from vedette.bundle_parts import Part, Parts
from vedette.keys import SigningKey

RECORDING = "01a2076b-4400-7000-8000-000000000009"
OTHER = "01a2076b-4400-7000-8000-00000000000a"
ITEMS = tuple(f"01a2076b-4400-7f5c-8293-c2c1e62e600{number}" for number in range(4))
LINES, SECONDS = 3, 2_000_000
TIMES = tuple((NOW_US + at * SECONDS, NOW_US + (at + 1) * SECONDS) for at in range(4))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case(SetCase):
    """Also what is said and is no failed finding: of what is not here, or that all is."""

    exit_code: int = 0
    notes: tuple[str, ...] = ()


def word(states: str = "hhhh", **changes: Any) -> Parts:
    """The centre's word: a letter for each part, `h`ere, `l`eft out, `m`issing, or `-` where it knows of none."""
    named = {"h": "here", "l": "held", "m": "missing"}
    known = tuple(
        Part(item=ITEMS[at], sequence=at, state=named[state], from_us=TIMES[at][0], to_us=TIMES[at][1])  # type: ignore[arg-type]
        for at, state in enumerate(states)
        if state != "-"
    )
    made = Parts(device="car-1", recording=RECORDING, first=0, ended=True, parts=known)
    return dataclasses.replace(made, **changes)


@functools.cache
def stretch(at: int, prev: str | None = None) -> list[bytes]:
    """The lines of part `at`: they follow those of the part before, or a line with hash `prev`."""
    item, ciphertext = ITEMS[at], sealed_once(PLAIN)
    mark = {"offset": 1600, "sha256": sha(ciphertext[:1600]), "media_us": 1_000_000}
    end = {"sealed_size": len(ciphertext), "sealed_sha256": sha(ciphertext), "media_us": 2_000_000}
    before = prev or (sha(stretch(at - 1)[-1]) if at else "0" * 64)
    lines: list[bytes] = []
    for number, (event, detail) in enumerate(
        (("segment.opened", {}), ("segment.checkpoint", mark), ("segment.closed", end)), start=1
    ):
        seq = LINES * at + number
        entry = custody_entry.Entry(
            seq=seq, prev=sha(lines[-1]) if lines else before, utc_us=NOW_US + seq, mono_us=seq, time_source="ntp",
            time_error_us=500, boot=BOOT, device="car-1", service="recorder", event=event, item=item, detail=detail,
        )  # fmt: skip
        lines.append(custody_entry.sign_entry(entry, keys()[1]).line)
    return lines


def part(at: int, said: Parts | bytes | None, prev: str | None = None, **manifest: Any) -> BundleParts:
    """The bundle of part `at` (from 0) with the centre's word in it; `manifest` changes what the device says of it."""
    lines = stretch(at, prev)
    head = records.JournalHead(service="recorder", seq=LINES * (at + 1), head=sha(lines[-1]))
    changes = {"item": ITEMS[at], "recording": RECORDING, "sequence": at, "journal": head, **manifest}
    begin, end = TIMES[at]
    record = said.sign(keys()[0]) if isinstance(said, Parts) else said
    made = parts(manifest={"started_us": begin, "ended_us": end, **changes}, journal=lines)
    return dataclasses.replace(made, recording_parts=record)


def some(numbers: str, said: Parts | None) -> list[BundleParts]:
    """The bundles of these parts, numbered from 1."""
    return [part(int(number) - 1, said) for number in numbers]


def times(first: int, last: int) -> str:
    """From when to when parts `first` to `last`, numbered from 1, are."""
    name = lambda us: f"2026-11-23T08:00:{(us - NOW_US) // 1_000_000:02d}.000000Z"  # noqa: E731
    return f"({name(TIMES[first - 1][0])} to {name(TIMES[last - 1][1])})"


def not_here(first: int, last: int, why: str) -> str:
    """The sentence on parts that are not here."""
    what, verb = (f"part {first}", "is") if first == last else (f"parts {first} to {last}", "are")
    return f"{what} of recording {RECORDING} {verb} not here {times(first, last)}: {why}"


def cases() -> dict[str, Case]:
    return {**_taken(), **_doubled(), **_not_known_to_be_whole(), **_wrong_words()}


def _taken() -> dict[str, Case]:
    whole, taken = word(), "it left the centre together with what is here"
    return {
        "whole": Case(
            bundles=some("1234", whole), notes=(f"all 4 parts of recording {RECORDING} are here, each once",)
        ),
        "in-any-order": Case(bundles=some("3142", whole), notes=("all 4 parts",)),
        "first-taken": Case(
            bundles=some("234", whole), exit_code=10, says=(not_here(1, 1, f"item {ITEMS[0]}, {taken}"),)
        ),
        "middle-taken": Case(
            bundles=some("134", whole), exit_code=10, says=(not_here(2, 2, f"item {ITEMS[1]}, {taken}"),)
        ),
        "last-taken": Case(
            bundles=some("123", whole), exit_code=10, says=(not_here(4, 4, f"item {ITEMS[3]}, {taken}"),)
        ),
        "all-but-one-taken": Case(
            bundles=some("3", whole),
            exit_code=10,
            says=(
                not_here(1, 2, f"items {ITEMS[0]} to {ITEMS[1]}, {taken}"),
                not_here(4, 4, f"item {ITEMS[3]}, {taken}"),
            ),
        ),
    }  # fmt: skip


def _doubled() -> dict[str, Case]:
    whole, taken = word(), "it left the centre together with what is here"
    second = f"part 2 of recording {RECORDING} is here 2 times: 0002.zip (item {ITEMS[1]}), 0003.zip (item {ITEMS[1]})"
    unsaid = "nothing here says that it was left out"
    of_one = word("h")
    other = part(1, word(recording=OTHER, first=1, parts=word().parts[1:2]), recording=OTHER)
    return {
        "doubled": Case(bundles=some("12234", whole), exit_code=10, says=(second,)),
        "doubled-for-another": Case(
            bundles=some("1224", whole), exit_code=10, says=(second, not_here(3, 3, f"item {ITEMS[2]}, {taken}"))
        ),
        "two-of-one-number": Case(
            bundles=[*some("123", None), part(3, None, sequence=1)],
            exit_code=10,
            says=(f"part 2 of recording {RECORDING} is here 2 times: 0002.zip (item {ITEMS[1]}), 0004.zip (item",),
        ),
        "one-more-than-the-word-knows": Case(
            bundles=[*some("1", of_one), part(2, None)], exit_code=10, says=(not_here(2, 2, unsaid),)
        ),
        "two-recordings": Case(
            bundles=[*some("1", of_one), other],
            notes=(f"the only part of recording {RECORDING} is", f"the only part of recording {OTHER} is"),
        ),
    }  # fmt: skip


def _not_known_to_be_whole() -> dict[str, Case]:
    end = f"whether recording {RECORDING} goes on behind part {{}} is not known from what is here"
    kept = "the centre had it and left it out"
    unsaid = "nothing here says that it was left out"
    alone = [part(at, word("".join("h" if at == other else "l" for other in range(4)))) for at in (0, 2)]
    return {
        "left-out": Case(
            bundles=some("124", word("hhlh")), notes=(not_here(3, 3, f"item {ITEMS[2]}, {kept}"),)
        ),
        "not-come": Case(
            bundles=some("12", word("hhmm")),
            notes=(not_here(3, 4, f"items {ITEMS[2]} to {ITEMS[3]}, it HAD NOT COME to the centre when"),),
        ),
        "nobody-knows-of-it": Case(
            bundles=some("14", word("h--h")),
            notes=(not_here(2, 3, "the centre knew of no item of it when this was made"),),
        ),
        "end-unknown": Case(bundles=some("1234", word(ended=False)), notes=(end.format(4),)),
        "no-word-and-whole": Case(bundles=some("1234", None), notes=(end.format(4),)),
        "no-word-and-a-hole": Case(
            bundles=some("134", None), exit_code=10, says=(not_here(2, 2, unsaid),), notes=(end.format(4),)
        ),
        "no-word-and-begins-late": Case(
            bundles=some("34", None),
            notes=(f"parts 1 to 2 of recording {RECORDING} are not here (? to 2026-11-23T08:00:04.000000Z): whe",),
        ),
        "each-left-alone": Case(
            bundles=alone, notes=(not_here(2, 2, f"item {ITEMS[1]}, {kept}"),)
        ),
    }  # fmt: skip


def _wrong_words() -> dict[str, Case]:
    whole = word()
    return {
        "two-journals": Case(
            bundles=[part(0, whole), part(1, whole, "ab" * 32), *some("34", whole)],
            exit_code=10,
            says=("line 4 in 0002.zip does not follow the last one in 0001.zip: two journals",),
        ),
        "word-by-another-key": Case(bundles=[part(0, word("h").sign(SigningKey.generate()))], exit_code=11),
        "word-of-another-recording": Case(
            bundles=[part(0, word("h", recording=OTHER))], exit_code=10, says=(f"it is of recording {OTHER} of car-1",)
        ),
        "word-of-another-device": Case(
            bundles=[part(0, word("h", device="car-2"))], exit_code=10, says=("it is of recording",)
        ),
        "word-that-this-was-left-out": Case(
            bundles=[part(0, word("lh"))], exit_code=10, says=(f"it does not say that item {ITEMS[0]} left as part 1",)
        ),
        "word-of-another-number": Case(
            bundles=[part(0, word(), sequence=1)], exit_code=10, says=("left as part 2",)
        ),
        "word-out-of-order": Case(
            bundles=[part(0, word(parts=word().parts[::-1]))], exit_code=10, says=("they are not in order",)
        ),
        "word-of-one-number-twice": Case(
            bundles=[part(0, word(parts=(word().parts[0], *word().parts)))], exit_code=10, says=("not in order",)
        ),
        "word-of-nothing": Case(bundles=[part(0, word("----"))], exit_code=10, says=("there is none",)),
        "word-before-the-first": Case(
            bundles=[part(1, word("-hhh", first=2))], exit_code=10, says=("before the first",)
        ),
    }  # fmt: skip


def zipped(at: int, said: Parts | None, folder: Any) -> Any:
    """The bundle of part `at` by itself."""
    return bundle.make(folder / f"{at}.zip", part(at, said))
