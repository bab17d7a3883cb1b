"""What `verify.py` makes of the parts of a recording: which left together, which are not here, which are here twice.

A part of verify.py (see `vedette.verifier`): standard library only.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

from vedette.verifier.chains import when
from vedette.verifier.records import DEVICE, UUID7, Bad, among, like, maybe, number, record, sha, shaped

# ---- from here on in verify.py ----
MOST_PARTS, MAX_PARTS_RECORD = 16384, 4 << 20
STATES = ("here", "held", "missing")
WHY = {
    "here": "it left the centre together with what is here",
    "unsaid": "nothing here says that it was left out",
    "held": "the centre had it and left it out",
    "missing": "it HAD NOT COME to the centre when this was made",
    "unknown": "the centre knew of no item of it when this was made",
    "before": "whether it was left out is not known from what is here",
}


@functools.lru_cache(maxsize=2)
def parts_of(content: bytes, centre: bytes | None) -> Any:
    """The centre's word of one export: the parts of the recording that it knew of."""
    body = record(content, "vedette/recording-parts/1", centre, MAX_PARTS_RECORD)
    shaped(
        body, "recording's parts", device=like(DEVICE), recording=like(UUID7), first=number(),
        ended=among(True, False), parts=lambda one: isinstance(one, list) and len(one) <= MOST_PARTS,
    )  # fmt: skip
    times = {"from_us": maybe(number()), "to_us": maybe(number())}
    for one in body["parts"]:
        shaped(one, "recording's parts.parts", item=like(UUID7), sequence=number(), state=among(*STATES), **times)
    found = [one["sequence"] for one in body["parts"]]
    if not found or body["first"] > found[0]:
        raise Bad("recording's parts: there is none, or one before the first")
    if found != sorted(set(found)):
        raise Bad("recording's parts: they are not in order")
    return body


def own_part(content: bytes, manifest: Any, centre: bytes | None) -> Any:
    """The same, where it says that this item left."""
    body, at = parts_of(content, centre), manifest["sequence"]
    if (body["device"], body["recording"]) != (manifest["device"], manifest["recording"]):
        raise Bad(f"it is of recording {body['recording']} of {body['device']}")
    own = [one for one in body["parts"] if one["item"] == manifest["item"]]
    if [(one["sequence"], one["state"]) for one in own] != [(at, "here")]:
        raise Bad(f"it does not say that item {manifest['item']} left as part {at + 1}")
    return body


def place_said(manifest: Any, said: Any) -> str:
    of = "" if said is None else f" of {last_of(said) + 1}{'' if said['ended'] else ' or more'}"
    return f"part {manifest['sequence'] + 1}{of} of recording {manifest['recording']}"


def last_of(said: Any) -> int:
    return int(said["parts"][-1]["sequence"])


def ends_of(entries: list[Any], lines: list[bytes]) -> Any:
    """Where the stretch of a journal begins and ends: service, first line, hash before it, last line, its hash."""
    if not entries:
        return None
    first, last = entries[0], entries[-1]
    return first["service"], first["seq"], first["prev"], last["seq"], sha(lines[-1])


def not_here(present: dict[int, Any], said: list[Any]) -> list[Any]:
    """[first, last, why, items, from, to] of the parts that are not among `present`."""
    known: dict[int, Any] = {}
    for one in (part for word in said for part in word["parts"]):
        other = known.setdefault(one["sequence"], one)
        if STATES.index(one["state"]) < STATES.index(other["state"]):
            known[one["sequence"]] = one
    spans = {at: (one["from_us"], one["to_us"]) for at, one in known.items()} | present
    before, ended = min((one["first"] for one in said), default=0) - 1, None
    runs: list[Any] = []
    for at in sorted(spans):
        if at > before + 1:
            is_known = any(one["first"] <= before + 1 and at - 1 < last_of(one) for one in said)
            why = "unknown" if is_known else "before" if ended is None and not said else "unsaid"
            joined(runs, [before + 1, at - 1, why, [], ended, spans[at][0]])
        if at not in present:
            joined(runs, [at, at, known[at]["state"], [known[at]["item"]], *spans[at]])
        before, ended = at, spans[at][1]
    return runs


def joined(runs: list[Any], run: Any) -> None:
    """Put a run behind the others, or make the last one longer."""
    last = runs[-1] if runs else None
    if last and (last[2], last[1] + 1) == (run[2], run[0]):
        items = [last[3][0], run[3][-1]] if last[3] and run[3] else []
        runs[-1] = [last[0], run[1], run[2], items, last[4], run[5]]
    else:
        runs.append(run)


def run_said(run: Any, recording: str) -> str:
    first, last, why, items, from_us, to_us = run
    what = f"part {first + 1}" if first == last else f"parts {first + 1} to {last + 1}"
    times = " to ".join("?" if one is None else when(one) for one in (from_us, to_us))
    times = f" ({times})" if from_us or to_us else ""
    named = f"item{'s' * (len(items) > 1)} {' to '.join(items)}, " if items else ""
    verb = "is" if first == last else "are"
    return f"{what} of recording {recording} {verb} not here{times}: {named}{WHY[why]}"


def end_said(numbers: list[int], said: list[Any], recording: str) -> list[str]:
    """What is said where nobody knows whether the recording goes on."""
    last = max([*numbers, *map(last_of, said)])
    if any(one["ended"] and last_of(one) == last for one in said):
        return []
    return [f"whether recording {recording} goes on behind part {last + 1} is not known from what is here"]


def part_alone(part: Any) -> list[str]:
    """What of its recording is not here, of one bundle that is checked by itself."""
    manifest, said = part["manifest"], part["said"]
    if said is None:
        return []
    at, recording = manifest["sequence"], manifest["recording"]
    runs = not_here({at: (manifest["started_us"], manifest["ended_us"])}, [said])
    return [*(run_said(run, recording) for run in runs), *end_said([at], [said], recording)]


def parts_together(name: str, parts: list[Any]) -> list[Any]:
    """Findings of each recording: that the parts which left together are here, each once."""
    recordings: dict[Any, list[Any]] = {}
    for one in parts:
        recordings.setdefault((one["manifest"]["device"], one["manifest"]["recording"]), []).append(one)
    findings = []
    for (_device, recording), here in recordings.items():
        here.sort(key=lambda one: (one["manifest"]["sequence"], one["bundle"]))
        findings += [("recording's parts", name, code, said) for code, said in of_recording(recording, here)]
    return findings


def of_recording(recording: str, here: list[Any]) -> list[tuple[int | None, str]]:
    by_number: dict[int, list[Any]] = {}
    for one in here:
        by_number.setdefault(one["manifest"]["sequence"], []).append(one)
    said = list({id(one["said"]): one["said"] for one in here if one["said"] is not None}.values())
    spans = {
        at: (same[-1]["manifest"]["started_us"], same[-1]["manifest"]["ended_us"]) for at, same in by_number.items()
    }
    runs = not_here(spans, said)
    found: list[tuple[int | None, str]] = []
    for at, same in by_number.items():
        if len(same) > 1:
            named = ", ".join(f"{one['bundle']} (item {one['manifest']['item']})" for one in same)
            found.append((Bad.code, f"part {at + 1} of recording {recording} is here {len(same)} times: {named}"))
    found += [(Bad.code, run_said(run, recording)) for run in runs if run[2] in ("here", "unsaid")]
    found += [(Bad.code, fault) for fault in unlinked(here)]
    found += [(None, run_said(run, recording)) for run in runs if run[2] not in ("here", "unsaid")]
    found += [(None, one) for one in end_said(list(by_number), said, recording)]
    many = f"all {len(here)} parts of recording {recording} are here, each once"
    return found or [(0, many if len(here) > 1 else f"the only part of recording {recording} is here")]


def unlinked(here: list[Any]) -> list[str]:
    """What is wrong where the journal of a part begins right behind that of the part before and is another."""
    faults = []
    for one, other in itertools.pairwise(here):
        ends, following = one["ends"], other["ends"]
        if not ends or not following or other["manifest"]["sequence"] != one["manifest"]["sequence"] + 1:
            continue
        if following[:2] == (ends[0], ends[3] + 1) and following[2] != ends[4]:
            where = f"line {following[1]} in {other['bundle']} does not follow the last one in {one['bundle']}"
            faults.append(f"{where}: two journals")
    return faults
