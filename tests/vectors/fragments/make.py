"""Makes cases.json anew (`python tests/vectors/fragments/make.py`): marks of five fragments, and what may befall them.

Contents are in hex. `details` are those of a recording's lines in order, with the event; `said` is what a checker says
where all holds, or what its refusal has in it.
"""

import json
from pathlib import Path
from typing import Any

from vedette.fragment_marks import FragmentMarks, fragments_key, key_id

FILE_KEY, NONCE = bytes(range(16)), bytes(range(16, 32))
PIECES = [
    b"\0\0\0\x0cftyp....",
    b"\0\0\0\x08moofABCDEF",
    b"\0\0\0\x08freemoofGH",
    b"\0\0\0\x08moofJKLMNOP",
    b"\0\0\0\x08mfra",
]
TAIL = b"not marked"
KEY = fragments_key(FILE_KEY, NONCE)


def lines(*, is_cut: bool = False) -> list[dict[str, Any]]:
    """Two checkpoints and the end; of a recording that was cut the end as the next start found it."""
    marks, texts = FragmentMarks(KEY), []
    for number, piece in enumerate(PIECES, start=1):
        marks.write(piece)
        marks.end(number * 200_000, is_last=number == len(PIECES))
        texts += [marks.take()] if number in (2, 4, 5) else []
    named = {"fragments_key": key_id(KEY)}
    first = {"event": "segment.checkpoint", "detail": {"offset": 100, "fragments": texts[0], **named}}
    second = {"event": "segment.checkpoint", "detail": {"offset": 200, "fragments": texts[1], **named}}
    closed = {"event": "segment.closed", "detail": {"sealed_size": 300, "fragments": texts[2], **named}}
    recovered = {"event": "segment.recovered", "detail": {"sealed_size": 200}}
    return [first, second, recovered if is_cut else closed]


def case(name: str, content: bytes, said: str, **changes: Any) -> dict[str, Any]:
    whole = {"details": lines(), "key": KEY.hex(), "size": len(b"".join(PIECES)), "complete": True}
    return {"name": name, "ok": changes.pop("ok", False), "said": said, "content": content.hex(), **whole, **changes}


def cases() -> list[dict[str, Any]]:
    good, (a, b, c, d, e) = b"".join(PIECES), PIECES
    cut, marked = {"details": lines(is_cut=True), "complete": False}, a + b + c + d
    cut["size"] = len(marked) + len(TAIL)
    broken = lines()
    broken[1]["detail"]["fragments"] += ","
    without = lines()
    del without[1]["detail"]["fragments"]
    behind = lines(is_cut=True)
    behind[2]["detail"]["sealed_size"] = 150
    return [
        case("whole", good, f"5 hold: {len(good)} bytes, 1.000 s, each by the device's own mark", ok=True),
        case(
            "changed", a + b[:-1] + b"?" + c + d + e, "fragment 2 of 5 (0.200 s to 0.400 s, bytes 12 to 25) is changed"
        ),
        case("grown", a + b + b"?" + c + d + e, "1 bytes that the device did not write stand at byte 26"),
        case("grown within", a + b[:-1] + b"??" + c + d + e, "is changed: 15 bytes stand at byte 12 in place of 14"),
        case("missing", a + c + d + e, "fragment 2 of 5 (0.200 s to 0.400 s, bytes 12 to 25) is missing"),
        case("swapped", a + c + b + d + e, "stands out of its place, at byte"),
        case("twice", a + b + b + c + d + e, "stands a second time, at byte 26"),
        case("cut off", a + b + c, "fragments 4 to 5 of 5 (0.600 s to 1.000 s, bytes 40 to 62) are cut off"),
        case("cut within", a + b + c + d[:5], "are cut off or changed: 5 bytes stand at byte 40 in place of"),
        case("nothing", b"", "fragments 1 to 5 of 5"),
        case("appended", good + b"?", "1 bytes follow behind its end"),
        case("recording that was cut", marked + TAIL, "the 10 bytes behind them are under no mark", ok=True, **cut),
        case("cut, its marked part changed", b"?" + marked[1:] + TAIL, "fragment 1 of 4", **cut),
        case("cut, and more behind it", marked + TAIL + b"?", "1 bytes follow behind its end", **cut),
        case("cut, and cut again", marked + TAIL[:1], "9 bytes are cut off at its end, behind the last", **cut),
        case("cut before a checkpoint", a + b + c, "2 hold: ", ok=True, **{**cut, "details": behind, "size": 40}),
        case("another key", good, "not the one that the device's lines name", key="00" * 32),
        case("marks of more than there is", good, "its lines sign fragments of", size=40),
        case("marks of less than there is", good, "its lines sign fragments of", size=400),
        case("no form", good, "its fragments are missing or not what they must be", details=broken),
        case("a line without", good, "its fragments are missing or not what they must be", details=without),
    ]


if __name__ == "__main__":
    head = {"file_key": FILE_KEY.hex(), "nonce": NONCE.hex(), "key": KEY.hex(), "key_id": key_id(KEY)}
    text = json.dumps({**head, "cases": cases()}, indent=1)
    (Path(__file__).parent / "cases.json").write_text(text + "\n")
