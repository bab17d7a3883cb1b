"""The shipped models read the drawn street: what the demo shows must be there to be read."""

from __future__ import annotations

from edge.reader.look import Looker
from simulator.render import Renderer
from simulator.world import Drive, Sighting, plan

SECONDS = 20
LOOK_EVERY_US = 200_000


def test_drawn_plates_are_read_more_than_once_when_the_models_look_at_them() -> None:
    drive = plan(1, SECONDS)
    looker, renderer = Looker.load(threads=1), Renderer(drive)

    reads = {sighting.text: good_looks(looker, renderer, sighting) for sighting in drive.plates}

    assert len(reads) >= 6
    assert sum(count >= 2 for count in reads.values()) >= 0.85 * len(reads)
    assert watched(drive) <= {text for text, count in reads.items() if count >= 2}


def good_looks(looker: Looker, renderer: Renderer, sighting: Sighting) -> int:
    """In how many pictures exactly this text is read."""
    found = 0
    for at_us in range(sighting.visible_from_us, sighting.visible_to_us + 1, LOOK_EVERY_US):
        luma = renderer.i420(at_us)[:720]
        found += sighting.text in [look.plate.text for look in looker.look(luma) if look.plate is not None]
    return found


def watched(drive: Drive) -> set[str]:
    return {sighting.text for sighting in drive.plates if sighting.on_watchlist}
