"""One line of a custody journal: its fields, its canonical bytes, its signature.

Implements CJ-1 to CJ-6 of docs/spec/custody-journal.md. What a chain of lines proves is in
`vedette.custody_verify`, how lines reach a disk in `vedette.custody`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vedette import canonical
from vedette.errors import Integrity, NotTrusted
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.note import base64_bytes

MAX_LINE_BYTES = 16 * 1024
MAX_DETAIL_FIELDS = 32
MAX_DETAIL_TEXT = 4096
FIRST_PREV = "0" * 64
DOMAIN = b"vedette-custody\n"
_EVENT = re.compile(r"^[a-z]+(?:[._][a-z]+)*$")
SERVICE = re.compile(r"^[a-z][a-z0-9-]{1,31}$")
_KEY_ID = re.compile(r"^[0-9a-f]{32}$")

DetailValue = int | str | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What a service did to an item (or to itself, where `item` is None), when, and by whose key it is signed.

    `prev` is the SHA-256 (hex) of the whole line before; `boot` is new at each start of the service; `mono_us` only
    compares within one boot of the machine. `line` is the canonical line without its newline, `sha256` its hash.
    """

    seq: int
    prev: str
    utc_us: int
    mono_us: int
    time_source: str
    time_error_us: int | None
    boot: str
    device: str
    service: str
    event: str
    item: str | None
    detail: Mapping[str, DetailValue]
    key: str = ""
    sig: bytes = field(default=b"", repr=False)
    line: bytes = field(default=b"", repr=False)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the line (without newline) in hex: the next line's `prev`."""
        return hashlib.sha256(self.line).hexdigest()

    def to_body(self) -> dict[str, Any]:
        """The line's object without `sig`: what is signed, in canonical form, after `DOMAIN`."""
        return {
            "seq": self.seq,
            "prev": self.prev,
            "utc_us": self.utc_us,
            "mono_us": self.mono_us,
            "time": {"source": self.time_source, "error_us": self.time_error_us},
            "boot": self.boot,
            "device": self.device,
            "service": self.service,
            "event": self.event,
            "item": self.item,
            "detail": dict(self.detail),
            "key": self.key,
        }

    def check_signature(self, public: PublicKey) -> None:
        """Return when `public` signed this line; raises NotTrusted (another key, or not its signature)."""
        if self.key != public.key_id:
            raise NotTrusted(f"it is signed by key {self.key}, the chain is checked against {public.key_id}")
        public.verify(self.sig, DOMAIN + canonical.dumps(self.to_body()))


def sign_entry(entry: Entry, key: SigningKey) -> Entry:
    """The entry as its line says it, signed by `key`; Integrity where it breaks a rule of the spec."""
    body = {**entry.to_body(), "key": key.public.key_id}
    signature = key.sign(DOMAIN + canonical.dumps(body))
    return parse_line(canonical.dumps({**body, "sig": base64.b64encode(signature).decode()}))


def parse_line(line: bytes) -> Entry:
    """The entry in one line without its newline; Integrity names the field that is wrong. The signature is *not*
    checked.
    """
    body = canonical.loads(line, max_bytes=MAX_LINE_BYTES)
    fields = Fields(body, "custody line")
    time = fields.object("time")
    entry = Entry(
        seq=fields.integer("seq", least=1),
        prev=fields.sha256("prev"),
        utc_us=fields.integer("utc_us"),
        mono_us=fields.integer("mono_us"),
        time_source=time.text("source", most=32),
        time_error_us=time.optional("error_us", time.integer),
        boot=fields.uuid7("boot"),
        device=fields.device("device"),
        service=_matching(fields.text("service", most=32), SERVICE, "service"),
        event=_matching(fields.text("event", most=64), _EVENT, "event"),
        item=fields.optional("item", fields.uuid7),
        detail=_detail(body),
        key=_matching(fields.text("key", most=32), _KEY_ID, "key id"),
        sig=base64_bytes(fields.text("sig", most=88), "custody line's signature"),
        line=line,
    )
    time.close()
    fields.object("detail")
    fields.close()
    return entry


def reread_line(line: bytes) -> Entry:
    """The entry in a line that `parse_line` took when it came; the rules that it was held against then are not asked
    again. That its bytes are those of then is for the caller to show (`custody_verify.verify_arrived`).

    Raises Integrity where it is no line at all.
    """
    try:
        body = json.loads(line.decode("utf-8"))
        time = body["time"]
        entry = Entry(
            seq=body["seq"],
            prev=body["prev"],
            utc_us=body["utc_us"],
            mono_us=body["mono_us"],
            time_source=time["source"],
            time_error_us=time["error_us"],
            boot=body["boot"],
            device=body["device"],
            service=body["service"],
            event=body["event"],
            item=body["item"],
            detail=body["detail"],
            key=body["key"],
            line=line,
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Integrity(f"custody line: it is none that was taken ({type(error).__name__})") from None
    if not (type(entry.seq) is int and isinstance(entry.device, str) and isinstance(entry.service, str)):
        raise Integrity("custody line: it is none that was taken")
    return entry


def _detail(body: Mapping[str, Any]) -> dict[str, DetailValue]:
    detail = body.get("detail")
    if not isinstance(detail, dict) or len(detail) > MAX_DETAIL_FIELDS:
        raise Integrity(f"custody line: the field 'detail' is not an object of {MAX_DETAIL_FIELDS} fields at most")
    for name, value in detail.items():
        if not isinstance(value, int | str | None) or (isinstance(value, str) and len(value) > MAX_DETAIL_TEXT):
            raise Integrity(
                f"custody line: detail {name[:40]!r} is not an integer, a boolean, null or a text of {MAX_DETAIL_TEXT}"
            )
    return detail


def _matching(text: str, pattern: re.Pattern[str], what: str) -> str:
    if not pattern.match(text):
        raise Integrity(f"custody line: {text[:40]!r} is no {what}")
    return text
