"""A network camera, run by the system's Python: GStreamer's own RTSP server with a picture of bars and snow.

rtsp_server.py PORT [CODER]     (0 takes a free port; the first line of its output is the address)

Words on its standard input, one a line: `freeze` (what is coded is the same picture again and again) and `thaw`,
`smpte`, `black` or `white` (what is seen), `mute` (nothing is sent, from the first answer on) and `speak`. Like network
cameras, and unlike libx264 when it is left alone, its coders do not code better than a least quantiser.
"""

import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

CODERS = {
    "x264": "x264enc tune=zerolatency speed-preset=ultrafast bitrate=800 key-int-max=25 bframes=0 qp-min=20",
    "x264-long": "x264enc tune=zerolatency speed-preset=veryfast bitrate=400 key-int-max=75 bframes=0 qp-min=24",
    "openh264": "openh264enc bitrate=800000 gop-size=25 rate-control=bitrate complexity=low",
}
WORDS = {
    "freeze": ("tap", "drop", True), "thaw": ("tap", "drop", False),
    "mute": ("line", "drop", True), "speak": ("line", "drop", False),
    "smpte": ("scene", "pattern", 0), "black": ("scene", "pattern", 2), "white": ("scene", "pattern", 3),
}  # fmt: skip
told: dict[tuple[str, str], object] = {}
running: list[Gst.Bin] = []


def take(_channel: GLib.IOChannel, _condition: GLib.IOCondition) -> bool:
    # Several lines may have come at once; the end of its input is the end of it.
    for word in os.read(sys.stdin.fileno(), 4096).decode().split() or sys.exit():
        name, key, value = WORDS[word]
        told[name, key] = value
        for one in running:
            one.get_by_name_recurse_up(name).set_property(key, value)
    return True


def configure(_factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
    running.append(media.get_element())
    for (name, key), value in told.items():
        running[-1].get_by_name_recurse_up(name).set_property(key, value)


Gst.init(None)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_shared(True)
factory.set_launch(
    "( videotestsrc name=scene is-live=true pattern=smpte ! video/x-raw,format=I420,width=352,height=288,framerate=25/1"
    " ! valve name=tap ! imagefreeze is-live=true allow-replace=true ! video/x-raw,framerate=25/1"
    f" ! {CODERS[sys.argv[2] if len(sys.argv) > 2 else 'x264']} ! valve name=line ! h264parse"
    " ! rtph264pay name=pay0 pt=96 )"
)
factory.connect("media-configure", configure)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
server.get_mount_points().add_factory("/street", factory)
server.attach(None)
GLib.io_add_watch(GLib.IOChannel.unix_new(sys.stdin.fileno()), GLib.IOCondition.IN | GLib.IOCondition.HUP, take)
print(f"rtsp://127.0.0.1:{server.get_bound_port()}/street", flush=True)
GLib.MainLoop().run()
