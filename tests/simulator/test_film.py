"""What counts as a picture that is left: all of its bytes are there and it decodes."""

import io
from pathlib import Path

import av
import pytest

from simulator.film import Film, play
from simulator.reel import PICTURE_US, make_clip


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds in fragments, as a recorder writes them."""
    path = tmp_path_factory.mktemp("clip") / "street.mp4"
    make_clip(path, width=160, height=120, seconds=2, bitrate=400_000)
    return fragmented(path)


def fragmented(path: Path) -> bytes:
    sink, options = io.BytesIO(), {"movflags": "empty_moov+default_base_moof+frag_keyframe"}
    with av.open(str(path)) as source, av.open(sink, "w", format="mp4", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return sink.getvalue()


def test_every_picture_of_a_whole_film_counts(film: bytes) -> None:
    found = play(film)
    assert (found.decoded, found.fault, found.end_us) == (50, "", 2_000_000)
    assert [one.at_us for one in found.pictures] == [number * PICTURE_US for number in range(50)]
    assert all(one.data in film for one in found.pictures)
    assert (found.sound, found.lines) == ((), ())


@pytest.mark.parametrize("cut", [1, 4, 100])
def test_torn_picture_does_not_count(film: bytes, cut: int) -> None:
    """A player shows a part of it perhaps; it is not what was recorded."""
    whole = play(film).pictures
    end = film.index(whole[40].data) + len(whole[40].data)
    found = play(film[: end - cut])
    assert [one.data for one in found.pictures] == [one.data for one in whole[:40]]
    assert (found.decoded, found.fault, found.end_us) == (40, "", 40 * PICTURE_US)
    assert len(play(film[:end]).pictures) == 41


def test_damaged_picture_is_a_fault_or_does_not_decode(film: bytes) -> None:
    place = film.index(play(film).pictures[3].data)
    found = play(film[: place + 4] + bytes(60) + film[place + 64 :])
    assert found.fault or found.decoded < len(found.pictures)


def test_nothing_is_a_film_without_a_picture_and_noise_is_none() -> None:
    assert play(b"") == Film()
    assert play(bytes(1000)).fault
