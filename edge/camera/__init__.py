"""Cameras: one port, one adapter per file, chosen by name in ``device.toml``.

Built in are ``clip`` (a video file), ``gst`` (GStreamer: Jetson, USB) and ``pi`` (picamera2). Any other name is
looked up in the entry point group ``vedette.cameras``; what it names is called with the same two arguments. A camera
that brings sound of its own (`edge.camera.port.Hearing`) is told so; a microphone stands beside any other. An adapter
is imported when it is opened: who only reads what cameras give takes no codecs into memory.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.camera.port import Camera, Hearing
from vedette.clock import Clock, SystemClock
from vedette.config import CameraSection, SoundSection
from vedette.errors import Usage

if TYPE_CHECKING:
    from edge.camera.microphone import Microphone

GROUP = "vedette.cameras"
BUILT_IN = {"clip": "edge.camera.clip:open_clip", "gst": "edge.camera.gst:open_gst", "pi": "edge.camera.pi:open_pi"}

Factory = Callable[[CameraSection, Clock], Camera]


def open_camera(config: CameraSection, clock: Clock | None = None, sound: SoundSection | None = None) -> Camera:
    """The camera that `config` names, not opened yet, told to bring `sound` (none when it is left out).

    Raises Usage for a name no adapter has, and for a microphone where the camera brings its own sound.
    """
    camera = _factory(config.adapter)(config, clock or SystemClock())
    if sound is not None and isinstance(camera, Hearing):
        camera.hear(sound)
    return camera


def open_microphone(sound: SoundSection, clock: Clock) -> Microphone | None:
    """The microphone beside the camera that `sound` names, not begun yet; None where it names none.

    Raises Usage for the name of a device that cannot be.
    """
    from edge.camera.microphone import Microphone
    from edge.camera.pipelines import MICROPHONES

    return Microphone(sound, clock) if sound.adapter in MICROPHONES else None


def _factory(name: str) -> Factory:
    if name in BUILT_IN:
        module, _, function = BUILT_IN[name].partition(":")
        factory: Factory = getattr(importlib.import_module(module), function)
        return factory
    others = {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}
    if name not in others:
        raise Usage(f"[camera] adapter: no adapter is called {name!r}; known: {', '.join([*BUILT_IN, *others])}")
    found: Factory = others[name].load()
    return found
