"""Cameras: one port, one adapter per file, chosen by name in ``device.toml``.

Built in are ``clip`` (a video file), ``gst`` (GStreamer: Jetson, USB) and ``pi`` (picamera2). Any other name is
looked up in the entry point group ``vedette.cameras``; what it names is called with the same two arguments. A camera
that can bring sound (`edge.camera.port.Hearing`) is told which.
"""

import importlib
import importlib.metadata
from collections.abc import Callable

from edge.camera.port import Camera, Hearing
from vedette.clock import Clock, SystemClock
from vedette.config import CameraSection, SoundSection
from vedette.errors import Usage

GROUP = "vedette.cameras"
BUILT_IN = {"clip": "edge.camera.clip:open_clip", "gst": "edge.camera.gst:open_gst", "pi": "edge.camera.pi:open_pi"}

Factory = Callable[[CameraSection, Clock], Camera]


def open_camera(config: CameraSection, clock: Clock | None = None, sound: SoundSection | None = None) -> Camera:
    """The camera that `config` names, not opened yet, told to bring `sound` (none when it is left out).

    Raises Usage for a name no adapter has, and for a microphone where the adapter takes none.
    """
    camera = _factory(config.adapter)(config, clock or SystemClock())
    if sound is None:
        return camera
    if isinstance(camera, Hearing):
        camera.hear(sound)
    elif sound.adapter not in ("none", "camera"):
        raise Usage(f'[sound] adapter: the camera {config.adapter!r} takes no microphone; set it to "camera" or "none"')
    return camera


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
