"""Puts the broker's address into a device.toml and leaves every other line of it as a person wrote it."""

from __future__ import annotations

import re

_SECTION = re.compile(r"^\s*\[")
_UPLINK = re.compile(r"^\s*\[\s*uplink\s*\]")
_OURS = re.compile(r"^\s*(host|port)\s*=")


def with_uplink(text: str, *, host: str, port: int) -> str:
    """`text` with `host` and `port` set in its section [uplink], which is added at the end where there is none."""
    address = [f'host = "{host}"', f"port = {port}"]
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if _UPLINK.match(line)), None)
    if start is None:
        return "\n".join([*lines, "", "[uplink]", *address]).lstrip("\n") + "\n"
    end = next((n for n in range(start + 1, len(lines)) if _SECTION.match(lines[n])), len(lines))
    kept = [line for line in lines[start + 1 : end] if not _OURS.match(line)]
    return "\n".join([*lines[: start + 1], *address, *kept, *lines[end:]]) + "\n"
