"""A recording in segments is redacted as one: plates followed over the cuts, every copy proving its own parent."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edge.reader.detect import Detection
from edge.redact.cover import cells_at, spread
from edge.redact.make import WHOLE_PLAN, Models, propose
from edge.redact.parts import part_plan
from edge.redact.plan import OF_RECORDING, parse_plan
from edge.redact.recording import open_recording
from vedette import cli
from vedette.keys import SigningKey
from vedette.records import Manifest
from vedette.sealed import load_identities

MORE = """
[[region]]
name = "sign"
reason = "shop's name"
from_us = 600_000
to_us = 2_300_000
keys = [[600_000, 100, 10, 160, 60], [2_300_000, 300, 10, 360, 60]]
"""
# As in test_copy.py: in a picture of 640 pixels, a plate of this width is not legible.
LEAST_PX = 36
RATE = 25


@pytest.fixture(scope="module")
def made(drive: Any, key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of copies of the street, with a region over all three parts added by hand."""
    folder = tmp_path_factory.mktemp("copies")
    plan, out = folder / "plan.toml", folder / "out"
    words = ["evidence", "redact", str(drive.folder), "--identity", str(drive.identity)]
    assert cli.main([*words, "--propose", str(plan)]) == 0
    text = plan.read_text().replace('checked_by = ""', 'checked_by = "A. Tazi"').replace('why = ""', 'why = "press"')
    plan.write_text(text + MORE)
    assert cli.main([*words, "--apply", str(plan), "-o", str(out), "--key", str(key_file)]) == 0
    return out


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mp4"))


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(one.with_suffix(".redaction").read_bytes()) for one in copies(folder)]


def test_every_wide_enough_plate_is_covered_in_every_picture_of_every_part(made: Path, street: Any) -> None:
    """RD-46, RD-6, RD-10: the first pictures of a part and its last ones too"""
    shares, number = [], 0
    for copy in copies(made):
        with av.open(str(copy)) as file:
            for frame in file.decode(video=0):
                is_fill = abs(frame.to_ndarray()[: street.height].astype(int) - 110) <= 32
                wide = [one for one in street.plates(number) if one.width_px >= LEAST_PX]
                shares += [float(is_fill[plate.pixels].mean()) for plate in wide]
                number += 1
    assert number == street.frames == 75
    assert len(shares) > 90
    assert min(shares) > 0.95


class SeenIn:
    """A detector that sees the bright box in some pictures of the recording only, and never from closer."""

    def __init__(self, seen: range) -> None:
        self.seen, self.number = seen, -1

    def detect(self, luma: np.ndarray) -> list[Detection]:  # type: ignore[type-arg]
        is_whole = luma.shape == (180, 320)
        self.number += is_whole
        ys, xs = np.nonzero(luma > 200)
        if not is_whole or self.number not in self.seen:
            return []
        x0, y0, x1, y1 = (float(one) for one in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        return [Detection(corners_px=((x0, y0), (x1, y0), (x1, y1), (x0, y1)), confidence_permille=600)]

    def detect_closer(self, luma: np.ndarray) -> list[Detection]:  # type: ignore[type-arg]
        return []


def plate_at(number: int) -> tuple[int, int, int, int]:
    """A bright box that goes to the right, two pixels in a picture."""
    return (40 + 2 * number, 80, 100 + 2 * number, 96)


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory, manifest_of: Callable[..., Manifest], redact_kit: Any) -> Any:
    """A bright plate on grey that goes through a recording of two segments of 25 pictures."""
    shown = []
    for number in range(50):
        i420 = np.full((270, 320), 90, dtype=np.uint8)
        i420[180:] = 128
        x0, y0, x1, y1 = plate_at(number)
        i420[y0:y1, x0:x1] = 240
        shown.append(i420)
    plains = redact_kit.segments_of(shown, 320, 180, codec=None)
    return redact_kit.sealed_drive(tmp_path_factory.mktemp("passing") / "spool", plains, manifest_of)


@pytest.mark.parametrize(
    ("seen", "covered"),
    [
        (range(10, 25), range(10, 40)),  # not seen again behind the cut: the first pictures of the second part
        (range(25, 45), range(10, 45)),  # seen from the cut on: the last pictures of the first part
        (range(20, 30), range(10, 40)),
    ],
)
def test_a_plate_that_is_followed_up_to_a_cut_is_covered_behind_it(seen: range, covered: range, passing: Any) -> None:
    """RD-46: the recorder cuts where its time is up, not where the plate leaves"""
    recording = open_recording([passing.folder], load_identities(passing.identity))
    plan = propose(recording, Models(finder=SeenIn(seen)))
    assert [part.frames for part in plan.parts] == [25, 25]
    assert len(plan.regions) == 1
    for number in covered:
        part = number // 25
        cells = cells_at(part_plan(plan, part).regions, number % 25 * 40_000, width=320, height=180)
        x0, y0, x1, y1 = plate_at(number)
        assert spread(cells, 8, (180, 320))[y0:y1, x0:x1].all(), number


def test_each_copy_proves_its_own_parent_and_names_all(made: Path, drive: Any, key_file: Path) -> None:
    """RD-47, RD-48, RD-49, RD-50, RD-21, RD-22"""
    names = [f"{at:04d}-{one.item}.mp4" for at, one in enumerate(drive.manifests, start=1)]
    assert [one.name for one in copies(made)] == names
    assert {one.name for one in made.iterdir()} == {
        WHOLE_PLAN, *(name.replace(".mp4", end) for name in names for end in (".mp4", ".plan.toml", ".redaction")),
    }  # fmt: skip
    found = records(made)
    together = found[0]["body"]["set"]
    assert together["recording"] == drive.recording
    assert together["plan_sha256"] == hashlib.sha256((made / WHOLE_PLAN).read_bytes()).hexdigest()
    for at, (record, copy, plain) in enumerate(zip(found, copies(made), drive.plains, strict=True)):
        body, sha256 = record["body"], hashlib.sha256(copy.read_bytes()).hexdigest()
        assert record["kind"] == "vedette/redaction/2"
        assert body["set"] == together
        assert body["parent"]["plain_sha256"] == hashlib.sha256(plain).hexdigest()
        assert body["parent"]["item"] == drive.manifests[at].item
        assert together["members"][at] == {
            "item": body["item"], "parent": drive.manifests[at].item, "sequence": at, "derived_sha256": sha256,
        }  # fmt: skip
        assert body["plan_sha256"] == hashlib.sha256(copy.with_suffix(".plan.toml").read_bytes()).hexdigest()
        assert "sign" in {one["region"] for one in body["reasons"]}


def test_the_set_holds_and_so_does_each_copy_by_itself(
    made: Path, drive: Any, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-47, RD-54, RD-27: the check of one copy takes one of a set as any other"""
    opening = ["--identity", str(drive.identity), "--signer", SigningKey.load(key_file).public.text]
    assert cli.main(["evidence", "redact", str(drive.folder), "--check", str(made), *opening]) == 0
    said = capsys.readouterr().out
    assert f"all 3 parts of recording {drive.recording} are here" in said
    assert f"part 2 of 3 of recording {drive.recording}" in said
    for item, copy in zip(drive.items, copies(made), strict=True):
        assert cli.main(["evidence", "redact", str(item), "--check", str(copy), *opening]) == 0


def test_items_may_be_named_one_by_one_and_in_any_order(passing: Any) -> None:
    """RD-42, RD-6: the same recording gives the same proposal"""
    identities = load_identities(passing.identity)
    named = [open_recording(paths, identities) for paths in ([passing.folder], list(passing.items)[::-1])]
    ours, theirs = (propose(one, Models(finder=SeenIn(range(5, 45)))) for one in named)
    assert ours == theirs
    assert [one.sequence for one in ours.parts] == [0, 1]
    assert [one.begins_us for one in ours.parts] == [0, 1_000_000]


def test_the_parts_of_a_plan_are_the_plans_beside_the_copies(made: Path) -> None:
    """RD-44"""
    whole = parse_plan((made / WHOLE_PLAN).read_bytes(), version=OF_RECORDING)
    for at, copy in enumerate(copies(made)):
        assert parse_plan(copy.with_suffix(".plan.toml").read_bytes()) == part_plan(whole, at)


def test_the_same_plan_makes_the_same_copies(made: Path, drive: Any, key_file: Path, tmp_path: Path) -> None:
    """RD-9, RD-47"""
    out = tmp_path / "again"
    words = ["--identity", str(drive.identity), "--key", str(key_file), "--apply", str(made / WHOLE_PLAN)]
    assert cli.main(["evidence", "redact", str(drive.folder), *words, "-o", str(out)]) == 0
    assert [one.read_bytes() for one in copies(out)] == [one.read_bytes() for one in copies(made)]


def test_a_plan_for_one_item_and_one_for_a_recording_are_told_apart(
    made: Path, drive: Any, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-43, RD-1"""
    ending = ["--identity", str(drive.identity), "--key", str(key_file), "-o", str(tmp_path / "c.mp4"), "--apply"]
    assert cli.main(["evidence", "redact", str(drive.items[0]), *ending, str(made / WHOLE_PLAN)]) == 1
    assert "for a whole recording; give all of its items" in capsys.readouterr().err
    of_one = copies(made)[0].with_suffix(".plan.toml")
    assert cli.main(["evidence", "redact", str(drive.folder), *ending, str(of_one)]) == 1
    assert "for one item; give that item alone" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert parse_plan(of_one.read_bytes()).frames == 25
