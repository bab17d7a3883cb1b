"""Ends the live sessions of revoked devices, at any broker, without touching the others.

A broker that reads a new revocation list refuses the next connection and leaves the live session alone. Decided
here: the centre takes that session over: it connects once as the revoked device, with a certificate of ten minutes
whose key never leaves memory, for of two sessions with one client id every MQTT broker ends the older; then it leaves.
The canary's certificate tells whether the broker reads the list yet: until it does, a cut is made again. See ADR 23.
Who is put off for a while (WI-73, WI-74) is on the list for that while, and is cut in the same way once the broker has
had a look's time to read it.
"""

from __future__ import annotations

import datetime
import logging
import ssl
from collections.abc import Iterable, Sequence

from sync.central import succession
from sync.central.authority import Authority
from sync.central.certificates import CANARY, CANARY_ID, write_revocations
from sync.central.greeting import MQTT_5, Answer, context_for, context_of, greet
from sync.central.quarantine import put_off
from sync.central.store import Store
from vedette.topics import bulk_identity

LOOK_US = 500_000
AGAIN_US = 10_000_000
MOST_PAUSE_US = 60_000_000
MAX_CUTS = 8
TAKE_OVER_LASTS = datetime.timedelta(minutes=10)

_log = logging.getLogger("vedette.central")


class Cutting:
    """Cuts whom the store calls revoked or put off at each of `brokers` (host, port); MAX_CUTS in a `step` at most."""

    def __init__(self, store: Store, brokers: Sequence[tuple[str, int]], version: int = MQTT_5) -> None:
        self._store = store
        self._version = version
        self._keys = store.folder / "keys"
        self._brokers = tuple(brokers)
        self._look_at_us = 0
        # Who was revoked before has no session at a broker that starts with us; elsewhere it is cut when it speaks.
        self._cut_us = dict.fromkeys(self._revoked(), 0)
        self._put_off: dict[str, int] = {}  # and when each was last heard before it was cut
        self._tries: dict[str, int] = {}
        self._silent: set[tuple[str, int]] = set()
        self.cuts = 0

    def heard(self, devices: Iterable[str], now_us: int) -> None:
        """These revoked devices still speak: cut them again, not oftener than every ten seconds."""
        for device in devices:
            if now_us - self._cut_us.get(device, now_us) > AGAIN_US:
                del self._cut_us[device]

    def step(self, now_us: int) -> None:
        """Look who was revoked or put off and cut who was not cut yet."""
        if now_us < self._look_at_us:
            return
        self._look_at_us = now_us + LOOK_US
        if self._is_list_renewed():
            return
        gone = dict.fromkeys([*self._revoked(), *self._put_off])
        fresh_first = sorted(gone, key=lambda device: self._tries.get(device, 0))
        waiting = [device for device in fresh_first if device not in self._cut_us][:MAX_CUTS]
        if not waiting:
            return
        self._silent.clear()
        is_list_read = self._is_list_read()
        for device in waiting:
            if self._cut(device) and is_list_read:
                self._cut_us[device] = now_us
                self._tries.pop(device, None)
                self.cuts += 1
            else:
                self._tries[device] = self._tries.get(device, 0) + 1
        tries = [self._tries[device] for device in waiting if device in self._tries]
        if tries:
            self._look_at_us = now_us + min(MOST_PAUSE_US, LOOK_US << min(min(tries), 10))

    def _is_list_renewed(self) -> bool:
        """Whether somebody is put off, or no longer, for whom the list had to be written anew."""
        found = put_off(self._store)
        is_other = found.keys() != self._put_off.keys()
        if is_other:
            write_revocations(self._store)
        for device, heard_us in found.items():
            if heard_us - self._put_off.get(device, 0) > AGAIN_US:
                self._put_off[device] = heard_us
                self._cut_us.pop(device, None)
        for device in self._put_off.keys() - found.keys():
            del self._put_off[device]
            self._cut_us.pop(device, None)
        return is_other

    def _revoked(self) -> list[str]:
        sql = "SELECT device FROM devices WHERE revoked_us IS NOT NULL ORDER BY revoked_us"
        return [row[0] for row in self._store.db.execute(sql).fetchall()]

    def _is_list_read(self) -> bool:
        """Whether every broker refuses the certificate that never held."""
        context = context_of(succession.trusted(self._keys), self._keys / CANARY)
        let_in = [address for address in self._brokers if self._greet(address, context, CANARY_ID).is_in]
        for host, port in let_in:
            _log.warning("the broker %s:%d still lets revoked certificates in: it needs keys/crl.pem", host, port)
        return not let_in

    def _cut(self, device: str) -> bool:
        """Take over both sessions of `device`; False where a broker did not let us in."""
        done = True
        authority, now_us = Authority(self._keys), self._store.clock.utc_us()
        for name in (device, bulk_identity(device)):
            context = context_for(
                succession.trusted(self._keys), authority.issue_client(name, now_us, lasts=TAKE_OVER_LASTS)
            )
            for address in self._brokers:
                answer = self._greet(address, context, name)
                if not answer.is_in:
                    done = False
                    _log.warning("%s could not be cut at %s:%d: %s", name, *address, answer.why or answer.code)
        return done

    def _greet(self, address: tuple[str, int], context: ssl.SSLContext, name: str) -> Answer:
        """Connect; a broker that let the time run out is not waited for again in this look: ingest waits meanwhile."""
        if address in self._silent:
            return Answer(code=None, why="the broker does not answer")
        answer = greet(*address, context, name, version=self._version)
        if answer.is_silence:
            self._silent.add(address)
        return answer
