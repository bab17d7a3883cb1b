"""What a device signs of the opened file while it seals it: the size, the end in time and a keyed mark of each
fragment.

Decided here: the marks are HMACs under a key that follows from the sealed file's own, so that the lines of a journal,
which the centre can read and which leave with a redacted copy, confirm nobody's guess of a picture, a sound or a
place; whoever opens the file has the key. Implements SF-21 and the writing side of CJ-34 and CJ-35. What the marks
show is `vedette.fragment_check`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import deque

from vedette import canonical
from vedette.age_header import hkdf
from vedette.errors import Integrity
from vedette.fields import Fields

MAX_FRAGMENTS = 64
MARK_BYTES = KEY_ID_BYTES = 16
MAX_KEY_FILE_BYTES = 512
_INFO = b"vedette/fragments/1"

Buffer = bytes | bytearray | memoryview


def fragments_key(file_key: bytes, nonce: bytes) -> bytes:
    """The key of a sealed file's marks; it opens nothing."""
    return hkdf(file_key, salt=nonce, info=_INFO)


def key_id(key: bytes) -> str:
    """How a line of the journal names the key without showing it, in hex."""
    return hashlib.sha256(key).digest()[:KEY_ID_BYTES].hex()


def to_key_file(item: str, key: bytes) -> bytes:
    """`<item>.marks` of a bundle: the key for whoever has the opened file (BU-54)."""
    return canonical.dumps({"item": item, "key": key.hex()})


def from_key_file(content: bytes, item: str, named: str) -> bytes:
    """The key in `<item>.marks`; raises Integrity where it is not the one that the device's lines have `named`."""
    fields = Fields(canonical.loads(content, max_bytes=MAX_KEY_FILE_BYTES), "the key to the marks")
    other, key = fields.uuid7("item"), bytes.fromhex(fields.sha256("key"))
    fields.close()
    if other != item:
        raise Integrity(f"it is the key to the marks of item {other}")
    if key_id(key) != named:
        raise Integrity("the key to the marks is not the one that the device's lines name")
    return key


class FragmentMarks:
    """Marks what is written, fragment by fragment, and gives out the marks of what has become durable."""

    def __init__(self, key: bytes) -> None:
        self.key_id = key_id(key)
        self._key = key
        self._begin()
        self._waiting: deque[tuple[int, str]] = deque()
        self._written = 0

    def write(self, data: Buffer) -> None:
        """The next bytes of the fragment that is being written."""
        self._running.update(data)
        self._size += len(data)
        self._written += len(data)

    def end(self, media_us: int, *, is_last: bool = False) -> None:
        """The fragment ends here, at `media_us` of the recording.

        Where nothing became durable for long, fragments are marked together: a line holds `MAX_FRAGMENTS` of them.
        """
        if self._size == 0 or (len(self._waiting) >= MAX_FRAGMENTS - 1 and not is_last):
            return
        mark = self._running.digest()[:MARK_BYTES].hex()
        self._waiting.append((self._written, f"{self._size}:{media_us}:{mark}"))
        self._begin()

    def take(self, written: int | None = None) -> str:
        """The marks, not taken before, of the fragments within the first `written` bytes (None: of all), as a line
        of the journal has them.
        """
        taken = []
        while self._waiting and (written is None or self._waiting[0][0] <= written):
            taken.append(self._waiting.popleft()[1])
        return ",".join(taken)

    def _begin(self) -> None:
        self._running = hmac.new(self._key, digestmod=hashlib.sha256)
        self._size = 0
