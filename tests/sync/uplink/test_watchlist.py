"""The uplink and watchlists: fetched in pieces, taken only with the right signature and a newer version."""

from __future__ import annotations

import hashlib
from typing import Any

from vedette import watchlist
from vedette.keys import SigningKey


def test_uplink_takes_a_watchlist_when_it_is_offered(world: Any) -> None:
    """WI-40. WI-41."""
    sealed = world.sealed_list(3)
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.offer_list(3, sealed)
    world.drive(lambda: world.centre.births[-1].list_version == 3)
    assert watchlist.current_path(world.config.data).read_bytes() == sealed
    assert len(world.centre.wants) == -(-len(sealed) // 1000)
    assert [path.name for path in (world.config.data / "watchlist").glob("*.incoming")] == []
    accepted = [entry["detail"] for entry in world.journal() if entry["event"] == "watchlist.accepted"]
    assert accepted == [{"version": 3}]
    before = world.centre.births[-1].boot
    world.stop()
    world.start()
    # Not by counting: a broker that loses the connection in the goodbye tells the will of the first run as well.
    world.drive(lambda: world.centre.births[-1].boot != before)
    assert world.centre.births[-1].list_version == 3


def test_uplink_goes_on_where_it_stopped_when_a_list_was_half_fetched(world: Any) -> None:
    """WI-42."""
    sealed = world.sealed_list(3)
    incoming = world.config.data / "watchlist" / f"{hashlib.sha256(sealed).hexdigest()}.incoming"
    incoming.parent.mkdir()
    incoming.write_bytes(sealed[:1500])
    incoming.with_name("0.incoming").write_bytes(b"of an older list")
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.offer_list(3, sealed)
    world.drive(watchlist.current_path(world.config.data).exists)
    assert world.centre.wants[0].offset == 1500
    assert list(incoming.parent.glob("*.incoming")) == []


def test_uplink_keeps_the_old_list_when_the_new_one_does_not_hold(world: Any) -> None:
    """WI-41. WI-43."""
    good = world.sealed_list(3)
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.offer_list(3, good)
    world.drive(lambda: world.status().get("list_version") == 3)
    world.centre.offer_list(4, world.sealed_list(4, key=SigningKey.generate()))
    world.drive(lambda: [entry["event"] for entry in world.journal()][-1] == "watchlist.refused")
    older = len(world.centre.wants)
    world.centre.offer_list(2, world.sealed_list(2))
    world.drive_for(0.5)
    assert len(world.centre.wants) == older
    assert watchlist.current_path(world.config.data).read_bytes() == good
    assert list((world.config.data / "watchlist").glob("*.incoming")) == []


def test_uplink_does_not_believe_the_version_of_an_offer(world: Any) -> None:
    """WI-43: the signature says which version a list is; an old list under a new number stays out."""
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.offer_list(3, world.sealed_list(3))
    world.drive(lambda: world.status().get("list_version") == 3)
    world.centre.offer_list(9, world.sealed_list(2))
    world.drive(lambda: [entry["event"] for entry in world.journal()][-1] == "watchlist.refused")
    assert world.status()["list_version"] == 3
