"""Strict configuration, and its reference page."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest

from vedette import config
from vedette.errors import NotFound, Refused, Usage

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "device.toml"
    path.write_text(text)
    return path


def test_config_takes_defaults_and_resolves_paths_beside_the_file(tmp_path: Path) -> None:
    found = config.load_device(written(tmp_path, '[device]\nid = "car-1"\ndata = "data"\n'))
    assert found.data == tmp_path / "data"
    assert found.spool == tmp_path / "data" / "spool"
    assert found.run == Path("/run/vedette")
    assert found.reader.min_looks == 2


def test_config_names_the_nearest_key_when_one_is_unknown(tmp_path: Path) -> None:
    path = written(tmp_path, '[device]\nid = "car-1"\ndata = "."\n[recorder]\nsegments_s = 5\n')
    with pytest.raises(Usage, match=r"recorder: unknown key 'segments_s'; did you mean 'segment_s'\?"):
        config.load_device(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[device]\nid = "car-1"\n', "'data' is missing"),
        ('[device]\nid = "Car 1"\ndata = "."\n', "device id"),
        ('[device]\nid = "car-1"\ndata = "."\n[recorder]\nsegment_s = 1\n', "from 2 to 3600"),
        ('[device]\nid = "car-1"\ndata = "."\n[recorder]\nsegment_s = 3601\n', "from 2 to 3600"),
        ('[device]\nid = "car-1"\ndata = "."\n[recorder]\nsegment_s = true\n', "wrong type"),
        ('[device]\nid = "car-1"\ndata = "."\n[recorder]\nmode = "off"\n', "continuous, standby"),
        ('[device]\nid = "car-1"\ndata = "."\n[reader]\nmin_looks = 1\n', "from 2"),
        (
            '[device]\nid = "car-1"\ndata = "."\n[recorder]\nschedule_zone = "Africa/Casablanca"\n',
            """recorder: 'schedule_zone' has moved; write zone = "Africa/Casablanca" under [device] instead""",
        ),
        (
            '[device]\nid = "car-1"\ndata = "."\n[recorder]\nstamp_zone = "UTC"\n',
            """'stamp_zone' has moved; write zone = "UTC" under [device] instead""",
        ),
        (
            '[device]\nid = "car-1"\ndata = "."\n[network]\nquiet_zone = "Europe/Paris"\n',
            """network: 'quiet_zone' has moved; write zone = "Europe/Paris" under [device] instead""",
        ),
        ("device = 5\n", "expected a table"),
        ('[device]\nid = "car-1"\ndata = "a\\u0000"\n', "zero character"),
        ('[device]\nid = "car-1"\ndata = "."\n[camera]\nsource = "a\\u0000"\n', "zero character"),
    ],
)
def test_config_says_what_is_wrong_when_a_value_is(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Usage, match=re.escape(said)):
        config.load_device(written(tmp_path, text))


def test_config_is_refused_when_it_is_missing_or_not_toml(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        config.load_device(tmp_path / "device.toml")
    with pytest.raises(Refused, match="not TOML"):
        config.load_device(written(tmp_path, "[device"))


@pytest.mark.parametrize("text", ["[device", "a = " + "[" * 5000, "a = " + "9" * 5000], ids=["cut", "deep", "long"])
def test_config_is_refused_when_its_toml_is_hostile(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refused, match="not TOML"):
        config.load_device(written(tmp_path, text))


def keys_of(kind: type) -> set[str]:
    sections = typing.get_type_hints(kind)
    return {f"{section}.{one.name}" for section, inner in sections.items() for one in dataclasses.fields(inner)}


@pytest.mark.parametrize(
    ("heading", "kind"), [("device.toml", config.DeviceConfig), ("central.toml", config.CentralConfig)]
)
def test_reference_page_has_exactly_the_keys_that_the_code_has(heading: str, kind: type) -> None:
    page = REFERENCE.read_text().split(f"## {heading}")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE)) == keys_of(kind)
