"""What a device says of itself in its manifests."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from vedette import canonical
from vedette.config import DeviceConfig, DeviceSection, load_device
from vedette.identity import MAX_TEXT, identity_of, policy_sha256, policy_text


def config(**changes: object) -> DeviceConfig:
    made = DeviceConfig(device=DeviceSection(id="car-1", data=Path("/var/lib/vedette")))
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def board(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_board_and_image_are_said_when_the_board_tells_them(tmp_path: Path) -> None:
    """RE-14: a device tree's text ends in a zero character."""
    root = board(
        tmp_path,
        **{
            "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "sys/class/dmi/id/product_name": "other",
            "etc/os-release": 'ID=debian\nVERSION_ID="12"\nIMAGE_ID=vedette\nIMAGE_VERSION="2026.11"\nbroken line\n',
        },
    )
    found = identity_of(config(), root)
    assert found.hardware == "Raspberry Pi 5 Model B Rev 1.0"
    assert str(found.firmware).startswith("image vedette 2026.11; debian 12; linux ")
    assert found.software.startswith("vedette ")


def test_hardware_is_none_when_the_board_tells_nothing(tmp_path: Path) -> None:
    """RE-14."""
    found = identity_of(config(), tmp_path)
    assert found.hardware is None
    assert str(found.firmware).startswith("linux ")


def test_text_of_a_board_is_one_short_line_when_it_is_anything_else(tmp_path: Path) -> None:
    """RE-14."""
    root = board(tmp_path, **{"sys/class/dmi/id/product_name": "a\n\tb\x1b[31m" + "x" * 1000})
    hardware = str(identity_of(config(), root).hardware)
    assert hardware.startswith("a b [31mx")
    assert len(hardware) <= MAX_TEXT
    assert hardware.isprintable()


def test_policy_is_the_same_when_only_the_device_and_its_folders_differ() -> None:
    """RE-15."""
    other = DeviceConfig(device=DeviceSection(id="car-2", data=Path("/mnt/x"), run=Path("/tmp/x")))
    assert policy_sha256(other) == policy_sha256(config())


@pytest.mark.parametrize("section", [one.name for one in dataclasses.fields(DeviceConfig) if one.name != "device"])
def test_policy_changes_when_any_rule_changes(section: str) -> None:
    """RE-15: every section counts."""
    made = getattr(config(), section)
    named = {"board": "adapter", "motion": "sensor"}  # those that hold no number
    name, value = (
        (named[section], getattr(made, named[section]))
        if section in named
        else next(
            (one.name, getattr(made, one.name))
            for one in dataclasses.fields(made)
            if type(getattr(made, one.name)) in (int, bool)
        )
    )
    changed = dataclasses.replace(
        made, **{name: f"{value}x" if isinstance(value, str) else not value if isinstance(value, bool) else value + 1}
    )
    assert policy_sha256(config(**{section: changed})) != policy_sha256(config())


def test_policy_is_canonical_json_with_defaults_when_it_is_written_out(tmp_path: Path) -> None:
    """RE-15: anybody can make it again from device.toml."""
    (tmp_path / "device.toml").write_text('[device]\nid = "car-1"\ndata = "."\n[recorder]\nsegment_s = 30\n')
    text = policy_text(load_device(tmp_path / "device.toml"))
    body = json.loads(text)
    assert canonical.dumps(body) == text.encode()
    assert body["recorder"]["segment_s"] == 30
    assert body["keeper"]["keep_receipted_s"] == 0
    assert policy_sha256(load_device(tmp_path / "device.toml")) == hashlib.sha256(text.encode()).hexdigest()
