"""A device whose certificate is on the revocation list, at the depot's door by real TLS: docs/spec/depot.md, DE-18."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from sync.central import certificates, fleet
from sync.central.authority import Authority
from sync.central.quarantine import PUT_OFF_US, all_counts, complaints, count_again, write_counts
from sync.central.revoked import Revoked
from vedette import files, wire
from vedette.errors import Integrity, NotFound
from vedette.wire import RefuseCode

PART = 16 * 1024


def put_off(centre: Any, device: Any) -> None:
    """As an ingest worker does with who floods it (WI-73): it is on the list for five minutes, and stays enrolled."""
    count_again(centre.store, device.id, RefuseCode.BUSY, 1)
    write_counts(centre.store)
    fleet.write_revocations(centre.store)


def revoke(centre: Any, device: Any) -> None:
    fleet.revoke(centre.store, device.id)


def code_of(body: bytes) -> RefuseCode:
    refuse = wire.decode("refuse", body)
    assert isinstance(refuse, wire.Refuse)
    return refuse.code


def serial_of(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


Listing = Callable[[Any, Any], None]
ANSWERS = pytest.mark.parametrize(
    ("listing", "status", "code"), [(revoke, 403, RefuseCode.REVOKED), (put_off, 503, RefuseCode.BUSY)]
)


@ANSWERS
def test_every_next_request_is_refused_on_the_connection_it_has_and_on_a_new_one(
    centre: Any, device: Any, door: Any, item: Any, listing: Listing, status: int, code: RefuseCode
) -> None:
    """DE-18: from the first one after the list was written. The connection is the one it had before."""
    client = door.client(device)
    client.create(item)
    assert client.patch(item, 0, item.sealed_bytes[: 2 * PART])[0] == 204
    port = client.connection.sock.getsockname()[1]

    listing(centre, device)
    append = client.patch(item, 2 * PART, item.sealed_bytes[2 * PART : 3 * PART])
    assert client.connection.sock is None or client.connection.sock.getsockname()[1] == port
    asked = [
        client.create(item),
        client("GET", f"/files/{item.id}"),
        client("OPTIONS", "/files"),
        client("DELETE", "/elsewhere"),
        door.client(device).create(item),
    ]

    assert [one[0] for one in (append, *asked)] == [status] * 6
    assert {code_of(one[2]) for one in (append, *asked)} == {code}
    assert client("HEAD", f"/files/{item.id}")[0] == status


@ANSWERS
def test_it_is_put_down_once_and_counted_and_nobody_else_is_refused(
    centre: Any, device: Any, door: Any, item: Any, listing: Listing, status: int, code: RefuseCode
) -> None:
    """DE-18, RC-7. What it is refused for does not put it off for longer (WI-73)."""
    other = door.client(centre.device("car-2"))
    client = door.client(device)
    listing(centre, device)
    before = [one for one in all_counts(centre.store) if one.code == RefuseCode.BUSY.value]

    told = {client("OPTIONS", "/files")[0] for _ in range(5)}
    assert other("OPTIONS", "/files")[0] == 204
    door.process.terminate()
    assert door.process.wait(20) == 0

    assert told == {status}
    (row,) = complaints(centre.store)
    assert (row.device, row.code) == (device.id, "revoked")
    (again,) = [one for one in all_counts(centre.store) if one.code == RefuseCode.REVOKED.value]
    assert (again.device, again.outcome, again.times) == (device.id, "repeated", 4)
    assert [one for one in all_counts(centre.store) if one.code == RefuseCode.BUSY.value] == before


def test_request_under_way_is_refused_at_its_next_part(centre: Any, device: Any, door: Any, item: Any) -> None:
    """DE-18. What was durable before stays for when it may come again; what came after is not kept."""
    client = door.client(device)
    client.create(item)
    connection = client.connection
    connection.putrequest("PATCH", f"/files/{item.id}")
    length = str(len(item.sealed_bytes))
    for name, value in (
        ("Content-Type", "application/offset+octet-stream"),
        ("Upload-Offset", "0"),
        ("Content-Length", length),
    ):
        connection.putheader(name, value)
    connection.endheaders(item.sealed_bytes[: 2 * PART])
    until = door.client(device)
    while until.create(item)[0] != 503:  # the request above has the item: it is under way
        pass

    put_off(centre, device)
    connection.send(item.sealed_bytes[2 * PART : 3 * PART])
    response = connection.getresponse()

    assert response.status == 503 and code_of(response.read()) is RefuseCode.BUSY
    centre.clock.advance(PUT_OFF_US + 1)
    fleet.write_revocations(centre.store)
    assert door.client(device).create(item)[1]["Upload-Offset"] == str(2 * PART)


def test_device_is_served_again_when_its_while_on_the_list_is_over(
    centre: Any, device: Any, door: Any, item: Any
) -> None:
    """DE-18, WI-73: on the same connection, and what it hands in is receipted."""
    client = door.client(device)
    put_off(centre, device)
    assert client.create(item)[0] == 503

    centre.clock.advance(PUT_OFF_US + 1)
    fleet.write_revocations(centre.store)

    assert client.create(item)[0] == 201
    client.patch(item, 0, item.sealed_bytes)
    assert client("GET", f"/files/{item.id}")[0] == 200


def test_certificate_is_what_is_refused_and_not_the_name_on_it(centre: Any, device: Any, door: Any) -> None:
    """DE-18: the device's later certificate, which is on no list, is let in beside it."""
    keys = device.folder / "keys"
    authority, now_us = Authority(centre.folder / "keys"), centre.clock.utc_us()
    earlier = door.client(device)
    assert earlier("OPTIONS", "/files")[0] == 204
    listed = authority.revocations((f"{serial_of(keys / 'tls.crt'):x}",), now_us)
    files.replace(centre.folder / "keys" / certificates.REVOCATIONS, listed)
    later = authority.issue_client(device.id, now_us)
    files.replace(keys / "tls.crt", later.certificate)
    files.replace(keys / "tls.key", later.key)

    assert earlier("OPTIONS", "/files")[0] == 503
    assert door.client(device)("OPTIONS", "/files")[0] == 204


def test_damaged_list_leaves_the_last_one_in_use(centre: Any, device: Any) -> None:
    """DE-18: and one that is whole again is read at the next question."""
    path = centre.folder / "keys" / certificates.REVOCATIONS
    serial = serial_of(device.folder / "keys" / "tls.crt")
    revoked = Revoked(path)
    assert not revoked.names(serial)
    fleet.revoke(centre.store, device.id)
    assert revoked.names(serial)
    whole = path.read_bytes()

    told = []
    for damaged in (b"", whole[: len(whole) // 2], b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"):
        files.replace(path, damaged)
        told.append(revoked.names(serial))
    path.unlink()
    told.append(revoked.names(serial))

    assert told == [True] * 4
    files.replace(path, Authority(centre.folder / "keys").revocations((), centre.clock.utc_us()))
    assert not revoked.names(serial)


@pytest.mark.parametrize(("content", "error"), [(None, NotFound), (b"", Integrity), (b"no list", Integrity)])
def test_door_does_not_open_without_a_list(tmp_path: Path, content: bytes | None, error: type[Exception]) -> None:
    """DE-18."""
    path = tmp_path / "crl.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(error, match=os.fspath(path)):
        Revoked(path)
