"""Writes registries.json, signed registries to accept and more to refuse; the same bytes always."""

import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.reader.registry import KIND
from vedette.keys import SigningKey
from vedette.records import MANIFEST, sign_record

SIGNER = SigningKey(Ed25519PrivateKey.from_private_bytes(b"vedette model signer for tests 1"))
STRANGER = SigningKey(Ed25519PrivateKey.from_private_bytes(b"vedette model signer for tests 2"))
DIGEST = hashlib.sha256(b"model").hexdigest()


def table(name: str, **changes: object) -> str:
    fields = {
        "file": f"{name}.tflite", "sha256": DIGEST, "version": "7", "input": [48, 160], "quantisation": "int8",
        "card": f"cards/{name}.md", **changes,
    }  # fmt: skip
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())


GOOD = table("detector") + table("reader")


def signed(text: str, *, kind: str = KIND, key: SigningKey = SIGNER, **changes: object) -> str:
    body = {
        "registry_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "registry_size": len(text.encode()),
        **changes,
    }
    return sign_record(kind, body, key).decode()


def cases() -> list[tuple[str, str, str, str]]:
    """(name, registry, signature, `ok` or the error's type)."""
    odd = {
        "a model of another name": table("eyes"),
        "a field too many": table("reader", url="http://example.org"),
        "a path": table("reader", file="../reader.tflite"),
        "a short hash": table("reader", sha256=DIGEST[:-1]),
        "a hash in capitals": table("reader", sha256=DIGEST.upper()),
        "an input of one side": table("reader", input=[48]),
        "an input of nothing": table("reader", input=[0, 160]),
        "no version": table("reader", version=""),
        "no TOML": "[reader\n",
        "no tables": 'reader = "reader.tflite"\n',
    }
    return [
        ("both models", GOOD, signed(GOOD), "ok"),
        ("one model", table("reader"), signed(table("reader")), "ok"),
        ("a comment, signed with it", f"# why\n{GOOD}", signed(f"# why\n{GOOD}"), "ok"),
        ("Windows line ends, signed so", GOOD.replace("\n", "\r\n"), signed(GOOD.replace("\n", "\r\n")), "ok"),
        ("a comment, added later", f"# why\n{GOOD}", signed(GOOD), "Integrity"),
        ("a version, changed later", GOOD.replace('"7"', '"8"'), signed(GOOD), "Integrity"),
        ("another signer", GOOD, signed(GOOD, key=STRANGER), "NotTrusted"),
        ("another kind", GOOD, signed(GOOD, kind=MANIFEST), "Integrity"),
        ("a future version", GOOD, signed(GOOD, kind="vedette/models/2"), "Integrity"),
        ("another size", GOOD, signed(GOOD, registry_size=len(GOOD) + 1), "Integrity"),
        ("a size as text", GOOD, signed(GOOD, registry_size=str(len(GOOD))), "Integrity"),
        ("a body with a field too many", GOOD, signed(GOOD, models=2), "Integrity"),
        ("cut", GOOD, signed(GOOD)[:-2], "Integrity"),
        ("trailing line end", GOOD, signed(GOOD) + "\n", "Integrity"),
        ("empty signature", GOOD, "", "Integrity"),
        *((name, text, signed(text), "Integrity") for name, text in odd.items()),
    ]


def main() -> None:
    made = [dict(zip(("name", "registry", "signature", "expect"), case, strict=True)) for case in cases()]
    document = {"signer": SIGNER.public.text, "cases": made}
    path = Path(__file__).parent / "registries.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
