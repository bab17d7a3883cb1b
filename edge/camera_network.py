"""`vedette device camera-network`: lets the recorder reach the network camera of device.toml, and nothing else.

Decided here: the drop-in for the recorder's unit is made anew from device.toml each time, written where it differs and
taken away where the camera is no network camera or its address is not known; a running recorder is not restarted. It
is also what says why a network camera does not start where the unit is the reason. Whose addresses those are is
`edge/camera/reach.py`.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.camera import reach
from edge.camera.address import Address
from edge.camera.reach import COMMAND, RESTART
from vedette import cli, config, files
from vedette.config import CameraSection
from vedette.errors import NotFound, Refused, VedetteError

INSTALLED = Path("/var/lib/vedette/device/device.toml")
ROOT = Path("/")
UNIT = Path("etc/systemd/system/vedette-recorder.service")
DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "25-network-camera.conf"
NAMES = Path("etc/hosts")
MAX_BYTES = 1024 * 1024


def register(verbs: cli.Nouns) -> None:
    """Add the verb to `vedette device`."""
    parser = verbs.add_parser("camera-network", help="let the recorder's unit reach its network camera, nothing else")
    parser.add_argument("--config", type=Path, default=INSTALLED, help=f"device.toml (default: {INSTALLED})")
    cli.add_json(parser)
    parser.set_defaults(run=_run)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """The addresses that are let through, whether that was changed, and whether others were let through before."""

    addresses: tuple[Address, ...]
    changed: bool
    cuts: bool


def settle(camera: CameraSection, root: Path) -> Settled:
    """Have the unit's drop-in let `camera` through and nothing else. systemd takes away at once what is not there any
    more, from a recorder that runs too; what is new counts from its next start on.

    Raises Refused for a name without a known address and where others than root call it, Usage for a strange address;
    then too nothing stays let through.
    """
    try:
        addresses = _wanted(camera, root)
    except VedetteError:
        _write(root, b"")
        raise
    had = (root / DROP_IN).exists()
    changed = _write(root, reach.drop_in(addresses).encode() if addresses else b"")
    return Settled(addresses=addresses, changed=changed, cuts=changed and had)


def unsettled(camera: CameraSection, root: Path = ROOT) -> str:
    """What to do where an installed recorder's unit and `camera` do not go together; empty where they do."""
    if not (root / UNIT).exists():
        return ""
    try:
        addresses = _wanted(camera, root)
        found = _read(root / DROP_IN)
    except VedetteError as error:
        return str(error)
    except PermissionError:
        return ""
    if found == (reach.drop_in(addresses).encode() if addresses else b""):
        return ""
    shown = ", ".join(map(str, addresses))
    wrong = f"does not let it reach {shown}" if addresses else "lets it reach a network that its camera does not need"
    return f"the recorder's unit {wrong}: {COMMAND}, then {RESTART}"


def why_closed(camera: CameraSection, root: Path = ROOT) -> str:
    """Why this process cannot reach a network camera, where that is its own unit's doing; empty where it is not."""
    host = reach.host_of(camera)
    if host is None:
        return ""
    return reach.why_closed(host, _names(root), has_network=_has_network(), environment=os.environ)


def _run(args: argparse.Namespace) -> int:
    done = settle(config.load_device(args.config).camera, ROOT)
    shown = [str(one) for one in done.addresses]
    lines = [
        f"the recorder reaches {', '.join(shown)} and nothing else" if shown else "the recorder reaches no network"
    ]
    lines[0] += f", from its next start on: {RESTART}" if done.changed else "; nothing was changed"
    if done.cuts:
        lines.append("a recorder that runs has lost the camera it had: restart it now")
    if warning := reach.may_change(done.addresses):
        lines.append(warning)
    cli.show(args, {"addresses": shown, "changed": done.changed}, "\n".join(lines))
    return 0


def _wanted(camera: CameraSection, root: Path) -> tuple[Address, ...]:
    host = reach.host_of(camera)
    return () if host is None else reach.addresses_of(host, _names(root))


def _names(root: Path) -> str:
    return _read(root / NAMES).decode("utf-8", "replace")


def _read(path: Path) -> bytes:
    try:
        return files.read(path, max_bytes=MAX_BYTES)
    except NotFound:
        return b""


def _write(root: Path, text: bytes) -> bool:
    """Make `text` the drop-in, none where it is empty; whether it was another before."""
    path = root / DROP_IN
    try:
        if _read(path) == text:
            return False
        if text:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(path, text)
            # Whatever root's own habit: others compare it, and there is nothing secret in it.
            path.parent.chmod(0o755)
            path.chmod(0o644)
        else:
            files.remove(path)
            with suppress(OSError):
                path.parent.rmdir()
    except PermissionError:
        raise Refused(f"{path} can only be changed by root: {COMMAND}") from None
    _reload(root)
    return True


def _reload(root: Path) -> None:
    if not (root / "run/systemd/system").is_dir():
        return
    done = subprocess.run(["systemctl", "daemon-reload"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"systemctl daemon-reload failed, run it again: {done.stderr.strip()[:200]}")


def _has_network() -> bool:
    """Whether this process may open a connection to anything at all."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError), socket.socket(family, socket.SOCK_STREAM):
            return True
    return False
