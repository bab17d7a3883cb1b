"""Makes cases.json anew (`python tests/vectors/custody/make.py`): a chain of six lines, and what may befall it."""

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vedette import canonical
from vedette.custody_entry import DOMAIN, Entry, sign_entry
from vedette.keys import SigningKey

ITEM = "01a2076b-4400-7f5c-8293-c2c1e62e57d3"
BOOT = "01a2076b-43f0-7000-8000-000000000001"
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
EVENTS = (
    ("service.started", None, {"gap_us": None}),
    ("recording.started", None, {"activation": "button"}),
    ("segment.opened", ITEM, {}),
    ("segment.checkpoint", ITEM, {"offset": 1024, "sha256": "ab" * 32, "media_us": 1_000_000}),
    ("segment.closed", ITEM, {"sealed_size": 2048, "sealed_sha256": "cd" * 32, "media_us": 2_000_000}),
    ("service.stopped", None, {"clean": True}),
)


def line(seq: int, prev: str, event: str, item: str | None, detail: dict, key: SigningKey = KEY, **other: str) -> bytes:
    entry = Entry(
        seq=seq,
        prev=prev,
        utc_us=1_795_420_800_000_000 + seq,
        mono_us=seq,
        time_source="ntp",
        time_error_us=500,
        boot=BOOT,
        device=other.get("device", "car-1"),
        service=other.get("service", "recorder"),
        event=event,
        item=item,
        detail=detail,
    )
    return sign_entry(entry, key).line


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def chain() -> list[bytes]:
    lines: list[bytes] = []
    for seq, (event, item, detail) in enumerate(EVENTS, start=1):
        lines.append(line(seq, sha(lines[-1]) if lines else "0" * 64, event, item, detail))
    return lines


def resigned(data: bytes, **changes: object) -> bytes:
    """The line with fields changed (None removes one) and signed again: only the form is wrong."""
    body = {**json.loads(data), **changes}
    body = {name: value for name, value in body.items() if value is not ... and name != "sig"}
    body["sig"] = base64.b64encode(KEY.sign(DOMAIN + canonical.dumps(body))).decode()
    return canonical.dumps(body)


def main() -> None:
    good = chain()
    body = json.loads(good[3])
    loose = json.dumps(body, sort_keys=True).encode()
    bad_sig = bytearray(base64.b64decode(body["sig"]))
    bad_sig[5] ^= 1
    flipped = canonical.dumps({**body, "sig": base64.b64encode(bytes(bad_sig)).decode()})
    stray = body["sig"][:-3] + chr(ord(body["sig"][-3]) + 1) + "=="
    middle = {"start": [3, sha(good[2])]}
    cases: list[tuple[str, str, list[bytes], dict]] = [
        ("whole chain", "ok", good, {}),
        ("one line", "ok", good[:1], {}),
        ("no line", "ok", [], {}),
        ("from the middle, nothing known before", "ok", good[3:], {}),
        ("from a known line", "ok", good[3:], middle),
        (
            "text beyond ASCII in detail",
            "ok",
            [line(1, "0" * 64, "camera.fault", None, {"why": "câble débranché"})],
            {},
        ),
        ("a line is missing", "integrity", good[:2] + good[3:], {}),
        ("two lines swapped", "integrity", [*good[:2], good[3], good[2], *good[4:]], {}),
        ("a line twice", "integrity", [*good[:3], good[2], *good[3:]], {}),
        ("first line's prev is not zeros", "integrity", [line(1, "11" * 32, "service.started", None, {})], {}),
        ("known line is another", "integrity", good[3:], {"start": [3, "ee" * 32]}),
        ("known line is further back", "integrity", good[3:], {"start": [2, sha(good[1])]}),
        ("fork: two lines follow one", "integrity", [*good[:3], line(4, sha(good[1]), *EVENTS[3])], {}),
        ("detail changed", "not trusted", [*good[:3], good[3].replace(b"1024", b"1025"), *good[4:]], {}),
        ("signature changed", "not trusted", [*good[:3], flipped], {}),
        ("signature's base64 has stray bits", "integrity", [*good[:3], canonical.dumps({**body, "sig": stray})], {}),
        ("signed by another key", "not trusted", [line(1, "0" * 64, *EVENTS[0], key=OTHER)], {}),
        ("key id of another key", "not trusted", [resigned(good[0], key=OTHER.public.key_id)], {}),
        ("device changes within", "integrity", [*good[:2], line(3, sha(good[1]), *EVENTS[2], device="car-2")], {}),
        ("service changes within", "integrity", [*good[:2], line(3, sha(good[1]), *EVENTS[2], service="reader")], {}),
        ("not canonical", "integrity", [*good[:3], loose], {}),
        ("unknown field", "integrity", [resigned(good[0], officer="x")], {}),
        ("field missing", "integrity", [resigned(good[0], boot=...)], {}),
        ("seq 0", "integrity", [resigned(good[0], seq=0)], {}),
        ("detail holds a list", "integrity", [resigned(good[0], detail={"a": [1]})], {}),
        ("detail has 33 fields", "integrity", [resigned(good[0], detail={f"f{n}": n for n in range(33)})], {}),
        ("text of 4,097 characters", "integrity", [resigned(good[0], detail={"why": "x" * 4097})], {}),
        ("event in capitals", "integrity", [resigned(good[0], event="Service.Started")], {}),
        ("item is no UUIDv7", "integrity", [resigned(good[2], item="../../etc")], {}),
        ("empty line", "integrity", [good[0], b"", *good[1:]], {}),
        ("cut line", "integrity", [*good[:-1], good[-1][:-40]], {}),
    ]
    listed = [
        {"name": name, "expect": expect, "lines": [one.decode() for one in lines], "start": None, **more}
        for name, expect, lines, more in cases
    ]
    document = {"key": KEY.public.text, "cases": listed}
    target = Path(__file__).with_name("cases.json")
    target.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
