"""Sealing against the bare cipher, the segment writer against PyAV writing a plain file."""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from pathlib import Path

import av
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from bench.harness import Row, pair
from bench.street import street_units
from edge.camera.port import StreamInfo
from edge.recorder.segments import SegmentWriter
from vedette.sealed import CHUNK_BYTES, HybridIdentity, SealedWriter

_MIB = 64
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "200000"}


class _Nowhere:
    def write(self, data: bytes, /) -> int:
        return len(data)


def sealing() -> list[Row]:
    """64 MiB through `SealedWriter` to two recipients, against the same chunks through the cipher alone."""
    data = os.urandom(_MIB << 20)
    recipients = [HybridIdentity.generate().recipient for _ in range(2)]
    cipher = ChaCha20Poly1305(os.urandom(32))
    view = memoryview(data)

    def seal() -> None:
        writer = SealedWriter(_Nowhere(), recipients)
        for start in range(0, len(data), 1 << 20):
            writer.write(view[start : start + (1 << 20)])
        writer.close()

    def bare() -> None:
        for index, start in enumerate(range(0, len(data), CHUNK_BYTES)):
            cipher.encrypt(index.to_bytes(12, "big"), view[start : start + CHUNK_BYTES], None)

    return [pair("seal 64 MiB", seal, "ChaCha20-Poly1305, same chunks", bare, amount=_MIB, unit="MiB")]


def segment_writer() -> list[Row]:
    """Ten seconds of 720p25: remux, seal, hash and one fsync a second, against PyAV writing a plain MP4."""
    info, units = street_units(seconds=10)
    recipients = [HybridIdentity.generate().recipient for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        sealed, plain = Path(folder) / "sealed", Path(folder) / "plain.mp4"

        def write_sealed() -> None:
            sealed.unlink(missing_ok=True)
            writer = SegmentWriter(sealed, recipients=recipients, info=info, first=units[0])
            for index, unit in enumerate(units):
                writer.write(unit)
                if index % 25 == 24:
                    writer.sync()
            writer.finish()

        def write_plain() -> None:
            _plain_mp4(plain, info, [(unit.data, unit.pts_us, unit.is_key) for unit in units])

        row = pair(
            "segment writer, 10 s of 720p25",
            write_sealed,
            "PyAV, same fragments, plain file",
            write_plain,
            amount=10,
            unit="s",
        )
    return [row]


def _plain_mp4(path: Path, info: StreamInfo, units: list[tuple[bytes, int, bool]]) -> None:
    with path.open("wb") as file, av.open(file, "w", format="mp4", options=_FRAGMENTED) as container:
        stream = container.add_mux_stream(
            info.codec,
            rate=Fraction(info.rate_num, info.rate_den),
            width=info.width,
            height=info.height,
            time_base=Fraction(1, 90_000),
        )
        for data, pts_us, is_key in units:
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 90_000)
            packet.pts = packet.dts = pts_us * 9 // 100
            packet.is_keyframe = is_key
            container.mux(packet)
    with path.open("rb") as written:
        os.fsync(written.fileno())
