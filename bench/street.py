"""Pictures and encoded units of the drawn street, made once for all parts of the bench."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from edge.camera.encode import X264Encoder
from edge.camera.port import EncodedUnit, StreamInfo
from simulator.render import Renderer
from simulator.world import plan

WIDTH, HEIGHT, RATE, SEED = 1280, 720, 25, 1


@cache
def street_units(*, seconds: int) -> tuple[StreamInfo, list[EncodedUnit]]:
    """`seconds` of H.264 at 4 Mbit/s."""
    renderer = Renderer(plan(SEED, seconds), width=WIDTH, height=HEIGHT)
    encoder = X264Encoder(WIDTH, HEIGHT, RATE, bitrate=4_000_000, preset="superfast")
    units: list[EncodedUnit] = []
    for index in range(seconds * RATE):
        at_us = index * 1_000_000 // RATE
        units += encoder.encode(renderer.i420(at_us), at_us)
    return StreamInfo(width=WIDTH, height=HEIGHT, rate_num=RATE, rate_den=1), units + encoder.flush()


@cache
def street_luma() -> NDArray[np.uint8]:
    """One picture, height by width, in which a plate is legible."""
    drive = plan(SEED, 60)
    seen = max(drive.plates, key=lambda one: one.widest_px)
    middle_us = (seen.visible_from_us + seen.visible_to_us) // 2
    return Renderer(drive, width=WIDTH, height=HEIGHT).i420(middle_us)[:HEIGHT]
