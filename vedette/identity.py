"""Who made an item, beside the device's name: software, hardware, firmware and the policy in force.

Decided here: where each comes from on a Linux board, and that the policy is the SHA-256 of the whole effective
configuration (defaults filled in), so that two devices under the same rules say the same and a changed rule shows.
Implements RE-14 and RE-15 of docs/spec/record.md.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from vedette import __version__
from vedette.config import DeviceConfig

SOFTWARE = f"vedette {__version__}"
MAX_TEXT = 200
_OWN_PLACES = ("data", "run")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Software with its version; hardware model and firmware (OS image or release, kernel) where the board tells them;
    SHA-256 of the effective configuration.
    """

    software: str = SOFTWARE
    hardware: str | None = None
    firmware: str | None = None
    policy_sha256: str | None = None


def identity_of(config: DeviceConfig, root: Path = Path("/")) -> Identity:
    """What this device is under `config`; `root` is where the board's files lie."""
    return Identity(hardware=_hardware(root), firmware=_firmware(root), policy_sha256=policy_sha256(config))


def policy_sha256(config: DeviceConfig) -> str:
    """The SHA-256 (hex) of `policy_text`."""
    return hashlib.sha256(policy_text(config).encode()).hexdigest()


def policy_text(config: DeviceConfig) -> str:
    """The effective configuration as canonical JSON: every section with its defaults, without the device's id and the
    places of its folders, which are no rules.
    """
    sections = dataclasses.asdict(config)
    device = sections.pop("device")
    rules = {name: value for name, value in device.items() if name != "id" and name not in _OWN_PLACES}
    if rules:
        sections["device"] = rules
    return json.dumps(sections, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    """Paths as text, mappings and sets as JSON has them."""
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)


def _hardware(root: Path) -> str | None:
    """The board's model: of the device tree (Raspberry Pi, Jetson), else of DMI."""
    for place in ("proc/device-tree/model", "sys/class/dmi/id/product_name"):
        text = _read(root / place)
        if text:
            return text
    return None


def _firmware(root: Path) -> str | None:
    """The OS image where there is one, the release, and the kernel."""
    known: dict[str, str] = {}
    for line in (_read_lines(root / "etc/os-release") or _read_lines(root / "usr/lib/os-release"))[:100]:
        name, _, value = line.partition("=")
        known[name.strip()] = value.strip().strip("\"'")
    image = " ".join(known[name] for name in ("IMAGE_ID", "IMAGE_VERSION") if known.get(name))
    release = " ".join(known[name] for name in ("ID", "VERSION_ID") if known.get(name))
    parts = [f"image {image}" if image else "", release, f"linux {os.uname().release}"]
    return _tidy("; ".join(part for part in parts if part))


def _read(path: Path) -> str | None:
    try:
        return _tidy(path.read_bytes()[:MAX_TEXT].decode("utf-8", "replace")) or None
    except OSError:
        return None


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_bytes()[: 16 * 1024].decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _tidy(text: str) -> str:
    """One line of printable text of bounded length."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:MAX_TEXT]
