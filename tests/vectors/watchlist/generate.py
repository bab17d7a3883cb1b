"""Writes lists.json, watchlists to accept and more to refuse; the same bytes always. Run from the repository's root."""

import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vedette import canonical
from vedette.keys import SigningKey
from vedette.records import RECEIPT, WATCHLIST, sign_record
from vedette.watchlist import WatchEntry, make_list

NOW_US = 1_795_420_800_000_000
DAY_US = 86_400_000_000
SIGNER = SigningKey(Ed25519PrivateKey.from_private_bytes(b"vedette list signer for tests 01"))
STRANGER = SigningKey(Ed25519PrivateKey.from_private_bytes(b"vedette list signer for tests 02"))
ENTRIES = [
    WatchEntry(
        plate=plate, region=region, reason=reason, priority=priority, source="test",
        valid_from_us=NOW_US - DAY_US, valid_to_us=NOW_US + DAY_US,
    )
    for plate, region, reason, priority in (
        ("12345|أ|6", "MA", "stolen; report 17", "high"),
        ("609008|WW", "MA", "no insurance", "low"),
        ("AB123CD", "FR", "voiture volée", "normal"),
    )
]  # fmt: skip


def good(version: int = 7, *, issued_us: int = NOW_US, expires_us: int = NOW_US + DAY_US, count: int = 3) -> bytes:
    return make_list(
        ENTRIES[:count], version=version, issued_us=issued_us, expires_us=expires_us, source="centre", key=SIGNER
    )


def head(change: Callable[[dict[str, object]], object], *, kind: str = WATCHLIST, key: SigningKey = SIGNER) -> bytes:
    """The good list with its head's body changed and signed again."""
    first, _, lines = good().partition(b"\n")
    body = canonical.loads(first)["body"]
    change(body)
    return sign_record(kind, body, key) + b"\n" + lines


def cases() -> list[tuple[str, bytes, str, int | None]]:
    """(name, bytes, `ok` or the error's type, version known before)."""
    list_bytes = good()
    lines = list_bytes.partition(b"\n")[2].splitlines(keepends=True)
    return [
        ("three entries", list_bytes, "ok", None),
        ("newer than the one before", list_bytes, "ok", 6),
        ("empty", good(count=0), "ok", None),
        ("issued at the tolerance", good(issued_us=NOW_US + 300_000_000), "ok", None),
        ("expires in a microsecond", good(issued_us=NOW_US - DAY_US, expires_us=NOW_US + 1), "ok", None),
        ("replayed version", list_bytes, "NotTrusted", 8),
        ("same version", list_bytes, "NotTrusted", 7),
        ("from the future", good(issued_us=NOW_US + 300_000_001, expires_us=NOW_US + DAY_US), "NotTrusted", None),
        ("expired", good(issued_us=NOW_US - DAY_US, expires_us=NOW_US), "Expired", None),
        ("another signer", head(lambda body: None, key=STRANGER), "NotTrusted", None),
        ("another kind", head(lambda body: None, kind=RECEIPT), "Integrity", None),
        ("next version of the form", head(lambda body: None, kind="vedette/watchlist/2"), "Integrity", None),
        ("signature of another body", list_bytes.replace(b'"version":7', b'"version":9', 1), "NotTrusted", None),
        ("a field too many", head(lambda body: body.update(extra=1)), "Integrity", None),
        ("a field missing", head(lambda body: body.pop("expires_us")), "Integrity", None),
        ("version zero", head(lambda body: body.update(version=0)), "Integrity", None),
        ("count too high", head(lambda body: body.update(count=4)), "Integrity", None),
        ("count over the limit", head(lambda body: body.update(count=1_000_001)), "Integrity", None),
        ("a plate changed", list_bytes.replace(b"AB123CD", b"AB123CE"), "Integrity", None),
        ("two lines swapped", list_bytes.replace(lines[0] + lines[1], lines[1] + lines[0]), "Integrity", None),
        ("cut after a line", list_bytes[: -len(lines[-1])], "Integrity", None),
        ("cut in a line", list_bytes[:-5], "Integrity", None),
        ("no newline at the end", list_bytes[:-1], "Integrity", None),
        ("trailing byte", list_bytes + b"x", "Integrity", None),
        ("trailing newline", list_bytes + b"\n", "Integrity", None),
        ("head only, no newline", list_bytes.partition(b"\n")[0], "Integrity", None),
        ("nothing", b"", "Integrity", None),
        ("blank before the head", b" " + list_bytes, "Integrity", None),
    ]


def main() -> None:
    rows = [
        {"name": name, "list": data.decode("utf-8"), "expect": expect, "newer_than": newer_than}
        for name, data, expect, newer_than in cases()
    ]
    document = {"now_us": NOW_US, "signer": SIGNER.public.text, "cases": rows}
    path = Path(__file__).with_name("lists.json")
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
