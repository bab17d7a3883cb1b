"""Writes payloads.json, hits to accept and more to refuse; the same bytes always. Run from the repository's root."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from vedette import canonical

CROP, CONTEXT = b"\xff\xd8crop\n\xff\xd9", b"\xff\xd8context\x00\xff\xd9"
BODY: dict[str, Any] = {
    "hit": "01a2c3d4-e5f6-7890-8abc-def012345678",
    "device": "car-1",
    "raised_us": 1_795_420_800_000_000,
    "time": {"source": "ntp", "error_us": 1500},
    "text": "12345|أ|6",
    "text_ascii": "12345A6",
    "region": "MA",
    "confidence_permille": 981,
    "looks": 3,
    "alternatives": [{"text": "12346|أ|6", "region": "MA", "confidence_permille": 9}],
    "entry": {
        "entry": "0123456789abcdef0123456789abcdef",
        "text": "12345|أ|6",
        "region": "MA",
        "reason": "stolen; report 17",
        "priority": "high",
        "source": "test",
        "valid_from_us": 1_795_334_400_000_000,
        "valid_to_us": 1_795_507_200_000_000,
    },
    "list_version": 7,
    "list_issued_us": 1_795_420_000_000_000,
    "list_age_us": 800_000_000,
    "models": {"detector": "a" * 64, "reader": "b" * 64},
    "position": {"lat_e7": 340_208_000, "lon_e7": -68_416_000, "accuracy_cm": 250, "fixed_us": 1_795_420_799_000_000},
    "track": 12,
    "first_seen_us": 1_795_420_799_500_000,
    "last_seen_us": 1_795_420_799_900_000,
    "box_px": [100, 200, 210, 230],
    "corners_dpx": [1000, 2000, 2100, 2010, 2098, 2300, 1001, 2290],
}


def payload(change: dict[str, Any] | None = None, *, pictures: bytes = CROP + CONTEXT) -> bytes:
    return canonical.dumps({**body(), **(change or {})}) + b"\n" + pictures


def body() -> dict[str, Any]:
    listed = [
        {"name": name, "size": len(jpeg), "sha256": hashlib.sha256(jpeg).hexdigest()}
        for name, jpeg in (("crop.jpg", CROP), ("context.jpg", CONTEXT))
    ]
    return {**BODY, "pictures": listed}


def without(name: str) -> bytes:
    return canonical.dumps({key: value for key, value in body().items() if key != name}) + b"\n" + CROP + CONTEXT


def cases() -> dict[str, tuple[bytes, bool]]:
    good, listed = payload(), body()["pictures"]
    return {
        "two pictures": (good, True),
        "no position, no alternatives": (payload({"position": None, "alternatives": []}), True),
        "no pictures": (payload({"pictures": []}, pictures=b""), True),
        "nothing": (b"", False),
        "no newline": (good.replace(b"\n", b" "), False),
        "blank before the line": (b" " + good, False),
        "pictures swapped": (payload(pictures=CONTEXT + CROP), False),
        "picture cut": (good[:-1], False),
        "picture changed": (payload(pictures=CROP + CONTEXT[:-1] + b"\xd8"), False),
        "trailing byte": (good + b"\x00", False),
        "picture named twice": (payload({"pictures": [*listed, listed[0]]}), False),
        "too many pictures": (payload({"pictures": listed[:1] * 5}, pictures=CROP * 5), False),
        "field missing": (without("list_version"), False),
        "field unknown": (payload({"officer": "x"}), False),
        "confidence over 1000": (payload({"confidence_permille": 1001}), False),
        "seven corners": (payload({"corners_dpx": [0] * 7}), False),
        "eleven alternatives": (payload({"alternatives": BODY["alternatives"] * 11}), False),
        "id that is no UUIDv7": (payload({"hit": "../../etc/passwd"}), False),
        "latitude beyond the pole": (payload({"position": {**BODY["position"], "lat_e7": 900_000_001}}), False),
        "entry without an end": (payload({"entry": {**BODY["entry"], "valid_to_us": None}}), False),
    }


def main() -> None:
    rows = [
        {"name": name, "payload": base64.b64encode(data).decode(), "good": good}
        for name, (data, good) in cases().items()
    ]
    Path(__file__).with_name("payloads.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
