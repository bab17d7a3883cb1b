"""Takes the centre's list of peers from the wire to the disk, and says whom the post believes.

Decided here: when to ask for the list, and that it is replaced by one rename and only by a newer one. Once a list is
here, enrolments that were copied by hand count no more: whoever is revoked is on no list. A list that cannot be read is
as if nobody were on it, until the centre has sent it again. Implements AC-27 and AC-34 to AC-36 of
docs/spec/activation.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sync.peers import load_peers
from vedette import files
from vedette.activation_messages import PeersWant
from vedette.enrolment import Enrolment
from vedette.errors import VedetteError
from vedette.keys import PublicKey
from vedette.peer_list import MAX_PEERS_BYTES, PeerList, open_peers

CURRENT = "current.peers"
FIRST_AGAIN_US = 60_000_000
MOST_AGAIN_US = 3_600_000_000


class PeerIntake:
    """The one writer of `DEVICE/peers/current.peers`."""

    def __init__(self, folder: Path, keys: Mapping[str, PublicKey], *, device: str) -> None:
        """`folder` is the device's `peers`; `keys` are the centre's."""
        self._folder, self._keys, self._device = folder, keys, device
        self._list = self._load()
        self._ask_at_us = 0
        self._pause_us = FIRST_AGAIN_US

    @property
    def version(self) -> int:
        """The version of the list here; 0 for none that holds."""
        return 0 if self._list is None else self._list.version

    @property
    def path(self) -> Path:
        """Where the list lies."""
        return self._folder / CURRENT

    def believed(self) -> dict[str, Enrolment]:
        """Whose messages count, by key id: the list's, or without one the enrolments copied into the folder."""
        if self._list is not None:
            return self._list.without(self._device)
        if self.path.exists():
            return {}
        return load_peers(self._folder, self._keys, own=self._device)

    def next_want(self, now_us: int) -> PeersWant | None:
        """What to ask the centre now; call `asked` when the link took it. `now_us` is the monotonic clock's."""
        return PeersWant(version=self.version) if now_us >= self._ask_at_us else None

    def asked(self, now_us: int) -> None:
        """The link took the question. It is repeated, ever more rarely: the centre answers only with a newer list."""
        self._ask_at_us = now_us + self._pause_us
        self._pause_us = min(MOST_AGAIN_US, 2 * self._pause_us)

    def lost_session(self) -> None:
        """Ask again at once in the next session."""
        self._ask_at_us, self._pause_us = 0, FIRST_AGAIN_US

    def take(self, record: bytes) -> PeerList:
        """Keep the list in `record` in place of the older one; raises as `open_peers`, `OSError` from the disk."""
        found = open_peers(record, self._keys, device=self._device, newer_than=self.version)
        self._folder.mkdir(mode=0o750, exist_ok=True)
        files.replace(self.path, record, mode=0o640)
        self._list = found
        return found

    def _load(self) -> PeerList | None:
        try:
            return open_peers(files.read(self.path, max_bytes=MAX_PEERS_BYTES), self._keys, device=self._device)
        except VedetteError:
            return None
