"""When the uplink tells the centre how far this device's custody journals have come.

Decided here: no oftener than every ten seconds while lines are written, and again every minute while none are, because
any message may be lost; nothing is ever waited for. What is told is `vedette.custody_heads`. Implements WI-72 of
docs/spec/wire.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from vedette.clock import Clock
from vedette.custody_heads import Head, Heads, JournalWatch
from vedette.keys import SigningKey

EVERY_US = 10_000_000
AGAIN_US = 60_000_000


@dataclass(kw_only=True)
class HeadPost:
    """What is to be told of the journals of `device`, and when."""

    device: str
    key: SigningKey
    clock: Clock
    watch: JournalWatch
    _told: tuple[Head, ...] = ()
    _saying: tuple[Head, ...] = ()
    _due_us: int = 0
    _again_us: int = 0

    def next_record(self, now_us: int) -> bytes | None:
        """The signed record to send now; None where nothing is due or nothing is new. Two looks are EVERY_US apart:
        what stood for so long is durable.
        """
        if now_us < self._due_us:
            return None
        self._due_us = now_us + EVERY_US
        self._saying = self.watch.look()
        if not self._saying or (self._saying == self._told and now_us < self._again_us):
            return None
        quality = self.clock.quality()
        heads = Heads(
            device=self.device,
            told_us=self.clock.utc_us(),
            time_source=quality.source,
            time_error_us=quality.error_us,
            heads=self._saying,
        )
        return heads.sign(self.key)

    def told(self, now_us: int) -> None:
        """The link took that record."""
        self._told, self._again_us = self._saying, now_us + AGAIN_US

    def new_session(self) -> None:
        """Tell it all again: of what was told before nobody knows whether it was heard."""
        self._told = ()
