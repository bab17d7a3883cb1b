"""Who may hand in evidence: whoever is enrolled and not revoked, looked up once and believed for a second.

Decided here: how long a look at the fleet is believed, and what is kept of one who is turned away (one row in
quarantine). Ingest, further workers and the depot's desk each ask an admission of their own. Implements RC-9 of
docs/spec/receipt.md.
"""

from __future__ import annotations

from sync.central.fleet import device_key
from sync.central.quarantine import quarantine
from sync.central.store import Store
from vedette.wire import RefuseCode

BELIEVED_US = 1_000_000


class Admission:
    """Asks the store about a device at most once a second, however much the device says."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._enrolled: dict[str, bool] = {}
        self._look_at_us = 0

    def admits(self, device: str) -> bool:
        """Whether `device` was enrolled and not revoked at the last look."""
        if device not in self._enrolled:
            self._enrolled[device] = self._is_enrolled(device)
        return self._enrolled[device]

    def lost(self, now_us: int) -> list[str]:
        """Who was admitted at the last look and is so no more; nobody before a second has passed since.

        When the store cannot be asked, its error is raised and the last look stands: nobody is forgotten.
        """
        if now_us < self._look_at_us:
            return []
        self._look_at_us = now_us + BELIEVED_US
        before = self._enrolled
        now = {device: self._is_enrolled(device) for device in before}
        self._enrolled = now
        return [device for device, was_enrolled in before.items() if was_enrolled and not now[device]]

    def turn_away(self, device: str) -> str:
        """Put down in quarantine, once, that one who is not admitted spoke; the reason in words."""
        text = f"{device} is not enrolled here, or was revoked"
        quarantine(self._store, device, None, RefuseCode.REVOKED, text)
        return text

    def _is_enrolled(self, device: str) -> bool:
        return device_key(self._store, device) is not None
