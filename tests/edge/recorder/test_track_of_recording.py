"""What the recorder recorded is taken out as a track for a map: `vedette evidence track` over its opened segments."""

import io
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import good_bundle
import pytest

from edge.board.position import Fix
from vedette import bundle, cli
from vedette.hitfile import Position
from vedette.text_track import text_samples

SECOND = 1_000_000
GPX = "{http://www.topografix.com/GPX/1/1}"
# Seconds in which the receiver knows no place, and in which the last one grows old.
BLIND, OLD = range(6, 9), range(12, 18)


def driven(began_us: int) -> Callable[[int], Fix | None]:
    """A way north of a ten-thousandth of a degree a second, with holes."""

    def find(at_us: int) -> Fix | None:
        second = (at_us - began_us) // SECOND
        if second in BLIND:
            return None
        fixed = OLD[0] - 1 if second in OLD else second
        here = Position(
            lat_e7=335_731_000 + fixed * 1000, lon_e7=-75_898_000, accuracy_cm=480, fixed_us=began_us + fixed * SECOND
        )
        return Fix(position=here, mode="3d", satellites=9, satellite_time_trusted=second < 20)

    return find


@pytest.fixture
def films(device: Any, bench: Any, clock: Any, tmp_path: Path) -> list[Path]:
    """Three segments of some eight seconds, opened."""
    clock.advance(-clock.utc_us() % SECOND)
    one = bench(segment_s=8, terms={"position": driven(clock.utc_us())})
    one.steps(240)
    one.close()
    paths = []
    for item in sorted(device.items(), key=lambda item: item.manifest.sequence):
        paths.append(tmp_path / f"{item.manifest.item}.mp4")
        paths[-1].write_bytes(device.opened(item))
    assert len(paths) == 3
    return paths


def lines_by_pyav(path: Path) -> list[str]:
    with av.open(str(path)) as file:
        return [bytes(one)[2:].decode() for one in file.demux(subtitles=0) if one.size]


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = cli.main(["evidence", "track", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def seconds_of(text: str) -> int:
    return int(text[17:19]) + 60 * int(text[14:16])


def test_every_line_that_a_player_sees_is_read(films: list[Path]) -> None:
    """SG-10, SG-31: as many and the same as FFmpeg gives; also of a segment that was cut."""
    for path in films:
        seen = lines_by_pyav(path)
        assert len(seen) > 30
        assert [one.text for one in text_samples(path.open("rb")) or ()] == seen
    whole = films[0].read_bytes()
    cut = whole[: len(whole) * 2 // 3]
    found = [one.text for one in text_samples(io.BytesIO(cut)) or ()]
    assert 15 < len(found) < len(lines_by_pyav(films[0]))
    assert found == lines_by_pyav(films[0])[: len(found)]


def test_recording_is_a_track_second_by_second(
    films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SG-29, SG-30: named in any order; with holes where there was no place, and the distrusted seconds said."""
    out, again = tmp_path / "way.gpx", tmp_path / "again.gpx"
    code, said, _ = run(capsys, *reversed(films), "--out", out, "--json")
    account = json.loads(said)
    assert (code, run(capsys, *films, "--out", again)[0]) == (0, 0)
    assert again.read_bytes() == out.read_bytes()
    root = ElementTree.parse(out).getroot()
    assert [one.findtext(f"{GPX}src") for one in root] == [str(one) for one in films]
    stretches = [
        [round((float(point.attrib["lat"]) - 33.5731) * 10_000) for point in stretch]
        for stretch in root.iter(f"{GPX}trkseg")
    ]
    lines = [line for path in films for line in lines_by_pyav(path)]
    known = sorted({line[:19] for line in lines if "unknown" not in line and "old" not in line})
    points = [point.findtext(f"{GPX}time") for point in root.iter(f"{GPX}trkpt")]
    assert points == [f"{one[:10]}T{one[11:]}Z" for one in known]
    assert sorted({place for stretch in stretches for place in stretch}) == [*range(6), 9, 10, 11, *range(18, 24)]
    assert all(b - a <= 1 for stretch in stretches for a, b in itertools.pairwise(stretch))
    assert (account["points"], account["lines"], account["other_lines"]) == (len(points), len(lines), 0)
    assert account["unknown_s"] == len(BLIND)
    assert account["old_s"] == len({line[:19] for line in lines if " s old)" in line}) >= 3
    assert account["distrusted_s"] == len({line[:19] for line in lines if "not trusted" in line}) >= 4
    assert [one["sequence"] for one in account["tracks"]] == [0, 1, 2]
    assert account["to_us"] - account["from_us"] == (seconds_of(known[-1]) - seconds_of(known[0])) % 3600 * SECOND


def test_account_is_a_line_and_one_for_each_recording(
    films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SG-29."""
    out = tmp_path / "way.gpx"
    code, said, _ = run(capsys, *films, "-o", out)
    assert code == 0
    first, *each = said.splitlines()
    assert first.startswith(f"{out}: ")
    assert " without a position, " in first
    assert [one.partition(":")[0] for one in each] == [str(one) for one in films]
    code, said, _ = run(capsys, films[0])
    assert (code, said.count("\n")) == (0, 1)
    assert said.startswith(f"{films[0]}: ")


def test_nothing_is_overwritten_and_nothing_half_written(
    films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SG-31: a file that is there, a damaged recording among good ones, the same one twice."""
    out, bad = tmp_path / "way.gpx", tmp_path / "bad.mp4"
    data = bytearray(films[1].read_bytes())
    place = data.rindex(b"trun", 0, data.index(b"mdat"))
    data[place - 4 : place] = (1 << 20).to_bytes(4, "big")
    bad.write_bytes(data)
    code, _, error = run(capsys, films[0], bad, "-o", out)
    assert code == 10
    assert error.startswith(f"vedette: {bad}: the MP4's box ")
    assert not out.exists()
    code, _, error = run(capsys, films[0], films[0], "-o", out)
    assert (code, "name one of them" in error, out.exists()) == (1, True, False)
    out.write_bytes(b"mine")
    code, _, error = run(capsys, films[0], "-o", out)
    assert (code, out.read_bytes()) == (1, b"mine")
    assert "is not overwritten" in error
    assert sorted(one.suffix for one in tmp_path.iterdir() if one.is_file()) == [".gpx", *[".mp4"] * 4]


@pytest.mark.parametrize("name", ["case", "case.zip", "folder"])
def test_recording_in_a_bundle_is_found(
    films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """SG-31: a folder, a zip, and a folder of bundles."""
    made = tmp_path / name / "one.zip" if name == "folder" else tmp_path / name
    made.parent.mkdir(exist_ok=True)
    bundle.make(made, good_bundle.parts(plain=films[0].read_bytes()))
    _, alone, _ = run(capsys, films[0], "--json")
    code, said, _ = run(capsys, tmp_path / name, "--json")
    assert code == 0
    found, expected = (json.loads(one)["tracks"][0] for one in (said, alone))
    assert {**found, "path": ""} == {**expected, "path": ""}


def test_what_is_no_opened_recording_is_said(
    films: list[Path], device: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SG-31: a sealed file, a bundle with the sealed file alone, none at all, and an MP4 without a line."""
    code, _, error = run(capsys, device.items()[0].path)
    assert (code, "is sealed; open it with" in error) == (1, True)
    bundle.make(tmp_path / "sealed.zip", replace(good_bundle.parts(), opened=None))
    code, _, error = run(capsys, tmp_path / "sealed.zip")
    assert (code, "holds no opened recording" in error) == (3, True)
    code, _, error = run(capsys, tmp_path / "none.mp4")
    assert (code, "no recording" in error) == (3, True)
    bare = tmp_path / "bare.mp4"
    bare.write_bytes(b"not really an MP4")
    code, _, error = run(capsys, bare, "-o", tmp_path / "way.gpx")
    assert (code, "it has no line of time and place" in error) == (3, True)
    assert not (tmp_path / "way.gpx").exists()
