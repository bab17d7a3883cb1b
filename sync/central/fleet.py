"""Who belongs to this centre: making a centre, enrolling a device, revoking it.

Decided here: which keys exist, where each lies and who gets which (the evidence and oversight identities never
stay in the centre's folder), the device ids nobody may have, and that an id is never given twice. Certificates
are authority.py.
"""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from sync.central import schema, succession
from sync.central.authority import Authority, Issued
from sync.central.certificates import CANARY_ID, enter, write_canary
from sync.central.certificates import REVOCATIONS as REVOCATIONS
from sync.central.certificates import write_revocations as write_revocations
from sync.central.device_toml import with_uplink
from sync.central.store import DATABASE, Store
from vedette import config, files
from vedette.clock import Clock, SystemClock, iso
from vedette.enrolment import Enrolment
from vedette.errors import Integrity, NotFound, Refused
from vedette.fields import check_device_id
from vedette.keys import PublicKey, SigningKey
from vedette.sealed import HybridIdentity, load_identities, save_identity
from vedette.topics import BULK_ENDING, bulk_identity
from vedette.trust import Trust, load_trust

CENTRE_ID = "centre"
RESERVED_IDS = frozenset({CENTRE_ID, "broker", "web", "ingest", "check", "check-2", "check-b", CANARY_ID})
RESERVED_ENDING = BULK_ENDING
CONFIG = "central.toml"
DEVICE_CONFIG = "device.toml"
TRUST = "trust.json"

_HOST = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,252}|[0-9A-Fa-f:.]{2,45}")

_FOLDERS = ("keys", "blobs", "incoming", "broker", "run")


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCentre:
    """Where a new centre and the keys that must leave this machine lie."""

    folder: Path
    config: Path
    escrow: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolled:
    """One enrolment: the device's signing key as the centre knows it and where it will connect."""

    device: str
    public_key: str
    host: str
    port: int


def make_centre(
    folder: Path, escrow: Path, origin: str, *, host: str = "127.0.0.1", clock: Clock | None = None
) -> NewCentre:
    """Make a centre in `folder` and put the identities that open evidence into `escrow`; `Refused` over anything there.

    `origin` names the log (C2SP: like a URL without scheme); `host` is where the broker will listen.
    """
    clock = clock or SystemClock()
    _check_origin(origin)
    _check_host(host)
    for path in (folder, escrow):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise Refused(f"{path} is not empty; a centre is made in a new folder and never over another one")
    try:
        return _fill(folder, escrow, origin, host, clock)
    except (OSError, sqlite3.Error):
        for path in (folder, escrow):  # or the next try would find it not empty
            shutil.rmtree(path, ignore_errors=True)
        raise


def _fill(folder: Path, escrow: Path, origin: str, host: str, clock: Clock) -> NewCentre:
    fans = (f"blobs/{first:02x}" for first in range(256))
    for path in (*(folder / name for name in (*_FOLDERS, *fans)), escrow):
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
    for path, mode in ((folder, 0o750), (folder / "keys", 0o700), (escrow, 0o700)):
        path.chmod(mode)
    _make_keys(folder, escrow, origin, clock)
    _make_certificates(folder / "keys", origin, host, clock.utc_us())
    db = schema.connect(folder / DATABASE)
    schema.migrate(db)
    db.close()
    (folder / DATABASE).chmod(0o640)
    text = f'[central]\ndata = "."\norigin = "{origin}"\n\n[broker]\nembedded = true\nhost = "{host}"\nport = 0\n'
    files.write_new(folder / CONFIG, text.encode())
    return NewCentre(folder=folder, config=folder / CONFIG, escrow=escrow)


def enrol(store: Store, device: str, device_folder: Path, *, port: int, host: str = "") -> Enrolled:
    """Make `device_folder` a device of this centre; its key is the one in keys/sign.pem, made on the device.

    Writes the device's certificate, the centre's public keys and the broker's address there (`host` empty: the one in
    central.toml). Repeatable until it is
    through; `Refused` when the id is taken, reserved or not the one in device.toml, `NotFound` without a key.
    """
    check_new_id(store, device)
    place = _load_device(device, device_folder)
    if not (place.keys / "sign.pem").is_file():
        raise NotFound(f"{place.keys / 'sign.pem'} is not there; `vedette device init` makes the device's key")
    public = SigningKey.load(place.keys / "sign.pem").public
    central = config.load_central(store.folder / CONFIG)
    now_us = store.clock.utc_us()
    authority = Authority(central.keys)
    issued = authority.issue_client(device, now_us)
    enrolment = Enrolment(device=device, key=public, certificate_serial=issued.serial, enrolled_us=now_us)
    record = enrolment.sign(SigningKey.load(central.keys / "centre.pem"))
    _write_keys(central, place, issued, record)
    host = host or central.broker.host
    _write_address(device_folder / DEVICE_CONFIG, host, port)
    row = [device, public.text, now_us, record, issued.serial]
    sql = "INSERT INTO devices (device, public_key, enrolled_us, enrolment, certificate_serial) VALUES (?, ?, ?, ?, ?)"
    store.db.execute(sql, row)
    _give_bulk_certificate(store, authority, device, place)
    return Enrolled(device=device, public_key=public.text, host=host, port=port)


def check_new_id(store: Store, device: str) -> None:
    """Return when `device` may be enrolled under this id; an id that was revoked is never given again."""
    try:
        check_device_id(device)
    except Integrity as error:
        raise Refused(str(error)) from None
    if device in RESERVED_IDS or device.endswith((RESERVED_ENDING, "\n")):
        raise Refused(f"{device!r} is a name the centre keeps for itself; choose another id")
    if store.db.execute("SELECT 1 FROM devices WHERE device = ?", [device]).fetchone():
        raise Refused(f"{device} is enrolled or was; an id is never given twice, choose another")


def revoke(store: Store, device: str) -> None:
    """Refuse `device` from now on: its certificate goes on the revocation list, its items are no longer taken."""
    if store.device(device).revoked_us is None:
        store.db.execute(
            "UPDATE devices SET revoked_us = ?, online = 0 WHERE device = ?", [store.clock.utc_us(), device]
        )
    write_revocations(store)


def device_key(store: Store, device: str) -> PublicKey | None:
    """The key that signs for an enrolled device; None when it is unknown or revoked."""
    sql = "SELECT public_key FROM devices WHERE device = ? AND revoked_us IS NULL"
    row = store.db.execute(sql, [device]).fetchone()
    return None if row is None else PublicKey.from_text(row[0])


def centre_trust(folder: Path) -> Trust:
    """The public keys of this centre, as its devices have them."""
    return load_trust(folder / TRUST)


def _make_keys(folder: Path, escrow: Path, origin: str, clock: Clock) -> None:
    keys, created = folder / "keys", iso(clock.utc_us())
    centre, list_signer = SigningKey.generate(), SigningKey.generate()
    centre.save(keys / "centre.pem")
    list_signer.save(keys / "list.pem")
    places = {"evidence": escrow, "oversight": escrow, "triage": keys, "list": keys}
    identities = {name: HybridIdentity.generate() for name in places}
    for name, place in places.items():
        save_identity(place / f"{name}.identity", identities[name], created=created)
    trust = Trust(
        centre=centre.public,
        list_signer=list_signer.public,
        log_origin=origin,
        evidence=(identities["evidence"].recipient.text,),
        oversight=(identities["oversight"].recipient.text,),
        triage=identities["triage"].recipient.text,
    )
    files.write_new(folder / TRUST, trust.to_bytes())


def _make_certificates(keys: Path, origin: str, host: str, now_us: int) -> None:
    authority = Authority.create(keys, origin.partition("/")[0], now_us)
    server, worker = authority.issue_server(host, now_us), authority.issue_client(CENTRE_ID, now_us)
    for name, issued in (("server", server), ("ingest", worker)):
        files.write_new(keys / f"{name}.crt", issued.certificate)
        files.write_new(keys / f"{name}.key", issued.key, mode=0o600)
    succession.write_trusted(keys, now_us)
    canary = write_canary(keys, authority, now_us)
    files.write_new(keys / REVOCATIONS, authority.revocations((canary,), now_us))


def _check_origin(origin: str) -> None:
    if not origin or len(origin) > 100 or not origin.isascii() or any(c.isspace() or c in '+"\\' for c in origin):
        raise Refused(f"{origin[:60]!r} cannot name a log: ASCII without space, plus, quote or backslash, 100 at most")


def _check_host(host: str) -> None:
    if not _HOST.fullmatch(host):
        raise Refused(f"{host[:60]!r} is no address to listen on: an IP address or a host name")


def _load_device(device: str, folder: Path) -> config.DeviceConfig:
    path = folder / DEVICE_CONFIG
    if not path.is_file():
        raise NotFound(f"{path} is not there; `vedette device init` makes it")
    place = config.load_device(path)
    if place.device.id != device:
        raise Refused(f"{path} says this device is {place.device.id}, not {device}")
    return place


def _write_address(path: Path, host: str, port: int) -> None:
    reachable = socket.gethostname() if host in ("0.0.0.0", "::") else host
    text = path.read_text(encoding="utf-8")
    files.replace(path, with_uplink(text, host=reachable, port=port).encode())
    config.load_device(path)


def _give_bulk_certificate(store: Store, authority: Authority, device: str, place: config.DeviceConfig) -> None:
    """The identity of the device's second connection (WI-59)."""
    name = bulk_identity(device)
    issued = authority.issue_client(name, store.clock.utc_us())
    enter(store, device, name, issued.serial, issued.certificate)  # first: what is not entered cannot be revoked
    files.replace(place.keys / "bulk.key", issued.key, mode=0o600)
    files.replace(place.keys / "bulk.crt", issued.certificate, mode=0o640)


def _write_keys(central: config.CentralConfig, place: config.DeviceConfig, issued: Issued, record: bytes) -> None:
    list_identity = load_identities(central.keys / "list.identity")[0]
    for name, data, mode in (
        ("tls.key", issued.key, 0o600),
        ("tls.crt", issued.certificate, 0o640),
        ("ca.crt", files.read(central.keys / "ca.crt", max_bytes=1 << 16), 0o640),
        ("list.identity", f"{list_identity.secret_text}\n".encode(), 0o600),
        ("enrolment", record, 0o640),
    ):
        files.replace(place.keys / name, data, mode=mode)
    files.replace(place.trust, files.read(central.data / TRUST, max_bytes=1 << 18))
