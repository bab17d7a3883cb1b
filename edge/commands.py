"""`vedette device init|run|start|stop|mode|recover|status` and `vedette camera probe`.

Decided here: what a new device folder holds before the centre enrols it, and how its services are started and asked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from edge import camera_network
from edge.camera import open_camera
from edge.camera.port import EncodedUnit, Given, SmallFrame
from edge.camera_network import INSTALLED
from edge.ring import REASONS
from vedette import cli, commands, config, daemon, files, spool
from vedette.clock import Clock, SystemClock, iso, uuid7
from vedette.config import CameraSection, DeviceConfig
from vedette.daemon import Step
from vedette.errors import Integrity, NotFound, Refused, Usage
from vedette.fields import check_device_id
from vedette.keys import SigningKey
from vedette.zones import find_zone

SERVICES = ("recorder", "reader", "panel", "position", "keeper")
STATUSES = ("recorder", "reader", "panel", "position", "uplink", "keeper")
STALE_US = 10_000_000
MAX_PROBE_S = 60

_TEMPLATE = """\
# The configuration of this device; docs/reference/configuration.md describes every key.
[device]
id = "{id}"
data = "."
run = "{run}"
zone = "{zone}"

[camera]
adapter = "{adapter}"
source = "{source}"

[recorder]
mode = "{mode}"
"""


def register(nouns: cli.Nouns) -> None:
    """Add the nouns `device` and `camera`."""
    verbs = cli.noun(nouns, "device", help="make, run and ask a device")
    _register_init(verbs)
    run = verbs.add_parser("run", help="run one service until it is told to stop")
    run.add_argument("service", choices=SERVICES)
    _add_config(run)
    run.set_defaults(run=_run)
    for verb, what in (("start", "start recording"), ("stop", "stop recording")):
        parser = verbs.add_parser(verb, help=what)
        parser.add_argument("--activation", default="command", help="why, for custody (default: command)")
        _add_config(parser)
        parser.set_defaults(run=_command, command=verb)
    mode = verbs.add_parser("mode", help="switch stealth, mute or sleep; custody says who did")
    mode.add_argument("mode", choices=("stealth", "mute", "sleep"))
    mode.add_argument("on", choices=("on", "off"))
    mode.add_argument("--activation", default="command", help="by whom, for custody (default: command)")
    _add_config(mode)
    mode.set_defaults(run=_mode)
    _register_recover(verbs)
    camera_network.register(verbs)
    status = verbs.add_parser("status", help="what the services say of themselves")
    _add_config(status)
    cli.add_json(status)
    status.set_defaults(run=_status)
    probe = cli.noun(nouns, "camera", help="try cameras").add_parser("probe", help="open a camera and look at it")
    probe.add_argument("source", help="a file, device or board, as [camera] source names it")
    probe.add_argument("--adapter", default="clip", help="clip (default), gst, pi or another that is installed")
    probe.add_argument("--seconds", type=int, default=3, help=f"how long to look (1 to {MAX_PROBE_S}, default 3)")
    cli.add_json(probe)
    probe.set_defaults(run=_probe)


def init_device(
    folder: Path,
    device_id: str,
    *,
    camera: CameraSection,
    run_dir: Path,
    mode: str = "continuous",
    zone: str = "UTC",
) -> DeviceConfig:
    """Make a device folder: its sub-folders, its signing key and device.toml.

    Raises Usage for an id or a time zone that is none and Refused when the folder holds a device already.
    """
    try:
        check_device_id(device_id)
    except Integrity as error:
        raise Usage(str(error)) from None
    find_zone(zone)
    path = folder / "device.toml"
    if path.exists():
        raise Refused(f"{folder} holds a device already; nothing was changed")
    for name in ("keys", "journal", "receipts", "watchlist"):
        (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700 if name == "keys" else 0o750)
    spool.make_folders(folder / "spool")
    key = folder / "keys" / "sign.pem"
    if not key.exists():
        SigningKey.generate().save(key)
    text = _TEMPLATE.format(
        id=device_id, run=run_dir, zone=zone, adapter=camera.adapter, source=_toml(camera.source), mode=mode
    )
    files.write_new(path, text.encode())
    return config.load_device(path)


def open_service(name: str, device: DeviceConfig, clock: Clock) -> Step:
    """The service `name` of a device, ready to step. What only one service needs is imported only for it."""
    if name == "recorder":
        from edge.recorder.service import open_recorder

        return open_recorder(device, clock)
    if name == "reader":
        from edge.reader.service import open_reader

        return open_reader(device, clock)
    if name == "panel":
        from edge.panel.service import open_panel

        return open_panel(device, clock)
    if name == "position":
        from edge.board.position_service import open_position

        return open_position(device, clock)
    if name == "keeper":
        from edge.keeper import open_keeper

        return open_keeper(device, clock)
    raise Usage(f"{name!r} is not a service of a device: {', '.join(SERVICES)}")


def _register_init(verbs: cli.Nouns) -> None:
    parser = verbs.add_parser("init", help="make a new device folder with its key")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--id", required=True, help="the device's id: 3 to 59 of a-z, 0-9, dot and dash")
    parser.add_argument("--camera", default="clip", help="the camera's adapter (default: clip)")
    parser.add_argument("--source", default="", help="what the camera adapter opens")
    parser.add_argument("--mode", choices=("continuous", "standby"), default="continuous")
    parser.add_argument("--run", dest="run_dir", type=Path, default=Path("/run/vedette"), help="a folder in memory")
    parser.add_argument("--zone", default="UTC", help="the time zone it works in, such as Africa/Casablanca (UTC)")
    cli.add_json(parser)
    parser.set_defaults(run=_init)


def _register_recover(verbs: cli.Nouns) -> None:
    parser = verbs.add_parser("recover", help="recover video that nobody activated, where policy keeps it")
    for name, dest in (("--from", "begin"), ("--to", "end")):
        parser.add_argument(name, dest=dest, required=True, metavar="TIME", help="ISO 8601, UTC where it names no zone")
    parser.add_argument("--reason", required=True, choices=REASONS, help="why, for custody")
    _add_config(parser)
    parser.set_defaults(run=_recover)


def _init(args: argparse.Namespace) -> int:
    camera = CameraSection(adapter=args.camera, source=args.source)
    device = init_device(args.folder, args.id, camera=camera, run_dir=args.run_dir, mode=args.mode, zone=args.zone)
    public = SigningKey.load(device.keys / "sign.pem").public
    text = (
        f"{device.device.id} is in {args.folder}, its key is {public.text}\nnext, at the centre: vedette central enrol"
    )
    value = {"device": device.device.id, "folder": str(args.folder), "public": public.text, "key_id": public.key_id}
    cli.show(args, value, text)
    return 0


def _run(args: argparse.Namespace) -> int:
    device = config.load_device(args.config)
    clock = SystemClock(device.run)
    return daemon.run(open_service(args.service, device, clock), clock=clock)


def _command(args: argparse.Namespace) -> int:
    return _post(args.config, {"command": args.command, "activation": args.activation, "id": ""})


def _mode(args: argparse.Namespace) -> int:
    on = args.on == "on"
    return _post(args.config, {"command": "mode", "mode": args.mode, "on": on, "activation": args.activation, "id": ""})


def _recover(args: argparse.Namespace) -> int:
    from_us, to_us = _moment_us(args.begin), _moment_us(args.end)
    if from_us >= to_us:
        raise Usage("--to is not after --from")
    if not config.load_device(args.config).recorder.retroactive_h:
        raise Refused("recorder.retroactive_h is 0: video that nobody activated is not kept on this device")
    claim = {"id": uuid7(SystemClock()), "reason": args.reason, "from_us": from_us, "to_us": to_us}
    code = _post(args.config, {"command": "recover", "activation": "command", **claim})
    print(f"asked for; custody names it by {claim['id']} (ring.claimed, then ring.settled or ring.refused)")
    return code


def _moment_us(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
    except ValueError:
        raise Usage(f"{text[:40]!r} is not a time such as 2026-11-23T08:00:00Z") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return (aware - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


def _post(path: Path, body: dict[str, Any]) -> int:
    device, clock = config.load_device(path), SystemClock()
    if not device.run.is_dir():
        raise NotFound(f"{device.run} is not there: the recorder of {device.device.id} does not run")
    commands.post(device.run, "recorder", body, clock=clock)
    return 0


def _status(args: argparse.Namespace) -> int:
    device, now_us = config.load_device(args.config), SystemClock().utc_us()
    found = {name: daemon.read_status(device.run, name) for name in STATUSES}
    for status in found.values():
        seen_us = status.get("utc_us")
        status["fresh"] = isinstance(seen_us, int) and now_us - seen_us < STALE_US
    rows = [[name, _state(status), _seen(status), _numbers(status)] for name, status in found.items()]
    text = cli.table(rows, heads=("service", "state", "seen", "numbers"))
    if args.config.resolve() == INSTALLED and (trouble := camera_network.unsettled(device.camera)):
        text += f"\n{trouble}"
    cli.show(args, found, text)
    return 0


def _probe(args: argparse.Namespace) -> int:
    if not 1 <= args.seconds <= MAX_PROBE_S:
        raise Usage(f"--seconds is {args.seconds}; it must be from 1 to {MAX_PROBE_S}")
    clock = SystemClock()
    camera = open_camera(CameraSection(adapter=args.adapter, source=args.source), clock)
    try:
        info = camera.open()
        units, frames = _look(camera.read, lambda: camera.ended, clock, args.seconds)
    finally:
        camera.close()
    size_bits = 8 * sum(len(unit.data) for unit in units)
    span_us = max((unit.pts_us for unit in units), default=0) + info.frame_us
    value = {
        "adapter": args.adapter, "source": args.source, "codec": info.codec, "width": info.width, "height": info.height,
        "rate_milli": info.rate_num * 1000 // info.rate_den, "units": len(units), "frames": len(frames),
        "key_units": sum(unit.is_key for unit in units), "bitrate_kbps": size_bits * 1000 // span_us,
        "frame_size": f"{frames[0].width}x{frames[0].height}" if frames else None,
    }  # fmt: skip
    if not units:
        raise Refused(f"{args.source} was opened as {info.width}x{info.height} and gave no picture in {args.seconds} s")
    text = (
        f"{info.codec} {info.width}x{info.height} at {value['rate_milli'] / 1000:g} pictures/s, "
        f"{value['bitrate_kbps']} kbit/s: {len(units)} pictures, {value['key_units']} of them key pictures, "
        f"{len(frames)} frames of {value['frame_size']} for the reader"
    )
    cli.show(args, value, text)
    return 0


def _look(
    read: Callable[[float], Sequence[Given]],
    has_ended: Callable[[], bool],
    clock: Clock,
    seconds: int,
) -> tuple[list[EncodedUnit], list[SmallFrame]]:
    units: list[EncodedUnit] = []
    frames: list[SmallFrame] = []
    until_us = clock.mono_us() + seconds * 1_000_000
    while clock.mono_us() < until_us and not has_ended():
        for one in read(0.1):
            if isinstance(one, EncodedUnit):
                units.append(one)
            elif isinstance(one, SmallFrame):
                frames.append(one)
    return units, frames


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=INSTALLED, help=f"device.toml (default: {INSTALLED})")


def _toml(text: str) -> str:
    if any(ord(character) < 32 for character in text):
        raise Usage("--source has a control character in it")
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _state(status: dict[str, int | str | bool | None]) -> str:
    return str(status.get("state", "?")) if status["fresh"] else "not running"


def _seen(status: dict[str, int | str | bool | None]) -> str:
    seen_us = status.get("utc_us")
    return iso(seen_us)[:19] + "Z" if isinstance(seen_us, int) else "never"


def _numbers(status: dict[str, int | str | bool | None]) -> str:
    hidden = ("pid", "utc_us", "state", "fresh")
    return " ".join(f"{name}={value}" for name, value in status.items() if name not in hidden and value is not None)
