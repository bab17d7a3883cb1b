"""What the report in a bundle says, as sections of labelled values, in French, English and Arabic.

Decided here: what a court is told and in which order, from the bundle's own parts; nothing that is not signed or
hashed elsewhere in the bundle but who exported it. How it looks is `vedette.report_html` and `vedette.report_pdf`, the
words are `vedette.report_words`. The same parts make the same report (BU-8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vedette import note, proof, records
from vedette.bundle_heads import Shortfall
from vedette.bundle_parts import Parts, Run, is_end_known, not_here
from vedette.clock import iso
from vedette.custody_entry import Entry, parse_line
from vedette.enrolment import Enrolment
from vedette.report_words import LANGUAGES, Language, Words, words

MAX_EVENTS = 12
MAX_RUNS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A labelled value; `is_code` values are written left to right in a fixed face."""

    label: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A heading with sentences, rows and numbered steps under it."""

    title: str
    sentences: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The report in one language."""

    language: Language
    name: str
    title: str
    subtitle: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalHeads:
    """How far the device had signed for its journal, and what the centre found wrong with it."""

    short: Shortfall
    problem: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the report is made from: the item's signed parts as parsed, what is in the bundle, and who exported it."""

    manifest: records.Manifest
    manifest_sha256: str
    receipt: records.Receipt
    proof: proof.Proof
    enrolment: Enrolment
    centre_key: str
    centre_key_id: str
    log_origin: str
    lines: Sequence[bytes]
    heads: JournalHeads | None
    parts: Parts | None
    files: Mapping[str, str]
    made_us: int
    exported_by: str
    reason: str


def reports(facts: Facts) -> tuple[Report, ...]:
    """The report in each language, French first."""
    return tuple(_report(facts, language) for language in LANGUAGES)


def _report(facts: Facts, language: Language) -> Report:
    said = words(language)
    entries = [parse_line(line) for line in facts.lines]
    sections = (
        _item(facts, said),
        _times(facts, said),
        _hashes(facts, said),
        _custody(facts, entries, said),
        _centre(facts, said),
        _export(facts, said),
        _files(facts, said),
        Section(title=said["how_title"], sentences=(said["how_intro"],), steps=said.list("how_steps")),
        Section(title=said["limits_title"], sentences=said.list("limits")),
    )
    manifest = facts.manifest
    return Report(
        language=language,
        name=said["language"],
        title=said["title"],
        subtitle=f"{said['kind_' + manifest.kind]} · {manifest.device} · {_minute(manifest.started_us)}",
        sections=sections,
    )


def _item(facts: Facts, said: Words) -> Section:
    manifest, media = facts.manifest, facts.manifest.media
    rows = [
        Row(label=said["item"], value=manifest.item, is_code=True),
        Row(label=said["kind"], value=said["kind_" + manifest.kind]),
        Row(label=said["device"], value=manifest.device, is_code=True),
    ]
    whole, part_rows = _parts(facts, said)
    rows += part_rows
    if manifest.activation:
        rows.append(Row(label=said["activation"], value=manifest.activation, is_code=True))
    if media:
        seconds, millis = divmod(media.duration_us // 1000, 1000)
        text = f"{media.codec}, {media.width} × {media.height}, {seconds}.{millis:03d} s, {media.frames}"
        rows.append(Row(label=said["media"], value=text, is_code=True))
        rows.append(Row(label=said["sound"], value=media.sound or said["none"], is_code=bool(media.sound)))
    rows.append(Row(label=said["complete"], value=said["yes" if manifest.complete else "cut"]))
    made_by = (("software", manifest.software), ("hardware", manifest.hardware), ("firmware", manifest.firmware))
    rows += [Row(label=said[name], value=value, is_code=True) for name, value in made_by if value]
    return Section(title=said["item_title"], sentences=(said["item_intro"], *whole), rows=tuple(rows))


def _parts(facts: Facts, said: Words) -> tuple[tuple[str, ...], list[Row]]:
    """Which part of its recording the item is and of how many, and which parts are not in this export and why."""
    manifest, parts = facts.manifest, facts.parts
    if manifest.recording is None:
        return (), []
    rows = [Row(label=said["recording"], value=manifest.recording, is_code=True)]
    number = str(manifest.sequence + 1)
    if parts is None:
        return (), [*rows, Row(label=said["part"], value=said["part_alone"].format(number))]
    kind = "part_of" if parts.ended else "part_of_more"
    rows.append(Row(label=said["part"], value=said[kind].format(number, parts.last + 1)))
    left = {one.sequence: (one.from_us, one.to_us) for one in parts.parts if one.state == "here"}
    runs = not_here(left, [parts])
    rows += [Row(label=said["part_with"], value=_ranges(sorted(left)), is_code=True)]
    rows += [Row(label=said["part_" + one.why], value=_run(one), is_code=True) for one in runs[:MAX_RUNS]]
    rows += (
        [Row(label=said["part_more"], value=str(len(runs) - MAX_RUNS), is_code=True)] if len(runs) > MAX_RUNS else []
    )
    is_whole = not runs and is_end_known(left, [parts])
    return (said["parts_whole" if is_whole else "parts_not_whole"],), rows


def _run(run: Run) -> str:
    times = f": {run.times.replace(' to ', ' – ')}" if run.times else ""
    return f"{_range(run.first, run.last)}{times}"


def _range(first: int, last: int) -> str:
    return str(first + 1) if first == last else f"{first + 1} – {last + 1}"


def _ranges(numbers: Sequence[int]) -> str:
    """The numbers as stretches, counted from 1."""
    stretches: list[tuple[int, int]] = []
    for one in numbers:
        if stretches and one == stretches[-1][1] + 1:
            stretches[-1] = (stretches[-1][0], one)
        else:
            stretches.append((one, one))
    return ", ".join(_range(first, last) for first, last in stretches)


def _times(facts: Facts, said: Words) -> Section:
    manifest = facts.manifest
    error = said["unknown"] if manifest.time_error_us is None else f"± {_milliseconds(manifest.time_error_us)} ms"
    return Section(
        title=said["times_title"],
        sentences=(said["times_intro"],),
        rows=(
            Row(label=said["started"], value=iso(manifest.started_us), is_code=True),
            Row(label=said["ended"], value=iso(manifest.ended_us), is_code=True),
            Row(label=said["time_source"], value=manifest.time_source, is_code=True),
            Row(label=said["time_error"], value=error, is_code=manifest.time_error_us is not None),
        ),
    )


def _hashes(facts: Facts, said: Words) -> Section:
    manifest = facts.manifest
    plain = f"{manifest.plain_sha256} ({manifest.plain_size})" if manifest.plain_sha256 else said["not_stated"]
    rows = [
        Row(label=said["sealed_hash"], value=f"{manifest.sealed_sha256} ({manifest.sealed_size})", is_code=True),
        Row(label=said["plain_hash"], value=plain, is_code=manifest.plain_sha256 is not None),
        Row(label=said["manifest_hash"], value=facts.manifest_sha256, is_code=True),
        Row(label=said["device_key"], value=facts.enrolment.key.text, is_code=True),
    ]
    if manifest.policy_sha256:
        rows.append(Row(label=said["policy_hash"], value=manifest.policy_sha256, is_code=True))
    return Section(title=said["hashes_title"], sentences=(said["hashes_intro"],), rows=tuple(rows))


def _custody(facts: Facts, entries: Sequence[Entry], said: Words) -> Section:
    signed, signed_rows = _signed(facts.heads, said)
    if not entries:
        return Section(title=said["custody_title"], sentences=(said["custody_none"], *signed), rows=signed_rows)
    first, last = entries[0], entries[-1]
    rows = [
        Row(label=said["chain"], value=f"{first.device}/{first.service}, {first.seq} – {last.seq}", is_code=True),
        Row(label=said["chain_times"], value=f"{iso(first.utc_us)} – {iso(last.utc_us)}", is_code=True),
        Row(label=said["chain_head"], value=last.sha256, is_code=True),
    ]
    counts = Counter(entry.event for entry in entries)
    rows += [Row(label=event, value=f"{count} ×", is_code=True) for event, count in sorted(counts.items())[:MAX_EVENTS]]
    gaps = [entry for entry in entries if entry.event == "gap"]
    sentences = (said["custody_intro"], said["custody_gaps" if gaps else "custody_no_gaps"], *signed)
    return Section(title=said["custody_title"], sentences=sentences, rows=(*rows, *signed_rows))


def _signed(heads: JournalHeads | None, said: Words) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """Up to which line the device had signed for its journal, and which of those lines are not here."""
    if heads is None:
        return (said["heads_none"],), ()
    short = heads.short
    kind = "heads_not_come" if short.not_come else "heads_more" if short.not_here else "heads_all_here"
    rows = [Row(label=said["heads_signed"], value=f"{short.signed_to}, {iso(short.told_us)}", is_code=True)]
    missing = (("heads_lines_not_here", short.not_here), ("heads_lines_not_come", short.not_come))
    rows += [Row(label=said[name], value=_span(lines), is_code=True) for name, lines in missing if lines]
    if heads.problem is not None:
        rows.append(Row(label=said["heads_problem"], value=heads.problem, is_code=True))
    return (said["heads_intro"], said[kind]), tuple(rows)


def _span(lines: range) -> str:
    return f"{lines.start} – {lines.stop - 1} ({len(lines)})"


def _centre(facts: Facts, said: Words) -> Section:
    leaf = proof.LogLeaf.from_bytes(facts.proof.leaf)
    checkpoint = note.parse_checkpoint(note.split_note(facts.proof.checkpoint)[0])
    rows = (
        Row(label=said["stored"], value=iso(facts.receipt.stored_us), is_code=True),
        Row(label=said["received"], value=iso(leaf.received_us), is_code=True),
        Row(label=said["log"], value=facts.log_origin, is_code=True),
        Row(label=said["log_index"], value=f"{facts.proof.index} / {checkpoint.size}", is_code=True),
        Row(label=said["log_root"], value=checkpoint.root.hex(), is_code=True),
        Row(label=said["centre_key"], value=facts.centre_key, is_code=True),
        Row(label=said["centre_print"], value=facts.centre_key_id, is_code=True),
    )
    return Section(title=said["centre_title"], sentences=(said["centre_intro"],), rows=rows)


def _export(facts: Facts, said: Words) -> Section:
    rows = (
        Row(label=said["exported_by"], value=facts.exported_by or said["unknown"]),
        Row(label=said["exported_at"], value=iso(facts.made_us), is_code=True),
        Row(label=said["reason"], value=" ".join(facts.reason.split()) or said["none"]),
    )
    return Section(title=said["export_title"], rows=rows)


def _files(facts: Facts, said: Words) -> Section:
    rows = tuple(Row(label=said["file_" + what], value=name, is_code=True) for what, name in facts.files.items())
    sentences = (said["redacted_alone"],) if _is_redacted_alone(facts) else ()
    return Section(title=said["files_title"], sentences=sentences, rows=rows)


def _is_redacted_alone(facts: Facts) -> bool:
    return "redacted" in facts.files and not {"sealed", "opened"} & set(facts.files)


def _minute(utc_us: int) -> str:
    return iso(utc_us)[:16].replace("T", " ") + " UTC"


def _milliseconds(micros: int) -> str:
    return str(-(-micros // 1000))
