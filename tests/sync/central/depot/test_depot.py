"""The depot's HTTPS door in its own process, by real TLS: docs/spec/depot.md with a plain client, tus's and our own."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import random
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet
from vedette import wire
from vedette.records import check_receipt, keyring, open_receipt
from vedette.wire import Ack, Grant, RefuseCode

OCTETS = "application/offset+octet-stream"
PART = 16 * 1024
WAIT_S = 20.0


def assert_receipted(centre: Any, item: Any, body: bytes) -> None:
    sealed = wire.decode("sealed", body)
    assert isinstance(sealed, wire.Sealed)
    receipt = open_receipt(sealed.receipt, keyring(centre.signer.key.public))
    check_receipt(receipt, item.manifest, hashlib.sha256(item.manifest_bytes).hexdigest())
    assert centre.store.blobs.open(item.manifest.sealed_sha256).read() == item.sealed_bytes
    assert centre.store.receipt(item.id) == sealed.receipt


def code_of(body: bytes) -> RefuseCode:
    refuse = wire.decode("refuse", body)
    assert isinstance(refuse, wire.Refuse)
    return refuse.code


def test_an_item_is_stored_and_receipted_when_it_is_created_sent_and_asked_for(
    centre: Any, device: Any, door: Any, item: Any
) -> None:
    """DE-1, DE-2, DE-6."""
    client, size = door.client(device), len(item.sealed_bytes)
    status, headers, body = client.create(item)
    assert (status, headers["Location"], headers["Upload-Offset"]) == (201, f"/files/{item.id}", "0")
    grant = wire.decode("grant", body)
    assert isinstance(grant, Grant) and (grant.part_size, grant.have) == (PART, ())
    status, headers, _ = client.patch(item, 0, item.sealed_bytes[: 3 * PART + 100])
    assert (status, headers["Upload-Offset"], headers["Tus-Resumable"]) == (204, str(3 * PART), "1.0.0")
    ack = wire.decode("ack", base64.b64decode(headers["Vedette-Answer"].split(" ")[1]))
    assert isinstance(ack, Ack) and ack.ranges == ((0, 2),)
    status, headers, _ = client("HEAD", f"/files/{item.id}")
    assert (status, headers["Upload-Offset"], headers["Upload-Length"]) == (200, str(3 * PART), str(size))
    assert client("GET", f"/files/{item.id}")[0] == 409
    status, headers, _ = client.patch(item, 3 * PART, item.sealed_bytes[3 * PART :])
    assert (status, headers["Upload-Offset"]) == (204, str(size))
    status, _, body = client("GET", f"/files/{item.id}")
    assert status == 200
    assert_receipted(centre, item, body)
    status, headers, again = client.create(item)
    assert (status, headers["Upload-Offset"], again) == (201, str(size), body)
    assert client("GET", f"/files/{item.id}")[2] == body


@pytest.mark.embedded
def test_tus_s_own_client_uploads_and_goes_on_after_a_break(
    centre: Any, device: Any, door: Any, item: Any, npm_tus: Path, tmp_path: Path
) -> None:
    """DE-2, DE-3, DE-4: the reference implementation, tus-js-client, in node."""
    keys, source = device.folder / "keys", tmp_path / "item"
    source.write_bytes(item.sealed_bytes)
    (tmp_path / "init").write_bytes(item.init().encode())
    script = """
import { readFileSync } from "node:fs";
import * as tus from "tus-js-client";
const [port, keys, file, init, stop] = process.argv.slice(2), read = (name) => readFileSync(`${keys}/${name}`);
const data = readFileSync(file), state = {};
const upload = (url) => new Promise((done, fail) => { const one = new tus.Upload(data, {
  endpoint: `https://127.0.0.1:${port}/files`, uploadUrl: url, uploadSize: data.length, chunkSize: 40000,
  metadata: { init: readFileSync(init).toString() }, retryDelays: null, storeFingerprintForResuming: false,
  httpStack: new tus.DefaultHttpStack({ ca: read("ca.crt"), cert: read("tls.crt"), key: read("tls.key") }),
  onChunkComplete: (_size, sent) => {
    state.sent = sent;
    if (!url && sent > Number(stop)) { one.abort(); done(one.url); }
  },
  onError: fail, onSuccess: () => done(one.url) }); one.start(); });
const url = await upload(null);
console.log(JSON.stringify({ first: state.sent, url: await upload(url), last: state.sent }));
process.exit(0);
"""
    (npm_tus / "depot-upload.mjs").write_text(script)
    command = ["node", "depot-upload.mjs", str(door.port), str(keys), str(source), str(tmp_path / "init"), "60000"]
    done = subprocess.run(command, cwd=npm_tus, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert 60_000 < said["first"] < said["last"] == len(item.sealed_bytes)
    assert said["url"] == f"https://127.0.0.1:{door.port}/files/{item.id}"
    assert_receipted(centre, item, door.client(device)("GET", f"/files/{item.id}")[2])


@pytest.mark.embedded
def test_whole_parts_stay_when_a_request_breaks_off(centre: Any, device: Any, door: Any, item: Any) -> None:
    """DE-2, DE-3."""
    client = door.client(device)
    client.create(item)
    connection = client.connection
    connection.putrequest("PATCH", f"/files/{item.id}")
    for name, value in (("Content-Type", OCTETS), ("Upload-Offset", "0"), ("Content-Length", "100000")):
        connection.putheader(name, value)
    connection.endheaders(item.sealed_bytes[: 2 * PART + 5])
    connection.close()
    end = time.monotonic() + WAIT_S
    while client("HEAD", f"/files/{item.id}")[1]["Upload-Offset"] != str(2 * PART):
        assert time.monotonic() < end
        time.sleep(0.02)
    while client.patch(item, 2 * PART, item.sealed_bytes[2 * PART :])[0] == 503:  # the first request is being let go of
        assert time.monotonic() < end
    assert_receipted(centre, item, client("GET", f"/files/{item.id}")[2])


@pytest.mark.embedded
@pytest.mark.parametrize(("name", "wrong"), [("sha256", False), ("sha256", True), ("sha1", False), ("sha1", True)])
def test_a_part_is_kept_only_when_its_checksum_holds(device: Any, door: Any, item: Any, name: str, wrong: bool) -> None:
    """DE-4."""
    client = door.client(device)
    client.create(item)
    body = item.sealed_bytes[:PART]
    digest = hashlib.new(name, body + (b"x" if wrong else b"")).digest()
    said = f"{name} {base64.b64encode(digest).decode()}"
    status, headers, _ = client.patch(item, 0, body, Upload_Checksum=said)
    assert (status, headers["Upload-Offset"]) == ((460, "0") if wrong else (204, str(PART)))


@pytest.mark.embedded
def test_what_is_no_tus_or_no_upload_is_refused_and_keeps_nothing(
    centre: Any, device: Any, door: Any, item: Any
) -> None:
    """DE-2, DE-4, DE-6."""
    client = door.client(device)
    status, headers, _ = client("OPTIONS", "/files")
    assert (status, headers["Tus-Extension"]) == (204, "creation,checksum")
    assert client("OPTIONS", "/files", Tus_Resumable="0.2.2")[0] == 412
    for wrong in ("", "init", "init ????", "init AAAA", "name x", "init e30=, init e30="):
        assert client("POST", "/files", Upload_Length="5", Upload_Metadata=wrong)[0] == 422
    value = base64.b64encode(item.init().encode()).decode()
    assert client("POST", "/files", Upload_Length="5", Upload_Metadata=f"init {value}")[0] == 422
    status, _, body = client.create(item, sha256="0" * 64)
    assert (status, code_of(body)) == (422, RefuseCode.INVALID)
    for path in (f"/files/{item.id}", "/files/x", "/files/..%2fkeys"):
        assert client("HEAD", path)[0] == 404
    assert client("GET", "/files/x")[0] == 422
    client.create(item)
    good, size = item.sealed_bytes, len(item.sealed_bytes)
    assert client.patch(item, 0, good, Content_Type="text/plain")[0] == 415
    for offset in ("", "x", "1", "-1", str(PART)):
        status, headers, body = client.patch(item, 0, good, Upload_Offset=offset)
        assert (status, code_of(body), headers["Upload-Offset"]) == (409, RefuseCode.UNKNOWN_ITEM, "0")
    for said in ("md5 AAAA", "sha256 AAAA", "sha256 ????", "x"):
        assert client.patch(item, 0, good, Upload_Checksum=said)[0] == 400
    two = "sha256 " + base64.b64encode(hashlib.sha256(good[: 2 * PART]).digest()).decode()
    assert client.patch(item, 0, good[: 2 * PART], Upload_Checksum=two)[0] == 400
    assert client("HEAD", f"/files/{item.id}")[1]["Upload-Offset"] == "0"
    assert client.patch(item, 0, good + b"x")[0] == 413
    wrong_bytes = device.item(b"v" * 100)
    client.create(wrong_bytes)
    client.patch(wrong_bytes, 0, bytes(len(wrong_bytes.sealed_bytes)))
    status, _, body = client("GET", f"/files/{wrong_bytes.id}")
    assert (status, code_of(body)) == (409, RefuseCode.MISMATCH)
    assert client("GET", f"/files/{wrong_bytes.id}")[0] == 404
    assert size and centre.store.items(limit=5) == []


@pytest.mark.embedded
def test_a_device_is_its_certificate_and_sees_nothing_of_others(centre: Any, device: Any, door: Any, item: Any) -> None:
    """DE-1."""
    other = centre.device("car-2")
    mine, theirs = door.client(device), door.client(other)
    mine.create(item)
    for method in ("HEAD", "GET"):
        assert theirs(method, f"/files/{item.id}")[0] == 404
    assert theirs.patch(item, 0, item.sealed_bytes)[0] == 404
    assert theirs.create(item)[0] == 422  # the manifest says another device
    mine.patch(item, 0, item.sealed_bytes)
    mine("GET", f"/files/{item.id}")
    assert theirs("GET", f"/files/{item.id}")[0] == 404
    anonymous = ssl.create_default_context(cafile=str(device.folder / "keys" / "ca.crt"))
    connection = http.client.HTTPSConnection("127.0.0.1", door.port, timeout=WAIT_S, context=anonymous)
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.request("OPTIONS", "/files")
        connection.getresponse()
    old = ssl.create_default_context(cafile=str(device.folder / "keys" / "ca.crt"))
    old.load_cert_chain(device.folder / "keys" / "tls.crt", device.folder / "keys" / "tls.key")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):
        http.client.HTTPSConnection("127.0.0.1", door.port, timeout=WAIT_S, context=old).connect()


def test_a_revoked_device_is_refused_on_the_connection_it_has(centre: Any, device: Any, door: Any, item: Any) -> None:
    """DE-7."""
    client = door.client(device)
    client.create(item)
    assert client.patch(item, 0, item.sealed_bytes[: 2 * PART])[0] == 204
    fleet.revoke(centre.store, device.id)
    offset, end = 2 * PART, time.monotonic() + WAIT_S
    while True:
        status, headers, body = client.patch(item, offset, item.sealed_bytes[offset : offset + PART])
        if status != 204:
            break
        assert time.monotonic() < end
        offset = int(headers["Upload-Offset"])
        time.sleep(0.3)
    assert (status, code_of(body)) in ((403, RefuseCode.REVOKED), (404, RefuseCode.UNKNOWN_ITEM))
    assert client.create(item)[0] == 403
    assert ("car-1", "revoked") in [(row.device, row.code) for row in centre.store.quarantine()]


@pytest.mark.embedded
def test_one_item_is_written_by_one_request_at_a_time(device: Any, door: Any, item: Any) -> None:
    """DE-5: the second is told to come later, the first goes on."""
    first, second = door.client(device), door.client(device)
    first.create(item)
    first.connection.putrequest("PATCH", f"/files/{item.id}")
    for name, value in (("Content-Type", OCTETS), ("Upload-Offset", "0"), ("Content-Length", str(PART))):
        first.connection.putheader(name, value)
    first.connection.endheaders(item.sealed_bytes[:100])
    end = time.monotonic() + WAIT_S
    while (found := second.patch(item, 0, b""))[0] != 503:
        assert time.monotonic() < end
    assert code_of(found[2]) is RefuseCode.BUSY
    first.connection.send(item.sealed_bytes[100:PART])
    assert first.connection.getresponse().headers["Upload-Offset"] == str(PART)


def test_many_devices_at_once_are_all_receipted(centre: Any, door: Any) -> None:
    """DE-5, DE-8."""
    devices = [centre.device(f"cam-{number}") for number in range(8)]
    items = [one.item(random.randbytes(500_000)) for one in devices]
    answers: dict[str, bytes] = {}

    def send(device: Any, item: Any) -> None:
        client = door.client(device)
        client.create(item)
        client.patch(item, 0, item.sealed_bytes)
        answers[item.id] = client("GET", f"/files/{item.id}")[2]

    threads = [threading.Thread(target=send, args=pair) for pair in zip(devices, items, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for item in items:
        assert_receipted(centre, item, answers[item.id])


def test_an_item_is_stored_once_when_it_comes_by_the_door_and_by_the_broker(
    centre: Any, device: Any, worker: Any, door: Any, item: Any
) -> None:
    """DE-9: half of it lies with the ingest when the door takes all of it."""
    worker.say(device.id, item.init())
    worker.say(device.id, *item.parts()[:5])
    client = door.client(device)
    client.create(item)
    client.patch(item, 0, item.sealed_bytes)
    body = client("GET", f"/files/{item.id}")[2]
    assert_receipted(centre, item, body)
    worker.say(device.id, *item.parts()[5:])
    (sealed,) = worker.say(device.id, item.fin())
    assert sealed.encode() == body
    assert len(centre.store.items(limit=5)) == 1
    assert centre.store.db.execute("SELECT count(*) FROM leaves").fetchone() == (1,)
    worker.say(device.id, item.init())
    assert list((centre.folder / "incoming" / fleet.CENTRE_ID).iterdir()) == []
