"""The pipelines of the GStreamer cameras, one per kind of camera, as text in the form of `gst-launch-1.0`.

Decided here: which elements read, encode and scale on which board, and what may stand in `[camera] source` (an address:
`address.py`) and `[sound] source`, which become part of that text. A network camera's pictures come coded and are
recorded as they come; they are decoded for the reader only. With the option `stamp` what `drawnstamp` says is drawn
into pictures that are encoded from memory, as one line where it fits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.camera.address import host_in
from edge.camera.burnin import stamp_text
from edge.camera.port import MAX_FRAME_HEIGHT, MAX_FRAME_WIDTH
from edge.camera.sound import RATE
from vedette.config import CameraSection, SoundSection
from vedette.errors import Usage

LAUNCH = "gst-launch-1.0"
_DEVICE = re.compile(r"^[A-Za-z0-9/_.:-]{0,128}$")
_MICROPHONE = re.compile(r"^[A-Za-z0-9/_.:,=-]{0,128}$")


MICROPHONES = {
    "alsa": "alsasrc provide-clock=false device={device}",
    "pipewire": "pipewiresrc do-timestamp=true target-object={device}",
    "test": "audiotestsrc is-live=true wave={device}",
}
# What one hears that is left unnamed; for the others the system has a default of its own.
_UNNAMED = {"test": "ticks"}
# These stamp a buffer as it comes, when its last sample has been heard; others with the time of its first.
STAMPED_AT_END = frozenset({"pipewire"})
# The element that draws the stamp; a letter of its font is so wide, in hundredths of its size.
STAMP = "stamp"
_ADVANCE_PERCENT, _LEAST_STAMP_PX, _STAMP_PAD_PX = 61, 14, 4
# x264enc counts from 1000 hours at its first picture, and says only in its segment when that was: back to our time.
_RUNNING = "identity single-segment=true"
_FIVE_SECONDS = "queue max-size-buffers=0 max-size-bytes=0 max-size-time=5000000000"
# A USB camera may give fewer pictures than it is asked for; each is repeated for so long and no longer (CF-16). Without
# an end to it, the last picture before a stall would be coded again and again as the next one comes, with the times of
# pictures that nobody took.
_EVEN = "videorate max-duplication-time=250000000"
_PAY = "gdppay crc-header=false crc-payload=false ! fdsink sync=false"


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """How one kind of camera is read: its source up to the tee, how it is encoded, how it becomes I420.

    `is_coded` says that what comes from the source is H.264 already, of a size that the camera decides.
    """

    source: str
    encode: str
    picture: str
    device: str = ""
    is_coded: bool = False


_RAW = "video/x-raw,format=I420,width={width},height={height},framerate={rate}/1"
_X264 = (
    "x264enc tune=zerolatency speed-preset={preset} bitrate={kbps} key-int-max={rate} bframes=0"
    " ! h264parse config-interval=-1"
)
_SCALE = "videoscale ! video/x-raw,width={small_width},height={small_height}"
_ARGUS = (
    "nvarguscamerasrc sensor-id={device}"
    " ! video/x-raw(memory:NVMM),format=NV12,width={width},height={height},framerate={rate}/1"
)
_NV_I420 = "nvvidconv ! video/x-raw,format=I420,width={small_width},height={small_height}"

# A camera behind a network that is cut must not hold the pipeline up when it is stopped.
_RTSP = (
    "rtspsrc name=net location={device} protocols=tcp latency=200 tcp-timeout=3000000 teardown-timeout=200000000"
    " ! rtph264depay ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au"
)
# Its sound leaves as it came: nothing that is wrong with it may end the pictures. Where there is none, nobody waits for
# it (async=false): else no picture would ever come. The filter is an element: as caps between two `!` one is made for
# each stream that comes, and where two come at once one is in the other's way and the sound is never linked.
_RTSP_SOUND = (
    f" net. ! capsfilter caps=application/x-rtp,media=audio ! {_FIVE_SECONDS} ! {_PAY} async=false fd={{sounds}}"
)
_DECODE = "decodebin ! videoconvert ! videoscale ! video/x-raw,format=I420,width={small_width},height={small_height}"

BOARDS = {
    "test": Board(
        source="videotestsrc is-live=true pattern={device} ! " + _RAW, encode=_X264, picture=_SCALE, device="smpte"
    ),
    "v4l2": Board(
        source="v4l2src device={device} ! videoconvert ! videoscale ! " + _EVEN + " ! " + _RAW,
        encode=_X264,
        picture=_SCALE,
        device="/dev/video0",
    ),
    "v4l2-mjpeg": Board(
        source="v4l2src device={device} ! image/jpeg,width={width},height={height} ! jpegdec"
        " ! videoconvert ! " + _EVEN + " ! " + _RAW,
        encode=_X264,
        picture=_SCALE,
        device="/dev/video0",
    ),
    "jetson": Board(
        source=_ARGUS,
        encode="nvv4l2h264enc bitrate={bps} insert-sps-pps=1 idrinterval={rate} iframeinterval={rate} maxperf-enable=1"
        " ! h264parse config-interval=-1",
        picture=_NV_I420,
        device="0",
    ),
    "rtsp": Board(source=_RTSP, encode="h264parse config-interval=-1", picture=_DECODE, is_coded=True),
    # Orin Nano has no H.264 encoder in hardware.
    "jetson-cpu": Board(
        source=_ARGUS + " ! nvvidconv ! " + _RAW,
        encode=_X264,
        picture=_SCALE,
        device="0",
    ),
}


def pipeline(config: CameraSection, *, hears: bool = False) -> str:
    """The pipeline for `config`, with `{units}` and `{pictures}` where the two pipes' numbers go.

    With `hears` a camera that codes its pictures gives its sound too, `{sounds}` where that pipe's number goes.
    """
    name, _, device = config.source.partition(":")
    board = BOARDS.get(name)
    if board is None:
        raise Usage(
            f"[camera] source: {name!r} is not a board: {', '.join(BOARDS)}, each with :DEVICE where it has one"
        )
    if board.is_coded:
        host_in(device)
    elif not _DEVICE.match(device):
        raise Usage(f"[camera] source: {device!r} is not the name of a device")
    if config.width % 8 or config.height % 2:
        raise Usage(f"[camera] {config.width}x{config.height}: the width must be a multiple of 8, the height of 2")
    overlay = _overlay(config, board)
    small_width, small_height = small_size(config)
    values = {
        "device": device or board.device, "width": config.width, "height": config.height, "rate": config.rate,
        "small_width": small_width, "small_height": small_height, "preset": config.preset,
        "kbps": config.bitrate_kbps, "bps": config.bitrate_kbps * 1000,
    }  # fmt: skip
    source, encode, picture = (text.format(**values) for text in (board.source, board.encode, board.picture))
    return (
        f"{source} ! tee name=both"
        f" both. ! {_FIVE_SECONDS} ! {overlay}{encode}"
        f" ! video/x-h264,stream-format=byte-stream,alignment=au ! {_RUNNING} ! {_PAY} fd={{units}}"
        f" both. ! {_to_pictures(board, picture)} ! {_PAY} fd={{pictures}}"
        + (_RTSP_SOUND if hears and board.is_coded else "")
    )


def is_coded(config: CameraSection) -> bool:
    """Whether the camera's pictures come coded, and in what size it decides."""
    return BOARDS[config.source.partition(":")[0]].is_coded


def small_size(config: CameraSection) -> tuple[int, int]:
    """The size of the pictures for the reader: the camera's own, or reduced to fit 1920x1080."""
    scale = min(1.0, MAX_FRAME_WIDTH / config.width, MAX_FRAME_HEIGHT / config.height)
    return int(config.width * scale) // 8 * 8, int(config.height * scale) // 2 * 2


def _to_pictures(board: Board, picture: str) -> str:
    """Of pictures only the newest waits; coded ones need those before them, so a decoder may lag for two seconds."""
    newest = "queue leaky=downstream max-size-buffers=1"
    if not board.is_coded:
        return f"{newest} ! {picture}"
    lag = "queue leaky=downstream max-size-buffers=0 max-size-bytes=0 max-size-time=2000000000"
    return f"{lag} ! {picture} ! {newest}"


def microphone(sound: SoundSection) -> str:
    """The pipeline of a microphone, `{sounds}` where the pipe's number goes; Usage for a strange device."""
    if not _MICROPHONE.match(sound.source):
        raise Usage(f"[sound] source: {sound.source!r} is not the name of a device")
    device = sound.source or _UNNAMED.get(sound.adapter, "")
    words = MICROPHONES[sound.adapter].format(device=device).split()
    # An element whose device is left open takes the system's default one.
    source = " ".join(word for word in words if not word.endswith("="))
    raw = f"audio/x-raw,format=S16LE,layout=interleaved,rate={RATE},channels={sound.channels}"
    return f"{source} ! {_FIVE_SECONDS} ! audioconvert ! audioresample ! {raw} ! {_PAY} fd={{sounds}}"


def stamp_columns(config: CameraSection) -> int:
    """How many letters of the stamp stand beside each other in a picture."""
    return (config.width - 4 * _STAMP_PAD_PX) * 100 // (_stamp_px(config) * _ADVANCE_PERCENT)


def _stamp_px(config: CameraSection) -> int:
    return max(_LEAST_STAMP_PX, config.height * 24 // 1080)


def _overlay(config: CameraSection, board: Board) -> str:
    if stamp_text(config.options) is None:
        return ""
    if not board.encode.startswith("x264enc"):
        raise Usage("[camera] options: stamp cannot be drawn on this board, whose pictures never reach the memory")
    return (
        f"textoverlay name={STAMP} shaded-background=true shading-value=120"
        f" halignment=left valignment=top line-alignment=left wrap-mode=none"
        f" auto-resize=false xpad={_STAMP_PAD_PX} ypad={_STAMP_PAD_PX}"
        f' font-desc="Monospace {_stamp_px(config)}px" ! '
    )
