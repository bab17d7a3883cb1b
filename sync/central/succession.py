"""How one certificate authority of the centre follows another without anybody visiting a device.

Decided here: three steps. `prepare` makes the next authority: brokers and depot trust both, each device is told of it
by the centre's signed word and then gets certificates of it. `switch` lets it sign for broker and centre as well, once
every device has one; the former one stays trusted until it ends by itself. Both want the centre stopped, since brokers
read these files at their start. Implements RN-8 and RN-10 to RN-12 of docs/spec/renewal.md.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from sync.authorities import fingerprint, is_signed_by
from sync.central.authority import CERTIFICATE_DAYS, MAX_PEM_BYTES, Authority, make
from sync.central.store import Store
from vedette import files, topics
from vedette.clock import iso
from vedette.errors import Refused
from vedette.keys import SigningKey
from vedette.next_authority import NextAuthority

NEXT, FORMER, TRUSTED = "next-ca.pem", "former-ca.pem", "authorities.pem"
WARN_DAYS = CERTIFICATE_DAYS  # from then on certificates are cut short by their authority's end
_DAY_US = 86_400_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How far a change is: when the present authority ends, the next one's SHA-256 and who has no certificate of it."""

    ends_us: int
    next_sha256: str | None
    former_ends_us: int | None
    without: tuple[str, ...]

    def days_left(self, now_us: int) -> int:
        """Whole days until the present authority ends."""
        return (self.ends_us - now_us) // _DAY_US

    def is_late(self, now_us: int) -> bool:
        """Whether it is time to prepare the next one."""
        return self.days_left(now_us) < WARN_DAYS and self.next_sha256 is None


def authorities(keys: Path, now_us: int) -> list[Authority]:
    """Every authority whose certificates are let in: the one that signs, the next, and the former until it ends."""
    found = [Authority(keys)]
    found += [Authority(keys, NEXT, NEXT)] if (keys / NEXT).is_file() else []
    former = Authority(keys, FORMER, FORMER) if (keys / FORMER).is_file() else None
    if former is not None and _us(former.x509.not_valid_after_utc) > now_us:
        found.append(former)
    return found


def ends_us(keys: Path) -> int:
    """When the present authority ends."""
    return _us(Authority(keys).x509.not_valid_after_utc)


def days_left(keys: Path, now_us: int) -> int:
    """Whole days until then."""
    return (ends_us(keys) - now_us) // _DAY_US


def next_authority(keys: Path) -> Authority | None:
    """The authority that was prepared; None where there is none."""
    return Authority(keys, NEXT, NEXT) if (keys / NEXT).is_file() else None


def trusted(keys: Path) -> Path:
    """Where all of them lie, for TLS; a centre made before there was such a file has one authority."""
    return keys / TRUSTED if (keys / TRUSTED).is_file() else keys / "ca.crt"


def write_trusted(keys: Path, now_us: int) -> Path:
    """Write the file of all authorities that brokers and depot let in, where it is not as it should be."""
    path = keys / TRUSTED
    data = b"".join(dict.fromkeys(one.certificate for one in authorities(keys, now_us)))
    if not path.is_file() or files.read(path, max_bytes=4 * MAX_PEM_BYTES) != data:
        files.replace(path, data)
    return path


def prepare(store: Store, origin: str) -> str:
    """Make the authority that will follow, and return its SHA-256; `Refused` while another change is under way."""
    keys, now_us = store.folder / "keys", store.clock.utc_us()
    if (keys / NEXT).exists():
        raise Refused("the next authority is there already; see `vedette central authority CENTRAL`")
    if len(authorities(keys, now_us)) > 1:
        raise Refused("the authority before the present one has not ended yet; two changes cannot overlap")
    made = make(f"CA {iso(now_us)[:7]} {origin}", now_us)
    coming = x509.load_pem_x509_certificate(made.certificate)
    if coming.not_valid_after_utc <= Authority(keys).x509.not_valid_after_utc:
        raise Refused("an authority made now would end no later than the present one; this clock or that one was wrong")
    files.write_new(keys / NEXT, made.key + made.certificate, mode=0o600)
    write_trusted(keys, now_us)
    return fingerprint(coming)


def standing(store: Store) -> Standing:
    """How far the change is."""
    keys, now_us = store.folder / "keys", store.clock.utc_us()
    coming = next_authority(keys)
    former = [one for one in authorities(keys, now_us)[1:] if coming is None or one.x509 != coming.x509]
    return Standing(
        ends_us=ends_us(keys),
        next_sha256=None if coming is None else fingerprint(coming.x509),
        former_ends_us=_us(former[0].x509.not_valid_after_utc) if former else None,
        without=() if coming is None else _without(store, coming.x509),
    )


def switch(store: Store, leave: frozenset[str] = frozenset()) -> str:
    """Let the next authority sign from now on, and return its SHA-256. What a power cut breaks off can be repeated.

    `Refused` while a device that is not in `leave` has no certificate of it: it could not find its centre any more.
    """
    keys, now_us = store.folder / "keys", store.clock.utc_us()
    if not (keys / NEXT).is_file():
        raise Refused("no next authority is there; `vedette central authority CENTRAL --prepare` makes it")
    coming = Authority(keys, NEXT, NEXT)
    missing = [device for device in _without(store, coming.x509) if device not in leave]
    if missing:
        text = f"{len(missing)} devices have no certificate of the next authority: {', '.join(missing[:10])}"
        raise Refused(f"{text}; wait until they were online, revoke them, or name each with --leave to cut it off")
    pem = files.read(keys / NEXT, max_bytes=MAX_PEM_BYTES)
    end = pem.index(b"-----BEGIN CERTIFICATE-----")
    if not _is_begun(keys, coming):
        present = (files.read(keys / name, max_bytes=MAX_PEM_BYTES) for name in ("ca.key", "ca.crt"))
        files.replace(keys / FORMER, b"".join(present), mode=0o600)
    files.replace(keys / "ca.key", pem[:end], mode=0o600)
    files.replace(keys / "ca.crt", pem[end:])
    files.remove(keys / NEXT)
    write_trusted(keys, now_us)
    return fingerprint(coming.x509)


class News:
    """Tells a device that comes of the next authority, by the centre's signed word, while there is one."""

    def __init__(self, store: Store, key: SigningKey, publish: Callable[[str, bytes], object]) -> None:
        coming, now_us = next_authority(store.folder / "keys"), store.clock.utc_us()
        self._publish = publish
        self._record: bytes | None = None
        if coming is not None:
            self._record = NextAuthority(certificate=coming.certificate, announced_us=now_us).sign(key)

    def came(self, device: str) -> None:
        """`device` has said that it is there."""
        if self._record is not None:
            self._publish(topics.Address(device=device, name=topics.AUTHORITY).topic, self._record)


def _is_begun(keys: Path, coming: Authority) -> bool:
    """Whether a switch was broken off after the former authority was put aside."""
    try:
        return Authority(keys).x509 == coming.x509
    except Refused:
        return True


def _without(store: Store, authority: x509.Certificate) -> tuple[str, ...]:
    """The devices that are not revoked and were not yet given a certificate of `authority`, for which they ask."""
    sql = (
        "SELECT d.device, c.certificate FROM devices d LEFT JOIN certificates c"
        " ON c.device = d.device AND c.name = d.device WHERE d.revoked_us IS NULL ORDER BY d.device, c.issued_us"
    )
    has: dict[str, bool] = {}
    for device, certificate in store.db.execute(sql).fetchall():
        is_of_it = certificate is not None and is_signed_by(
            x509.load_pem_x509_certificate(bytes(certificate)), authority
        )
        has[device] = has.get(device, False) or is_of_it
    return tuple(device for device, is_of_it in has.items() if not is_of_it)


def _us(moment: datetime.datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
