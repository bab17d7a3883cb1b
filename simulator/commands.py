"""`vedette sim render`: the drawn street as an ordinary video file, with its truth beside it where asked.

The file is plain video for looking at and for tests of the clip camera; it is drawn, so there is nothing to protect.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from simulator.render import Renderer
from simulator.world import MAX_SECONDS, Drive, plan
from vedette import cli
from vedette.errors import NotFound, Refused, Usage


def register(nouns: cli.Nouns) -> None:
    """Add the verb `sim render`."""
    render = cli.noun(nouns, "sim", help="a street on this laptop").add_parser(
        "render", help="draw a drive into an MP4 file"
    )
    render.add_argument("out", type=Path, metavar="OUT.mp4", help="the file to write; it must not exist")
    render.add_argument("--seconds", type=int, default=60, help=f"how long (1 to {MAX_SECONDS})")
    render.add_argument("--seed", type=int, default=1, help="which drive")
    render.add_argument("--width", type=int, default=1280)
    render.add_argument("--height", type=int, default=720)
    render.add_argument("--rate", type=int, default=25, help="frames per second")
    render.add_argument(
        "--truth", type=Path, help="write the plates and when they can be read here, one JSON line each"
    )
    cli.add_json(render)
    render.set_defaults(run=_render)


def _render(args: argparse.Namespace) -> int:
    if not 1 <= args.seconds <= MAX_SECONDS or not 1 <= args.rate <= 60:
        raise Usage(f"--seconds is 1 to {MAX_SECONDS} and --rate 1 to 60")
    drive = plan(args.seed, args.seconds)
    renderer = Renderer(drive, width=args.width, height=args.height)
    started_s = time.monotonic()
    frames = args.seconds * args.rate
    _write_video(args.out, renderer, (args.width, args.height), frames, args.rate)
    if args.truth is not None:
        args.truth.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in truth(drive)), "utf-8")
    took_s = time.monotonic() - started_s
    summary = {"file": str(args.out), "frames": frames, "seconds": args.seconds, "plates": truth(drive)}
    text = f"{args.out}: {frames} frames, {len(drive.plates)} plates to read, {1000 * took_s / frames:.1f} ms a frame"
    cli.show(args, summary, text)
    return 0


def truth(drive: Drive) -> list[dict[str, Any]]:
    """The plates of a drive as JSON objects, in the order in which they can be read."""
    return [dataclasses.asdict(one) for one in drive.plates]


def _write_video(path: Path, renderer: Renderer, size: tuple[int, int], frames: int, rate: int) -> None:
    if path.exists():
        raise Refused(f"{path} exists already and is not overwritten")
    if not path.parent.is_dir():
        raise NotFound(f"the folder {path.parent} is not there")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "21"}
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(renderer.i420(index * 1_000_000 // rate), format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
