"""A network camera, run by the system's Python: GStreamer's own RTSP server with a picture of bars and snow.

rtsp_server.py [HOST:]PORT [CODER [SOUND [AFTER]]]     HOST is an address, of IPv6 in brackets (else 127.0.0.1); port 0
takes a free one. The first line of its output is the address.

With SOUND it shows darkness with a flash once a second and is heard too: a clap that begins with the flash. Both are
made here and carry the times of one clock, so that they leave the camera together however busy the machine is. With
AFTER the first sound is sent so many seconds after the first picture, like that of a camera which sends no silence.

Words on its standard input, one a line: `freeze` (what is coded is the same picture again and again) and `thaw`,
`smpte`, `black` or `white` (what is seen), `mute` (nothing is sent, from the first answer on) and `speak`. Like network
cameras, and unlike libx264 when it is left alone, its coders do not code better than a least quantiser.
"""

import array
import itertools
import math
import os
import sys
from collections.abc import Callable

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
SOUNDS = {
    "mulaw": "audioresample ! mulawenc ! rtppcmupay name=pay1 pt=97",
    "alaw": "audioresample ! alawenc ! rtppcmapay name=pay1 pt=97",
    "opus": "opusenc ! rtpopuspay name=pay1 pt=97",
    "aac": "voaacenc ! rtpmp4gpay name=pay1 pt=97",
}
WIDTH, HEIGHT, RATE = 352, 288, 48_000
PICTURE_NS, BLOCK_NS = 40_000_000, 10_000_000
FLASH, CLAP = range(13, 16), range(52, 57)
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


def pictures(number: int) -> bytes:
    luma = 235 if number % 25 in FLASH else 20
    return bytes([luma]) * (WIDTH * HEIGHT) + bytes([128]) * (WIDTH * HEIGHT // 2)


def sounds(number: int) -> bytes:
    if number % 100 not in CLAP:
        return bytes(RATE // 50)
    return array.array("h", (int(20_000 * math.sin(n * 0.13)) for n in range(RATE // 100))).tobytes()


def feed(source: Gst.Element, make: Callable[[int], bytes], lasts_ns: int, after_s: int = 0) -> None:
    numbers = itertools.count(after_s * 1_000_000_000 // lasts_ns)

    def push(_source: Gst.Element, _size: int) -> None:
        number = next(numbers)
        buffer = Gst.Buffer.new_wrapped(make(number))
        buffer.pts, buffer.duration = number * lasts_ns, lasts_ns
        source.emit("push-buffer", buffer)

    source.connect("need-data", push)


def flash_and_clap(_factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
    feed(media.get_element().get_by_name_recurse_up("eye"), pictures, PICTURE_NS)
    feed(media.get_element().get_by_name_recurse_up("ear"), sounds, BLOCK_NS, after_s)


Gst.init(None)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_shared(True)
coder, *sound = sys.argv[2:] or ["x264"]
after_s = int(sound[1]) if sound[1:] else 0
street = (
    "( videotestsrc name=scene is-live=true pattern=smpte ! video/x-raw,format=I420,width=352,height=288,framerate=25/1"
    " ! valve name=tap ! imagefreeze is-live=true allow-replace=true ! video/x-raw,framerate=25/1"
    f" ! {CODERS[coder]} ! valve name=line ! h264parse"
    " ! rtph264pay name=pay0 pt=96 )"
)
claps = (
    "( appsrc name=eye is-live=true format=time"
    f" caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate=25/1 ! {CODERS[coder]} ! h264parse"
    " ! rtph264pay name=pay0 pt=96 appsrc name=ear is-live=true format=time"
    f" caps=audio/x-raw,format=S16LE,layout=interleaved,rate={RATE},channels=1 ! audioconvert ! {{}} )"
)
factory.set_launch(claps.format(SOUNDS[sound[0]]) if sound else street)
factory.connect("media-configure", flash_and_clap if sound else configure)
server = GstRtspServer.RTSPServer()
host, _, port = sys.argv[1].rpartition(":")
host = host or "127.0.0.1"
server.set_address(host.strip("[]"))
server.set_service(port)
server.get_mount_points().add_factory("/street", factory)
server.attach(None)
GLib.io_add_watch(GLib.IOChannel.unix_new(sys.stdin.fileno()), GLib.IOCondition.IN | GLib.IOCondition.HUP, take)
print(f"rtsp://{host}:{server.get_bound_port()}/street", flush=True)
GLib.MainLoop().run()
