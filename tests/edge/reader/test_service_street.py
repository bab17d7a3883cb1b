"""The reader with the shipped models on the drawn street: a listed car becomes one hit, the others become none."""

from edge.camera.port import SmallFrame
from edge.reader.service import open_reader
from edge.recorder.framebus import FrameBusWriter
from simulator.render import Renderer
from simulator.world import plan
from vedette.daemon import read_status

SEED, SECONDS, RATE = 1, 16, 8
US = 1_000_000


def test_listed_cars_of_a_drive_become_one_hit_each_and_no_other_does(device) -> None:
    """HT-3, HT-20, HT-27, HT-30, WL-40."""
    drive, clock = plan(SEED, SECONDS), device.clock
    listed = {one.text: one.region for one in drive.plates[::2]}
    device.store_list(*[device.entry(text, region=region) for text, region in listed.items()])
    reader = open_reader(device.config, clock)
    bus = FrameBusWriter(device.config.run / "framebus", width=1280, height=720)
    renderer = Renderer(drive, width=1280, height=720)
    for index in range(SECONDS * RATE):
        clock.advance(US // RATE)
        at_us = index * US // RATE
        utc_us, mono_us = clock.utc_us(), clock.mono_us()
        i420 = renderer.i420(at_us)
        bus.publish(SmallFrame(i420=i420, index=index, utc_us=utc_us, mono_us=mono_us, media_us=at_us))
        reader.step(clock.mono_us())
    reader.close()
    raised = [hit.text for hit, _ in device.hits()]
    assert len(raised) == len(set(raised))
    assert set(raised) <= set(listed)
    assert len(raised) >= len(listed) / 2
    hit, shown = device.hits()[0]
    assert sorted(hit.models) == ["detector", "reader"]
    assert hit.alternatives is not None and len(shown["context.jpg"]) > 10_000
    assert int(read_status(device.config.run, "reader")["frames"] or 0) == SECONDS * RATE
