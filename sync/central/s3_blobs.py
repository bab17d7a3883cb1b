"""Sealed bytes in an S3-compatible store, under the SHA-256 of themselves.

Decided here: `<prefix><2 hex>/<sha256>` as in the folder; an object is made only where there is none (If-None-Match),
is seen whole or not at all, goes up in parts when it is large, and is read back and hashed before it may be signed for.
Where the bucket offers object lock, each object gets the configured retention, which nobody shortens. What the store
cannot take now is an OSError, as a full disk is. Implements CS-7 to CS-11 of docs/spec/case-store.md.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.session import get_session

from sync.central.blobs import checked_sha256
from sync.central.database import StoreAway
from vedette import files
from vedette.clock import Clock
from vedette.config import BlobsSection
from vedette.errors import Integrity, NotFound, Refused

SMALL_BYTES = 16 << 20
PART_BYTES = 16 << 20
MAX_PARTS = 10_000
READ_BYTES = 1 << 20
MAX_SIZES = 10_000
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
_DAY_US = 86_400_000_000

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SAFE_ENDPOINT = re.compile(r"https://|http://(127\.0\.0\.1|localhost|\[::1\])(:|/|$)")
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_EXISTS = frozenset({"PreconditionFailed", "412"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Which bucket, where, and how: `endpoint` None is AWS's own; `lock_days` 0 asks for no retention."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    lock_days: int = 0
    lock_mode: str = "GOVERNANCE"


class S3Blobs:
    """The sealed bytes of every stored item, by their SHA-256 in hex. Any thread may call it."""

    def __init__(self, place: Place, clock: Clock, credentials: Path | None = None) -> None:
        """`credentials` is a file in AWS's own form; without it the environment or the machine's role has them."""
        self._place = place
        self._clock = clock
        self._sizes: dict[str, int] = {}
        session = get_session()
        if credentials is not None and credentials.exists():
            session.set_config_variable("credentials_file", str(credentials))
        self._client = session.create_client(
            "s3",
            region_name=place.region,
            endpoint_url=place.endpoint,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": 3},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path" if place.endpoint else "auto"},
                max_pool_connections=64,
            ),
        )

    @property
    def is_far(self) -> bool:
        """Whether keeping a blob takes long enough that ingest must not wait for it."""
        return True

    def check(self) -> None:
        """`Refused` unless the bucket is there and, where a retention is configured, offers object lock."""
        with self._asking("the bucket"):
            self._client.head_bucket(Bucket=self._place.bucket)
            if not self._place.lock_days:
                return
            try:
                answer = self._client.get_object_lock_configuration(Bucket=self._place.bucket)
            except ClientError as error:
                if _code(error) not in ("ObjectLockConfigurationNotFoundError", *_ABSENT):
                    raise
                answer = {}
        if answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise Refused(
                f"bucket {self._place.bucket} has no object lock, and [blobs] lock_days asks for it:"
                " make the bucket with object lock, or set lock_days to 0"
            )

    def has(self, sha256: str) -> bool:
        """Whether the blob is there."""
        try:
            self.size(sha256)
        except NotFound:
            return False
        return True

    def size(self, sha256: str) -> int:
        """The blob's size in bytes; `NotFound` when it is not there."""
        if sha256 not in self._sizes:
            with self._asking(sha256):
                answer = self._client.head_object(Bucket=self._place.bucket, Key=self._key(sha256))
            self._note_size(sha256, int(answer["ContentLength"]))
        return self._sizes[sha256]

    def holds(self, sha256: str, size: int) -> bool:
        """Whether the store gives back exactly these bytes, read and hashed now."""
        digest, count = hashlib.sha256(), 0
        try:
            for piece in self._pieces(sha256):
                digest.update(piece)
                count += len(piece)
        except NotFound:
            return False
        return (count, digest.hexdigest()) == (size, sha256)

    def open(self, sha256: str) -> BinaryIO:
        """The sealed bytes, open for reading and seekable; `NotFound` when they are not there."""
        raw = _Ranges(self, sha256, self.size(sha256))
        return cast(BinaryIO, io.BufferedReader(raw, READ_BYTES))

    def read(self, sha256: str, *, max_bytes: int) -> bytes:
        """The whole blob, checked against its name; `Integrity` when the store gave back other bytes."""
        size = self.size(sha256)
        if size > max_bytes:
            raise Integrity(f"blob {sha256} has {size} bytes; {max_bytes} at most were expected")
        data = b"".join(self._pieces(sha256))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Integrity(f"blob {sha256} holds other bytes than its name says")
        return data

    def keep(self, source: Path, sha256: str) -> None:
        """Keep the bytes of `source`, already checked to hash to `sha256`; durable on return."""
        with source.open("rb") as file:
            self._keep(file, source.stat().st_size, sha256)

    def adopt(self, source: Path, sha256: str) -> None:
        """Keep the bytes of `source`, already checked to hash to `sha256`, and delete it; durable on return."""
        self.keep(source, sha256)
        files.remove(source)

    def put(self, data: bytes) -> str:
        """Keep `data` and return its SHA-256; keeping the same bytes twice is fine."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._keep(io.BytesIO(data), len(data), sha256)
        return sha256

    @contextmanager
    def local(self, sha256: str) -> Generator[Path, None, None]:
        """A path that holds the sealed bytes while the block lasts; `Integrity` when the store gave other bytes."""
        with tempfile.NamedTemporaryFile(prefix="vedette-", suffix=".age") as copy:
            digest = hashlib.sha256()
            for piece in self._pieces(sha256):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            if digest.hexdigest() != sha256:
                raise Integrity(f"blob {sha256} holds other bytes than its name says")
            yield Path(copy.name)

    def read_range(self, sha256: str, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on, fewer at the end."""
        with self._asking(sha256):
            answer = self._client.get_object(
                Bucket=self._place.bucket, Key=self._key(sha256), Range=f"bytes={offset}-{offset + count - 1}"
            )
            return bytes(answer["Body"].read())

    def _keep(self, file: BinaryIO, size: int, sha256: str) -> None:
        with self._asking(sha256):
            made = self._upload(file, size, sha256)
            self._lock(sha256)
        if not self.holds(sha256, size):
            if made:  # nobody was told of it; the next try makes it anew
                with self._asking(sha256):
                    self._client.delete_object(Bucket=self._place.bucket, Key=self._key(sha256))
            raise StoreAway(f"the store of blobs gives back other bytes for {sha256} than it was given")
        self._note_size(sha256, size)

    def _upload(self, file: BinaryIO, size: int, sha256: str) -> bool:
        """Make the object; False where it was there already."""
        where = {"Bucket": self._place.bucket, "Key": self._key(sha256)}
        try:
            if size <= SMALL_BYTES:
                body = file.read()
                checked = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": _checksum(body)}
                self._client.put_object(**where, Body=body, IfNoneMatch="*", **checked, **self._retention())
            else:
                self._upload_parts(where, file, size)
        except ClientError as error:
            if _code(error) in _EXISTS:
                return False
            raise
        return True

    def _upload_parts(self, where: dict[str, str], file: BinaryIO, size: int) -> None:
        begun = self._client.create_multipart_upload(**where, ChecksumAlgorithm="SHA256", **self._retention())
        upload = {**where, "UploadId": begun["UploadId"]}
        part_bytes = max(PART_BYTES, -(-size // MAX_PARTS))
        try:
            parts = []
            for number, piece in enumerate(iter(lambda: file.read(part_bytes), b""), start=1):
                checksum = _checksum(piece)
                sent = self._client.upload_part(**upload, PartNumber=number, Body=piece, ChecksumSHA256=checksum)
                parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum})
            self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        except BaseException:
            with suppress(BotoCoreError, ClientError):  # what stays is invisible; a lifecycle rule deletes it
                self._client.abort_multipart_upload(**upload)
            raise

    def _lock(self, sha256: str) -> None:
        """Give the object its retention where it has none: it was there already, or the store took parts without it."""
        where = {"Bucket": self._place.bucket, "Key": self._key(sha256)}
        if not self._place.lock_days or "ObjectLockMode" in self._client.head_object(**where):
            return
        until = self._retention()
        retention = {"Mode": until["ObjectLockMode"], "RetainUntilDate": until["ObjectLockRetainUntilDate"]}
        self._client.put_object_retention(**where, Retention=retention, ChecksumAlgorithm="SHA256")

    def _retention(self) -> dict[str, Any]:
        if not self._place.lock_days:
            return {}
        until_s = (self._clock.utc_us() + self._place.lock_days * _DAY_US) // 1_000_000
        until = datetime.fromtimestamp(until_s, timezone.utc)
        return {"ObjectLockMode": self._place.lock_mode, "ObjectLockRetainUntilDate": until}

    def _pieces(self, sha256: str) -> Iterator[bytes]:
        with self._asking(sha256):
            answer = self._client.get_object(Bucket=self._place.bucket, Key=self._key(sha256))
            yield from answer["Body"].iter_chunks(READ_BYTES)

    def _key(self, sha256: str) -> str:
        return f"{self._place.prefix}{checked_sha256(sha256)[:2]}/{sha256}"

    def _note_size(self, sha256: str, size: int) -> None:
        if len(self._sizes) >= MAX_SIZES:
            self._sizes.clear()
        self._sizes[sha256] = size

    @contextmanager
    def _asking(self, what: str) -> Generator[None, None, None]:
        """Trouble with the store as the store's callers know it."""
        try:
            yield
        except ClientError as error:
            if _code(error) in _ABSENT and what != "the bucket":
                raise NotFound(f"blob {what} is not in bucket {self._place.bucket}; restore it from a copy") from None
            raise StoreAway(f"the store of blobs refuses {what}: {_code(error)}") from error
        except (BotoCoreError, HTTPClientError) as error:
            raise StoreAway(f"the store of blobs does not answer: {' '.join(str(error).split())[:300]}") from error


class _Ranges(io.RawIOBase):
    """One object read where it is asked for, a range at a time."""

    def __init__(self, blobs: S3Blobs, sha256: str, size: int) -> None:
        self._blobs, self._sha256, self._size, self._at = blobs, sha256, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("a position before the first byte")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), max(0, self._size - self._at))
        if not count:
            return 0
        piece = self._blobs.read_range(self._sha256, self._at, count)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def readall(self) -> bytes:
        """All that is left; the base class would ask for it 8 KiB at a time."""
        pieces = iter(lambda: self.read(READ_BYTES), b"")
        return b"".join(cast(Iterator[bytes], pieces))


def place_of(section: BlobsSection) -> Place:
    """The place that is configured; `Refused` for an URL of another form, or one in the clear on a network."""
    scheme, _, rest = section.url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not _BUCKET.fullmatch(bucket):
        raise Refused(f"[blobs] url is {section.url[:80]!r}; it has the form s3://bucket/prefix")
    if section.endpoint and not _SAFE_ENDPOINT.match(section.endpoint):
        raise Refused(f"[blobs] endpoint {section.endpoint[:80]!r} must be https:// (http:// only on this machine)")
    return Place(
        bucket=bucket,
        prefix=f"{prefix.strip('/')}/" if prefix.strip("/") else "",
        endpoint=section.endpoint or None,
        region=section.region,
        lock_days=section.lock_days,
        lock_mode=section.lock_mode.upper(),
    )


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
