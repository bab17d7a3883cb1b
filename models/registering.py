"""The registry of the models as whoever makes them writes it: the hash and the version of a file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

HOME = Path(__file__).parent


def registered(home: Path, name: str, version: str) -> None:
    """Writes the hash and version of one file into registry.toml."""
    registry = home / "registry.toml"
    text = registry.read_text(encoding="utf-8")
    digest = hashlib.sha256((home / f"{name}.tflite").read_bytes()).hexdigest()
    head, rest = text.split(f"[{name}]", 1)
    rest = re.sub(r'sha256 = "[0-9a-f]*"', f'sha256 = "{digest}"', rest, count=1)
    rest = re.sub(r'version = "[^"]*"', f'version = "{version}"', rest, count=1)
    registry.write_text(f"{head}[{name}]{rest}", encoding="utf-8")
