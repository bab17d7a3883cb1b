"""The items that are redacted together: one by itself, or those of a recording, bundles or sealed segments, named one
by one or by the folder in which they lie.

Decided here: a manifest says which segment of which recording an item is, so an item without one can only be redacted
by itself; the segments given must follow each other without a gap, because what is followed through the video would
otherwise be lost in it. Implements RD-42 of docs/spec/redaction.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edge.redact.parent import Parent, manifest_at, open_parent
from vedette.bundle import LISTING
from vedette.errors import NotFound, Refused, VedetteError
from vedette.records import Manifest
from vedette.redaction import MAX_PARTS
from vedette.sealed import Identity

SEALED_SEGMENT = ".segment.age"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One item, as it lies on the disk; `number` is its place among those given, from 1."""

    number: int
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment(Item):
    """One item of a recording."""

    manifest: Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class Items:
    """What is redacted together, in order; of itself one item alone."""

    items: tuple[Item, ...]
    identities: Sequence[Identity]

    def open(self, item: Item) -> AbstractContextManager[Parent]:
        """The item as a parent; errors as `edge.redact.parent.open_parent`."""
        return open_parent(item.path, self.identities)

    def said(self, item: Item, error: VedetteError, *, ending: str = "") -> VedetteError:
        """The error as it is: there is no other item in which it could have been met."""
        return error


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording(Items):
    """The segments given, in order, of recording `recording` by device `device`."""

    items: tuple[Segment, ...]
    recording: str
    device: str

    def said(self, item: Item, error: VedetteError, *, ending: str = "") -> VedetteError:
        """The same error, which says in which part it was met and ends in `ending`."""
        return type(error)(f"part {item.number} of {len(self.items)}, {item.path}: {error}{ending}")


def open_item(path: Path, identities: Sequence[Identity]) -> Items:
    """The item at `path` by itself; nothing is read yet."""
    return Items(items=(Item(number=1, path=path),), identities=tuple(identities))


def names_recording(paths: Sequence[Path]) -> bool:
    """Whether these are the items of a recording and not one item: several, or a folder that is no bundle."""
    return len(paths) > 1 or (paths[0].is_dir() and not (paths[0] / LISTING).exists())


def open_recording(paths: Sequence[Path], identities: Sequence[Identity]) -> Recording:
    """The recording of which these are items or folders of items; nothing but their manifests is read yet.

    Raises NotFound, Refused where they are not the segments of one recording that follow each other, or Integrity.
    """
    items = [item for path in paths for item in _items(path)]
    if len(items) > MAX_PARTS:
        raise Refused(f"{len(items)} items are too many; {MAX_PARTS} is the most, redact the recording in stretches")
    found = sorted(((_manifest(path), path) for path in items), key=lambda one: one[0].sequence)
    first, first_path = found[0]
    for manifest, path in found[1:]:
        if (manifest.recording, manifest.device) != (first.recording, first.device):
            raise Refused(
                f"{first_path} is of recording {first.recording} and {path} of recording {manifest.recording}; give "
                "the items of one recording"
            )
    for (a, path_a), (b, path_b) in pairwise(found):
        if a.sequence == b.sequence:
            raise Refused(f"{path_a} and {path_b} are both segment {a.sequence} of the recording; give one of them")
        if b.sequence != a.sequence + 1:
            raise Refused(
                f"segment {a.sequence + 1} of recording {first.recording} is not among the items given, {b.sequence} "
                "is; give it too, or redact what is before it and what is behind it separately"
            )
    segments = tuple(
        Segment(number=number, path=path, manifest=manifest) for number, (manifest, path) in enumerate(found, start=1)
    )
    return Recording(recording=str(first.recording), device=first.device, items=segments, identities=tuple(identities))


def _items(path: Path) -> Iterator[Path]:
    if not names_recording([path]):
        yield path
        return
    there = [one for one in sorted(path.iterdir()) if _is_item(one)]
    if not there:
        raise NotFound(f"{path} holds no bundle and no sealed segment (…{SEALED_SEGMENT})")
    yield from there


def _is_item(path: Path) -> bool:
    return path.suffix.lower() == ".zip" or path.name.endswith(SEALED_SEGMENT) or (path / LISTING).is_file()


def _manifest(path: Path) -> Manifest:
    manifest = manifest_at(path)
    if manifest is None:
        raise Refused(
            f"{path} has no manifest beside it, so it does not say of which recording it is; give its bundle, or the "
            "sealed item with its manifest"
        )
    if manifest.kind != "segment" or manifest.recording is None:
        raise Refused(f"{path} is a {manifest.kind} and not a segment of a recording; only recordings are redacted")
    return manifest
