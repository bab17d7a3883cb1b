"""What the kernel's thermal zones say, and the file by which the panel tells the recorder."""

import os
from pathlib import Path

import pytest

from edge.board.heat import FRESH_US, HEAT_NAME, MAX_BYTES, MAX_ZONES, measure, read_heat, write_heat
from vedette import canonical


def zones(folder: Path, *found: tuple[str, str]) -> Path:
    """A folder like the kernel's, with these types and temperatures."""
    for number, (kind, temperature) in enumerate(found):
        zone = folder / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(temperature)
    (folder / "cooling_device0").mkdir()
    return folder


def test_hottest_zone_counts(tmp_path: Path) -> None:
    """HE-1: as on a Raspberry Pi with one zone, and on a Jetson with many."""
    assert (
        measure(zones(tmp_path, ("cpu-thermal", "48312\n"), ("gpu-thermal", "51500\n"), ("soc2", "-3000\n"))) == 51_500
    )


@pytest.mark.parametrize(
    "zone", [("PMIC-Die", "100000\n"), ("cpu", "-256000\n"), ("cpu", "150001\n"), ("cpu", ""), ("cpu", "hot\n")]
)
def test_zone_that_says_nothing_does_not_count(tmp_path: Path, zone: tuple[str, str]) -> None:
    """HE-1: a Jetson's power chip, a zone that is off, a sensor that is gone."""
    assert measure(zones(tmp_path, zone)) is None
    (tmp_path / "thermal_zone7").mkdir()
    (tmp_path / "thermal_zone7" / "type").write_text("cpu")
    (tmp_path / "thermal_zone7" / "temp").write_text("40000")
    assert measure(tmp_path) == 40_000


def test_machine_without_zones_says_nothing(tmp_path: Path) -> None:
    """HE-1."""
    assert measure(tmp_path) is None
    assert measure(tmp_path / "nowhere") is None


@pytest.mark.parametrize("milli_c", [-40_000, 150_000])
def test_extreme_that_can_be_counts(tmp_path: Path, milli_c: int) -> None:
    """HE-1."""
    assert measure(zones(tmp_path, ("cpu", str(milli_c)))) == milli_c


def test_no_more_zones_are_read_than_the_most(tmp_path: Path) -> None:
    """HE-1."""
    for number in range(MAX_ZONES + 1):
        zone = tmp_path / f"thermal_zone{number:03d}"
        zone.mkdir()
        (zone / "type").write_text("cpu")
        (zone / "temp").write_text(str(1000 * number))
    assert measure(tmp_path) == 1000 * (MAX_ZONES - 1)


@pytest.mark.parametrize(("ago_us", "found"), [(0, 61_000), (FRESH_US, 61_000), (FRESH_US + 1, None)])
def test_measurement_counts_for_half_a_minute(tmp_path: Path, ago_us: int, found: int | None) -> None:
    """HE-2."""
    write_heat(tmp_path, 61_000, now_us=1_000_000_000)
    assert read_heat(tmp_path, now_us=1_000_000_000 + ago_us) == found
    assert os.listdir(tmp_path) == [HEAT_NAME]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]",
        canonical.dumps({"milli_c": 61_000}), canonical.dumps({"milli_c": 150_001, "measured_us": 1}),
        canonical.dumps({"milli_c": 61_000, "measured_us": 1, "more": 1}), b" " * (MAX_BYTES + 1),
    ],
)  # fmt: skip
def test_file_that_is_not_whole_is_no_measurement(tmp_path: Path, content: bytes) -> None:
    """HE-2."""
    assert read_heat(tmp_path, now_us=1) is None
    (tmp_path / HEAT_NAME).write_bytes(content)
    assert read_heat(tmp_path, now_us=1) is None
