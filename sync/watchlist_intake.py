"""Takes a fetched watchlist from the wire to the disk: sealed bytes only, in place of the old one only when it holds.

Decided here: where the bytes of an unfinished list rest (`watchlist/<sha256>.incoming`, sealed like the list itself)
and what a list that does not hold costs: it is deleted, and the same offer is not followed for a while. Whether it
holds is `vedette.watchlist`'s to say; the reader asks it again. Implements docs/spec/wire.md, "Watchlist".
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sync.list_fetch import ListFetch
from vedette import files, watchlist
from vedette.clock import Clock
from vedette.errors import Expired, Integrity, Refused, VedetteError
from vedette.keys import PublicKey
from vedette.records import keyring
from vedette.sealed import Identity
from vedette.wire import MAX_LIST_BYTES, ListOffer, ListPart, ListWant


class WatchlistIntake:
    """The one writer of `DEVICE/watchlist/`."""

    def __init__(self, device_folder: Path, identities: list[Identity], signer: PublicKey, clock: Clock) -> None:
        self._device_folder = device_folder
        self._identities = identities
        self._keys = keyring(signer)
        self._clock = clock
        self._fetch = ListFetch(self._version_here())

    @property
    def version(self) -> int:
        """The version of the list that lies here; 0 when there is none that holds."""
        return self._fetch.have_version

    def take(self, message: ListOffer | ListPart, now_us: int) -> int | None:
        """Take what the centre says; the version when that completed a list which holds and is now the device's.

        Raises VedetteError when a whole list does not hold or the disk does not take it; its bytes are gone then and
        the older list is still in use.
        """
        try:
            if isinstance(message, ListPart):
                return self._part(message, now_us)
            self._offered(message, now_us)
        except OSError as error:
            self._fetch.refused(now_us)
            raise Refused(f"watchlist version {message.version}: the disk does not take it: {error}") from None
        return None

    def _offered(self, offer: ListOffer, now_us: int) -> None:
        """Bytes of the same list that are here already are not fetched again."""
        if not self._fetch.wants(offer, now_us):
            return
        folder = watchlist.current_path(self._device_folder).parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        incoming = self._incoming(offer)
        for other in folder.glob("*.incoming"):
            if other != incoming or other.stat().st_size >= offer.size:
                other.unlink()
        incoming.touch(mode=0o640)
        self._fetch.begin(offer, incoming.stat().st_size)

    def next_want(self, now_us: int) -> ListWant | None:
        """What to ask the centre now; call `asked` when the link took it."""
        return self._fetch.next_want(now_us)

    def asked(self, now_us: int) -> None:
        """The link took the question."""
        self._fetch.asked(now_us)

    def lost_session(self) -> None:
        """Ask again at once in the next session."""
        self._fetch.lost_session()

    def _part(self, part: ListPart, now_us: int) -> int | None:
        offer = self._fetch.offer
        payload = self._fetch.take(part)
        if offer is None or not payload:
            return None
        incoming = self._incoming(offer)
        with incoming.open("ab") as file:
            file.write(payload)
        if not self._fetch.whole:
            return None
        try:
            version = self._store(files.read(incoming, max_bytes=MAX_LIST_BYTES), offer)
        except VedetteError:
            self._fetch.refused(now_us)
            raise
        finally:
            incoming.unlink()
        self._fetch.accepted(version, now_us)
        return version

    def _store(self, sealed: bytes, offer: ListOffer) -> int:
        if hashlib.sha256(sealed).hexdigest() != offer.sha256:
            raise Integrity(f"watchlist version {offer.version}: the bytes that came are not the ones offered")
        now_us = self._clock.utc_us()
        return watchlist.store(self._device_folder, sealed, self._identities, self._keys, now_us=now_us).version

    def _version_here(self) -> int:
        now_us = self._clock.utc_us()
        try:
            return watchlist.load(self._device_folder, self._identities, self._keys, now_us=now_us).version
        except Expired:
            return watchlist.floor(self._device_folder)
        except VedetteError:
            return 0

    def _incoming(self, offer: ListOffer) -> Path:
        return watchlist.current_path(self._device_folder).with_name(f"{offer.sha256}.incoming")
