"""What only an S3 store can do to a case: give back other bytes, break off, be away, lock too little."""

from __future__ import annotations

import hashlib
import http.client
import os
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from sync.central.adopting import Adopting
from sync.central.database import StoreAway
from sync.receiver import Seal
from vedette.errors import Integrity, NotFound, Refused

pytest.importorskip("psycopg")
pytest.importorskip("botocore")

from sync.central.s3_blobs import PART_BYTES, READ_BYTES, S3Blobs, place_of
from vedette.config import BlobsSection


def s3(bucket: Any, centre: Any, **section: Any) -> S3Blobs:
    made = {"url": f"s3://{bucket.name}/x", "endpoint": bucket.endpoint, **section}
    return S3Blobs(place_of(BlobsSection(**made)), centre.clock)


def test_object_keeps_its_bytes_when_it_is_there_with_others(centre: Any, make_bucket: Any) -> None:
    """CS-8. Never overwritten, never signed for."""
    bucket = make_bucket()
    blobs = s3(bucket, centre)
    sha256 = hashlib.sha256(b"evidence").hexdigest()
    key = f"x/{sha256[:2]}/{sha256}"
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"something else")

    with pytest.raises(StoreAway, match="other bytes"):
        blobs.put(b"evidence")

    assert bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read() == b"something else"
    with pytest.raises(Integrity):
        blobs.read(sha256, max_bytes=100)
    with pytest.raises(Integrity), blobs.local(sha256):
        pass


def test_object_is_asked_for_in_large_pieces_when_it_is_read_as_a_file(
    centre: Any, make_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = s3(make_bucket(), centre)
    data = os.urandom(2 * READ_BYTES + 1)
    sha256 = blobs.put(data)
    asked: list[int] = []
    read_range = blobs.read_range
    monkeypatch.setattr(blobs, "read_range", lambda *where: asked.append(where[2]) or read_range(*where))

    with blobs.open(sha256) as file:
        assert file.read(10) + file.read() == data

    assert asked == [READ_BYTES, READ_BYTES, 1]


class Liar(BaseHTTPRequestHandler):
    """Stands before the S3 server and changes one byte of each object on its way in, while `lies` is set."""

    server: Any

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.server.lies and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        if self.server.cuts and "partNumber=2" in self.path:
            self.close_connection = True
            return
        self._pass(body)

    def do_POST(self) -> None:
        self._pass(self.rfile.read(int(self.headers.get("content-length") or 0)))

    def do_GET(self) -> None:
        self._pass(b"")

    do_HEAD = do_DELETE = do_GET  # noqa: N815

    def _pass(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(self.server.behind)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def liar(s3_server: str) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    server.behind, server.lies, server.cuts = s3_server.removeprefix("http://"), False, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_nothing_is_kept_when_the_store_of_blobs_has_other_bytes(centre: Any, make_bucket: Any, liar: Any) -> None:
    """CS-10. What was read back is not what was sent: no blob, no receipt; the next try makes it anew."""
    bucket = make_bucket()
    blobs = s3(bucket, centre, endpoint=f"http://127.0.0.1:{liar.server_address[1]}")
    liar.lies = True
    with pytest.raises(StoreAway, match="other bytes"):
        blobs.put(b"evidence")

    liar.lies = False
    sha256 = blobs.put(b"evidence")

    assert blobs.read(sha256, max_bytes=100) == b"evidence"


def test_nothing_is_seen_when_an_upload_in_parts_breaks_off(
    centre: Any, make_bucket: Any, liar: Any, tmp_path: Path
) -> None:
    """CS-8."""
    bucket = make_bucket()
    blobs = s3(bucket, centre, endpoint=f"http://127.0.0.1:{liar.server_address[1]}")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(2 * PART_BYTES + 1))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    liar.cuts = True

    with pytest.raises(StoreAway):
        blobs.adopt(source, sha256)

    assert source.exists() and not blobs.has(sha256)
    assert bucket.client.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.name)
    liar.cuts = False
    blobs.adopt(source, sha256)
    assert blobs.holds(sha256, 2 * PART_BYTES + 1)


@pytest.mark.parametrize("size", [10, 2 * PART_BYTES + 1])
def test_object_is_locked_when_a_retention_is_configured(
    centre: Any, make_bucket: Any, tmp_path: Path, size: int
) -> None:
    """CS-11. From the day it was stored, small or in parts."""
    bucket = make_bucket(ObjectLockEnabledForBucket=True)
    blobs = s3(bucket, centre, lock_days=30, lock_mode="compliance")
    blobs.check()
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()

    blobs.adopt(source, sha256)

    held = bucket.client.head_object(Bucket=bucket.name, Key=f"x/{sha256[:2]}/{sha256}")
    until_us = datetime.fromtimestamp(centre.clock.utc_us() // 1_000_000, timezone.utc) + timedelta(days=30)
    assert (held["ObjectLockMode"], held["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", until_us)


def test_bucket_is_refused_when_it_cannot_lock(centre: Any, make_bucket: Any) -> None:
    """CS-11."""
    bucket = make_bucket()
    s3(bucket, centre).check()

    with pytest.raises(Refused, match="object lock"):
        s3(bucket, centre, lock_days=30).check()


def test_store_of_blobs_is_away_when_its_bucket_or_server_is_not_there(centre: Any, make_bucket: Any) -> None:
    """CS-5."""
    bucket = make_bucket()
    for away in (s3(bucket, centre, url="s3://not-there"), s3(bucket, centre, endpoint="http://127.0.0.1:1")):
        for ask in (away.check, partial(away.put, b"x")):
            with pytest.raises((StoreAway, NotFound)):
                ask()


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"url": "https://bucket/x"}, "s3://bucket/prefix"),
        ({"url": "s3://B_AD/x"}, "s3://bucket/prefix"),
        ({"url": "s3://bucket", "endpoint": "http://s3.example"}, "must be https"),
        ({"url": "s3://bucket", "endpoint": "http://localhost.example"}, "must be https"),
    ],
)
def test_store_of_blobs_is_refused_when_its_address_is_not_safe(section: dict[str, str], says: str) -> None:
    """CS-6."""
    with pytest.raises(Refused, match=says):
        place_of(BlobsSection(**section))


def test_a_hit_is_kept_when_recordings_fill_the_way(device: Any) -> None:
    """CS-11. Its bytes have threads of their own."""

    class Far:
        is_far = True

    adopting, gate, kept = Adopting(Far()), threading.Event(), threading.Event()  # type: ignore[arg-type]
    recordings = [device.item(b"video") for _ in range(20)]
    for one in recordings:
        adopting.begin(Seal(device=device.id, init=one.init()), partial(_wait, gate))
    adopting.begin(Seal(device=device.id, init=device.hit().init()), kept.set)

    assert kept.wait(60)
    until(lambda: adopting.done(50) != [], "the hit")
    gate.set()
    until(lambda: not adopting.done(50) and not len(adopting), "the recordings")


def _wait(gate: threading.Event) -> None:
    gate.wait(60)
