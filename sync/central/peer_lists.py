"""Which devices are peers of each other, and the signed list that tells them so.

Decided here: devices of one group are peers, who is in no group is in `fleet`, a revoked device is in none; a list is
signed when a group's members are others than on its last one, under a version that only grows; a device gets one when
it asks, and again when there is a newer one. Implements AC-34 to AC-36 of docs/spec/activation.md.
"""

from __future__ import annotations

import hashlib
import logging
import re

from sync.central.commanding import Publish
from sync.central.store import Store
from vedette import canonical
from vedette.activation_messages import PeersWant
from vedette.errors import Refused
from vedette.keys import PublicKey, SigningKey
from vedette.peer_list import MAX_GROUP, PeerList
from vedette.topics import PEERS, Address

FLEET = "fleet"
_GROUP = re.compile(rf"[a-z0-9][a-z0-9.-]{{0,{MAX_GROUP - 1}}}")
_MEMBERS = (
    "SELECT d.device, d.public_key FROM devices d LEFT JOIN device_groups g ON g.device = d.device"
    " WHERE d.revoked_us IS NULL AND coalesce(g.name, ?) = ? ORDER BY d.device"
)
_REVISION = (
    "SELECT (SELECT count(*) FROM devices), (SELECT count(*) FROM devices WHERE revoked_us IS NOT NULL),"
    " (SELECT coalesce(max(id), 0) FROM group_moves)"
)
_log = logging.getLogger("vedette.ingest")


def set_group(store: Store, device: str, group: str, *, user: str) -> None:
    """Make `device` a peer of the devices of `group`, and of nobody else.

    `NotFound` for a device that is not enrolled, `Refused` for a name that is none.
    """
    if not _GROUP.fullmatch(group):
        raise Refused(f"{group[:70]!r} cannot name a group: 1 to {MAX_GROUP} of a-z, 0-9, dot and dash")
    store.device(device)
    with store.writing() as db:
        db.execute(
            "INSERT INTO device_groups (device, name) VALUES (?, ?)"
            " ON CONFLICT (device) DO UPDATE SET name = excluded.name",
            [device, group],
        )
        row = [device, group, user, store.clock.utc_us()]
        db.execute("INSERT INTO group_moves (device, name, moved_by, moved_us) VALUES (?, ?, ?, ?)", row)
        store.note_access(user, "device.group", device, group)


def groups(store: Store) -> dict[str, str]:
    """The group of each device that is not revoked."""
    sql = (
        "SELECT d.device, coalesce(g.name, ?) FROM devices d LEFT JOIN device_groups g ON g.device = d.device"
        " WHERE d.revoked_us IS NULL ORDER BY d.device"
    )
    return dict(store.db.execute(sql, [FLEET]).fetchall())


def current(store: Store, key: SigningKey, group: str) -> tuple[int, bytes]:
    """Version and record of the list that holds for `group` now; signed with `key` where its members changed.

    `Refused` where the group is too large for a list.
    """
    with store.writing() as db:
        members = dict(db.execute(_MEMBERS, [FLEET, group]).fetchall())
        sha256 = hashlib.sha256(canonical.dumps(members)).hexdigest()
        sql = "SELECT version, record, members_sha256 FROM peer_lists WHERE name = ? ORDER BY version DESC LIMIT 1"
        newest = db.execute(sql, [group]).fetchone()
        if newest is not None and newest[2] == sha256:
            return newest[0], bytes(newest[1])
        version = db.execute("SELECT coalesce(max(version), 0) + 1 FROM peer_lists").fetchone()[0]
        listed = PeerList(
            version=version,
            issued_us=store.clock.utc_us(),
            group=group,
            peers={device: PublicKey.from_text(text) for device, text in members.items()},
        )
        record = listed.sign(key)
        row = [version, group, listed.issued_us, sha256, record]
        sql = "INSERT INTO peer_lists (version, name, issued_us, members_sha256, record) VALUES (?, ?, ?, ?, ?)"
        db.execute(sql, row)
        return version, record


class PeerLists:
    """Hands the lists out; stepped by an ingest worker. Who talks with peers is who asked."""

    def __init__(self, store: Store, key: SigningKey, publish: Publish) -> None:
        self._store, self._key, self._publish = store, key, publish
        self._has: dict[str, int] = {}
        self._revision: tuple[int, ...] = ()
        self._groups: dict[str, str] = {}
        self._lists: dict[str, tuple[int, bytes]] = {}

    def want(self, device: str, want: PeersWant) -> None:
        """A device says which list it has."""
        self._has[device] = want.version
        self._look()
        self._tell(device)

    def step(self) -> None:
        """When somebody was enrolled, revoked or moved, tell those whose list is another now."""
        if self._look():
            for device in self._has:
                self._tell(device)

    def _look(self) -> bool:
        """Whether groups may be others than at the last look; they are read only then."""
        revision = tuple(self._store.db.execute(_REVISION).fetchone())
        if revision == self._revision:
            return False
        self._groups = groups(self._store)
        self._lists.clear()
        self._revision = revision
        return True

    def _tell(self, device: str) -> None:
        group = self._groups.get(device)
        if group is None:
            return
        try:
            if group not in self._lists:
                self._lists[group] = current(self._store, self._key, group)
        except Refused as error:
            _log.error("no list of peers is sent: %s", error)
            return
        version, record = self._lists[group]
        if self._has[device] < version:
            self._has[device] = version
            self._publish(Address(device=device, name=PEERS).topic, record)
